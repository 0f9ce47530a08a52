/** Ping-pong over a FABLE channel. Each message is written and compared in full. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Reader, Writer } from "../../src/xio/cursor.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { RoundTrips, WARM_UP_NS, WarmUp } from "./clock.ts";
import { type Job, LAST, type LatencyResult, WORD_BYTES } from "./job.ts";
import { fill, isFilled, isNumbered, type Memory, messageMemory } from "./payload.ts";

/** Round trips of a spin per look at the clock. */
const SPIN_BLOCK = 16;
/** Round trips per call while warming up. */
const WARM_UP_TRIPS = 1024;
/** From this size on, a view of the answer costs less than a copy of it. */
const VIEWED_BYTES = 512;

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
  for (const until = now() + WARM_UP_NS; now() < until;) round = spin(end, new RoundTrips(WARM_UP_TRIPS, SPIN_BLOCK, now), round);
  const trips = new RoundTrips(job.roundTrips, SPIN_BLOCK, now, job.limitSeconds);
  spin(end, trips, round);
  end.put(LAST);
  end.assertRight();
  return trips.result();
}

/**
 * The round trips of `trips`, the first with the sequence after `round`: the last one's. Warming up comes through here, too: a loop of its own for
 * what counts would be new to the compilers while it is measured.
 */
function spin(end: SpinningEnd, trips: RoundTrips, round: number): number {
  let sequence = round;
  trips.restart();
  do end.roundTrip(++sequence); while (!trips.done());
  return sequence;
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

/** Whole words that are all compared have loops of their own here: calls through fields cost some 30 ns a message in Deno. */
class SpinningEnd {
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #size: number;
  readonly #outMemory: Memory;
  readonly #inMemory: Memory;
  readonly #out: Float64Array;
  readonly #in: Float64Array;
  readonly #outBytes: Uint8Array;
  readonly #inBytes: Uint8Array;
  readonly #isRight: typeof isFilled;
  readonly #direct: boolean;
  #wrong = 0;

  constructor(handle: Handle, job: Job) {
    this.#writer = handle.writer();
    this.#reader = handle.reader();
    this.#size = job.sizeBytes;
    this.#outMemory = messageMemory(job.sizeBytes);
    this.#inMemory = messageMemory(job.sizeBytes);
    this.#out = this.#outMemory.words;
    this.#in = this.#inMemory.words;
    this.#direct = job.sizeBytes % WORD_BYTES === 0 && job.check !== "plain";
    const cut = ({ bytes }: Memory): Uint8Array => bytes.length === job.sizeBytes ? bytes : bytes.subarray(0, job.sizeBytes);
    this.#outBytes = cut(this.#outMemory);
    this.#inBytes = cut(this.#inMemory);
    this.#isRight = job.check === "plain" ? isNumbered : isFilled;
  }

  roundTrip(sequence: number): void {
    this.put(sequence);
    if (this.take() !== sequence) this.#wrong++;
  }

  put(sequence: number): void {
    const out = this.#out;
    if (this.#direct) { for (let i = 0; i < out.length; i++) out[i] = sequence; }
    else fill(this.#outMemory, 0, this.#size, sequence);
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
    if (this.#direct) { for (let i = 1; i < words.length; i++) if (words[i] !== sequence) this.#wrong++; }
    else if (!this.#isRight(this.#inMemory, 0, this.#size, sequence)) this.#wrong++;
    return sequence;
  }

  assertRight(): void {
    if (this.#wrong !== 0) throw new Error(`${this.#wrong} words or messages arrived damaged or out of order`);
  }
}

// ---- awaiting in the event loop ----

async function pingAwaiting(handle: Handle, job: Job, now: () => number): Promise<LatencyResult> {
  const memory = messageMemory(job.sizeBytes);
  const message = memory.bytes.subarray(0, job.sizeBytes);
  const answers = new Answers(job);
  const asleep = job.workload === "asleep";
  const trips = new RoundTrips(job.roundTrips, 1, now, job.limitSeconds);
  const warmUp = new WarmUp(asleep, now);
  for (let round = 0;; round++) {
    if (warmUp.sleepsAt(round)) await sleep(job.restMs);
    const warm = warmUp.over();
    if (asleep || !warm) trips.restart();
    fill(memory, 0, job.sizeBytes, round);
    await handle.send(message);
    const answer = await handle.receive();
    if (answer === undefined) throw new Error("the other end went away");
    const done = warm && trips.done();
    answers.assertRight(answer, round);
    if (done) break;
  }
  fill(memory, 0, job.sizeBytes, LAST);
  await handle.send(message);
  return trips.result();
}

/** Looks at answers word by word: small ones in memory of its own, large ones where they lie if that is on a word. */
class Answers {
  readonly #size: number;
  readonly #copy: Memory;
  readonly #isRight: typeof isFilled;

  constructor(job: Job) {
    this.#size = job.sizeBytes;
    this.#copy = messageMemory(job.sizeBytes);
    this.#isRight = job.check === "plain" ? isNumbered : isFilled;
  }

  assertRight(answer: Uint8Array, sequence: number): void {
    if (answer.length === this.#size && this.#isRight(this.#memory(answer), 0, this.#size, sequence)) return;
    throw new Error("an answer arrived damaged or out of order");
  }

  #memory(answer: Uint8Array): Memory {
    if (answer.length >= VIEWED_BYTES && answer.byteOffset % WORD_BYTES === 0) {
      return { words: new Float64Array(answer.buffer, answer.byteOffset, Math.floor(answer.length / WORD_BYTES)), bytes: answer };
    }
    this.#copy.bytes.set(answer);
    return this.#copy;
  }
}

async function pongAwaiting(handle: Handle): Promise<void> {
  for (;;) {
    const message = await handle.receive();
    if (message === undefined || new DataView(message.buffer, message.byteOffset).getFloat64(0, true) === LAST) return;
    await handle.send(message);
  }
}
