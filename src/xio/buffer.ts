/**
 * Buffers: pieces of transport memory lent to the application (paper §3.1.3). Single use: a buffer ends with `commit` or `release`, and
 * touching it afterwards throws SPENT_BUFFER. A view taken before that stays a view of the ring, unless the handle is `checked`: then each
 * buffer has memory of its own that is detached when the buffer ends, which turns every use after release into an error.
 */
import { FableError } from "../errors.ts";
import type { Hold } from "../transport/holds.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Handle } from "./handle.ts";
import type { Inbox } from "./inbox.ts";
import type { Outbox } from "./outbox.ts";
import type { Reservation } from "./reservation.ts";

/** What read and write buffers have in common. */
export interface Buffer {
  /** The handle it comes from. */
  readonly handle: Endpoint;
  /** Which of the direction's transports it belongs to (paper §3.1.4). */
  readonly epoch: number;
  /** Capacity of a write buffer, size of a read buffer, in bytes. */
  readonly size: number;
  /** True after `commit` or `release`. */
  readonly spent: boolean;
  /** The memory. Made on first use. @throws FableError SPENT_BUFFER after `commit` or `release`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Read buffer: gives the memory back. Write buffer: cancels the message it is part of. Does nothing if spent. */
  release(): void;
  [Symbol.dispose](): void;
}

/** A piece of a received message, from `handle.getReadBuf()`. */
export interface ReadBuffer extends Buffer {
  /** Number of the message it is part of: 1 is the first that was ever sent in this direction. */
  readonly message: number;
  /** Whether it is the message's last piece. */
  readonly last: boolean;
}

/** A piece of a message to be sent, from `handle.getWriteBuf()`. */
export interface WriteBuffer extends Buffer {
  /** Whether it is the message's last piece. */
  readonly last: boolean;
}

/** What every buffer of the library is, of a channel or of the outside world. */
export abstract class LentMemory {
  readonly handle: Endpoint;
  readonly epoch: number;
  readonly size: number;
  readonly last: boolean;
  protected readonly memory: Uint8Array<ArrayBuffer>;
  protected readonly at: number;
  protected readonly checked: boolean;
  #view: Uint8Array<ArrayBuffer> | undefined;
  #spent = false;

  constructor(handle: Endpoint, epoch: number, memory: Uint8Array<ArrayBuffer>, at: number, size: number, last: boolean, checked: boolean) {
    this.handle = handle;
    this.epoch = epoch;
    this.memory = memory;
    this.at = at;
    this.size = size;
    this.last = last;
    this.checked = checked;
  }

  get spent(): boolean {
    return this.#spent || this.revoked();
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    this.assertUsable();
    return this.#view ??= this.checked ? this.privateView() : this.memory.subarray(this.at, this.at + this.size);
  }

  assertUsable(): void {
    if (!this.spent) return;
    throw new FableError("SPENT_BUFFER", "The buffer was committed or released already.", {
      remedy: "Get a new one from getReadBuf() or getWriteBuf(); buffers are for a single use.",
    });
  }

  /** Ends the buffer's life in the application's hands. */
  spend(): void {
    this.#spent = true;
    if (this.checked && this.#view !== undefined) this.#view.buffer.transfer(0);
    this.#view = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  abstract release(): void;
  /** True if the buffer was taken back by the channel. */
  protected abstract revoked(): boolean;
  protected abstract privateView(): Uint8Array<ArrayBuffer>;

  /** What was written into a private view goes to where it belongs. */
  protected store(size: number): void {
    if (this.checked && this.#view !== undefined) this.memory.set(this.#view.subarray(0, size), this.at);
  }
}

/** What was received: a private view is a copy of it. */
export abstract class ReadMemory extends LentMemory {
  release(): void {
    if (this.spent) return;
    this.spend();
    this.giveBack();
  }

  protected abstract giveBack(): void;

  protected privateView(): Uint8Array<ArrayBuffer> {
    return this.memory.slice(this.at, this.at + this.size);
  }
}

/** Room for what will be sent: a private view begins empty. */
export abstract class WriteMemory extends LentMemory {
  /** Hands the first `size` bytes over to be sent. */
  commit(size: number): void {
    this.assertUsable();
    if (!Number.isInteger(size) || size < 0 || size > this.size) {
      throw new FableError("BAD_ARGUMENT", `The buffer has room for ${this.size} bytes, not for ${size}.`, {
        remedy: "Commit at most the buffer's size; get a larger one with getWriteBuf(size).",
      });
    }
    this.store(size);
    this.spend();
    this.handOver(size);
  }

  release(): void {
    if (this.spent) return;
    this.spend();
    this.cancel();
  }

  protected abstract handOver(size: number): void;
  protected abstract cancel(): void;

  protected privateView(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.size);
  }
}

/** A read buffer, as the inbox makes it. */
export class LentReadBuffer extends ReadMemory implements ReadBuffer {
  readonly message: number;
  readonly #inbox: Inbox;
  readonly #hold: Hold | undefined;

  constructor(
    handle: Handle,
    inbox: Inbox,
    where: { readonly memory: Uint8Array<ArrayBuffer>; readonly at: number; readonly length: number; readonly sequence: number },
    last: boolean,
    hold: Hold | undefined,
  ) {
    super(handle, inbox.epoch, where.memory, where.at, where.length, last, inbox.checked);
    this.message = where.sequence;
    this.#inbox = inbox;
    this.#hold = hold;
  }

  protected giveBack(): void {
    this.#inbox.release(this.#hold);
  }

  protected revoked(): boolean {
    return this.#inbox.closed;
  }
}

/** A write buffer, as the outbox makes it: piece `index` of a reservation. */
export class OpenWriteBuffer extends WriteMemory implements WriteBuffer {
  readonly #outbox: Outbox;
  readonly #reservation: Reservation;
  readonly #index: number;

  constructor(handle: Handle, outbox: Outbox, reservation: Reservation, index: number) {
    const piece = reservation.pieces[index];
    super(handle, outbox.epoch, reservation.memory, piece.at, piece.capacity, index === reservation.pieces.length - 1, outbox.checked);
    this.#outbox = outbox;
    this.#reservation = reservation;
    this.#index = index;
  }

  belongsTo(outbox: Outbox): boolean {
    return this.#outbox === outbox;
  }

  protected handOver(size: number): void {
    this.#outbox.commit(this.#reservation, this.#index, size);
  }

  protected cancel(): void {
    this.#outbox.cancel(this.#reservation);
  }

  protected revoked(): boolean {
    return this.#reservation.state === "cancelled";
  }
}
