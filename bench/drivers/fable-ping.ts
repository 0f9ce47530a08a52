/** Ping-pong over a FABLE channel. Each message is written and compared in full. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Reader, Writer } from "../../src/xio/cursor.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { RoundTrips } from "./clock.ts";
import { type Job, LAST, type LatencyResult, WORD_BYTES } from "./job.ts";

/** Round trips of a spin per look at the clock. */
const SPIN_BLOCK = 16;
const WARM_UP_NS = 1e9;

export function pingFable(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  return job.workload === "spin" ? pingSpinning(handle, job, now) : pingAwaiting(handle, job, now);
}

export function pongFable(handle: Handle, job: Job): Promise<void> {
  return job.workload === "spin" ? pongSpinning(handle, job) : pongAwaiting(handle);
}

// ---- spinning: cursors, and no event loop ----

async function pingSpinning(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  const end = new SpinningEnd(handle, job);
  // until the compilers have done their best, which takes them time rather than turns
  let round = 0;
  for (const until = now() + WARM_UP_NS; now() < until;) for (let turn = 0; turn < 1000; turn++) end.roundTrip(++round);
  const trips = new RoundTrips(job.roundTrips, SPIN_BLOCK, now);
  trips.restart();
  do end.roundTrip(++round); while (!trips.done());
  end.put(LAST);
  end.assertRight();
  return trips.result();
}

async function pongSpinning(handle: Handle, job: Job): Promise<void> {
  const end = new SpinningEnd(handle, job);
  for (;;) {
    const sequence = end.take();
    if (sequence === LAST) break;
    end.put(sequence);
  }
  end.assertRight();
}

class SpinningEnd {
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #out: Float64Array;
  readonly #sizeBytes: number;
  readonly #count: number;
  #memory: Uint8Array;
  #in: Float64Array;
  #wrong = 0;

  constructor(handle: Handle, job: Job) {
    this.#writer = handle.writer();
    this.#reader = handle.reader();
    this.#sizeBytes = job.sizeBytes;
    this.#count = job.sizeBytes / WORD_BYTES;
    this.#out = new Float64Array(this.#writer.bytes.buffer);
    this.#memory = this.#reader.bytes;
    this.#in = new Float64Array(this.#memory.buffer);
  }

  roundTrip(sequence: number): void {
    this.put(sequence);
    if (this.take() !== sequence) this.#wrong++;
  }

  put(sequence: number): void {
    const at = this.#writer.reserve(this.#sizeBytes) / WORD_BYTES;
    if (at < 0) throw new Error("no room for a single message");
    const out = this.#out;
    for (let i = at; i < at + this.#count; i++) out[i] = sequence;
    this.#writer.commit(this.#sizeBytes);
    this.#writer.flush();
  }

  take(): number {
    const reader = this.#reader;
    while (!reader.next()) if (reader.ended) throw new Error("the other end went away");
    if (reader.bytes !== this.#memory) {
      this.#memory = reader.bytes;
      this.#in = new Float64Array(this.#memory.buffer);
    }
    const words = this.#in;
    const at = reader.offset / WORD_BYTES;
    const sequence = words[at]!;
    if (reader.length !== this.#sizeBytes) this.#wrong++;
    for (let i = at + 1; i < at + this.#count; i++) if (words[i] !== sequence) this.#wrong++;
    return sequence;
  }

  assertRight(): void {
    if (this.#wrong !== 0) throw new Error(`${this.#wrong} words arrived damaged or out of order`);
  }
}

// ---- awaiting in the event loop ----

async function pingAwaiting(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  const words = new Float64Array(job.sizeBytes / WORD_BYTES);
  const message = new Uint8Array(words.buffer);
  const asleep = job.workload === "asleep";
  const trips = new RoundTrips(job.roundTrips, 1, now);
  const unmeasured = asleep ? 20 : Math.min(job.roundTrips, 5_000);
  for (let round = 0;; round++) {
    if (asleep) await sleep(job.restMs);
    if (asleep || round <= unmeasured) trips.restart();
    words.fill(round);
    await handle.send(message);
    const answer = await handle.receive();
    if (answer === undefined) throw new Error("the other end went away");
    const done = round >= unmeasured && trips.done();
    assertEqual(answer, message);
    if (done) break;
  }
  words.fill(LAST);
  await handle.send(message);
  return trips.result();
}

function assertEqual(answer: Uint8Array, message: Uint8Array): void {
  let wrong = answer.length === message.length ? 0 : 1;
  for (let i = 0; i < message.length; i++) wrong |= answer[i]! ^ message[i]!;
  if (wrong !== 0) throw new Error("an answer arrived damaged or out of order");
}

async function pongAwaiting(handle: Handle): Promise<void> {
  for (;;) {
    const message = await handle.receive();
    if (message === undefined || new DataView(message.buffer, message.byteOffset).getFloat64(0, true) === LAST) return;
    await handle.send(message);
  }
}
