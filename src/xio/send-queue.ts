/**
 * Messages that wait for their turn in a handle's outgoing direction: sends that found no room, messages larger than the ring can lend, and
 * places kept for messages that the application still fills in memory of their own. Strictly first come, first served.
 */
import { FragmentWriter } from "../transport/fragments.ts";
import type { RecordWriter } from "../transport/records.ts";
import type { Handle } from "./handle.ts";
import { abortedSend } from "./limits.ts";
import { messageOf, type Reservation } from "./reservation.ts";

/** One message, or the place of one. */
export class Queued {
  /** Kept from being collected while it waits: that would close it. */
  readonly handle: Handle | undefined;
  /** Undefined while the application fills it. */
  message: Uint8Array | undefined;
  /** Whose place it is. */
  readonly reservation: Reservation | undefined;
  /** Called once, however it ends. */
  afterwards: () => void = () => {};
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  #fragments: FragmentWriter | undefined;

  constructor(
    handle: Handle | undefined,
    message: Uint8Array | undefined,
    reservation: Reservation | undefined,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.handle = handle;
    this.message = message;
    this.reservation = reservation;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** How it is cut, if it is longer than a record of the path in use, or was begun in fragments on another. */
  fragmentsFor(writer: RecordWriter): FragmentWriter | undefined {
    if (this.#fragments === undefined && this.message!.length > writer.maxPayloadBytes) this.#fragments = new FragmentWriter(this.message!);
    return this.#fragments;
  }

  /** Part of it is laid out. */
  get begun(): boolean {
    return this.#fragments?.begun === true;
  }

  resolve(): void {
    this.afterwards();
    this.#resolve();
  }

  reject(error: Error): void {
    this.afterwards();
    this.#reject(error);
  }
}

/** A message that somebody waits for. */
export function queued(handle: Handle | undefined, message: Uint8Array, resolve: () => void, reject: (error: Error) => void): Queued {
  return new Queued(handle, message, undefined, resolve, reject);
}

/** The place of a message that the application still fills. */
export function openEntry(reservation: Reservation): Queued {
  return new Queued(undefined, undefined, reservation, () => {}, () => {});
}

/** Lets a signal take a waiting message back; `withdrawn` is called when it did. */
export function abortable(entry: Queued, signal: AbortSignal, queue: SendQueue, withdrawn: () => void): void {
  const abort = (): void => {
    // A message whose first fragment is under way cannot be taken back: it goes on.
    if (!queue.withdraw(entry)) return;
    entry.reject(abortedSend(signal));
    withdrawn();
  };
  signal.addEventListener("abort", abort, { once: true });
  entry.afterwards = () => signal.removeEventListener("abort", abort);
}

export class SendQueue {
  #entries: Queued[] = [];

  get length(): number {
    return this.#entries.length;
  }

  get first(): Queued | undefined {
    return this.#entries[0];
  }

  /** The first one is complete: it goes as soon as there is room. */
  get due(): boolean {
    return this.#entries.length !== 0 && this.#entries[0].message !== undefined;
  }

  push(entry: Queued): void {
    this.#entries.push(entry);
  }

  /** In front of all others, in their order. */
  unshift(entries: readonly Queued[]): void {
    if (entries.length !== 0) this.#entries.unshift(...entries);
  }

  shift(): void {
    this.#entries.shift();
  }

  /** The reservation is committed: true if its place is here, and it can go now. */
  ready(reservation: Reservation): boolean {
    const entry = this.#of(reservation);
    if (entry === undefined) return false;
    const { memory, pieces } = reservation.late ?? reservation;
    const [only] = pieces;
    // Private memory is nobody else's any more; what lies in an arena is copied.
    entry.message = reservation.late === undefined ? memory.subarray(0, only.size) : messageOf(memory, pieces);
    return true;
  }

  /** The reservation is cancelled: its place goes. */
  drop(reservation: Reservation): void {
    const entry = this.#of(reservation);
    if (entry !== undefined) this.#entries.splice(this.#entries.indexOf(entry), 1);
  }

  /** Takes a message out, unless part of it is under way. */
  withdraw(entry: Queued): boolean {
    const at = this.#entries.indexOf(entry);
    if (at < 0 || entry.begun) return false;
    this.#entries.splice(at, 1);
    return true;
  }

  /** Those whose place is here. */
  get reservations(): readonly Reservation[] {
    return this.#entries.flatMap(({ reservation }) => reservation === undefined || reservation.state !== "open" ? [] : [reservation]);
  }

  /** Empties it. */
  clear(): readonly Queued[] {
    return this.#entries.splice(0);
  }

  #of(reservation: Reservation): Queued | undefined {
    return this.#entries.length === 0 ? undefined : this.#entries.find((entry) => entry.reservation === reservation);
  }
}
