/**
 * A socket of the outside world as the library keeps it: both halves, the end and its reason, closing. The application holds an
 * {@link OutsideHandle}, which refers to this; nothing here refers back, so that a forgotten handle can be collected, and then closed.
 */
import { type ErrorCode, FableError } from "../../errors.ts";
import type { OutsideName } from "../../naming/outside.ts";
import { HANG_UP } from "../../naming/reactor.ts";
import { READABLE, WRITABLE } from "../../native/generated.ts";
import type { Native } from "../../native/native.ts";
import { DescriptorWatch } from "../descriptors.ts";
import { OutsideInbox, readInterest } from "./inbox.ts";
import type { OutsideLimits } from "./options.ts";
import { OutsideOutbox } from "./outbox.ts";
import type { OutsideSocket } from "./socket.ts";

/** What `closed` and `close()` of an outside handle resolve to. */
export interface OutsideClosedReason {
  /** `CLOSED`: by this end. `ENDED`: both sides finished. Else what ended it: `PEER_CLOSED`, `PEER_RESET`, `UNREACHABLE`, `TIMEOUT` … */
  readonly code: ErrorCode;
  /** A sentence for people. */
  readonly message: string;
  /** Bytes of a stream, or datagrams: accepted from the program; of these taken by the other side as far as the system knows; taken here. */
  readonly sent: number;
  readonly delivered: number;
  readonly received: number;
}

/** How often a closing connection looks whether the other side has taken everything. */
const DRAIN_TURNS = 8;
const FIRST_DRAIN_MS = 1;
const MAX_DRAIN_MS = 16;

export class OutsideConnection {
  readonly native: Native;
  readonly socket: OutsideSocket;
  readonly inbox: OutsideInbox;
  readonly outbox: OutsideOutbox;
  readonly settings: { readonly peer: { readonly name: OutsideName }; readonly local: OutsideName };
  readonly #watch: DescriptorWatch;
  readonly #closed = Promise.withResolvers<OutsideClosedReason>();
  #reason: OutsideClosedReason | undefined;
  #failure: FableError | undefined;
  #closing: Promise<OutsideClosedReason> | undefined;
  #finished = false;
  #awaitsEnd = false;
  #keepsAlive = true;
  #unsent = 0;

  constructor(socket: OutsideSocket, peer: OutsideName, limits: OutsideLimits) {
    this.native = socket.native;
    this.socket = socket;
    this.settings = { peer: { name: peer }, local: socket.name("own") };
    this.#watch = new DescriptorWatch(socket.native, socket.fd, (events) => this.#ready(events));
    const changed = (): void => this.#changed();
    this.inbox = new OutsideInbox(socket, { ...limits, changed, over: (failure) => this.#over(failure) });
    this.outbox = new OutsideOutbox(socket, {
      ...limits,
      changed,
      failed: (error) => this.#failed(error),
      lost: (error) => this.inbox.complain(error),
      ended: () => this.#writeError(),
    });
  }

  /** True once the end is known. */
  get over(): boolean {
    return this.#reason !== undefined;
  }

  /** True once the descriptor is closed. */
  get released(): boolean {
    return this.socket.closed;
  }

  get fd(): number {
    return this.socket.fd;
  }

  /** What of `want` the descriptor can tell about, for those who wait for it by themselves. */
  interest(want: number): number {
    return want & READABLE & (this.inbox.open ? READABLE : 0) | want & this.outbox.interest;
  }

  /** Resolves as soon as the end is known; never rejects. Who asks, waits: that keeps the process alive. */
  get closed(): Promise<OutsideClosedReason> {
    if (!this.#awaitsEnd) {
      this.#awaitsEnd = true;
      this.#changed();
    }
    return this.#closed.promise;
  }

  setKeepsAlive(on: boolean): void {
    this.#keepsAlive = on;
    this.#changed();
  }

  /** Half-close: resolves when everything accepted so far is in the system's hands, and the end behind it. */
  async closeWrite(): Promise<void> {
    await this.outbox.closing();
    this.#finish();
    this.#checkEnd();
  }

  close(drainDeadlineMs: number): Promise<OutsideClosedReason> {
    return this.#closing ??= this.#close(drainDeadlineMs);
  }

  // ---- inside ----

  #ready(events: number): void {
    if (events & (WRITABLE | HANG_UP)) this.outbox.ready();
    if (events & (READABLE | HANG_UP) && !this.released) this.inbox.ready();
    this.#changed();
  }

  /** Arms the reactor for what is waited for, and keeps the process alive meanwhile. */
  #changed(): void {
    if (this.released) return;
    this.#watch.want(readInterest(this.inbox, this.#awaitsEnd) | this.outbox.interest);
    this.#watch.setRef(this.#keepsAlive && (this.inbox.awaited || this.outbox.awaited || this.#awaitsEnd && !this.over));
  }

  #over(failure: FableError | undefined): void {
    if (failure !== undefined) this.#failed(failure);
    else queueMicrotask(() => this.#checkEnd());
  }

  /** Nothing can be sent any more. What arrived before can still be read. */
  #failed(error: FableError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#unsent = Math.max(this.#unsent, this.socket.unsent(this.#finished));
    this.outbox.fail(error);
    this.#conclude(error.code, `${error.message.replace(/\.$/, "")} (${this.settings.peer.name})`);
    this.#checkEnd();
  }

  #finish(): void {
    if (this.#finished || this.#failure !== undefined) return;
    this.#finished = true;
    this.socket.finish();
  }

  #checkEnd(): void {
    if (this.released) return;
    if (this.#finished && this.inbox.ended && this.#failure === undefined) this.#conclude("ENDED", "Both sides finished");
    if (this.over && this.inbox.ended && this.#closing === undefined) this.#release(false);
  }

  #conclude(code: ErrorCode, sentence: string): void {
    if (this.#reason !== undefined) return;
    const { inbox, outbox, socket } = this;
    const [sent, given, received] = socket.stream
      ? [outbox.bytes, outbox.sentBytes, inbox.bytes]
      : [outbox.messages, outbox.sentMessages, inbox.messages];
    const delivered = Math.max(0, given - this.#unsent);
    const lost = sent - delivered;
    const what = socket.stream ? (lost === 1 ? "byte was" : "bytes were") : (lost === 1 ? "datagram was" : "datagrams were");
    this.#reason = { code, message: `${sentence}${lost === 0 ? "" : `; ${lost} ${what} not delivered`}.`, sent, delivered, received };
    this.#closed.resolve(this.#reason);
    this.#changed();
  }

  async #close(drainDeadlineMs: number): Promise<OutsideClosedReason> {
    const deadline = performance.now() + drainDeadlineMs;
    this.inbox.close();
    this.outbox.cancelOpen();
    if (!this.released && this.#failure === undefined) {
      await settled(this.outbox.closing(), drainDeadlineMs);
      const complete = this.outbox.bytes === this.outbox.sentBytes;
      if (complete) this.#finish();
      await this.#drain(deadline);
      this.outbox.fail(closedHere());
      const whole = complete && this.#unsent === 0;
      if (this.#failure === undefined) this.#conclude("CLOSED", `This end closed the connection with ${this.settings.peer.name}`);
      this.#release(this.socket.stream && !whole);
    } else {
      this.outbox.fail(closedHere());
      this.#release(false);
    }
    this.#conclude("CLOSED", `This end closed the connection with ${this.settings.peer.name}`);
    return this.#closed.promise;
  }

  /** Waits until the other side has taken everything, is gone, or the deadline passed. */
  async #drain(deadline: number): Promise<void> {
    let pauseMs = FIRST_DRAIN_MS;
    for (let turn = 0; this.#failure === undefined && !this.released; turn++) {
      this.#unsent = this.socket.unsent(this.#finished);
      if (this.#unsent === 0) return;
      const complaint = this.socket.complaint("send");
      if (complaint !== undefined) return this.#failed(complaint);
      if (performance.now() >= deadline) return;
      if (turn < DRAIN_TURNS) await new Promise<void>((resolve) => this.native.runtime.nextTurn(resolve));
      else {
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        pauseMs = Math.min(2 * pauseMs, MAX_DRAIN_MS);
      }
    }
  }

  #release(reset: boolean): void {
    if (this.released) return;
    this.#watch.stop();
    if (reset) return this.socket.abort();
    this.inbox.discard();
    this.socket.close();
  }

  #writeError(): FableError {
    return this.#failure ?? closedHere();
  }
}

/** Waits for a promise, at most so long. */
async function settled(promise: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs))]);
  clearTimeout(timer);
}

function closedHere(): FableError {
  return new FableError("CLOSED", "This end of the connection is closed, or was closed for writing.", {
    remedy: "Send before closeWrite() and close(), or connect again.",
  });
}
