/**
 * One end of a channel as the library keeps it: both halves, the end and its reason, closing. The application holds a {@link Handle}, which
 * refers to this; nothing here refers back, so that a forgotten handle can be collected, and then closed.
 */
import { FableError } from "../errors.ts";
import {
  ENDED,
  FAULT_CURSOR,
  FAULT_DOORBELL,
  FAULT_FRAGMENT,
  FAULT_KIND,
  FAULT_LENGTH,
  FAULT_STATE,
  PEER_DEAD,
  PEER_FAULT,
  READABLE,
  WRITABLE,
} from "../native/generated.ts";
import { type Attention, attentionOf } from "../transport/attention.ts";
import type { Channel } from "../transport/channel.ts";
import type { Figures } from "../transport/figures.ts";
import type { Direction, Move } from "../transport/moves.ts";
import type { Trust } from "../transport/transport.ts";
import { waiterOf } from "../transport/waiter.ts";
import { Inbox } from "./inbox.ts";
import type { WaitLimits } from "./limits.ts";
import type { HandleLimits } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { ClosedCode, ClosedReason } from "./outcomes.ts";
import { ReconfigurationLog } from "./reconfigurations.ts";
import { type MoveOrder, Reconfigurer } from "./reconfigure.ts";

/** Who is at the other end. */
export interface Peer {
  /** Its registered name, or xio://anonymous/… */
  readonly name: string;
  readonly pid: number;
  readonly uid: number;
}

export interface ConnectionSettings extends HandleLimits {
  readonly channel: Channel;
  readonly maxMessageBytes: number;
  /** Effective, whether the transport of the moment cares or not. */
  readonly trust: Trust;
  readonly peer: Peer;
  /** Broker-wide identity, empty without a broker. */
  readonly flow: string;
  /** After the channel's memory is gone. */
  readonly released?: () => void;
}

const FAULTS: Readonly<Record<number, string>> = {
  [FAULT_KIND]: "a record of unknown kind",
  [FAULT_LENGTH]: "a record of impossible length",
  [FAULT_CURSOR]: "a cursor that went back or too far",
  [FAULT_FRAGMENT]: "fragments that do not add up to a message",
  [FAULT_DOORBELL]: "ringing without being asked",
  [FAULT_STATE]: "an impossible state in its control region",
};

/** Undelivered messages are looked for this often while closing, after the first few turns. */
const DRAIN_POLL_MS = 1;
const DRAIN_TURNS = 8;
/** And at least this often by an end that both sides finished, as long as the peer still reads. */
const MAX_RECHECK_MS = 100;

export class Connection {
  readonly settings: ConnectionSettings;
  readonly channel: Channel;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly reconfigurations: ReconfigurationLog;
  /** What the thread attends to beside its channels: whoever looks in vain says so. */
  readonly attention: Attention;
  readonly #reconfigurer: Reconfigurer;
  readonly #closed: Promise<ClosedReason>;
  readonly #resolveClosed: (reason: ClosedReason) => void;
  #reason: ClosedReason | undefined;
  #closing: Promise<ClosedReason> | undefined;
  #writeClosed = false;
  #rechecking = false;
  #recheckMs = DRAIN_POLL_MS;
  #lastFigures: Figures | undefined;

  constructor(settings: ConnectionSettings) {
    this.settings = settings;
    const { channel, checked, maxHeldBuffers, maxQueuedSends, maxMessageBytes, drainDeadlineMs } = settings;
    this.channel = channel;
    this.attention = attentionOf(channel.native);
    this.inbox = new Inbox(channel, {
      checked,
      maxHeldBuffers,
      failure: (status) => this.#failure(status),
      drained: () => this.#checkEnd(),
    });
    this.outbox = new Outbox(channel, { checked, maxQueuedSends, maxMessageBytes, drainDeadlineMs, ended: () => this.#writeError() });
    this.reconfigurations = new ReconfigurationLog(this.outbox.crossing);
    this.#reconfigurer = new Reconfigurer(channel);
    const { promise, resolve } = Promise.withResolvers<ClosedReason>();
    this.#closed = promise;
    this.#resolveClosed = resolve;
    channel.onReady = (ready) => this.#ready(ready);
    channel.onEnd = () => this.#end();
    channel.onCrossing = (late) => this.outbox.crossing.attempt(late);
    channel.mayStretch = () => this.outbox.cursor?.pending !== true;
    channel.onComing = () => {
      this.inbox.lookOnward();
      this.#reconfigurer.coming();
    };
    channel.moves.onMove = (move) => this.#moved(move);
  }

  /** True once the end is known. */
  get over(): boolean {
    return this.#reason !== undefined;
  }

  /** True once the channel's memory is gone. */
  get released(): boolean {
    return this.channel.closed;
  }

  /** Resolves as soon as the end is known; never rejects. Who asks, waits: that keeps the process alive. */
  get closed(): Promise<ClosedReason> {
    if (this.#reason === undefined) this.channel.setAwaitsEnd(true);
    return this.#closed;
  }

  figures(): Figures {
    return this.#lastFigures ?? this.channel.figures();
  }

  flush(): void {
    if (!this.released) this.channel.writer.flush();
  }

  /** Moves directions to another transport: resolves when they are there, rejects with the reason why not. */
  reconfigure(order: MoveOrder, limits: WaitLimits = {}): Promise<void> {
    return new Promise((resolve, reject) => this.obey(order, limits, (error) => error === undefined ? resolve() : reject(error)));
  }

  /** The same without a promise, for orders that may come while the thread blocks: `settle` hears of the end at once. */
  obey(order: MoveOrder, limits: WaitLimits, settle: (error?: FableError) => void): void {
    if (this.over || this.released || this.#closing !== undefined) return settle(closedHere());
    this.#reconfigurer.order(order, limits, settle);
  }

  /** Only gives the order; throws if it is refused at once. */
  orderNow(order: MoveOrder & { readonly direction: Direction }): void {
    this.#reconfigurer.now(order);
  }

  /** Half-close: resolves when everything accepted so far, and the end after it, is on its way. */
  async closeWrite(): Promise<void> {
    await this.outbox.closing();
    this.#closeWriteNow();
    this.#checkEnd();
  }

  close(drainDeadlineMs: number): Promise<ClosedReason> {
    return this.#closing ??= this.#close(drainDeadlineMs);
  }

  /** The broker, or whoever else, learned that the peer's process is gone. */
  peerDied(): void {
    this.channel.peerDied();
  }

  #moved(move: Move): void {
    // Another path than the one that was about to be ready: open buffers have their time anew.
    if (move.direction === "outgoing" && (move.what === "pending" || move.what === "refused")) this.outbox.crossing.end();
    this.reconfigurations.heard(move);
    this.#reconfigurer.heard(move);
  }

  // ---- the end ----

  #ready(ready: number): void {
    if (ready & READABLE) this.inbox.ready();
    if (ready & WRITABLE && !this.released) {
      this.channel.pump();
      this.outbox.ready();
    }
    if (this.channel.writeStatus < 0) this.#checkEnd();
  }

  /** The peer is gone, or at fault: those who wait get what is there, then the end. */
  #end(): void {
    this.inbox.ready();
    if (!this.released) this.inbox.lookForEnd();
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#reason === undefined && !this.released) {
      const code = this.#endCode();
      // Both ends have said their last word, but the peer may still be reading: nothing wakes this end when it is done.
      if (code === "ENDED" && !this.#allTaken()) this.#recheckSoon();
      else if (code !== undefined) this.#conclude(code);
    }
    if (this.#reason !== undefined && this.inbox.ended && this.inbox.reader.heldPieces === 0) this.#release();
  }

  #allTaken(): boolean {
    const { messagesSent, messagesDelivered } = this.channel.figures();
    return messagesDelivered >= messagesSent;
  }

  #recheckSoon(): void {
    if (this.#rechecking || !this.channel.keepsAlive) return;
    this.#rechecking = true;
    setTimeout(() => {
      this.#rechecking = false;
      if (!this.released) this.#checkEnd();
    }, this.#recheckMs);
    this.#recheckMs = Math.min(2 * this.#recheckMs, MAX_RECHECK_MS);
  }

  #endCode(): ClosedCode | undefined {
    if (this.channel.faulted || this.inbox.endStatus === PEER_FAULT || this.channel.writeStatus === PEER_FAULT) return "PEER_FAULT";
    switch (this.channel.peerState()) {
      case "closed":
        if (this.#closing !== undefined) return "CLOSED";
        return this.#finished() && this.#allTaken() ? "ENDED" : "PEER_CLOSED";
      case "faulted":
        return "PEER_FAULT";
      case "dead":
        return "PEER_DEAD";
      case "write-closed":
        return this.#finished() ? "ENDED" : undefined;
      default:
        return this.inbox.endStatus === PEER_DEAD || this.channel.writeStatus === PEER_DEAD ? "PEER_DEAD" : undefined;
    }
  }

  /** Both ends half-closed, and this one has read everything. */
  #finished(): boolean {
    return this.#writeClosed && this.inbox.endStatus === ENDED;
  }

  #conclude(code: ClosedCode): void {
    if (this.#reason !== undefined) return;
    const { messagesSent, messagesDelivered, messagesReceived } = this.channel.figures();
    const message = this.#describe(code, messagesSent - messagesDelivered);
    this.#reason = { code, message, sent: messagesSent, delivered: messagesDelivered, received: messagesReceived };
    this.channel.setAwaitsEnd(false);
    this.outbox.fail();
    this.#reconfigurer.over();
    this.reconfigurations.end();
    this.#resolveClosed(this.#reason);
  }

  #describe(code: ClosedCode, undelivered: number): string {
    const { name } = this.settings.peer;
    const lost = undelivered === 0 ? "" : `; ${undelivered} ${undelivered === 1 ? "message was" : "messages were"} not delivered`;
    switch (code) {
      case "CLOSED":
        return `This end closed the channel with ${name}${lost}.`;
      case "ENDED":
        return `Both ends finished${lost}.`;
      case "PEER_CLOSED":
        return `${name} closed the channel${lost}.`;
      case "PEER_DEAD":
        return `The process of ${name} died${lost}.`;
      case "PEER_FAULT":
        return `${name} broke the protocol (${FAULTS[this.channel.faultDetail] ?? "or was told that this end did"})${lost}.`;
    }
  }

  async #close(drainDeadlineMs: number): Promise<ClosedReason> {
    const deadline = performance.now() + drainDeadlineMs;
    this.inbox.close();
    this.outbox.cancelOpen();
    if (!this.released) this.channel.tellTaken();
    if (this.#reason === undefined && !this.released) {
      await this.#settle(drainDeadlineMs);
      this.#closeWriteNow();
      await this.#drain(deadline);
      this.#conclude("CLOSED");
    }
    this.#release();
    return this.#closed;
  }

  /** Waits for queued sends, at most until the deadline; what waits then is rejected. */
  async #settle(drainDeadlineMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<void>((resolve) => timer = setTimeout(resolve, drainDeadlineMs));
    await Promise.race([this.outbox.closing(), deadline]);
    clearTimeout(timer);
  }

  #closeWriteNow(): void {
    if (this.#writeClosed || this.#reason !== undefined || this.released) return;
    this.#writeClosed = true;
    this.channel.closeWrite();
    this.#reconfigurer.over("outgoing");
  }

  /** Waits until the peer has taken everything, is gone, or the deadline passed. */
  async #drain(deadline: number): Promise<void> {
    for (let turn = 0; this.#reason === undefined && !this.released; turn++) {
      const { messagesSent, messagesDelivered } = this.channel.figures();
      if (messagesDelivered >= messagesSent || performance.now() >= deadline) return;
      if (turn < DRAIN_TURNS) await waiterOf(this.channel.native).nextTurn();
      else await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      if (!this.released) this.#checkEnd();
    }
  }

  #release(): void {
    if (this.released) return;
    this.#lastFigures = this.channel.figures();
    this.channel.close();
    this.#reconfigurer.over();
    this.reconfigurations.end();
    this.settings.released?.();
  }

  // ---- errors ----

  #failure(status: number): FableError | undefined {
    if (status === 0 || status === ENDED) return undefined;
    const reason = this.#reason;
    if (status === PEER_DEAD) {
      return new FableError("PEER_DEAD", reason?.message ?? `The process of ${this.settings.peer.name} died.`, {
        remedy: "Connect again once it is back.",
      });
    }
    if (status === PEER_FAULT) {
      return new FableError("PEER_FAULT", this.#describe("PEER_FAULT", 0), {
        remedy: "Check the peer's version and its code; then connect again.",
      });
    }
    return closedHere();
  }

  /** Why nothing can be written. */
  #writeError(): FableError {
    // A thread that blocks learns of the end before the event loop had a chance to conclude it.
    this.#checkEnd();
    const reason = this.#reason;
    if (reason === undefined || reason.code === "CLOSED" || reason.code === "ENDED") return closedHere();
    return new FableError(reason.code, reason.message, { remedy: "Connect again." });
  }
}

function closedHere(): FableError {
  return new FableError("CLOSED", "This end of the channel is closed, or was closed for writing.", {
    remedy: "Send before closeWrite() and close(), or connect again.",
  });
}
