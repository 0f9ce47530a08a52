/** Buffers of outside handles: pieces of private memory, with the same rules as those of channels (buffer.ts). */
import { type ReadBuffer, ReadMemory, type WriteBuffer, WriteMemory } from "../buffer.ts";
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
export class OutsideReadBuffer extends ReadMemory implements ReadBuffer {
  readonly message: number;
  readonly #inbox: OutsideInbox;
  readonly #lease: Lease;

  constructor(handle: OutsideHandle, inbox: OutsideInbox, { memory, at, size, message }: Place, lease: Lease) {
    super(handle, 0, memory, at, size, true, inbox.checked);
    this.message = message;
    this.#inbox = inbox;
    this.#lease = lease;
  }

  protected giveBack(): void {
    this.#inbox.release(this.#lease);
  }

  protected revoked(): boolean {
    return this.#inbox.closed;
  }
}

/** Room for what will be sent, as the outbox gives it. */
export class OutsideWriteBuffer extends WriteMemory implements WriteBuffer {
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

  protected handOver(size: number): void {
    this.#outbox.commit(this.#segment, size);
  }

  protected cancel(): void {
    this.#outbox.cancel(this.#segment);
  }

  protected revoked(): boolean {
    return this.#segment.state === "cancelled";
  }
}
