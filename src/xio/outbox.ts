/**
 * The writing half of a handle: who goes into the ring when. Order is the order of `getWriteBuf` and `send`.
 *
 *     reservations   in ring order; each open, committed or cancelled. What is finished at the front becomes records.
 *     queue          sends that found no room, and messages larger than the ring can lend; they follow all reservations.
 *
 * While the queue is not empty nothing is reserved, so a message laid out piece by piece keeps its place.
 */
import { FableError } from "../errors.ts";
import { WRITABLE } from "../native/generated.ts";
import type { Channel } from "../transport/channel.ts";
import { FragmentWriter } from "../transport/fragments.ts";
import { HEADER_BYTES, type RecordWriter } from "../transport/records.ts";
import type { Handle } from "./handle.ts";
import { emit, longestInPlace, type Piece, PIECES_EXTRA_BYTES, placePieces, type Reservation, shrink } from "./reservation.ts";

/** How often to look for room while buffers that the application holds open may be what is in the way. */
const RETRY_MS = 1;

interface Queued {
  /** Kept from being collected while it waits: that would close it. */
  readonly handle: Handle | undefined;
  readonly message: Uint8Array;
  readonly fragments: FragmentWriter | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface OutboxOptions {
  readonly maxMessageBytes: number;
  readonly checked: boolean;
  readonly maxQueuedSends: number;
  /** The error for writing to a channel that is over, given the status that said so. */
  ended(): FableError;
}

export class Outbox {
  readonly epoch = 0;
  readonly checked: boolean;
  readonly maxMessageBytes: number;
  readonly #channel: Channel;
  readonly #writer: RecordWriter;
  readonly #options: OutboxOptions;
  /** The longest message that is one record. */
  readonly #longest: number;
  readonly #reservations: Reservation[] = [];
  #queue: Queued[] = [];
  /** A message in private memory that the application still fills: nothing may pass it. */
  #private: Reservation | undefined;
  #closing = false;
  #failed = false;
  #settled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  readonly #watchers = new Set<() => void>();
  #retrying = false;
  /** Bytes of the message that found no room last. */
  #needed = 0;

  constructor(channel: Channel, options: OutboxOptions) {
    this.#channel = channel;
    this.#writer = channel.writer;
    this.#options = options;
    this.checked = options.checked;
    this.maxMessageBytes = options.maxMessageBytes;
    this.#longest = Math.min(this.#writer.maxPayloadBytes, this.maxMessageBytes);
  }

  // ---- sending ----

  /** Takes a message if there is room now. */
  trySend(message: Uint8Array): boolean {
    if (this.#queue.length !== 0 || this.#private !== undefined || this.#closing) return this.#refuse(message);
    const size = message.length;
    const writer = this.#writer;
    if (size > this.#longest) return this.#trySendLong(message);
    const at = writer.place(size);
    if (at < 0) {
      this.#needed = size;
      return this.#refuse(message);
    }
    writer.bytes.set(message, at);
    if (this.#reservations.length === 0) writer.commit(size);
    else this.#append(at, size);
    return true;
  }

  /** Takes a message, waiting for its turn and for room. Its bytes must not change before the promise resolves. */
  enqueue(handle: Handle, message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    this.#refuse(message);
    if (signal?.aborted) return Promise.reject(abortedSend(signal));
    if (this.#queue.length >= this.#options.maxQueuedSends) {
      return Promise.reject(
        new FableError("ENOSPACE", `${this.#queue.length} sends are waiting for room already.`, {
          remedy: "Await send() before the next one, or raise maxQueuedSends.",
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const fragments = message.length > this.#writer.maxPayloadBytes ? new FragmentWriter(message) : undefined;
      const queued: Queued = { handle, message, fragments, resolve, reject };
      if (signal !== undefined) this.#abortable(queued, signal);
      this.#queue.push(queued);
      this.pump();
    });
  }

  /** The cursor form: writes the record placed last, or takes its place among the reservations. */
  commitPlaced(size: number): void {
    if (this.#reservations.length === 0) this.#writer.commit(size);
    else this.#append(this.#writer.at + HEADER_BYTES, size);
  }

  /** The cursor form found no room for `size` bytes: that is what {@link writable} is about from now on. */
  lacked(size: number): void {
    this.#needed = size;
  }

  /** True if a record may be placed now: nothing waits before it. */
  get open(): boolean {
    return this.#queue.length === 0 && this.#private === undefined && !this.#closing;
  }

  // ---- buffers ----

  /** Room for one message of up to `size` bytes; undefined if there is none now. */
  reserve(size: number): Reservation | undefined {
    this.#assertSize(size);
    if (!this.open) {
      if (this.#closing) throw this.#options.ended();
      return undefined;
    }
    if (size > longestInPlace(this.#writer)) return this.#reservePrivate(size);
    const reservation: Reservation = { state: "open", memory: this.#writer.bytes, pieces: [], head: this.#writer.head, bytes: 0 };
    if (!placePieces(this.#writer, reservation, size)) {
      this.#needed = size;
      if (this.#channel.writeStatus < 0) throw this.#options.ended();
      return undefined;
    }
    this.#reservations.push(reservation);
    return reservation;
  }

  commit(reservation: Reservation, index: number, size: number): void {
    const { pieces } = reservation;
    pieces[index].size = size;
    for (const piece of pieces) if (piece.size < 0) return;
    reservation.state = "committed";
    if (reservation === this.#private) return this.#commitPrivate(reservation);
    if (reservation === this.#reservations.at(-1)) shrink(this.#writer, reservation);
    this.#settle();
  }

  cancel(reservation: Reservation): void {
    if (reservation.state !== "open") return;
    reservation.state = "cancelled";
    if (reservation === this.#private) this.#private = undefined;
    while (this.#reservations.at(-1)?.state === "cancelled") {
      const last = this.#reservations.pop()!;
      this.#writer.rewind(last.head, last.bytes);
    }
    this.#settle();
  }

  // ---- waiting and ending ----

  /** True if a message like the one that found no room last would find it now. */
  writable(): boolean {
    if (!this.open) return false;
    const size = Math.max(1, this.#needed);
    const writer = this.#writer;
    return size <= writer.maxPayloadBytes ? writer.hasRoomFor(size) : writer.fits(size + PIECES_EXTRA_BYTES);
  }

  /** Throws if nothing will ever be taken again. */
  assertAlive(): void {
    if (this.over) throw this.#options.ended();
  }

  /** True if nothing will ever be taken again. */
  get over(): boolean {
    return this.#closing || this.#channel.writeStatus < 0;
  }

  /** Calls `listener` each time there may be room, or the channel may be over, until the function it answers is called. */
  watch(listener: () => void): () => void {
    this.#writer.flush();
    this.#watchers.add(listener);
    this.#awaitRoom();
    return () => {
      this.#watchers.delete(listener);
      if (this.#watchers.size !== 0 || this.#queue.length !== 0) return;
      this.#channel.unwant(WRITABLE);
      this.#channel.pump(); // which goes on waiting if the socket has not taken everything
    };
  }

  /** There may be room again, or the channel may be over. */
  ready(): void {
    this.pump();
    if (this.#watchers.size !== 0) { for (const listener of [...this.#watchers]) listener(); }
    if (this.#watchers.size !== 0 && !this.over) this.#awaitRoom();
  }

  /** Lays out what waits, as far as there is room. */
  pump(): void {
    if (this.#failed) return;
    if (this.#channel.writeStatus < 0) return this.fail();
    while (this.#queue.length !== 0 && this.#private === undefined) {
      const first = this.#queue[0];
      if (!this.#layOut(first)) break;
      this.#queue.shift();
      first.resolve();
    }
    if (this.#channel.writeStatus < 0) return this.fail();
    if (this.#queue.length !== 0 && this.#private === undefined) {
      this.#writer.flush();
      this.#awaitRoom();
    }
    this.#tellSettled();
  }

  /** Nothing more is accepted; resolves when all that was accepted is laid out. Open buffers stay open. */
  closing(): Promise<void> {
    this.#closing = true;
    if (this.#settled === undefined) this.#settled = Promise.withResolvers<void>();
    this.#tellSettled();
    return this.#settled.promise;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  /** Takes back every buffer the application has not committed. */
  cancelOpen(): void {
    if (this.#private !== undefined) this.cancel(this.#private);
    for (const reservation of [...this.#reservations].reverse()) this.cancel(reservation);
  }

  /** The channel is over: nothing waits any longer. */
  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#closing = true;
    this.cancelOpen();
    const queue = this.#queue;
    this.#queue = [];
    if (queue.length > 0) {
      const error = this.#options.ended();
      for (const queued of queue) queued.reject(error);
    }
    this.#tellSettled();
    for (const listener of [...this.#watchers]) listener();
  }

  // ---- inside ----

  /** Calls {@link ready} when there may be room. */
  #awaitRoom(): void {
    if (this.#reservations.length === 0) return this.#channel.want(WRITABLE);
    // To the native side the ring looks emptier than it is, and waiting for it would be a loop without a pause.
    if (this.#retrying) return;
    this.#retrying = true;
    setTimeout(() => {
      this.#retrying = false;
      if (!this.#failed && (this.#queue.length !== 0 || this.#watchers.size !== 0)) this.ready();
    }, RETRY_MS);
  }

  /** False, unless the reason is one that waiting does not cure. */
  #refuse(message: Uint8Array): false {
    this.#assertSize(message.length);
    if (this.#closing || this.#channel.writeStatus < 0) throw this.#options.ended();
    return false;
  }

  #assertSize(size: number): void {
    if (!Number.isInteger(size) || size < 0) throw new FableError("BAD_ARGUMENT", `A message cannot have ${size} bytes.`);
    if (size <= this.maxMessageBytes) return;
    throw new FableError("TOO_LARGE", `A message of ${size} bytes is over the channel's limit of ${this.maxMessageBytes}.`, {
      remedy: "Raise maxMessageBytes on both ends, or send it in parts.",
    });
  }

  /** A message in fragments, only if all of them fit now. */
  #trySendLong(message: Uint8Array): boolean {
    this.#assertSize(message.length);
    const reservation = this.reserve(message.length);
    if (reservation === undefined) return this.#refuse(message);
    let from = 0;
    for (const [index, piece] of reservation.pieces.entries()) {
      reservation.memory.set(message.subarray(from, from + piece.capacity), piece.at);
      from += piece.capacity;
      this.commit(reservation, index, piece.capacity);
    }
    return true;
  }

  #layOut(queued: Queued): boolean {
    if (queued.fragments !== undefined) return this.#reservations.length === 0 && queued.fragments.step(this.#writer);
    const size = queued.message.length;
    const at = this.#writer.place(size);
    if (at < 0) return false;
    this.#writer.bytes.set(queued.message, at);
    this.commitPlaced(size);
    return true;
  }

  /** A message that is complete already, behind reservations that are not. */
  #append(at: number, size: number): void {
    const writer = this.#writer;
    const piece: Piece = { at, capacity: size, recordAt: writer.at, length: writer.length, pad: writer.pad, size };
    this.#reservations.push({
      state: "committed",
      memory: writer.bytes,
      pieces: [piece],
      head: writer.head,
      bytes: writer.pad + writer.length,
    });
    writer.advance();
  }

  /** More than the ring can lend: private memory, sent in fragments when it is committed. One at a time. */
  #reservePrivate(size: number): Reservation {
    const piece: Piece = { at: 0, capacity: size, recordAt: 0, length: 0, pad: 0, size: -1 };
    return this.#private = { state: "open", memory: new Uint8Array(size), pieces: [piece], head: 0, bytes: 0 };
  }

  #commitPrivate(reservation: Reservation): void {
    this.#private = undefined;
    const message = reservation.memory.subarray(0, reservation.pieces[0].size);
    const fragments = message.length > this.#writer.maxPayloadBytes ? new FragmentWriter(message) : undefined;
    this.#queue.unshift({ handle: undefined, message, fragments, resolve: () => {}, reject: () => {} });
    this.pump();
  }

  /** Turns what is finished at the front into records. */
  #settle(): void {
    let finished = 0;
    for (const reservation of this.#reservations) {
      if (reservation.state === "open") break;
      emit(this.#writer, reservation);
      finished++;
    }
    if (finished === this.#reservations.length) this.#reservations.length = 0;
    else if (finished > 0) this.#reservations.splice(0, finished);
    if (this.#queue.length !== 0) this.pump();
    else this.#tellSettled();
  }

  #abortable(queued: Queued, signal: AbortSignal): void {
    const abort = (): void => {
      const at = this.#queue.indexOf(queued);
      // A message whose first fragment is under way cannot be taken back: it goes on.
      if (at < 0 || queued.fragments?.begun) return;
      this.#queue.splice(at, 1);
      queued.reject(abortedSend(signal));
      this.pump();
    };
    signal.addEventListener("abort", abort, { once: true });
    const { resolve, reject } = queued;
    Object.assign(queued, {
      resolve: () => {
        signal.removeEventListener("abort", abort);
        resolve();
      },
      reject: (error: Error) => {
        signal.removeEventListener("abort", abort);
        reject(error);
      },
    });
  }

  #tellSettled(): void {
    if (!this.#closing || this.#queue.length !== 0 || this.#reservations.length !== 0 || this.#private !== undefined) return;
    this.#settled?.resolve();
  }
}

function abortedSend(signal: AbortSignal): FableError {
  return new FableError("ABORTED", "The send was aborted before there was room for the message.", { cause: signal.reason });
}
