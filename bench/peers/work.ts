/**
 * What is done with every medium alike: a ping-pong, then a one-way stream. Both sides write each message's word and look at it; streams also check
 * that none is missing or out of order.
 */
import { RoundTrips } from "../drivers/clock.ts";
import { deferred, type PeerEnd, type PeerJob, type PeerResult } from "./ends/end.ts";

/** The word that ends side 1. A negative one announces so many messages of a stream, any other is sent back. */
const END = -(2 ** 50);
const WARM_UP_NS = 6e8;
/** Round trips per look at the clock, for all media alike. */
const BLOCK = 16;
const MAX_BLOCKS = 4096;
const WARM_UP_RUNS = 3;
const FIRST_MESSAGES = 500;
const MAX_MESSAGES = 50_000_000;
/** Under way without an acknowledgement, where a medium has no limit of its own. */
const WINDOW_BYTES = 4 << 20;
const MIN_WINDOW = 64;
const MAX_WINDOW = 4096;
const ACKS_PER_WINDOW = 4;

function windowOf(sizeBytes: number): number {
  return Math.min(MAX_WINDOW, Math.max(MIN_WINDOW, Math.floor(WINDOW_BYTES / sizeBytes)));
}

/** Side 1, until it is told to end. */
export function answer(end: PeerEnd, job: PeerJob): Promise<void> {
  const ackEvery = Math.max(1, windowOf(job.sizeBytes) / ACKS_PER_WINDOW | 0);
  const { promise, resolve } = deferred<void>();
  let left = 0;
  let expected = 0;
  let wrong = 0;
  end.onWord((word) => {
    if (left > 0) {
      if (word !== expected++) wrong++;
      if (--left === 0) void end.send(wrong === 0 ? expected : -1);
      else if (end.windowed && expected % ackEvery === 0) void end.send(expected);
    } else if (word === END) {
      resolve();
    } else if (word < 0) {
      left = -word;
      expected = 0;
      wrong = 0;
    } else {
      void end.send(word);
    }
  });
  return promise;
}

/** Side 0. `now` in nanoseconds. */
export class Beginner {
  readonly #end: PeerEnd;
  readonly #job: PeerJob;
  readonly #now: () => number;
  #heard: (word: number) => void = () => {};

  constructor(end: PeerEnd, job: PeerJob, now: () => number) {
    this.#end = end;
    this.#job = job;
    this.#now = now;
    end.onWord((word) => this.#heard(word));
  }

  async run(): Promise<PeerResult> {
    const p50 = await this.#pingPong();
    const rates = await this.#streams();
    await this.#end.send(END);
    return { p50_ns: p50, rates };
  }

  /** One way: half a round trip. */
  #pingPong(): Promise<number> {
    const { promise, resolve, reject } = deferred<number>();
    const now = this.#now;
    const trips = new RoundTrips(MAX_BLOCKS * BLOCK, BLOCK, now);
    const warmUntil = now() + WARM_UP_NS;
    const stopAt = warmUntil + this.#job.seconds * 1e9;
    let n = 0;
    let warm = false;
    this.#heard = (word) => {
      if (word !== n) return reject(new Error(`answer ${word} came to message ${n}`));
      const full = warm && trips.done();
      n++;
      if (full || n % BLOCK === 0) {
        const at = now();
        if (full || (warm && at >= stopAt)) return resolve(trips.result().p50_ns);
        if (!warm && at >= warmUntil) {
          warm = true;
          trips.restart();
        }
      }
      void this.#end.send(n);
    };
    void this.#end.send(n);
    return promise;
  }

  async #streams(): Promise<readonly number[]> {
    const { seconds, runs } = this.#job;
    const rates: number[] = [];
    let messages = FIRST_MESSAGES;
    for (let run = 0; run < WARM_UP_RUNS + runs; run++) {
      const rate = await this.#stream(messages);
      if (run >= WARM_UP_RUNS) rates.push(rate);
      // Each run of the warm-up is longer, so that the compilers see the loop long enough.
      else messages = Math.max(FIRST_MESSAGES, Math.min(MAX_MESSAGES, Math.round(rate * seconds * (run + 1) / WARM_UP_RUNS)));
    }
    return rates;
  }

  async #stream(messages: number): Promise<number> {
    const window = this.#end.windowed ? windowOf(this.#job.sizeBytes) : Infinity;
    const { promise: done, resolve, reject } = deferred<void>();
    let room: () => void = () => {};
    let acknowledged = 0;
    this.#heard = (word) => {
      if (word < 0) return reject(new Error(`of ${messages} messages some arrived out of order`));
      acknowledged = word;
      room();
      if (word === messages) resolve();
    };
    const start = this.#now();
    await this.#end.send(-messages);
    for (let n = 0; n < messages;) {
      const stop = Math.min(messages, acknowledged + window);
      n = this.#sendSome(n, stop);
      if (this.#waiting !== undefined) await this.#waiting;
      else if (n < messages) await new Promise<void>((resolveRoom) => room = resolveRoom);
    }
    await done;
    return messages * 1e9 / (this.#now() - start);
  }

  #waiting: Promise<void> | undefined;

  /** Up to `stop`, or until one has to wait. A function of its own, because V8 compiles loops in async ones badly. */
  #sendSome(first: number, stop: number): number {
    this.#waiting = undefined;
    for (let n = first; n < stop;) {
      this.#waiting = this.#end.send(n++);
      if (this.#waiting !== undefined) return n;
    }
    return stop;
  }
}
