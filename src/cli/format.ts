/** Numbers for people: bytes, rates, durations, counts. Three significant figures, units in plain text. Pure. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;
const TIME_UNITS = ["ns", "µs", "ms", "s"] as const;
const COUNT_UNITS = ["", " k", " M", " G"] as const;

function scaled(value: number, units: readonly string[], separator: string): string {
  let unit = 0;
  let rest = value;
  // 999.5 would print as 1000 of the smaller unit.
  while (Math.abs(rest) >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  const digits = unit === 0 && Number.isInteger(rest) ? 0 : Math.abs(rest) >= 99.95 ? 0 : Math.abs(rest) >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)}${separator}${units[unit] ?? ""}`;
}

/** Decimal units, as file tools print them. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, BYTE_UNITS, " ");
}

export function formatBytesPerSecond(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

export function formatNanoseconds(ns: number): string {
  return scaled(ns, TIME_UNITS, " ");
}

/** `12.3 M` */
export function formatRate(perSecond: number): string {
  return `${scaled(perSecond, COUNT_UNITS, "")}/s`;
}

/** `1,234,567` */
export function formatCount(count: number): string {
  return String(Math.trunc(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** Median and tail of a sample in nanoseconds; the sample is sorted in place. */
export function quantile(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
