/**
 * Messages longer than a quarter of the ring: cut into FIRST, MORE … LAST by {@link FragmentWriter} as space permits, and put together
 * again in one bounded private buffer by {@link Reassembly}, invisible to the application until the last piece is there.
 */
import { RECORD_FIRST, RECORD_LAST, RECORD_MORE } from "../native/generated.ts";
import { type RecordWriter, TOTAL_BYTES } from "./records.ts";

/** Writes one long message, as far as the ring has room at each {@link step}. */
export class FragmentWriter {
  readonly message: Uint8Array;
  #written = 0;

  constructor(message: Uint8Array) {
    this.message = message;
  }

  /** True once the first fragment is laid out: from then on the message cannot be taken back. */
  get begun(): boolean {
    return this.#written > 0;
  }

  /** Lays out as many fragments as fit; true when the message is complete. */
  step(writer: RecordWriter): boolean {
    const total = this.message.length;
    // A path that it moved to meanwhile may take it whole.
    if (this.#written === 0 && total <= writer.maxPayloadBytes) return this.#whole(writer);
    while (this.#written < total) {
      const lead = this.#written === 0 ? TOTAL_BYTES : 0;
      const data = Math.min(total - this.#written, writer.maxPayloadBytes - lead);
      const at = writer.place(lead + data);
      if (at < 0) return false;
      if (lead !== 0) writer.putTotal(at, total);
      writer.bytes.set(this.message.subarray(this.#written, this.#written + data), at + lead);
      this.#written += data;
      writer.commit(lead + data, lead !== 0 ? RECORD_FIRST : this.#written === total ? RECORD_LAST : RECORD_MORE);
    }
    return true;
  }

  #whole(writer: RecordWriter): boolean {
    const at = writer.place(this.message.length);
    if (at < 0) return false;
    writer.bytes.set(this.message, at);
    writer.commit(this.message.length);
    this.#written = this.message.length;
    return true;
  }
}

const NOTHING = new Uint8Array(0);

/** The private buffer in which one message at a time is put together. Its memory is used again unless {@link take}n. */
export class Reassembly {
  memory: Uint8Array<ArrayBuffer> = NOTHING;
  totalBytes = 0;
  readonly #maxMessageBytes: number;
  #filled = 0;
  #open = false;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True while a message is being put together. */
  get open(): boolean {
    return this.#open;
  }

  /** True if exactly the announced bytes arrived. */
  get complete(): boolean {
    return this.#open && this.#filled === this.totalBytes;
  }

  /** Starts a message; false if one is open already or the announced size is out of bounds. */
  begin(totalBytes: number): boolean {
    if (this.#open || totalBytes < 0 || totalBytes > this.#maxMessageBytes) return false;
    this.#open = true;
    this.#filled = 0;
    this.totalBytes = totalBytes;
    // A much larger buffer is not kept for the sake of one large message long ago.
    if (this.memory.length < totalBytes || this.memory.length > 4 * totalBytes) this.memory = new Uint8Array(totalBytes);
    return true;
  }

  /** Adds a piece; false if no message is open or the piece exceeds what was announced. */
  add(source: Uint8Array, at: number, length: number): boolean {
    if (!this.#open || this.#filled + length > this.totalBytes) return false;
    this.memory.set(source.subarray(at, at + length), this.#filled);
    this.#filled += length;
    return true;
  }

  /** The message is complete and handed out; {@link memory} stays valid until the next {@link begin}. */
  end(): void {
    this.#open = false;
  }

  /** Hands the memory over for good. */
  take(): Uint8Array<ArrayBuffer> {
    const memory = this.memory.length === this.totalBytes ? this.memory : this.memory.slice(0, this.totalBytes);
    if (memory === this.memory) this.memory = NOTHING;
    return memory;
  }
}
