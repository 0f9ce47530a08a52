/**
 * The allocation-free form: cursors over transport memory, for programs that count nanoseconds.
 *
 *     const writer = handle.writer();                         const reader = handle.reader();
 *     const at = writer.reserve(64);                          while (reader.next()) {
 *     if (at >= 0) {                                            use(reader.bytes, reader.offset, reader.length);
 *       writer.view.setUint32(at, 42, true);                  }
 *       writer.commit(64);
 *     }
 *     writer.flush();
 *
 * For one short message that somebody waits for, `writer.post(bytes)` and `reader.take(bytes)` copy, and take half the time.
 */
import { FableError } from "../errors.ts";
import { EMPTY, READABLE, WRITABLE } from "../native/generated.ts";
import type { RecordReader } from "../transport/record-reader.ts";
import type { RecordWriter } from "../transport/records.ts";
import { blockUntil } from "./blocking.ts";
import type { Connection } from "./connection.ts";
import type { CursorPlace } from "./crossing.ts";
import type { Handle } from "./handle.ts";
import { type WaitLimits, waitUntil } from "./limits.ts";
import type { Outbox } from "./outbox.ts";

/** Walks received messages where they lie. From `handle.reader()`. */
export class Reader {
  /** The handle it belongs to, which is not collected (and thereby closed) as long as the cursor is in use. */
  readonly handle: Handle;
  readonly #connection: Connection;
  readonly #records: RecordReader;
  #view: DataView | undefined;
  #viewed: Uint8Array | undefined;

  constructor(handle: Handle, connection: Connection) {
    this.handle = handle;
    this.#connection = connection;
    this.#records = connection.inbox.reader;
  }

  /** The memory the current message lies in. May be another one for each message; never keep it. */
  get bytes(): Uint8Array {
    return this.#records.memory;
  }

  /** Where in {@link bytes} the current message begins: a multiple of 8. */
  get offset(): number {
    return this.#records.at;
  }

  /** Size of the current message in bytes. */
  get length(): number {
    return this.#records.length;
  }

  /** Number of the current message: 1 is the first that was sent in this direction. */
  get message(): number {
    return this.#records.sequence;
  }

  /** {@link bytes} as a DataView. */
  get view(): DataView {
    const memory = this.#records.memory;
    if (this.#viewed !== memory) {
      this.#viewed = memory;
      this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    }
    return this.#view!;
  }

  /**
   * Moves to the next message and gives the one before back to the writer. False if there is none now: then {@link wait}, or look at
   * {@link ended}.
   */
  next(): boolean {
    // Spinning programs come here often: one look at the ring, and another only to learn why there will be no more.
    return this.#records.next() || this.#nothing();
  }

  /**
   * Copies the next message into `into` and gives its memory back at once: its size, or -1 if there is none now. The quickest way to get
   * one short message. There is no current message afterwards.
   * @throws FableError TOO_LARGE if it does not fit; it is the current message then, as after {@link next}.
   */
  take(into: Uint8Array): number {
    const records = this.#records;
    if (records.settled) {
      const size = this.#connection.channel.take(into);
      if (size >= 0) return size;
      if (size === EMPTY) {
        this.#connection.attention.vain();
        return -1;
      }
    }
    if (!this.next()) return -1;
    const { at, length, memory } = records;
    if (length > into.length) {
      throw new FableError("TOO_LARGE", `The next message has ${length} bytes, and there is room for ${into.length}.`, {
        remedy: "Give more room, or use next().",
      });
    }
    into.set(memory.subarray(at, at + length));
    records.release();
    records.forget();
    return length;
  }

  /** True when nothing more will come. `handle.closed` says why. */
  get ended(): boolean {
    return this.#connection.inbox.ended;
  }

  /** Waits in the event loop until {@link next} has something: true, or false at the end. */
  wait(limits: WaitLimits = {}): Promise<boolean> {
    return waitUntil(() => this.#look(), (listener) => this.#connection.inbox.watch(listener), limits, "a message");
  }

  /** Blocks this thread until {@link next} has something: true, or false at the end or after `timeoutMs`. For workers. */
  waitSync(timeoutMs = -1): boolean {
    return blockUntil(this.#connection, READABLE, () => this.#look(), timeoutMs);
  }

  #nothing(): boolean {
    if (this.#records.status !== EMPTY) return this.#connection.inbox.advance();
    this.#connection.attention.vain();
    return false;
  }

  #look(): boolean | undefined {
    const { inbox } = this.#connection;
    return inbox.peek() ? true : inbox.ended ? false : undefined;
  }
}

/** Lays messages out where they will be sent from. From `handle.writer()`. */
export class Writer implements CursorPlace {
  /** The handle it belongs to, which is not collected (and thereby closed) as long as the cursor is in use. */
  readonly handle: Handle;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #records: RecordWriter;
  #view: DataView | undefined;
  #viewed: Uint8Array | undefined;
  /** What is reserved, -1 if nothing is, and where the ring stood. */
  #reserved = -1;
  #head = 0;
  /** The channel moved on since: the memory that is still written into, of which epoch, and where. */
  #late: Uint8Array<ArrayBuffer> | undefined;
  #lateEpoch = 0;
  #lateAt = 0;

  constructor(handle: Handle, connection: Connection) {
    this.handle = handle;
    this.#connection = connection;
    this.#outbox = connection.outbox;
    this.#records = connection.channel.writer;
  }

  /**
   * The memory to write into, at the offset {@link reserve} gave; ask for it after each `reserve`, which may give another. Empty once the
   * channel is closed.
   */
  get bytes(): Uint8Array {
    return this.#late ?? this.#records.bytes;
  }

  /** {@link bytes} as a DataView. */
  get view(): DataView {
    const { bytes } = this;
    if (this.#viewed !== bytes) {
      this.#viewed = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return this.#view!;
  }

  /** The longest message this form can write now: a quarter of the ring. */
  get maxBytes(): number {
    return this.#outbox.longest;
  }

  /**
   * Room for a message of up to `size` bytes: its offset in {@link bytes} (a multiple of 8), or -1 if the ring is full. A second call
   * before {@link commit} replaces the first.
   * @throws FableError TOO_LARGE over {@link maxBytes}; CLOSED, PEER_CLOSED, PEER_DEAD or PEER_FAULT if nothing can be sent any more.
   */
  reserve(size: number): number {
    const outbox = this.#outbox;
    if (!(size >= 0 && size <= outbox.longest)) throw this.#tooLarge(size);
    if (outbox.cursor !== this) this.#begin();
    if (outbox.open) {
      const at = this.#records.place(size);
      if (at >= 0) {
        this.#reserved = size;
        this.#head = this.#records.head;
        return at;
      }
      outbox.lacked(size);
    }
    outbox.assertAlive();
    this.#connection.attention.vain();
    return -1;
  }

  /**
   * Hands the first `size` bytes of the reservation over. They are sent at the end of the turn, or with {@link flush}.
   * @throws FableError SPENT_BUFFER if nothing is reserved, or the handle sent something else since; BAD_ARGUMENT over what is reserved.
   */
  commit(size: number): void {
    const outbox = this.#outbox;
    if (!(size >= 0 && size <= this.#reserved) || this.#records.head !== this.#head || outbox.cursor !== this) {
      return this.#commitLate(size);
    }
    this.#reserved = -1;
    outbox.commitPlaced(size);
  }

  /**
   * Copies one message and makes it visible to the reader now, after everything committed before: true, or false if the ring is full. The
   * quickest way to send one short message that somebody waits for; many go faster by {@link reserve}, {@link commit} and one flush.
   * @throws FableError as {@link reserve}.
   */
  post(message: Uint8Array): boolean {
    const outbox = this.#outbox;
    if (this.#records.settled && outbox.open && message.length <= outbox.longest && this.#connection.channel.post(message)) return true;
    const at = this.reserve(message.length);
    if (at < 0) return false;
    this.#records.bytes.set(message, at);
    this.commit(message.length);
    this.#records.flush();
    return true;
  }

  /** Makes everything committed visible to the reader now. */
  flush(): void {
    this.#records.flush();
  }

  /** Waits in the event loop until {@link reserve} may find room: true, or false if nothing can be sent any more. */
  wait(limits: WaitLimits = {}): Promise<boolean> {
    return waitUntil(() => this.#look(), (listener) => this.#outbox.watch(listener), limits, "room");
  }

  /** Blocks this thread until {@link reserve} may find room: true, or false at the end or after `timeoutMs`. For workers. */
  waitSync(timeoutMs = -1): boolean {
    return blockUntil(this.#connection, WRITABLE, () => this.#look(), timeoutMs);
  }

  /** By the library: something is reserved that may still be committed. */
  get pending(): boolean {
    return this.#reserved >= 0 && this.#records.head === this.#head;
  }

  /** By the library: the channel moves on, and what is reserved will be copied when it is committed. */
  overtaken(memory: Uint8Array<ArrayBuffer>, at: number, epoch: number): void {
    this.#late = memory;
    this.#lateEpoch = epoch;
    this.#lateAt = at;
    this.#head = this.#records.head;
  }

  /** Another reserved since, or nobody did: this one's turn. */
  #begin(): void {
    this.#outbox.cursor = this;
    this.#reserved = -1;
    this.#leave();
  }

  #leave(): void {
    if (this.#late === undefined) return;
    this.#late = undefined;
    this.#connection.channel.moves.returned(this.#lateEpoch);
  }

  /** What is reserved lies in memory of an earlier epoch, or nowhere. */
  #commitLate(size: number): void {
    const late = this.#late;
    if (late === undefined || !(size >= 0 && size <= this.#reserved) || this.#records.head !== this.#head) throw this.#notReserved(size);
    this.#reserved = -1;
    this.#outbox.commitCopy(late.subarray(this.#lateAt, this.#lateAt + size));
    this.#leave();
  }

  #look(): boolean | undefined {
    const outbox = this.#outbox;
    return outbox.writable() ? true : outbox.over ? false : undefined;
  }

  #notReserved(size: number): FableError {
    if (this.#reserved >= 0 && this.#records.head === this.#head && (this.#late !== undefined || this.#outbox.cursor === this)) {
      return new FableError("BAD_ARGUMENT", `${this.#reserved} bytes are reserved, not ${size}.`);
    }
    return new FableError("SPENT_BUFFER", "Nothing is reserved: it was committed already, or something else was sent or reserved since.", {
      remedy: "Call reserve() right before filling and committing.",
    });
  }

  #tooLarge(size: number): FableError {
    if (!(size >= 0)) return new FableError("BAD_ARGUMENT", `A message cannot have ${size} bytes.`);
    return new FableError("TOO_LARGE", `A cursor writes messages of up to ${this.maxBytes} bytes in this ring, not ${size}.`, {
      remedy: "Use send() or getWriteBuf(), which cut long messages into pieces, or a larger ring (ringBytes).",
    });
  }
}
