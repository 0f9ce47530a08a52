/**
 * Records: the only place where TypeScript reads and writes message headers. The same bytes lie in a shared ring, in the private arena of an
 * untrusting reader and in the arena of a kernel transport, so one writer and one reader serve every transport.
 *
 *     ┌──────────────┬──────────────────┬───────────────┬─ ─ ─┐
 *     │ payload size │ kind<<24 | stride│ payload …     │ pad │   8-byte aligned; stride = whole record / 8; never across the ring's end
 *     └──────────────┴──────────────────┴───────────────┴─ ─ ─┘
 *
 * Both walk with plain loads and stores; what orders them against the other process are the native calls behind {@link WritePort.publish},
 * {@link ReadPort.refill} and {@link ReadPort.consume} (see include/fable.h). Nothing here allocates per message.
 */
import { RECORD_FIRST, RECORD_LAST, RECORD_MESSAGE, RECORD_PAD } from "../native/generated.ts";

/** Bytes of a record's header. */
export const HEADER_BYTES = 8;
/** Bytes a first fragment carries before its data: the message's total size and a zero word. */
export const TOTAL_BYTES = 8;
const LINE_BYTES = 64;
/** Payloads of at least this size are followed by one that starts on a line, except where a ring may end. */
const ALIGNED_PAYLOAD_BYTES = 1024;
const MIN_RING_BYTES = 4096;
/** Of a header's second word: the record's length in units of 8 bytes. */
export const STRIDE_MASK = 0xff_ffff;

/** What a {@link RecordWriter} needs of its channel. Statuses as in include/fable.h. */
export interface WritePort {
  /** Bytes free after the published position, or a negative status. */
  space(): number;
  publish(bytes: number, word0: number, word1: number, messages: number, payloadBytes: number): void;
  /** A batch was begun that somebody must {@link RecordWriter.flush}. */
  dirty(): void;
  /** Short of room, with at most a batch laid out: takes the next path if one is ready. True: the writer lays out elsewhere now. */
  cross(): boolean;
  /** Short of room, with nothing laid out: the offset of another stretch of at least `needed` bytes; -1: this transport has none, or no room. */
  stretch(needed: number): number;
}

/**
 * Lays records out and publishes them in batches. A record is placed ({@link place}), filled, and then either {@link commit}ted at once or
 * {@link advance}d over (reserved) and {@link put} in order later. The first header of a batch is held back until {@link flush}, so that one
 * release store makes the whole batch visible.
 */
export class RecordWriter {
  /** The arena. {@link adopt} replaces it, and everything that follows from its size. */
  bytes: Uint8Array<ArrayBuffer>;
  capacityBytes: number;
  /** The longest payload of one record; longer messages travel in fragments. */
  maxPayloadBytes: number;
  /** A batch this long is flushed without being asked, so that the reader can start; {@link longBatchBytes} unless its owner is in a hurry. */
  flushBytes: number;
  longBatchBytes: number;
  /** The arena is a heap, of which a stretch at a time is laid out; no record follows the end of one at the arena's beginning. */
  inStretches = false;

  /** The record last placed: offset of its header, its whole length, and the bytes skipped before it at the ring's end. */
  at = 0;
  length = 0;
  pad = 0;

  /** Offset where the next record goes. */
  head = 0;
  #words: Int32Array;
  readonly #port: WritePort;
  /** Bytes known to be free after `head`; refreshed from the port only when short. */
  #room = 0;
  /** Bytes between the published position and `head`: the batch and whatever is reserved after it. */
  #outstanding = 0;
  #batchBytes = 0;
  #batchMessages = 0;
  #batchPayload = 0;
  #first0 = 0;
  #first1 = 0;

  constructor(arena: ArrayBuffer, port: WritePort) {
    this.bytes = new Uint8Array(arena);
    this.#words = new Int32Array(arena);
    this.#port = port;
    this.capacityBytes = arena.byteLength;
    this.maxPayloadBytes = arena.byteLength >>> 2;
    this.longBatchBytes = Math.min(arena.byteLength >>> 3, 32 * 1024);
    this.flushBytes = this.longBatchBytes;
  }

  /**
   * Goes on in another arena. What was laid out in the old one and not flushed is no longer this writer's: its memory is the answer.
   */
  adopt(arena: ArrayBuffer, head: number, room: number, inStretches: boolean): Uint8Array<ArrayBuffer> {
    const left = this.bytes;
    this.inStretches = inStretches;
    this.bytes = new Uint8Array(arena);
    this.#words = new Int32Array(arena);
    this.capacityBytes = arena.byteLength;
    this.maxPayloadBytes = arena.byteLength >>> 2;
    this.longBatchBytes = Math.min(arena.byteLength >>> 3, 32 * 1024);
    this.flushBytes = Math.min(this.flushBytes, this.longBatchBytes);
    this.at = this.length = this.pad = 0;
    this.head = head;
    this.#room = room;
    this.#outstanding =
      this.#batchBytes =
      this.#batchMessages =
      this.#batchPayload =
        0;
    return left;
  }

  /** Nothing is reserved: what is laid out and not published is a batch that can be flushed. */
  get atRest(): boolean {
    return this.#outstanding === this.#batchBytes;
  }

  /** Where the record after the last published one begins. */
  get published(): number {
    const at = this.head - this.#outstanding;
    return at < 0 ? at + this.capacityBytes : at;
  }

  /** The port has news: the next record that is placed asks it. */
  lookAgain(): void {
    this.#room = 0;
  }

  /** Nothing is laid out or reserved that is not published. */
  get settled(): boolean {
    return this.#outstanding === 0;
  }

  /** The native side published a message by itself: the next record goes to offset `head`, and `room` bytes are free there. */
  moved(head: number, room: number): void {
    this.head = head;
    this.#room = room;
  }

  /** Bytes that wait for {@link flush}. */
  get batchBytes(): number {
    return this.#batchBytes;
  }

  /**
   * Finds room for a record of `size` payload bytes (at most `maxPayloadBytes`): the offset of its payload, or -1 if the ring is full. It may
   * be in another arena than before, and the record too long for that one; then the answer is -1 as well.
   */
  place(size: number): number {
    let at = this.head;
    let pad = 0;
    if (at + (size + 15 & ~7) > this.capacityBytes) {
      pad = this.capacityBytes - at;
      at = 0;
    }
    const length = recordLength(at, size);
    if (pad + length > this.#room) {
      const found = this.#refresh(pad + length);
      if (this.atRest && this.#port.cross()) return size > this.maxPayloadBytes ? -1 : this.place(size);
      if (!found) return this.#stretch(length) ? this.place(size) : -1;
    }
    this.at = at;
    this.pad = pad;
    this.length = length;
    return at + HEADER_BYTES;
  }

  /** True if {@link place} would find room; what was placed last stays so. */
  hasRoomFor(size: number): boolean {
    const { at, pad, length } = this;
    const found = this.place(size) >= 0;
    this.at = at;
    this.pad = pad;
    this.length = length;
    return found;
  }

  /** True if `bytes` of records are free, whatever their shape. */
  fits(bytes: number): boolean {
    return bytes <= this.#room || this.#refresh(bytes);
  }

  /** Commits the record placed last, of which `size` bytes are payload. */
  commit(size: number, kind: number = RECORD_MESSAGE): void {
    // A shorter record may want more slack than there is room for.
    const length = Math.min(recordLength(this.at, size), this.length);
    this.length = length;
    const pad = this.pad;
    const begins = this.#batchBytes === 0;
    if (pad !== 0) this.#add(this.head, RECORD_PAD, 0, pad);
    this.advance();
    this.#add(this.at, kind, size, length);
    if (this.#batchBytes >= this.flushBytes) this.flush();
    // After the flush: whoever waits for the message need not wait for the bookkeeping as well.
    if (begins) this.#port.dirty();
  }

  /** Reserves the record placed last: later ones are placed after it. Its header, and that of the padding before it, are {@link put} later. */
  advance(): void {
    const used = this.pad + this.length;
    const head = this.at + this.length;
    this.head = head === this.capacityBytes ? 0 : head;
    this.#room -= used;
    this.#outstanding += used;
  }

  /** Gives the most recently reserved `bytes` back: the next record goes to offset `head` again. */
  rewind(head: number, bytes: number): void {
    this.head = head;
    this.#room += bytes;
    this.#outstanding -= bytes;
  }

  /** Appends one finished record to the batch; strictly in ring order. */
  put(at: number, kind: number, size: number, length: number): void {
    if (this.#batchBytes === 0) this.#port.dirty();
    this.#add(at, kind, size, length);
  }

  #add(at: number, kind: number, size: number, length: number): void {
    const word1 = kind << 24 | length >>> 3;
    if (this.#batchBytes === 0) {
      this.#first0 = size;
      this.#first1 = word1;
    } else {
      this.#words[at >> 2] = size;
      this.#words[(at >> 2) + 1] = word1;
    }
    this.#batchBytes += length;
    if (kind === RECORD_MESSAGE || kind === RECORD_LAST) this.#batchMessages++;
    this.#batchPayload += kind === RECORD_FIRST ? size - TOTAL_BYTES : size;
  }

  /** Writes what a first fragment says before its data. */
  putTotal(payloadAt: number, totalBytes: number): void {
    this.#words[payloadAt >> 2] = totalBytes;
    this.#words[(payloadAt >> 2) + 1] = 0;
  }

  /** Makes the batch visible to the reader. */
  flush(): void {
    const bytes = this.#batchBytes;
    if (bytes === 0) return;
    this.#outstanding -= bytes;
    this.#batchBytes = 0;
    const messages = this.#batchMessages;
    const payload = this.#batchPayload;
    this.#batchMessages = 0;
    this.#batchPayload = 0;
    this.#port.publish(bytes, this.#first0, this.#first1, messages, payload);
  }

  /** Takes the memory away: nothing can be placed any more, and views that others kept are empty. */
  detach(): void {
    this.#batchBytes = 0;
    this.#room = 0;
    this.bytes.buffer.transfer(0);
  }

  #refresh(needed: number): boolean {
    const free = this.#port.space();
    this.#room = free < 0 ? 0 : free - this.#outstanding;
    return needed <= this.#room;
  }

  /** Of a heap: before something is reserved, as long a stretch as can be had, because none follows while it is. */
  spread(): void {
    const half = this.capacityBytes >>> 1;
    if (this.inStretches && this.atRest && this.#room < half) this.#goTo(half);
  }

  /** Goes on in another stretch of a heap, if the transport is one. */
  #stretch(needed: number): boolean {
    if (!this.inStretches || !this.atRest) return false;
    // Elsewhere the record may want more slack.
    const least = needed + LINE_BYTES;
    return this.#goTo(Math.max(least, this.capacityBytes >>> 1)) || this.#goTo(least);
  }

  #goTo(bytes: number): boolean {
    this.flush();
    // The stretch in use may be left for another: what there is, is asked for anew.
    this.#room = 0;
    const head = this.#port.stretch(bytes);
    if (head < 0) return false;
    this.head = head;
    return this.#refresh(bytes) && head + bytes <= this.capacityBytes;
  }
}

/**
 * Length of the record of `size` payload bytes at offset `at`, slack included (the rules of zig/layout/record.zig): a short record does not
 * leave less of its line than one more like it needs, and behind a long one the next payload starts on a line.
 */
export function recordLength(at: number, size: number): number {
  const plain = size + 15 & ~7;
  const end = at + plain;
  if (plain <= LINE_BYTES) {
    const rest = -end & LINE_BYTES - 1;
    return rest < plain ? plain + rest : plain;
  }
  if (size < ALIGNED_PAYLOAD_BYTES || (end & MIN_RING_BYTES - 1) === 0) return plain;
  return plain + (LINE_BYTES - HEADER_BYTES - end & LINE_BYTES - 1);
}
