/**
 * The moment at which a handle's outgoing direction goes over to its next path, once that is ready (docs/reference/reconfiguration.md).
 *
 * With nothing in the application's hands it is now. Open buffers hold it up until the drain deadline; then they are overtaken: each keeps its
 * memory, and its place in the order, and is copied into the new path when it is committed. What is behind them waits, as always.
 */
import { DrainDeadline } from "../flow/drain-deadline.ts";
import type { Channel } from "../transport/channel.ts";
import { HEADER_BYTES } from "../transport/records.ts";
import { capacityOf, fillPieces, longestInPlace, messageOf, openReservation, placePieces, type Reservation } from "./reservation.ts";
import { openEntry, type Queued, queued, type SendQueue } from "./send-queue.ts";

/** A cursor's reservation, as far as crossings are concerned. */
export interface CursorPlace {
  /** It is reserved and not committed. */
  readonly pending: boolean;
  /** The direction moved on: the bytes are still filled at `at` in `memory`, of that epoch. */
  overtaken(memory: Uint8Array<ArrayBuffer>, at: number, epoch: number): void;
}

/** What a crossing needs of the outbox. */
export interface Crosser {
  readonly reservations: Reservation[];
  readonly queue: SendQueue;
  readonly failed: boolean;
  cursor: CursorPlace | undefined;
  /** The writer lays out elsewhere now. */
  crossed(): void;
}

export class Crossing {
  /** Set while something is laid out that is not in the outbox's books yet. */
  barred = false;
  /** Buffers that were overtaken: in all, and by the last crossing. */
  lateBuffers = 0;
  lastLate = 0;
  readonly #outbox: Crosser;
  readonly #channel: Channel;
  readonly #deadline: DrainDeadline;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outbox: Crosser, channel: Channel, deadlineMs: number) {
    this.#outbox = outbox;
    this.#channel = channel;
    this.#deadline = new DrainDeadline(deadlineMs);
  }

  get deadlineMs(): number {
    return this.#deadline.deadlineMs;
  }

  /** Whoever orders the next crossing may be less patient than this end. */
  limit(atMostMs: number): void {
    this.#deadline.limit(atMostMs);
  }

  /** Crosses if a path is ready and nothing is in the way; `late`: whatever is, once the deadline passed. */
  attempt(late: boolean): boolean {
    const { reservations, cursor, failed } = this.#outbox;
    if (this.barred || failed || !this.#channel.crossing) return false;
    if (reservations.length === 0 && cursor?.pending !== true) return this.#channel.writer.atRest && this.#cross();
    const leftMs = this.#deadline.leftMs(performance.now());
    if (leftMs === 0) return late && this.#cross();
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.attempt(true);
    }, leftMs);
    return false;
  }

  /** The path that was ready is not any more: the next one gives open buffers their time anew. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#deadline.clear();
  }

  #cross(): boolean {
    const outbox = this.#outbox;
    const { moves } = this.#channel;
    const cursor = outbox.cursor?.pending === true ? outbox.cursor : undefined;
    const cursorAt = this.#channel.writer.at + HEADER_BYTES;
    const waiting = outbox.reservations.splice(0);
    const left = moves.cross();
    if (left === undefined) {
      outbox.reservations.push(...waiting);
      return false;
    }
    this.end();
    this.lastLate = 0;
    const overflow: Queued[] = [];
    let users = 0;
    for (const reservation of waiting) if (this.#bring(reservation, left.epoch, overflow)) users++;
    outbox.queue.unshift(overflow);
    if (cursor !== undefined) {
      outbox.cursor = undefined;
      cursor.overtaken(left.memory, cursorAt, left.epoch);
      this.lastLate++;
      users++;
    }
    moves.leave(left.memory, left.epoch, users);
    this.lateBuffers += this.lastLate;
    outbox.crossed();
    moves.hear();
    return true;
  }

  /**
   * Gives a reservation its place in the new path: room in the ring, or, from the first one on that finds none, in the queue. True if the
   * application goes on filling memory of `epoch`.
   */
  #bring(reservation: Reservation, epoch: number, overflow: Queued[]): boolean {
    const { state, memory, pieces } = reservation;
    if (state === "cancelled") return false;
    const { reservations } = this.#outbox;
    const { writer } = this.#channel;
    const message = state === "committed" ? messageOf(memory, pieces) : undefined;
    let uses = false;
    if (message === undefined) {
      uses = reservation.late === undefined;
      reservation.late ??= { memory, pieces, epoch };
      for (const { size } of reservation.late.pieces) if (size < 0) this.lastLate++;
    }
    const size = capacityOf(reservation.late?.pieces ?? pieces);
    const place = openReservation();
    if (overflow.length !== 0 || size > longestInPlace(writer) || !placePieces(writer, place, size)) {
      overflow.push(message === undefined ? openEntry(reservation) : queued(undefined, message, () => {}, () => {}));
      return uses;
    }
    reservation.memory = place.memory;
    reservation.pieces = place.pieces;
    reservation.head = place.head;
    reservation.bytes = place.bytes;
    if (message !== undefined) fillPieces(reservation, message);
    reservations.push(reservation);
    return uses;
  }
}
