/** Medians and spreads. Nothing here assumes a distribution: timings have none worth the name. */

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
