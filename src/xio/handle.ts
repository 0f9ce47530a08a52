/**
 * A handle: one end of a channel, as the application has it (paper §3.1.2, §3.1.3). Three ways to use it, freely mixed:
 *
 *     messages   send, receive, for await                       what most programs need
 *     buffers    getWriteBuf, commit, getReadBuf, release       the paper's Table 2: transport memory lent in place
 *     cursors    writer(), reader()                             the same without an allocation per message
 */
import type { Native } from "../native/native.ts";
import { transportByName } from "../transport/registry.ts";
import type { TransportName, Trust } from "../transport/transport.ts";
import { waiterOf } from "../transport/waiter.ts";
import { type Buffer, OpenWriteBuffer, type ReadBuffer, type WriteBuffer } from "./buffer.ts";
import { commitBuffers } from "./commit.ts";
import type { Connection, Peer } from "./connection.ts";
import { Reader, Writer } from "./cursor.ts";
import { forgetHandle, watchHandle } from "./forgotten.ts";
import { aborted, type WaitLimits } from "./limits.ts";
import { MessageIterator } from "./messages.ts";
import { DEFAULT_DRAIN_DEADLINE_MS, DEFAULT_TIMEOUT_MS } from "./options.ts";
import { type ClosedReason, ENOSPACE } from "./outcomes.ts";
import type { Reconfiguration, Reconfigurations } from "./reconfigurations.ts";
import { readableOf, writableOf } from "./streams.ts";

/** What a handle is to the rest of the library. */
export const CONNECTION: unique symbol = Symbol("fable.connection");

/** Room that `getWriteBuf()` asks for if nobody says how much: a page. */
const DEFAULT_BUFFER_BYTES = 4096;
/** Buffers that `getReadBuf()` answers with at most if nobody says how many. */
const DEFAULT_BUFFERS = 64;
const encoder = new TextEncoder();

/** Figures of a handle, for programs that watch themselves. */
export interface HandleStats {
  /** Messages and bytes given to the transport. */
  readonly messagesSent: number;
  readonly bytesSent: number;
  /** Of these: given back by the peer. */
  readonly messagesDelivered: number;
  readonly bytesDelivered: number;
  /** Messages and bytes this end took. */
  readonly messagesReceived: number;
  readonly bytesReceived: number;
  /** How often this end woke its peer, and how often it announced that it sleeps. */
  readonly rings: number;
  readonly sleeps: number;
  /** Write buffers that were still open when the channel moved to another transport after the deadline. */
  readonly lateBuffers: number;
}

/** Options of {@link Handle.reconfigure}. */
export interface ReconfigureOptions {
  readonly direction?: "both" | "outgoing" | "incoming";
  readonly ringBytes?: number;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** Where the directions of a channel are. */
export interface Epochs {
  readonly outgoing: { readonly epoch: number; readonly transport: TransportName };
  readonly incoming: { readonly epoch: number; readonly transport: TransportName };
}

/**
 * One end of a channel.
 *
 * @example
 * ```ts
 * import { channelPair } from "fable";
 *
 * const [left, right] = channelPair();
 * left.onReconfiguration(({ phase, from, to }) => console.log(phase, from, to));
 * left.send("through shared memory");
 * const moved = left.reconfigure("tcp", { direction: "outgoing" });
 * await right.receive();
 * await moved;
 * left.send("through a socket");
 * console.log(new TextDecoder().decode(await right.receive()), left.epochs.outgoing); // { epoch: 1, transport: "tcp" }
 * await Promise.all([left.close(), right.close()]);
 * ```
 */
export class Handle implements AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable {
  readonly #connection: Connection;
  readonly #yield: Yielder;

  /** Handles come from `connect`, `accept` and `channelPair`. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#yield = new Yielder(connection.channel.native);
    watchHandle(this, connection);
  }

  get [CONNECTION](): Connection {
    return this.#connection;
  }

  /** Who is at the other end. */
  get peer(): Peer {
    return this.#connection.settings.peer;
  }

  /** How messages from here travel now. {@link epochs} has both directions. */
  get transport(): TransportName {
    return this.#connection.channel.moves.outgoing.name;
  }

  /** Whether memory is lent in place ("trusted") or copied before anything looks at it; "n/a" where the kernel copies anyway. */
  get trust(): Trust | "n/a" {
    const { settings: { trust }, channel: { moves } } = this.#connection;
    return moves.outgoing.trust === "n/a" ? "n/a" : trust;
  }

  /** The longest message either way, in bytes, as both ends agreed. */
  get maxMessageBytes(): number {
    return this.#connection.settings.maxMessageBytes;
  }

  /** The channel's identity with the broker (`fable flows`); empty if it was made without one. */
  get flow(): string {
    return this.#connection.settings.flow;
  }

  // ---- messages ----

  /**
   * Sends a message. Returns undefined if it was taken at once, as is usual, else a promise that resolves when it was; so
   * `await handle.send(message)` is always right, and a hot loop awaits only what is not undefined. Messages taken are made visible to the
   * peer at the end of the turn, or with {@link flush}. If the promise is pending, the bytes must not change before it resolves.
   * @throws FableError TOO_LARGE; CLOSED, PEER_CLOSED, PEER_DEAD, PEER_FAULT. The promise rejects with these, ENOSPACE or ABORTED.
   */
  send(message: Uint8Array | string, options?: { readonly signal?: AbortSignal }): Promise<void> | undefined {
    const bytes = typeof message === "string" ? encoder.encode(message) : message;
    const { outbox, channel } = this.#connection;
    // A long message streams from the caller's memory; taken at once, it would have to be copied first.
    const taken = bytes.length <= channel.writer.maxPayloadBytes && outbox.trySend(bytes);
    if (taken) return this.#yield.due() ? this.#yield.turn() : undefined;
    return outbox.enqueue(this, bytes, options?.signal);
  }

  /**
   * Sends a message if there is room now; true if it was taken.
   * @throws FableError TOO_LARGE; CLOSED, PEER_CLOSED, PEER_DEAD, PEER_FAULT.
   */
  trySend(message: Uint8Array | string): boolean {
    const { outbox, attention } = this.#connection;
    const taken = outbox.trySend(typeof message === "string" ? encoder.encode(message) : message);
    if (!taken) attention.vain();
    return taken;
  }

  /**
   * The next message, as a private copy; undefined at the end, when the peer half-closed or closed.
   * The promise rejects with PEER_DEAD or PEER_FAULT after everything the peer committed was received, with TIMEOUT or ABORTED.
   */
  receive(limits: WaitLimits = {}): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (limits.signal?.aborted) return Promise.reject(aborted("a message", limits.signal));
    return this.#connection.inbox.receive(this, limits.signal, limits.timeoutMs);
  }

  /** The next message, as a private copy; undefined if there is none now ({@link ended} says whether one may come). */
  tryReceive(): Uint8Array<ArrayBuffer> | undefined {
    const { inbox, attention } = this.#connection;
    const message = inbox.take();
    if (message === undefined) attention.vain();
    return message;
  }

  /** The messages to come, as private copies, until the end. Throws like {@link receive}. Leaving the loop leaves the handle open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return new MessageIterator(this, this.#connection.inbox, this.#yield);
  }

  /** The messages to come as a stream, one private copy per chunk. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return readableOf(this);
  }

  /** A stream that sends each chunk as a message. Closing it half-closes the channel. */
  get writable(): WritableStream<Uint8Array | string> {
    return writableOf(this);
  }

  /** True when nothing more will come from the peer. */
  get ended(): boolean {
    return this.#connection.inbox.ended;
  }

  // ---- buffers ----

  /**
   * What has arrived, in place: up to `max` pieces of messages (paper: xio_getreadbuf). EMPTY if nothing has, ENOSPACE if too many are held
   * already, ENDED after the last one; all three are empty arrays. Release every buffer; in any order, soon.
   */
  getReadBuf(max: number = DEFAULT_BUFFERS): readonly ReadBuffer[] {
    const { inbox, attention } = this.#connection;
    const buffers = inbox.lend(this, max);
    if (buffers.length === 0) attention.vain();
    return buffers;
  }

  /**
   * Room for one message of up to `size` bytes, in place (paper: xio_getwritebuf): its pieces, to be filled in any order, or ENOSPACE.
   * Messages are sent in the order of these calls, each when it and all before it are committed or released.
   * @throws FableError TOO_LARGE; CLOSED, PEER_CLOSED, PEER_DEAD, PEER_FAULT.
   */
  getWriteBuf(size: number = Math.min(DEFAULT_BUFFER_BYTES, this.maxMessageBytes)): readonly WriteBuffer[] {
    const { outbox, attention } = this.#connection;
    const reservation = outbox.reserve(size);
    if (reservation === undefined) {
      attention.vain();
      return ENOSPACE;
    }
    return reservation.pieces.map((_, index) => new OpenWriteBuffer(this, outbox, reservation, index));
  }

  /**
   * Hands buffers over to be sent (paper: xio_commit); they are spent. `size` shortens the message. Buffers of other handles, read or write,
   * are translated by a copy and released at home; false if there is no room for that copy now (they are not spent then).
   * @throws FableError SPENT_BUFFER; BAD_ARGUMENT.
   */
  commit(buffers: Buffer | readonly Buffer[], size?: number): boolean {
    const { outbox } = this.#connection;
    if (buffers instanceof OpenWriteBuffer && buffers.belongsTo(outbox)) {
      buffers.commit(size ?? buffers.size);
      return true;
    }
    return commitBuffers(this, outbox, Array.isArray(buffers) ? buffers as readonly Buffer[] : [buffers as Buffer], size);
  }

  /** Gives buffers back (paper: xio_release): read buffers free their memory, write buffers cancel their message. */
  release(buffers: Buffer | readonly Buffer[]): void {
    for (const buffer of Array.isArray(buffers) ? buffers as readonly Buffer[] : [buffers as Buffer]) buffer.release();
  }

  // ---- cursors and waiting ----

  /** A cursor over received messages, see {@link Reader}. */
  reader(): Reader {
    return new Reader(this, this.#connection);
  }

  /** A cursor over the memory to be sent from, see {@link Writer}. */
  writer(): Writer {
    return new Writer(this, this.#connection);
  }

  /** Makes everything sent or committed so far visible to the peer now, instead of at the end of the turn. */
  flush(): void {
    this.#connection.flush();
  }

  /** Waits until a message is there: true, or false at the end. Rejects with TIMEOUT or ABORTED. */
  waitReadable(limits: WaitLimits = {}): Promise<boolean> {
    return this.reader().wait(limits);
  }

  /** Waits until what found no room last would find it: true, or false if nothing can be sent any more. Rejects with TIMEOUT or ABORTED. */
  waitWritable(limits: WaitLimits = {}): Promise<boolean> {
    return this.writer().wait(limits);
  }

  // ---- reconfiguration ----

  /**
   * Moves the channel to another transport, under load, without losing, repeating or reordering a message. Resolves when the directions are
   * there: messages sent from here take it from then on, and those that come have begun to. The peer's program need not do anything, but it
   * has to read what was sent before. A newer order takes the place of an older one, whoever gives them.
   *
   * Open write buffers hold it up for `drainDeadlineMs` at most; later they are copied, and count as `lateBuffers`.
   *
   * @param options.direction default "both".
   * @param options.ringBytes size of the new ring: a power of two (default: as now). It also sets what {@link Writer.maxBytes} is.
   * @param options.timeoutMs default 5000. An order that is given up is taken back, if the direction has not moved yet.
   * @throws FableError UNSUPPORTED_TRANSPORT (not on this machine, or not to a peer that is not trusted), REFUSED, SUPERSEDED by a newer
   * order, TIMEOUT, ABORTED, CLOSED. The channel then goes on as it was.
   */
  async reconfigure(transport: TransportName, options: ReconfigureOptions = {}): Promise<void> {
    const { direction = "both", ringBytes = 0, signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const order = { transport: transportByName(transport), direction, ringBytes, reason: "program" } as const;
    await this.#connection.reconfigure(order, { signal, timeoutMs });
  }

  /** Where each direction is: its transport, and how many it has had before. Buffers say which epoch they belong to. */
  get epochs(): Epochs {
    const { moves } = this.#connection.channel;
    const { outgoing, incoming, writeEpoch, readEpoch } = moves;
    return {
      outgoing: { epoch: writeEpoch, transport: outgoing.name },
      incoming: { epoch: readEpoch, transport: incoming.name },
    };
  }

  /** The steps of the channel's moves, as they come (`for await`), one by one (`take()`), or in `xpoll` (`want: "reconfiguration"`). */
  get reconfigurations(): Reconfigurations {
    return this.#connection.reconfigurations;
  }

  /** Calls `listener` with each step of a move, until the function it answers is called. Steps stay in {@link reconfigurations} all the same. */
  onReconfiguration(listener: (event: Reconfiguration) => void): () => void {
    return this.#connection.reconfigurations.listen(listener);
  }

  // ---- the end ----

  /** Half-close: the peer gets everything sent so far, then the end; it can still send. Resolves when all of it is on its way. */
  closeWrite(): Promise<void> {
    return this.#connection.closeWrite();
  }

  /**
   * Closes the channel. What was sent is given `drainDeadlineMs` (default 1000) to be taken by the peer; open write buffers are cancelled,
   * unread messages are dropped. Never rejects: the answer says what was not delivered.
   */
  close(options: { readonly drainDeadlineMs?: number } = {}): Promise<ClosedReason> {
    forgetHandle(this);
    return this.#connection.close(options.drainDeadlineMs ?? DEFAULT_DRAIN_DEADLINE_MS);
  }

  /** Resolves as soon as the channel's end is known, with the reason; what the peer committed before can still be received. Never rejects. */
  get closed(): Promise<ClosedReason> {
    return this.#connection.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Waiting on this handle keeps the process alive (the default). */
  ref(): this {
    this.#connection.channel.setKeepsAlive(true);
    return this;
  }

  /** Waiting on this handle does not keep the process alive. */
  unref(): this {
    this.#connection.channel.setKeepsAlive(false);
    return this;
  }

  /** Figures since the channel began. */
  stats(): HandleStats {
    const { blockedNs: _, waitedNs: __, ...figures } = this.#connection.figures();
    return { ...figures, lateBuffers: this.#connection.outbox.crossing.lateBuffers };
  }
}

/** Makes loops that never have to wait let timers and sockets have their turn now and then. */
export class Yielder {
  readonly #native: Native;
  #count = 0;
  #since = 0;

  constructor(native: Native) {
    this.#native = native;
  }

  /** True about every two milliseconds, if asked often. */
  due(): boolean {
    if ((++this.#count & 31) !== 0) return false;
    const now = performance.now();
    if (now - this.#since < 2) return false;
    this.#since = now;
    return true;
  }

  turn(): Promise<void> {
    return waiterOf(this.#native).nextTurn();
  }
}
