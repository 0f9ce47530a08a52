/**
 * The writing half of an outside handle: segments in the order of `getWriteBuf` and `send`, each open, ready or cancelled; what is ready at
 * the front goes into the socket. Short sends are gathered in private memory until the turn ends; long ones, and those that find no room,
 * wait where the caller has them. A datagram goes out at once if nothing waits before it.
 */
import { FableError } from "../../errors.ts";
import { ENOSPACE as FULL, WRITABLE } from "../../native/generated.ts";
import { abortedSend, tooManySends } from "../limits.ts";
import { Arena } from "./arena.ts";
import type { OutsideHandle } from "./handle.ts";
import { fill, privateSegment, type Segment, tooLong, waitingSegment } from "./segment.ts";
import type { OutsideSocket } from "./socket.ts";

/** Gathered at most before it is sent within the turn; sends of this size and longer are not gathered. */
const GATHERED_BYTES = 64 * 1024;
const LONG_BYTES = 16 * 1024;
/** What UDP carries over IPv4. */
const LONGEST_UDP_BYTES = 65_507;

export interface OutsideOutboxOptions {
  readonly bufferBytes: number;
  readonly checked: boolean;
  readonly maxQueuedSends: number;
  /** What it waits for changed. */
  changed(): void;
  /** The socket takes nothing any more. */
  failed(error: FableError): void;
  /** A datagram that had been taken could not be sent. */
  lost(error: FableError): void;
  /** The error for sending over a handle that is over. */
  ended(): FableError;
}

export class OutsideOutbox {
  readonly checked: boolean;
  readonly capacityBytes: number;
  /** Taken from the program, and of these given to the system. */
  messages = 0;
  bytes = 0;
  sentMessages = 0;
  sentBytes = 0;
  /** Of other handles' buffers: sent from where they lay, or copied first. */
  inPlaceBytes = 0;
  translatedBytes = 0;
  readonly #socket: OutsideSocket;
  readonly #options: OutsideOutboxOptions;
  readonly #arena: Arena;
  readonly #segments: Segment[] = [];
  readonly #watchers = new Map<() => void, OutsideHandle>();
  #queued = 0;
  #blocked = false;
  #flushScheduled = false;
  #closing = false;
  #failed = false;
  #settled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  /** Bytes of what found no room last. */
  #needed = 0;

  constructor(socket: OutsideSocket, options: OutsideOutboxOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#arena = new Arena(options.bufferBytes);
    this.checked = options.checked;
    this.capacityBytes = options.bufferBytes;
  }

  /** True if nothing will ever be taken again. */
  get over(): boolean {
    return this.#closing || this.#failed;
  }

  /** Somebody waits for room, or to get rid of what is there. */
  get awaited(): boolean {
    return this.#watchers.size !== 0 || this.#queued !== 0 || this.#settled !== undefined && this.#segments.length !== 0;
  }

  /** What the reactor should look for on behalf of this half. */
  get interest(): number {
    return this.#blocked && !this.#failed ? WRITABLE : 0;
  }

  assertAlive(): void {
    if (this.over) throw this.#options.ended();
  }

  // ---- sending ----

  /** Takes a message if there is room now. */
  trySend(message: Uint8Array): boolean {
    this.assertAlive();
    this.#assertSize(message.length, this.capacityBytes);
    if (this.#queued !== 0) return false;
    if (!this.#take(message)) return this.#lack(message.length);
    this.messages++;
    this.bytes += message.length;
    return true;
  }

  /** Takes a message, waiting for room. Undefined if it was taken at once. */
  send(handle: OutsideHandle, message: Uint8Array, signal: AbortSignal | undefined): Promise<void> | undefined {
    const long = this.#socket.stream && message.length >= LONG_BYTES;
    if (!long && this.trySend(message)) return undefined;
    this.assertAlive();
    if (signal?.aborted) return Promise.reject(abortedSend(signal));
    if (this.#queued >= this.#options.maxQueuedSends) return Promise.reject(tooManySends(this.#queued));
    this.messages++;
    this.bytes += message.length;
    const { segment, promise } = waitingSegment(handle, message);
    this.#segments.push(segment);
    this.#queued++;
    this.flush();
    if (signal !== undefined && this.#segments.length !== 0) this.#abortable(segment, signal, promise);
    return this.#segments.length === 0 && !this.#failed ? undefined : promise;
  }

  /** True if messages of these sizes can be taken from other handles now, copied if need be. */
  takesForeign(sizes: readonly number[]): boolean {
    this.assertAlive();
    for (const size of sizes) this.#assertSize(size, Infinity);
    this.flush();
    if (this.#failed) throw this.#options.ended();
    if (this.#idle) return true;
    // Each begins at a multiple of 8.
    const needed = sizes.reduce((sum, size) => sum + size + 8, 0);
    return this.#queued === 0 && this.#arena.place(needed) >= 0 || this.#lack(needed);
  }

  /** Takes another handle's bytes, after {@link takesForeign}: from where they lie as far as the socket takes them now, else by a copy. */
  sendForeign(sources: readonly Uint8Array[], size: number): void {
    const direct = this.#idle && (this.#socket.stream || sources.length === 1) ? this.#sendInPlace(sources, size) : -1;
    this.inPlaceBytes += Math.max(0, direct);
    if (direct < size) this.#copyIn(sources, Math.max(0, direct), size);
    this.messages++;
    this.bytes += size;
  }

  // ---- buffers ----

  /** Room for one message of up to `size` bytes; undefined if there is none now. */
  reserve(size: number): Segment | undefined {
    this.assertAlive();
    this.#assertSize(size, this.capacityBytes);
    if (this.#arena.place(size) < 0) this.flush();
    const at = this.#queued === 0 ? this.#arena.place(size) : -1;
    if (at >= 0) return this.#push(at, size, "open", false);
    this.#lack(size);
    return undefined;
  }

  commit(segment: Segment, size: number): void {
    segment.to = segment.from + size;
    segment.state = "ready";
    this.#arena.shrink(segment.lease!, size);
    this.messages++;
    this.bytes += size;
    this.#flushSoon();
  }

  cancel(segment: Segment): void {
    if (segment.state !== "open") return;
    segment.state = "cancelled";
    this.#flushSoon();
  }

  // ---- waiting and ending ----

  /** True if a message like the one that found no room last would find it now. */
  writable(): boolean {
    if (this.over || this.#queued !== 0) return false;
    return this.#arena.place(Math.max(1, this.#needed)) >= 0;
  }

  /** Calls `listener` each time there may be room, or nothing will be taken any more, until the function it answers is called. */
  watch(handle: OutsideHandle, listener: () => void): () => void {
    this.flush();
    this.#watchers.set(listener, handle);
    this.#options.changed();
    return () => {
      this.#watchers.delete(listener);
      this.#options.changed();
    };
  }

  /** The socket is writable, or over. */
  ready(): void {
    this.#blocked = false;
    this.flush();
  }

  /** Sends what is ready at the front, as far as the socket takes it. */
  flush(): void {
    if (this.#blocked || this.#failed) return;
    const before = this.#segments.length;
    let moved = false;
    while (this.#segments.length !== 0 && this.#segments[0].state !== "open" && this.#step(this.#segments[0])) moved = true;
    if (this.#failed) return;
    if (before !== this.#segments.length) this.#options.changed();
    if (moved) { for (const listener of [...this.#watchers.keys()]) listener(); }
    if (this.#segments.length === 0) this.#settled?.resolve();
  }

  /** Nothing more is accepted; resolves when all that was accepted is in the socket, or never will be. Open buffers stay open. */
  closing(): Promise<void> {
    this.#closing = true;
    this.#settled ??= Promise.withResolvers<void>();
    this.flush();
    if (this.#segments.length === 0 || this.#failed) this.#settled.resolve();
    for (const listener of [...this.#watchers.keys()]) listener();
    this.#options.changed();
    return this.#settled.promise;
  }

  /** Cancels the buffers that the program still has. */
  cancelOpen(): void {
    for (const segment of this.#segments) if (segment.state === "open") segment.state = "cancelled";
    this.flush();
  }

  /** Nothing can be sent any more: whoever waits learns why. */
  fail(error: FableError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#blocked = false;
    for (const segment of this.#segments.splice(0)) {
      if (segment.state === "open") segment.state = "cancelled";
      segment.waiting?.reject(error);
    }
    this.#queued = 0;
    this.#settled?.resolve();
    for (const listener of [...this.#watchers.keys()]) listener();
  }

  // ---- inside ----

  /** Nothing waits before what comes next. */
  get #idle(): boolean {
    return this.#segments.length === 0 && !this.#blocked;
  }

  #take(message: Uint8Array): boolean {
    if (this.#socket.stream) return this.#gather(message);
    this.flush();
    if (this.#idle) {
      const sent = this.#socket.send(message);
      if (sent >= 0) return this.#count(sent, 1);
      if (sent !== FULL) throw this.#socket.error(sent, "send a datagram");
      this.#block();
    }
    return this.#copyTo(this.#arena.place(message.length), message);
  }

  /** Behind the short sends of this turn, or at a place of its own. */
  #gather(message: Uint8Array): boolean {
    const last = this.#segments.at(-1);
    if (last?.gathers && last.state === "ready" && this.#arena.extend(last.lease!, message.length)) {
      this.#arena.memory.set(message, last.to);
      last.to += message.length;
    } else {
      if (this.#arena.place(message.length) < 0) this.flush();
      if (!this.#copyTo(this.#arena.place(message.length), message)) return false;
    }
    const [first] = this.#segments;
    if (first !== undefined && first.to - first.from >= GATHERED_BYTES) this.flush();
    else this.#flushSoon();
    return true;
  }

  #copyTo(at: number, message: Uint8Array): boolean {
    if (at < 0) return false;
    this.#arena.memory.set(message, at);
    this.#push(at, message.length, "ready", this.#socket.stream && message.length > 0);
    return true;
  }

  #push(at: number, size: number, state: Segment["state"], gathers: boolean): Segment {
    const lease = this.#arena.take(at, size);
    const segment: Segment = { memory: this.#arena.memory, from: at, to: at + size, state, lease, gathers, waiting: undefined };
    this.#segments.push(segment);
    return segment;
  }

  /** How many bytes of the sources the socket took as they lie; -1: not the datagram. */
  #sendInPlace(sources: readonly Uint8Array[], size: number): number {
    const { stream } = this.#socket;
    let taken = 0;
    for (const source of sources) {
      const bytes = source.subarray(0, size - taken);
      if (bytes.length === 0 && stream) continue;
      const sent = this.#socket.send(bytes);
      if (sent < 0 && sent !== FULL) throw this.#sendingFailed(sent);
      taken += Math.max(0, sent);
      this.#count(Math.max(0, sent), stream || sent < 0 ? 0 : 1);
      if (sent >= bytes.length) continue;
      this.#block();
      return stream ? taken : -1;
    }
    return taken;
  }

  /** Bytes `from` to `size` of the sources, one behind the other; into memory of their own if they came when nothing was waiting. */
  #copyIn(sources: readonly Uint8Array[], from: number, size: number): void {
    const at = this.#arena.place(size - from);
    const segment = at >= 0 ? this.#push(at, size - from, "ready", false) : privateSegment(size - from);
    if (at < 0) this.#segments.push(segment);
    fill(segment, sources, from);
    this.translatedBytes += size - from;
    this.#flushSoon();
  }

  /** One step at the front; false if it has to wait. */
  #step(segment: Segment): boolean {
    const rest = segment.to - segment.from;
    if (segment.state === "cancelled" || rest === 0 && this.#socket.stream) return this.#done(segment);
    const sent = this.#socket.send(segment.memory.subarray(segment.from, segment.to));
    if (sent === FULL) return this.#block();
    if (sent < 0) return this.#failure(segment, sent);
    segment.from += sent;
    this.#count(sent, this.#socket.stream ? 0 : 1);
    return sent < rest ? this.#block() : this.#done(segment);
  }

  #done(segment: Segment): boolean {
    this.#segments.shift();
    if (segment.lease !== undefined) this.#arena.free(segment.lease);
    if (segment.waiting !== undefined) {
      this.#queued--;
      segment.waiting.resolve();
    }
    return true;
  }

  /** A datagram that cannot be sent is lost alone; a stream is over. */
  #failure(segment: Segment, status: number): boolean {
    if (this.#socket.stream) {
      this.#sendingFailed(status);
      return false;
    }
    const error = this.#socket.error(status, "send a datagram");
    if (segment.waiting === undefined) this.#options.lost(error);
    else segment.waiting.reject(error);
    return this.#done(segment);
  }

  #sendingFailed(status: number): FableError {
    const error = this.#socket.error(status, this.#socket.stream ? "send" : "send a datagram");
    if (this.#socket.stream) this.#options.failed(error);
    return error;
  }

  #block(): false {
    this.#blocked = true;
    this.#options.changed();
    return false;
  }

  #count(bytes: number, messages: number): true {
    this.sentBytes += bytes;
    this.sentMessages += messages;
    return true;
  }

  #flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  #lack(size: number): false {
    this.#needed = Math.min(size, this.capacityBytes);
    return false;
  }

  /** What is kept must fit into the memory there is; a datagram must be possible at all. */
  #assertSize(size: number, room: number): void {
    if (!Number.isInteger(size) || size < 0) throw new FableError("BAD_ARGUMENT", `A buffer cannot have ${size} bytes.`);
    const most = this.#socket.stream ? room : Math.min(this.#socket.scheme === "udp" ? LONGEST_UDP_BYTES : Infinity, this.capacityBytes);
    if (size > most) throw tooLong(size, most, this.#socket.stream);
  }

  #abortable(segment: Segment, signal: AbortSignal, promise: Promise<void>): void {
    const abort = (): void => {
      const at = this.#segments.indexOf(segment);
      // A stream of which a part is under way cannot take it back: it goes on.
      if (at < 0 || segment.from !== 0) return;
      this.#segments.splice(at, 1);
      this.#queued--;
      this.messages--;
      this.bytes -= segment.to;
      segment.waiting!.reject(abortedSend(signal));
      this.#options.changed();
    };
    signal.addEventListener("abort", abort, { once: true });
    const stop = (): void => signal.removeEventListener("abort", abort);
    promise.then(stop, stop);
  }
}
