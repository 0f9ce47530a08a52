/**
 * Medians, spreads and intervals. Nothing here assumes a distribution (timings have none worth the name), and nothing is drawn at random: what
 * resampling would estimate is computed.
 */

export function sorted(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b);
}

export function median(values: readonly number[]): number {
  const all = sorted(values);
  const middle = all.length >> 1;
  if (all.length === 0) return Number.NaN;
  return all.length % 2 === 1 ? all[middle]! : (all[middle - 1]! + all[middle]!) / 2;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

export function spread(values: readonly number[]): Spread {
  const all = sorted(values);
  return { median: median(all), min: all[0] ?? Number.NaN, max: all.at(-1) ?? Number.NaN, count: all.length };
}

// ---- how far a repeated measurement will be off ----

/** A figure that is expected to differ by more when the command is repeated is flagged. */
export const UNSTEADY = 0.15;
const EXPECTED = 0.95;
/** Fewer runs say nothing about how far the next ones will be. */
const FEWEST_RUNS = 3;

/**
 * How far, relatively, the medians of two sets of as many runs are apart at most, in 95 of 100 cases, if the runs at hand are all that is known:
 * the bootstrap of the median, computed instead of drawn. Whatever drifted between the first and the second half of the runs comes on top.
 */
export function expectedSpread(runs: readonly number[]): number {
  if (runs.length < FEWEST_RUNS || runs.some((run) => !(run > 0))) return Number.POSITIVE_INFINITY;
  const all = sorted(runs).map(Math.log);
  const mass = medianMass(all.length);
  const apart: { distance: number; mass: number }[] = [];
  for (const [i, a] of all.entries()) {
    for (const [j, b] of all.entries()) apart.push({ distance: Math.abs(a - b), mass: mass[i]! * mass[j]! });
  }
  apart.sort((a, b) => a.distance - b.distance);
  let seen = 0;
  const resampled = apart.find((one) => (seen += one.mass) >= EXPECTED)?.distance ?? 0;
  return Math.expm1(Math.max(resampled, drift(runs)));
}

/** How likely each of n sorted values is the median of n that are drawn from them, each as often as it comes. */
function medianMass(n: number): readonly number[] {
  const needed = (n >> 1) + 1;
  const upTo = (k: number): number => {
    // at least `needed` of n draws are among the k smallest
    let sum = 0;
    for (let hits = needed; hits <= n; hits++) sum += Math.exp(logChoose(n, hits)) * (k / n) ** hits * (1 - k / n) ** (n - hits);
    return sum;
  };
  return Array.from({ length: n }, (_, i) => upTo(i + 1) - upTo(i));
}

function logChoose(n: number, k: number): number {
  let log = 0;
  for (let i = 1; i <= k; i++) log += Math.log((n - k + i) / i);
  return log;
}

/** Logarithm of the ratio between the halves in time. */
function drift(runs: readonly number[]): number {
  const half = runs.length >> 1;
  return half < FEWEST_RUNS ? 0 : Math.abs(Math.log(median(runs.slice(0, half)) / median(runs.slice(runs.length - half))));
}

// ---- two sets of runs ----

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Shift extends Interval {
  /** Median of all ratios of a new run and an old one (Hodges and Lehmann). */
  readonly ratio: number;
}

/**
 * By what factor the new runs differ from the old ones, with the exact interval of the rank-sum test: it errs in at most `risk` of cases, whatever
 * the distribution. With too few runs for that the interval is everything.
 */
export function ratioInterval(before: readonly number[], after: readonly number[], risk: number): Shift {
  const logs = sorted(after.flatMap((now) => before.map((then) => Math.log(now / then))));
  const leaveOut = outermost(before.length, after.length, risk / 2);
  const ratio = Math.exp(median(logs));
  if (leaveOut < 1) return { ratio, low: 0, high: Number.POSITIVE_INFINITY };
  return { ratio, low: Math.exp(logs[leaveOut - 1]!), high: Math.exp(logs[logs.length - leaveOut]!) };
}

/** Which difference, counted from the outermost one, bounds the interval; 0 if none does. */
function outermost(m: number, n: number, tail: number): number {
  const counts = rankSumCounts(m, n);
  const all = counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  let index = 0;
  // P(U ≤ index − 1) ≤ tail: then the index-th smallest difference is a bound
  while (index < counts.length && (below + counts[index]!) / all <= tail) below += counts[index++]!;
  return index;
}

/** How many arrangements of m and n values have each value of U: coefficients of the Gaussian binomial. */
function rankSumCounts(m: number, n: number): readonly number[] {
  const counts = Array<number>(m * n + 1).fill(0);
  counts[0] = 1;
  for (let i = 1; i <= m; i++) {
    // times (1 − q^(n+i)), over (1 − q^i)
    for (let u = m * n; u >= n + i; u--) counts[u]! -= counts[u - n - i]!;
    for (let u = i; u <= m * n; u++) counts[u]! += counts[u - i]!;
  }
  return counts;
}
