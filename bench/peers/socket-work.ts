/**
 * The workloads over a plain stream socket. Messages have one fixed size, so that framing costs the peer nothing but counting bytes.
 * The same words are written and looked at as over FABLE.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RoundTrips, WarmUp } from "../drivers/clock.ts";
import { type Job, type JobResult, LAST, type LatencyResult, type StreamResult, WORD_BYTES, WORDS_PER_LINE } from "../drivers/job.ts";
import { streamRuns } from "../drivers/stream.ts";
import type { SocketEnd } from "./socket.ts";

export async function beginSocket(end: SocketEnd, job: Job, now: () => number): Promise<JobResult> {
  return job.workload === "loop" || job.workload === "asleep" ? ping(end, job, now) : writeStream(end, job, now);
}

export async function answerSocket(end: SocketEnd, job: Job, now: () => number): Promise<void> {
  return job.workload === "loop" || job.workload === "asleep" ? pong(end, job) : readStream(end, job, now);
}

/** Puts chunks together to whole messages. */
class Messages {
  readonly #end: SocketEnd;
  readonly #message: Uint8Array;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(end: SocketEnd, sizeBytes: number) {
    this.#end = end;
    this.#message = new Uint8Array(sizeBytes);
  }

  /** The next message; valid until the next call. */
  async next(): Promise<Uint8Array> {
    let have = 0;
    while (have < this.#message.length) {
      if (this.#at === this.#chunk.length) await this.more();
      const part = this.#chunk.subarray(this.#at, this.#at + this.#message.length - have);
      this.#message.set(part, have);
      have += part.length;
      this.#at += part.length;
    }
    return this.#message;
  }

  /** What has come and is not consumed; at least a byte. */
  async more(): Promise<Uint8Array> {
    if (this.#at === this.#chunk.length) {
      const chunk = await this.#end.read();
      if (chunk === undefined) throw new Error("the other end went away");
      this.#chunk = chunk;
      this.#at = 0;
    }
    return this.#chunk.subarray(this.#at);
  }

  consume(bytes: number): void {
    this.#at += bytes;
  }
}

// ---- ping-pong ----

async function ping(end: SocketEnd, job: Job, now: () => number): Promise<LatencyResult> {
  const words = new Float64Array(job.sizeBytes / WORD_BYTES);
  const message = new Uint8Array(words.buffer);
  const messages = new Messages(end, job.sizeBytes);
  const asleep = job.workload === "asleep";
  const trips = new RoundTrips(job.roundTrips, 1, now);
  const warmUp = new WarmUp(asleep, now);
  for (let round = 0;; round++) {
    if (warmUp.sleepsAt(round)) await sleep(job.restMs);
    const warm = warmUp.over();
    if (asleep || !warm) trips.restart();
    words.fill(round);
    const pending = end.write(message);
    if (pending !== undefined) await pending;
    const answer = await messages.next();
    const done = warm && trips.done();
    for (let i = 0; i < message.length; i++) if (answer[i] !== message[i]) throw new Error("an answer arrived damaged or out of order");
    if (done) break;
  }
  words.fill(LAST);
  await end.write(message);
  return trips.result();
}

async function pong(end: SocketEnd, job: Job): Promise<void> {
  const messages = new Messages(end, job.sizeBytes);
  for (;;) {
    const message = await messages.next();
    if (new DataView(message.buffer).getFloat64(0, true) === LAST) return;
    const pending = end.write(message);
    if (pending !== undefined) await pending;
  }
}

// ---- streams ----

async function writeStream(end: SocketEnd, job: Job, now: () => number): Promise<StreamResult> {
  const messages = new Messages(end, job.sizeBytes);
  return streamRuns(job, {
    now,
    announce: (count) => control(end, job, count, 0),
    write: (count, first) => writeAll(end, job, count, first),
    async answer() {
      const view = new DataView((await messages.next()).buffer);
      return { endNs: view.getFloat64(0, true), wrong: view.getFloat64(WORD_BYTES, true) };
    },
  });
}

async function control(end: SocketEnd, job: Job, first: number, second: number): Promise<void> {
  const words = new Float64Array(job.sizeBytes / WORD_BYTES);
  words[0] = first;
  words[1] = second;
  await end.write(new Uint8Array(words.buffer));
}

/**
 * `batch` messages per write, with one word of each stamped; or, for large ones, one word of each cache line. Up to `pipeline` writes are
 * under way at once, each from memory of its own.
 */
async function writeAll(end: SocketEnd, job: Job, messages: number, first: number): Promise<void> {
  const perMessage = job.sizeBytes / WORD_BYTES;
  const step = job.workload === "zero-copy" ? WORDS_PER_LINE : perMessage;
  const slots = Array.from({ length: job.pipeline }, () => new Float64Array(perMessage * job.batch));
  const pending: (Promise<void> | undefined)[] = slots.map(() => undefined);
  let slot = 0;
  let sequence = first;
  const stop = first + messages;
  while (sequence < stop) {
    if (pending[slot] !== undefined) await pending[slot];
    const words = slots[slot]!;
    const count = Math.min(job.batch, stop - sequence);
    stampWords(words, count, perMessage, step, sequence);
    sequence += count;
    const written = end.write(new Uint8Array(words.buffer, 0, count * job.sizeBytes));
    if (written !== undefined && job.pipeline === 1) await written;
    else pending[slot] = written;
    slot = (slot + 1) % job.pipeline;
  }
  await Promise.all(pending);
}

/** Functions of their own, this and the one that looks, because V8 compiles loops in async ones badly. */
function stampWords(words: Float64Array, count: number, perMessage: number, step: number, first: number): void {
  let sequence = first;
  for (let k = 0; k < count; k++, sequence++) {
    for (let i = k * perMessage; i < (k + 1) * perMessage; i += step) words[i] = sequence;
  }
}

async function readStream(end: SocketEnd, job: Job, now: () => number): Promise<void> {
  const messages = new Messages(end, job.sizeBytes);
  for (;;) {
    const announced = new DataView((await messages.next()).buffer).getFloat64(0, true);
    if (announced === 0) return;
    const wrong = await checkAll(messages, job, announced);
    await control(end, job, now(), wrong);
  }
}

/** Looks at the stamped words where they arrive; only a unit that is split between chunks is put together first. */
async function checkAll(messages: Messages, job: Job, count: number): Promise<number> {
  const unit = job.workload === "zero-copy" ? WORDS_PER_LINE * WORD_BYTES : job.sizeBytes;
  const units = job.sizeBytes / unit;
  const split = new Uint8Array(unit);
  const splitView = new DataView(split.buffer);
  let have = 0;
  let wrong = 0;
  let sequence = 0;
  let inMessage = 0;
  const seen = (word: number): void => {
    if (word !== sequence) wrong++;
    if (++inMessage < units) return;
    inMessage = 0;
    sequence++;
  };
  const lookAt = (chunk: Uint8Array): number => {
    let at = 0;
    if (have > 0) {
      at = Math.min(unit - have, chunk.length);
      split.set(chunk.subarray(0, at), have);
      have += at;
      if (have === unit) {
        seen(splitView.getFloat64(0, true));
        have = 0;
      }
    }
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
    for (; at + unit <= chunk.length && sequence < count; at += unit) seen(view.getFloat64(at, true));
    if (sequence < count && at < chunk.length) {
      have = chunk.length - at;
      split.set(chunk.subarray(at), 0);
      at = chunk.length;
    }
    return at;
  };
  while (sequence < count) messages.consume(lookAt(await messages.more()));
  return wrong;
}
