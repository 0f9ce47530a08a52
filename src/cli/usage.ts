/**
 * What a command line may say: a usage error, and the parsers of option values. Pure: a parser takes the text as typed and gives the value or
 * throws {@link UsageError} with half a sentence that says what would have been right.
 */

/** The command line is wrong: exit 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly remedy: string;

  constructor(message: string, remedy = 'see "fable --help"') {
    super(message);
    this.remedy = remedy;
  }
}

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** `4096`, `64K`, `64KiB`, `1M`, `2GiB`: binary units, because rings and pages are. */
export function parseSize(text: string, min = 1, max = 2 ** 40): number {
  const match = /^(\d{1,15})([kmg]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) throw new UsageError(`"${text}" is not a size; write bytes, or a number with K, M or G, as in 64K`);
  const size = Number(match[1]) * (SIZE_UNITS[(match[2] ?? "").toLowerCase()] ?? 1);
  if (size < min || size > max) throw new UsageError(`${text} is out of range; ${min} to ${max} bytes are allowed`);
  return size;
}

/** A whole number in decimal. */
export function parseCount(text: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (!/^\d{1,16}$/.test(text.trim())) throw new UsageError(`"${text}" is not a whole number`);
  const value = Number(text);
  if (value < min || value > max) throw new UsageError(`${text} is out of range; ${min} to ${max} is allowed`);
  return value;
}

/** A duration in seconds, fractions allowed. */
export function parseSeconds(text: string, max = 86_400): number {
  if (!/^\d{1,6}(\.\d{1,9})?$/.test(text.trim())) throw new UsageError(`"${text}" is not a number of seconds`);
  const value = Number(text);
  if (value <= 0 || value > max) throw new UsageError(`${text} is out of range; more than 0 and at most ${max} seconds are allowed`);
  return value;
}

/** One of a fixed set of words. */
export function parseWord<T extends string>(text: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === text);
  if (found === undefined) throw new UsageError(`"${text}" is not one of ${allowed.join(", ")}`);
  return found;
}

/** `a,b,c`, each one of a fixed set; `all` is the whole set; repetitions count once. */
export function parseWords<T extends string>(text: string, allowed: readonly T[]): readonly T[] {
  if (text === "all") return allowed;
  const words = text.split(",").map((word) => parseWord(word.trim(), allowed));
  return [...new Set(words)];
}

/** `64,4K,1M`. */
export function parseSizes(text: string, min = 1, max = 2 ** 40): readonly number[] {
  return [...new Set(text.split(",").map((part) => parseSize(part, min, max)))];
}

export type CoreChoice = "same" | "all" | readonly [number, number];

/** `0,1`, `same` (both ends on one core) or `all` (each placement the machine has). */
export function parseCores(text: string): CoreChoice {
  if (text === "same" || text === "all") return text;
  const match = /^(\d{1,4}),(\d{1,4})$/.exec(text.trim());
  if (match === null) throw new UsageError(`"${text}" names no cores; write two numbers as in 0,1, or same, or all`);
  return [Number(match[1]), Number(match[2])];
}
