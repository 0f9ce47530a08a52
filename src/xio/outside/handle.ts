/**
 * A handle to the outside world: a socket with the ways of a channel's handle. What differs is said where it does: a stream has no message
 * boundaries (what is received is what arrived), a datagram is one message, and nobody guarantees that it arrives.
 */
import { FableError } from "../../errors.ts";
import type { OutsideName } from "../../naming/outside.ts";
import type { Buffer, ReadBuffer, WriteBuffer } from "../buffer.ts";
import { assertCommittable, messagesOf, tooLong } from "../commit.ts";
import type { Endpoint } from "../endpoint.ts";
import { forgetHandle, watchHandle } from "../forgotten.ts";
import { CONNECTION, Yielder } from "../handle.ts";
import { type WaitLimits, waitUntil } from "../limits.ts";
import { DEFAULT_DRAIN_DEADLINE_MS } from "../options.ts";
import { ENOSPACE } from "../outcomes.ts";
import { readableOf, writableOf } from "../streams.ts";
import { OutsideWriteBuffer } from "./buffers.ts";
import type { OutsideClosedReason, OutsideConnection } from "./connection.ts";

/** Room that `getWriteBuf()` asks for if nobody says how much. */
const DEFAULT_BUFFER_BYTES = 16 * 1024;
const DEFAULT_BUFFERS = 64;
const encoder = new TextEncoder();

/** Figures of an outside handle. Messages are sends and reads of a stream, or datagrams. */
export interface OutsideHandleStats {
  /** Given to the system. */
  readonly bytesSent: number;
  readonly messagesSent: number;
  readonly bytesReceived: number;
  readonly messagesReceived: number;
  /** Of other handles' buffers that were committed here: sent straight from where they lay, and copied first. */
  readonly inPlaceBytes: number;
  readonly translatedBytes: number;
}

/** One end of a connection to a program that is no FABLE: TCP, UDP or a Unix socket. */
export class OutsideHandle implements Endpoint {
  readonly #connection: OutsideConnection;
  readonly #yield: Yielder;

  /** Handles come from `connect` and `accept`. */
  constructor(connection: OutsideConnection) {
    this.#connection = connection;
    this.#yield = new Yielder(connection.native);
    watchHandle(this, connection);
  }

  get [CONNECTION](): OutsideConnection {
    return this.#connection;
  }

  /** The other side's address; `unix:` alone for a Unix socket without a name. */
  get peer(): { readonly name: OutsideName } {
    return this.#connection.settings.peer;
  }

  /** This side's address. */
  get local(): OutsideName {
    return this.#connection.settings.local;
  }

  /** `tcp`, `udp` or `unix`. */
  get transport(): "tcp" | "udp" | "unix" {
    return this.#connection.socket.scheme;
  }

  /** Whether each send and each receive is a datagram; else bytes flow without boundaries. */
  get datagrams(): boolean {
    return !this.#connection.socket.stream;
  }

  // ---- messages ----

  /**
   * Sends bytes, or one datagram. Returns undefined if they were taken at once, else a promise that resolves when they were; the bytes must
   * not change before. Short sends of a stream are gathered until the end of the turn, or {@link flush}.
   * @throws FableError TOO_LARGE for a datagram, REFUSED, UNREACHABLE; CLOSED, PEER_CLOSED, PEER_RESET … The promise rejects with these,
   * ENOSPACE or ABORTED.
   */
  send(message: Uint8Array | string, options?: { readonly signal?: AbortSignal }): Promise<void> | undefined {
    const bytes = typeof message === "string" ? encoder.encode(message) : message;
    return this.#connection.outbox.send(this, bytes, options?.signal) ?? (this.#yield.due() ? this.#yield.turn() : undefined);
  }

  /** Sends if there is room for all of it now; true if it was taken. @throws FableError like {@link send}. */
  trySend(message: Uint8Array | string): boolean {
    return this.#connection.outbox.trySend(typeof message === "string" ? encoder.encode(message) : message);
  }

  /**
   * What arrived next, as a private copy: of a stream at most 64 KiB however they were sent, or one datagram; undefined at the end.
   * Rejects with what ended the connection, with TIMEOUT or ABORTED; with datagrams also REFUSED or UNREACHABLE, for an earlier one.
   */
  receive(limits: WaitLimits = {}): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#connection.inbox.receive(this, limits);
  }

  /** What arrived next; undefined if nothing has ({@link ended} says whether something may). */
  tryReceive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#connection.inbox.take();
  }

  /** What arrives, as private copies, until the end. Throws like {@link receive}. Leaving the loop leaves the handle open. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const bytes = await this.receive();
      if (bytes === undefined) return;
      yield bytes;
      if (this.#yield.due()) await this.#yield.turn();
    }
  }

  /** What arrives as a stream. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return readableOf(this);
  }

  /** A stream that sends each chunk. Closing it half-closes; aborting it resets the connection. */
  get writable(): WritableStream<Uint8Array | string> {
    return writableOf(this);
  }

  /** True when nothing more will come. */
  get ended(): boolean {
    return this.#connection.inbox.ended;
  }

  // ---- buffers ----

  /**
   * What has arrived, where it lies: up to `max` buffers. Of a stream each is what one read gave, of datagrams each is one, whole. EMPTY,
   * ENOSPACE (too many are held) and ENDED are empty arrays.
   */
  getReadBuf(max: number = DEFAULT_BUFFERS): readonly ReadBuffer[] {
    return this.#connection.inbox.lend(this, max);
  }

  /** One buffer for up to `size` bytes, or ENOSPACE. Sent in the order of these calls. @throws FableError TOO_LARGE; CLOSED … */
  getWriteBuf(size: number = DEFAULT_BUFFER_BYTES): readonly WriteBuffer[] {
    const { outbox } = this.#connection;
    const segment = outbox.reserve(size);
    return segment === undefined ? ENOSPACE : [new OutsideWriteBuffer(this, outbox, segment)];
  }

  /**
   * Hands buffers over to be sent; they are spent. Buffers of other handles are sent straight from where they lie as far as the socket
   * takes them now, and copied else; of a channel's messages only the bytes go into a stream, and each becomes one datagram. False if there
   * is no room for that copy now (they are not spent then).
   * @throws FableError SPENT_BUFFER; BAD_ARGUMENT; TOO_LARGE for a datagram; CLOSED …
   */
  commit(buffers: Buffer | readonly Buffer[], size?: number): boolean {
    const { outbox } = this.#connection;
    const list = Array.isArray(buffers) ? buffers as readonly Buffer[] : [buffers as Buffer];
    for (const buffer of list) assertCommittable(buffer);
    const foreign = list.filter((buffer) => !(buffer instanceof OutsideWriteBuffer && buffer.belongsTo(outbox)));
    const own = list.filter((buffer) => !foreign.includes(buffer)) as OutsideWriteBuffer[];
    if (own.length + foreign.length > 1 && size !== undefined && own.length > 0) throw mixed();
    if (size !== undefined && own.length === 1 && size > own[0].size) throw tooLong(size);
    const messages = messagesOf(foreign, size);
    if (messages.length > 0 && !outbox.takesForeign(messages.map((message) => message.size))) return false;
    for (const message of messages) {
      outbox.sendForeign(message.sources.map((source) => source.bytes), message.size);
      for (const source of message.sources) source.release();
    }
    for (const buffer of own) buffer.commit(size ?? buffer.size);
    return true;
  }

  /** Gives buffers back: read buffers free their memory, write buffers are cancelled. */
  release(buffers: Buffer | readonly Buffer[]): void {
    for (const buffer of Array.isArray(buffers) ? buffers as readonly Buffer[] : [buffers as Buffer]) buffer.release();
  }

  // ---- waiting ----

  /** Sends now what this turn gathered. */
  flush(): void {
    this.#connection.outbox.flush();
  }

  /** Waits until something has arrived: true, or false at the end. Rejects with TIMEOUT or ABORTED. */
  waitReadable(limits: WaitLimits = {}): Promise<boolean> {
    const { inbox } = this.#connection;
    const look = (): boolean | undefined => inbox.peek() ? true : inbox.ended ? false : undefined;
    return waitUntil(look, (listener) => inbox.watch(this, listener), limits, "data");
  }

  /** Waits until what found no room last would find it: true, or false if nothing can be sent any more. Rejects with TIMEOUT or ABORTED. */
  waitWritable(limits: WaitLimits = {}): Promise<boolean> {
    const { outbox } = this.#connection;
    const look = (): boolean | undefined => outbox.writable() ? true : outbox.over ? false : undefined;
    return waitUntil(look, (listener) => outbox.watch(this, listener), limits, "room");
  }

  // ---- the end ----

  /** Half-close: the other side gets everything sent so far, then the end; it can still send. Datagrams know no end: only this side's. */
  closeWrite(): Promise<void> {
    return this.#connection.closeWrite();
  }

  /**
   * Closes. What was sent is given `drainDeadlineMs` (default 1000) to be taken by the other side; what was not by then is dropped, and a
   * TCP connection is reset, so that nothing cut short looks whole. Never rejects: the answer says what was not delivered.
   */
  close(options: { readonly drainDeadlineMs?: number } = {}): Promise<OutsideClosedReason> {
    forgetHandle(this);
    return this.#connection.close(options.drainDeadlineMs ?? DEFAULT_DRAIN_DEADLINE_MS);
  }

  /** Resolves as soon as the end is known, with the reason; what arrived before can still be received. Never rejects. */
  get closed(): Promise<OutsideClosedReason> {
    return this.#connection.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Waiting on this handle keeps the process alive (the default). */
  ref(): this {
    this.#connection.setKeepsAlive(true);
    return this;
  }

  /** Waiting on this handle does not keep the process alive. */
  unref(): this {
    this.#connection.setKeepsAlive(false);
    return this;
  }

  /** Figures since the connection began. */
  stats(): OutsideHandleStats {
    const { inbox, outbox } = this.#connection;
    const { sentBytes, sentMessages, messages, inPlaceBytes, translatedBytes } = outbox;
    return {
      bytesSent: sentBytes,
      messagesSent: this.datagrams ? sentMessages : messages,
      bytesReceived: inbox.bytes,
      messagesReceived: inbox.messages,
      inPlaceBytes,
      translatedBytes,
    };
  }
}

function mixed(): FableError {
  return new FableError("BAD_ARGUMENT", "A size was given for several buffers.", { remedy: "Commit them one by one." });
}
