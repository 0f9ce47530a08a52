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
import { HEADER_BYTES, type RecordWriter } from "../transport/records.ts";
import { type Crosser, Crossing, type CursorPlace } from "./crossing.ts";
import type { Handle } from "./handle.ts";
import { abortedSend, tooManySends } from "./limits.ts";
import {
  emit,
  fillPieces,
  longestInPlace,
  messageOf,
  openReservation,
  type Piece,
  PIECES_EXTRA_BYTES,
  placePieces,
  type Reservation,
  shrink,
} from "./reservation.ts";
import { abortable, openEntry, type Queued, queued, SendQueue } from "./send-queue.ts";

/** How often to look for room while buffers that the application holds open may be what is in the way. */
const RETRY_MS = 1;

export interface OutboxOptions {
  readonly maxMessageBytes: number;
  readonly checked: boolean;
  readonly maxQueuedSends: number;
  /** How long open buffers may hold up a crossing. */
  readonly drainDeadlineMs: number;
  /** The error for writing to a channel that is over, given the status that said so. */
  ended(): FableError;
}

export class Outbox implements Crosser {
  readonly checked: boolean;
  readonly maxMessageBytes: number;
  /** The longest message that is one record, in the path in use. */
  longest: number;
  /** The cursor that reserved last. */
  cursor: CursorPlace | undefined;
  readonly reservations: Reservation[] = [];
  readonly queue = new SendQueue();
  readonly crossing: Crossing;
  readonly #channel: Channel;
  readonly #writer: RecordWriter;
  readonly #options: OutboxOptions;
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
    this.longest = Math.min(this.#writer.maxPayloadBytes, this.maxMessageBytes);
    this.crossing = new Crossing(this, channel, options.drainDeadlineMs);
  }

  /** Which of the direction's transports new buffers belong to. */
  get epoch(): number {
    return this.#channel.moves.writeEpoch;
  }

  // ---- sending ----

  /** Takes a message if there is room now. */
  trySend(message: Uint8Array): boolean {
    if (this.queue.length !== 0 || this.#closing) return this.#refuse(message);
    const size = message.length;
    const writer = this.#writer;
    if (size > this.longest) return this.#trySendLong(message);
    const at = writer.place(size);
    if (at < 0) {
      this.#needed = size;
      return this.#refuse(message);
    }
    writer.bytes.set(message, at);
    if (this.reservations.length === 0) writer.commit(size);
    else this.#append(at, size);
    return true;
  }

  /** Takes a message, waiting for its turn and for room. Its bytes must not change before the promise resolves. */
  enqueue(handle: Handle, message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    this.#refuse(message);
    if (signal?.aborted) return Promise.reject(abortedSend(signal));
    if (this.queue.length >= this.#options.maxQueuedSends) return Promise.reject(tooManySends(this.queue.length));
    return new Promise((resolve, reject) => {
      const entry = queued(handle, message, resolve, reject);
      if (signal !== undefined) abortable(entry, signal, this.queue, () => this.pump());
      this.queue.push(entry);
      this.pump();
    });
  }

  /** The cursor form: writes the record placed last, or takes its place among the reservations. */
  commitPlaced(size: number): void {
    if (this.reservations.length === 0) this.#writer.commit(size);
    else this.#append(this.#writer.at + HEADER_BYTES, size);
  }

  /** The cursor form, of bytes that a move overtook: a copy goes where the record would have gone. */
  commitCopy(message: Uint8Array): void {
    if (this.trySend(message)) return;
    this.queue.push(queued(undefined, message.slice(), () => {}, () => {}));
    this.pump();
  }

  /** The cursor form found no room for `size` bytes: that is what {@link writable} is about from now on. */
  lacked(size: number): void {
    this.#needed = size;
  }

  /** True if a record may be placed now: nothing waits before it. */
  get open(): boolean {
    return this.queue.length === 0 && !this.#closing;
  }

  // ---- buffers ----

  /** Room for one message of up to `size` bytes; undefined if there is none now. */
  reserve(size: number): Reservation | undefined {
    this.#assertSize(size);
    if (this.#channel.crossing) this.crossing.attempt(true);
    if (!this.open) {
      if (this.#closing) throw this.#options.ended();
      return undefined;
    }
    const reservation = openReservation();
    if (size > longestInPlace(this.#writer)) return this.#reservePrivate(reservation, size);
    this.crossing.barred = true;
    if (this.reservations.length === 0) this.#writer.spread();
    const placed = placePieces(this.#writer, reservation, size);
    this.crossing.barred = false;
    if (!placed) {
      this.#needed = size;
      if (this.#channel.writeStatus < 0) throw this.#options.ended();
      return undefined;
    }
    this.reservations.push(reservation);
    return reservation;
  }

  commit(reservation: Reservation, index: number, size: number): void {
    const pieces = reservation.late?.pieces ?? reservation.pieces;
    pieces[index].size = size;
    for (const piece of pieces) if (piece.size < 0) return;
    reservation.state = "committed";
    if (this.queue.ready(reservation)) {
      this.#returned(reservation);
      return this.pump();
    }
    if (reservation.late !== undefined) this.#bring(reservation);
    if (reservation === this.reservations.at(-1)) shrink(this.#writer, reservation);
    this.#settle();
  }

  cancel(reservation: Reservation): void {
    if (reservation.state !== "open") return;
    reservation.state = "cancelled";
    this.queue.drop(reservation);
    this.#returned(reservation);
    while (this.reservations.at(-1)?.state === "cancelled") {
      const last = this.reservations.pop()!;
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
    if (size <= writer.maxPayloadBytes) return writer.hasRoomFor(size);
    // What the ring never lends, perhaps because it is smaller since a move, gets memory of its own.
    return size > longestInPlace(writer) || writer.fits(size + PIECES_EXTRA_BYTES);
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
      if (this.#watchers.size !== 0 || this.queue.length !== 0) return;
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
    while (this.queue.due) {
      const first = this.queue.first!;
      if (!this.#layOut(first)) break;
      this.queue.shift();
      first.resolve();
    }
    if (this.#channel.writeStatus < 0) return this.fail();
    if (this.queue.due) {
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

  /** Nobody will lay anything out any more. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Takes back every buffer the application has not committed. */
  cancelOpen(): void {
    for (const reservation of this.queue.reservations) this.cancel(reservation);
    for (const reservation of [...this.reservations].reverse()) this.cancel(reservation);
  }

  /** The channel is over: nothing waits any longer. */
  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#closing = true;
    this.crossing.end();
    this.cancelOpen();
    const rejected = this.queue.clear();
    if (rejected.length > 0) {
      const error = this.#options.ended();
      for (const entry of rejected) entry.reject(error);
    }
    this.#tellSettled();
    for (const listener of [...this.#watchers]) listener();
  }

  // ---- crossing ----

  /** After a crossing. It may have been in the middle of laying out what waits, so the rest of that comes later. */
  crossed(): void {
    this.longest = Math.min(this.#writer.maxPayloadBytes, this.maxMessageBytes);
    if (this.queue.length !== 0) queueMicrotask(() => this.pump());
  }

  // ---- inside ----

  /** Calls {@link ready} when there may be room. */
  #awaitRoom(): void {
    if (this.reservations.length === 0) return this.#channel.want(WRITABLE);
    // To the native side the ring looks emptier than it is, and waiting for it would be a loop without a pause.
    if (this.#retrying) return;
    this.#retrying = true;
    setTimeout(() => {
      this.#retrying = false;
      if (!this.#failed && (this.queue.length !== 0 || this.#watchers.size !== 0)) this.ready();
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
    fillPieces(reservation, message);
    // The pieces know their sizes; the last commit hands all of them over.
    this.commit(reservation, 0, reservation.pieces[0].size);
    return true;
  }

  #layOut(entry: Queued): boolean {
    const fragments = entry.fragmentsFor(this.#writer);
    if (fragments !== undefined) return this.reservations.length === 0 && fragments.step(this.#writer);
    const message = entry.message!;
    const at = this.#writer.place(message.length);
    if (at < 0) return false;
    this.#writer.bytes.set(message, at);
    this.commitPlaced(message.length);
    return true;
  }

  /** A message that is complete already, behind reservations that are not. */
  #append(at: number, size: number): void {
    const writer = this.#writer;
    const piece: Piece = { at, capacity: size, recordAt: writer.at, length: writer.length, pad: writer.pad, size };
    const bytes = writer.pad + writer.length;
    this.reservations.push({ state: "committed", memory: writer.bytes, pieces: [piece], head: writer.head, bytes, late: undefined });
    writer.advance();
  }

  /** More than the ring can lend: private memory, sent in fragments when it is committed. Nothing passes it meanwhile. */
  #reservePrivate(reservation: Reservation, size: number): Reservation {
    reservation.memory = new Uint8Array(size);
    reservation.pieces.push({ at: 0, capacity: size, recordAt: 0, length: 0, pad: 0, size: -1 });
    this.queue.push(openEntry(reservation));
    return reservation;
  }

  /** Copies what was filled in memory of an earlier epoch to where its place is now. */
  #bring(reservation: Reservation): void {
    const { memory, pieces } = reservation.late!;
    fillPieces(reservation, messageOf(memory, pieces));
    this.#returned(reservation);
  }

  /** The application is done with memory of an earlier epoch. */
  #returned(reservation: Reservation): void {
    const { late } = reservation;
    if (late === undefined) return;
    reservation.late = undefined;
    this.#channel.moves.returned(late.epoch);
  }

  /** Turns what is finished at the front into records. */
  #settle(): void {
    let finished = 0;
    for (const reservation of this.reservations) {
      if (reservation.state === "open") break;
      emit(this.#writer, reservation);
      finished++;
    }
    if (finished === this.reservations.length) this.reservations.length = 0;
    else if (finished > 0) this.reservations.splice(0, finished);
    if (this.#channel.crossing) this.crossing.attempt(true);
    if (this.queue.length !== 0) this.pump();
    else this.#tellSettled();
  }

  #tellSettled(): void {
    if (!this.#closing || this.queue.length !== 0 || this.reservations.length !== 0) return;
    this.#settled?.resolve();
  }
}
