/** Time, samples and their percentiles. */
import type { Native } from "../../src/native/native.ts";
import type { LatencyResult } from "./job.ts";

/** Nanoseconds of CLOCK_MONOTONIC, the same in both processes. */
export function nowNs(native: Native): number {
  return Number(native.library.now_ns());
}

/** Until the compilers have done their best, which takes them time rather than turns: both cores are busy with what they compile. */
export const WARM_UP_NS = 1e9;
/** Round trips between sleeps that do not count either. */
const WARM_UP_SLEEPS = 20;
const ROUNDS_PER_LOOK = 64;

/** Tells which round trips do not count yet: a second of busy ones and, before those between sleeps, some of these. */
export class WarmUp {
  readonly #asleep: boolean;
  readonly #now: () => number;
  readonly #until: number;
  #hot = false;
  #sleeps = 0;

  constructor(asleep: boolean, now: () => number) {
    this.#asleep = asleep;
    this.#now = now;
    this.#until = now() + WARM_UP_NS;
  }

  /** Whether the round trip that begins now is to begin asleep. */
  sleepsAt(round: number): boolean {
    if (!this.#hot) this.#hot = round % ROUNDS_PER_LOOK === 0 && this.#now() >= this.#until;
    return this.#hot && this.#asleep;
  }

  /** Whether it counts. After {@link sleepsAt}. */
  over(): boolean {
    return this.#hot && (!this.#asleep || ++this.#sleeps > WARM_UP_SLEEPS);
  }
}

/** Collects round trips in blocks (a look at the clock costs as much as a message does) and tells when it is enough. */
export class RoundTrips {
  readonly #samples: Float64Array;
  readonly #block: number;
  readonly #now: () => number;
  readonly #limitNs: number;
  #taken = 0;
  #inBlock = 0;
  #last = 0;
  #began = 0;

  /** `now` in nanoseconds: the native clock, because one runtime's own takes four times as long. */
  constructor(roundTrips: number, block: number, now: () => number, limitSeconds = Number.POSITIVE_INFINITY) {
    this.#now = now;
    this.#samples = new Float64Array(Math.max(1, Math.ceil(roundTrips / block)));
    this.#block = block;
    this.#limitNs = limitSeconds * 1e9;
  }

  /** The next round trip begins now, whatever was before it. */
  restart(): void {
    this.#last = this.#now();
    if (this.#taken === 0) this.#began = this.#last;
    this.#inBlock = 0;
  }

  /** A round trip ended. True when there are enough. */
  done(): boolean {
    if (++this.#inBlock < this.#block) return false;
    const now = this.#now();
    this.#samples[this.#taken++] = (now - this.#last) / this.#block;
    this.#last = now;
    this.#inBlock = 0;
    return this.#taken === this.#samples.length || now - this.#began > this.#limitNs;
  }

  /** One way is half a round trip. */
  result(): LatencyResult {
    const sorted = this.#samples.slice(0, this.#taken).sort();
    const half = (fraction: number): number => percentile(sorted, fraction) / 2;
    return {
      p50_ns: half(0.5),
      p99_ns: half(0.99),
      p999_ns: half(0.999),
      quantiles: FRACTIONS.map((fraction) => [fraction, half(fraction)] as const),
      round_trips: this.#taken * this.#block,
      block: this.#block,
    };
  }
}

/** The same as zig/tools/bench_stats.zig. */
const FRACTIONS = [0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999];

/** Nearest rank. */
export function percentile(sorted: ArrayLike<number>, fraction: number): number {
  const rank = Math.ceil(fraction * sorted.length);
  return sorted[Math.min(Math.max(rank - 1, 0), sorted.length - 1)] ?? 0;
}
