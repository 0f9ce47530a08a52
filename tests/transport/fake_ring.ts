/**
 * A ring in plain memory that does what the native side does for a writer and a reader: publishing, windows that never cross the ring's end,
 * skipping padding where nothing is lent, giving space back in order. It checks every call the way the native side does.
 */
import assert from "node:assert/strict";
import { BLOCK_READ_LIMIT, BLOCK_READ_OFFSET, EMPTY, PEER_FAULT, RECORD_PAD } from "../../src/native/generated.ts";
import { type ReadPort, RecordReader } from "../../src/transport/record-reader.ts";
import { RecordWriter, type WritePort } from "../../src/transport/records.ts";

const RESERVE_BYTES = 64;

export class FakeRing implements WritePort, ReadPort {
  readonly memory: ArrayBuffer;
  readonly words: Int32Array;
  readonly writer: RecordWriter;
  readonly reader: RecordReader;
  /** Positions that only grow. */
  published = 0;
  offered = 0;
  consumed = 0;
  messagesPublished = 0;
  payloadPublished = 0;
  messagesConsumed = 0;
  payloadConsumed = 0;
  publishes = 0;
  refills = 0;
  dirtied = 0;
  faults: number[] = [];
  /** What a channel does at a fault: it tells those who wait, who look again at once. */
  onFault = (): void => {};
  readonly #block = new Int32Array(16);

  constructor(sizeBytes: number, maxMessageBytes = 1 << 20) {
    this.memory = new ArrayBuffer(sizeBytes);
    this.words = new Int32Array(this.memory);
    this.writer = new RecordWriter(this.memory, this);
    this.reader = new RecordReader(this.memory, this, maxMessageBytes);
  }

  get size(): number {
    return this.memory.byteLength;
  }

  space(): number {
    return this.size - (this.published - this.consumed) - RESERVE_BYTES;
  }

  publish(bytes: number, word0: number, word1: number, messages: number, payloadBytes: number): void {
    assert.ok(bytes > 0 && bytes % 8 === 0 && bytes <= this.space(), `a batch of ${bytes} bytes with ${this.space()} free`);
    const first = this.published % this.size;
    assert.deepEqual([this.words[first >> 2], this.words[(first >> 2) + 1]], [0, 0], "the held back header was written");
    const next = (this.published + bytes) % this.size;
    this.words[next >> 2] = 0;
    this.words[(next >> 2) + 1] = 0;
    this.words[first >> 2] = word0;
    this.words[(first >> 2) + 1] = word1;
    this.published += bytes;
    this.messagesPublished += messages;
    this.payloadPublished += payloadBytes;
    this.publishes++;
  }

  dirty(): void {
    this.dirtied++;
  }

  refill(): number {
    this.refills++;
    if (this.faults.length > 0) return PEER_FAULT;
    // What the native side skips: padding in front of the window while nothing is lent.
    while (this.offered === this.consumed && this.offered < this.published && this.#kindAt(this.offered) === RECORD_PAD) {
      this.offered += this.#lengthAt(this.offered);
      this.consumed = this.offered;
    }
    if (this.offered === this.published) return EMPTY;
    const offset = this.offered % this.size;
    const bytes = Math.min(this.published - this.offered, this.size - offset);
    this.#block[BLOCK_READ_OFFSET] = offset;
    this.#block[BLOCK_READ_LIMIT] = offset + bytes;
    this.offered += bytes;
    return bytes;
  }

  consume(bytes: number, messages: number, payloadBytes: number): void {
    assert.ok(bytes % 8 === 0 && bytes <= this.offered - this.consumed, `${bytes} bytes given back, ${this.offered - this.consumed} lent`);
    this.consumed += bytes;
    this.messagesConsumed += messages;
    this.payloadConsumed += payloadBytes;
  }

  giveBack(): boolean {
    return false;
  }

  block(word: number): number {
    return this.#block[word];
  }

  /** It never moves, and is no heap. */
  cross(): boolean {
    return false;
  }

  stretch(): number {
    return -1;
  }

  nextArena(): ArrayBuffer {
    throw new Error("a ring that does not move");
  }

  retire(): void {
    throw new Error("nothing was left");
  }

  fault(detail: number): void {
    this.faults.push(detail);
    this.onFault();
  }

  #kindAt(position: number): number {
    return this.words[(position % this.size >> 2) + 1] >>> 24;
  }

  #lengthAt(position: number): number {
    return (this.words[(position % this.size >> 2) + 1] & 0xff_ffff) << 3;
  }
}

/** Reproducible random whole numbers below what is asked for. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = state + 0x6d2b_79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return Math.floor(((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32 * below);
  };
}

/** A message whose every byte depends on its number. */
export function patterned(number: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = number * 31 + at * 7 + (at >>> 8);
  return bytes;
}
