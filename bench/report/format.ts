/** Numbers and names as a report writes them. */
import { scaled, time } from "../runner/table.ts";

export { time };

export function size(bytes: number): string {
  if (bytes < 1024 || bytes % 1024 !== 0) return `${bytes} B`;
  return bytes < 1 << 20 || bytes % (1 << 20) !== 0 ? `${bytes >> 10} KiB` : `${bytes >> 20} MiB`;
}

/** As much as a machine has: 23.5 GiB. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
  return `${Number((value / 1024 ** step).toFixed(1))} ${units[step]}`;
}

export function messagesPerSecond(value: number): string {
  return `${scaled(value, ["", " k", " M", " G"])}/s`;
}

export function bytesPerSecond(value: number): string {
  return `${scaled(value, [" B", " kB", " MB", " GB", " TB"])}/s`;
}

/** A factor, three digits at most: 0.07, 1.3, 12, 150, 12,000. */
export function factor(value: number): string {
  if (value >= 99.5) return Number(value.toPrecision(value >= 999.5 ? 2 : 3)).toLocaleString("en-US");
  return value >= 9.95 ? value.toFixed(0) : value >= 0.995 ? value.toFixed(1) : value.toPrecision(2);
}

/** "12×"; what is far below one as a fraction, which is easier to read than zeros. */
export function times(value: number): string {
  return value < 0.0995 ? `1/${factor(1 / value)}` : `${factor(value)}×`;
}

/** For axes, whose values are round: "1 µs" where a figure would be "1.00 µs". */
export function round(format: (value: number) => string): (value: number) => string {
  return (value) => value === 0 ? "0" : format(value).replace(/(\.\d*?)0+(?=\D)/, "$1").replace(/\.(?=\D)/, "");
}

export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

/** "a", "a and b", "a, b and c". */
export function list(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** "1 cell", "2 cells". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
