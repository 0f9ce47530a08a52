/** Ping-pong over a FABLE channel. Each message is written and compared in full. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Reader, Writer } from "../../src/xio/cursor.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { RoundTrips, WARM_UP_NS, WarmUp } from "./clock.ts";
import { type Job, LAST, type LatencyResult, WORD_BYTES } from "./job.ts";

/** Round trips of a spin per look at the clock. */
const SPIN_BLOCK = 16;

export function pingFable(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  return job.workload === "spin" ? pingSpinning(handle, job, now) : pingAwaiting(handle, job, now);
}

export function pongFable(handle: Handle, job: Job): Promise<void> {
  return job.workload === "spin" ? pongSpinning(handle, job) : pongAwaiting(handle);
}

// ---- spinning: cursors, and no event loop ----

async function pingSpinning(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  const end = new SpinningEnd(handle, job);
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
  readonly #outBytes: Uint8Array;
  readonly #in: Float64Array;
  readonly #inBytes: Uint8Array;
  #wrong = 0;

  constructor(handle: Handle, job: Job) {
    this.#writer = handle.writer();
    this.#reader = handle.reader();
    this.#out = new Float64Array(job.sizeBytes / WORD_BYTES);
    this.#outBytes = new Uint8Array(this.#out.buffer);
    this.#in = new Float64Array(job.sizeBytes / WORD_BYTES);
    this.#inBytes = new Uint8Array(this.#in.buffer);
  }

  roundTrip(sequence: number): void {
    this.put(sequence);
    if (this.take() !== sequence) this.#wrong++;
  }

  put(sequence: number): void {
    const out = this.#out;
    for (let i = 0; i < out.length; i++) out[i] = sequence;
    while (!this.#writer.post(this.#outBytes));
  }

  take(): number {
    const reader = this.#reader;
    let size = reader.take(this.#inBytes);
    while (size < 0) {
      if (reader.ended) throw new Error("the other end went away");
      size = reader.take(this.#inBytes);
    }
    const words = this.#in;
    const sequence = words[0]!;
    if (size !== this.#inBytes.length) this.#wrong++;
    for (let i = 1; i < words.length; i++) if (words[i] !== sequence) this.#wrong++;
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
  const warmUp = new WarmUp(asleep, now);
  for (let round = 0;; round++) {
    if (warmUp.sleepsAt(round)) await sleep(job.restMs);
    const warm = warmUp.over();
    if (asleep || !warm) trips.restart();
    words.fill(round);
    await handle.send(message);
    const answer = await handle.receive();
    if (answer === undefined) throw new Error("the other end went away");
    const done = warm && trips.done();
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
