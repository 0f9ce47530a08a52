/** Options of this checkout's programs: `--help` says what one does, and a mistake on its command line is one sentence and exit 2. */
import process from "node:process";
import { parseArgs } from "node:util";
import { parseCount, parseSeconds, UsageError } from "../../src/cli/usage.ts";

export interface Option<T> {
  readonly what: string;
  /** What stands for its value in the help; none: it is a flag. */
  readonly value?: string;
  /** Throws {@link UsageError}. */
  readonly parse: (text: string) => T;
  /** Without it. */
  readonly otherwise: T;
}

export interface Usage<T> {
  readonly command: string;
  readonly what: string;
  readonly options: { readonly [K in keyof T]: Option<T[K]> };
  readonly examples: readonly string[];
}

export function flag(what: string): Option<boolean> {
  return { what, parse: () => true, otherwise: false };
}

export function text<T extends string | undefined>(value: string, what: string, otherwise: T): Option<string | T> {
  return { what, value, parse: (given) => given, otherwise };
}

export function count<T extends number | undefined>(what: string, otherwise: T, min = 0): Option<number | T> {
  return { what, value: "N", parse: (given) => parseCount(given, min), otherwise };
}

export function seconds(what: string, otherwise: number): Option<number> {
  return { what, value: "S", parse: (given) => parseSeconds(given), otherwise };
}

/** What this process was asked for; ends it if that was help, or is wrong. */
export function optionsOf<T extends object>(usage: Usage<T>): T {
  try {
    const values = readOptions(usage, process.argv.slice(2));
    if (values !== undefined) return values;
    process.stdout.write(helpOf(usage));
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}; see "${usage.command} --help"\n`);
    process.exit(2);
  }
}

/** Undefined: help was asked for. Throws {@link UsageError}. */
export function readOptions<T extends object>({ options }: Usage<T>, args: readonly string[]): T | undefined {
  const known = Object.entries(options) as [string, Option<unknown>][];
  const kinds = known.map(([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }] as const);
  const given = parsed(args, Object.fromEntries([...kinds, ["help", { type: "boolean", short: "h" }]]));
  if (given["help"] === true) return undefined;
  const values = known.map(([name, option]) => {
    const text = given[name];
    return [name, text === undefined ? option.otherwise : valueOf(name, option, String(text))];
  });
  return Object.fromEntries(values) as T;
}

function parsed(
  args: readonly string[],
  options: Readonly<Record<string, { readonly type: "string" | "boolean"; readonly short?: string }>>,
): Readonly<Record<string, string | boolean | undefined>> {
  try {
    return parseArgs({ args: [...args], options }).values as Record<string, string | boolean | undefined>;
  } catch (error) {
    // Runtimes give advice in further sentences.
    const [sentence = ""] = (error instanceof Error ? error.message : String(error)).split(/\.\s/);
    throw new UsageError(sentence.replace(/^./, (first) => first.toLowerCase()));
  }
}

function valueOf<T>(name: string, { parse }: Option<T>, text: string): T {
  try {
    return parse(text);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`--${name}: ${error.message}`) : error;
  }
}

export function helpOf<T>({ command, what, options, examples }: Usage<T>): string {
  const rows = (Object.entries(options) as [string, Option<unknown>][]).map(([name, { what: does, value, otherwise }]) => {
    const unsaid = [undefined, "", false, Number.POSITIVE_INFINITY].some((none) => none === otherwise);
    const usually = unsaid ? "" : ` (default: ${String(otherwise)})`;
    return [`--${name}${value === undefined ? "" : ` ${value}`}`, `${does}${usually}`] as const;
  });
  const all = [...rows, ["--help", "says this"] as const];
  const width = Math.max(...all.map(([left]) => left.length));
  const lines = all.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [`usage: ${command} [options]`, "", what, "", ...lines, "", "Examples:", ...examples.map((example) => `  ${example}`), ""].join(
    "\n",
  );
}
