/** Buffers of outside handles: pieces of private memory, with the same rules as those of channels (buffer.ts). */
import { FableError } from "../../errors.ts";
import { LentMemory, type ReadBuffer, type WriteBuffer } from "../buffer.ts";
import type { Lease } from "./arena.ts";
import type { OutsideHandle } from "./handle.ts";
import type { OutsideInbox } from "./inbox.ts";
import type { OutsideOutbox } from "./outbox.ts";
import type { Segment } from "./segment.ts";

interface Place {
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly at: number;
  readonly size: number;
  readonly message: number;
}

/** What arrived, as the inbox lends it. */
export class OutsideReadBuffer extends LentMemory implements ReadBuffer {
  readonly message: number;
  readonly #inbox: OutsideInbox;
  readonly #lease: Lease;

  constructor(handle: OutsideHandle, inbox: OutsideInbox, { memory, at, size, message }: Place, lease: Lease) {
    super(handle, 0, memory, at, size, true, inbox.checked);
    this.message = message;
    this.#inbox = inbox;
    this.#lease = lease;
  }

  release(): void {
    if (this.spent) return;
    this.spend();
    this.#inbox.release(this.#lease);
  }

  protected revoked(): boolean {
    return this.#inbox.closed;
  }

  protected privateView(): Uint8Array<ArrayBuffer> {
    return this.memory.slice(this.at, this.at + this.size);
  }
}

/** Room for what will be sent, as the outbox gives it. */
export class OutsideWriteBuffer extends LentMemory implements WriteBuffer {
  readonly #outbox: OutsideOutbox;
  readonly #segment: Segment;

  constructor(handle: OutsideHandle, outbox: OutsideOutbox, segment: Segment) {
    super(handle, 0, segment.memory as Uint8Array<ArrayBuffer>, segment.from, segment.to - segment.from, true, outbox.checked);
    this.#outbox = outbox;
    this.#segment = segment;
  }

  belongsTo(outbox: OutsideOutbox): boolean {
    return this.#outbox === outbox;
  }

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
    this.#outbox.commit(this.#segment, size);
  }

  release(): void {
    if (this.spent) return;
    this.spend();
    this.#outbox.cancel(this.#segment);
  }

  protected revoked(): boolean {
    return this.#segment.state === "cancelled";
  }

  protected privateView(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.size);
  }
}
