/** What came out of a comparison: medians, ratios, what must hold; as Markdown and as JSON. Pure. */
import type { Environment } from "../runner/environment.ts";
import { spread } from "../runner/statistics.ts";
import { CAT_CAT, COLD, FABLE_CAT, SOCAT_UNIX } from "./commands.ts";

export interface Timed {
  readonly name: string;
  readonly command: string;
  /** One per run, over all rounds. */
  readonly times_s: readonly number[];
  readonly median_s: number;
  readonly min_s: number;
  readonly max_s: number;
  readonly bytes_per_s?: number;
  /** Why it has no times. */
  readonly failed?: string;
}

export interface TimedGroup {
  readonly title: string;
  readonly bytes?: number;
  readonly commands: readonly Timed[];
}

export interface Limit {
  readonly what: string;
  readonly sense: "≤" | "≥";
  readonly must: number;
  readonly unit: "×" | "ms";
  /** Null when it was not measured. */
  readonly value: number | null;
  readonly holds: boolean;
}

export interface CompareReport {
  readonly environment: Environment;
  readonly quick: boolean;
  readonly groups: readonly TimedGroup[];
  readonly limits: readonly Limit[];
}

export function timed(name: string, command: string, times: readonly number[], bytes: number | undefined): Timed {
  const { median, min, max } = spread(times);
  const figures = { name, command, times_s: times, median_s: median, min_s: min, max_s: max };
  return bytes === undefined ? figures : { ...figures, bytes_per_s: bytes / median };
}

export function notTimed(name: string, command: string, failed: string): Timed {
  return { name, command, times_s: [], median_s: Number.NaN, min_s: Number.NaN, max_s: Number.NaN, failed };
}

/** By medians over all runs, each round of which had every command. */
export function limitsOf(groups: readonly TimedGroup[]): readonly Limit[] {
  const medianOf = (name: string): number | undefined => {
    const found = groups.flatMap(({ commands }) => commands).find((command) => command.name === name);
    return found === undefined || found.times_s.length === 0 ? undefined : found.median_s;
  };
  const [fable, cat, socat, cold] = [FABLE_CAT, CAT_CAT, SOCAT_UNIX, COLD].map(medianOf);
  const ratio = (over: number | undefined, under: number | undefined) =>
    over === undefined || under === undefined ? undefined : over / under;
  return [
    limit(`${SOCAT_UNIX} over ${FABLE_CAT}`, "≥", 2, "×", ratio(socat, fable)),
    limit(`${FABLE_CAT} over ${CAT_CAT}`, "≤", 1.1, "×", ratio(fable, cat)),
    limit(COLD, "≤", 120, "ms", cold === undefined ? undefined : cold * 1000),
  ];
}

function limit(what: string, sense: "≤" | "≥", must: number, unit: "×" | "ms", value: number | undefined): Limit {
  const holds = value !== undefined && (sense === "≤" ? value <= must : value >= must);
  return { what, sense, must, unit, value: value ?? null, holds };
}

export function markdown(report: CompareReport): string {
  const { environment: e } = report;
  return [
    "# Whole commands",
    "",
    `${e.date.slice(0, 16).replace("T", " ")} UTC, revision ${e.revision}, ${e.cpus} × ${e.cpu} (${e.virtualization}), Linux ${e.kernel}, `
    + `Bun ${e.bun}, load ${e.load_before.toFixed(2)} before.${report.quick ? " A quick run: smaller, with fewer runs." : ""}`,
    "",
    "Wall-clock time by hyperfine, start-up included: median (min–max; runs), the order reversed each round. Nothing is pinned. That the right bytes",
    "arrive is checked once before, outside the timing.",
    "",
    ...report.groups.flatMap(groupText),
    "## What must hold",
    "",
    "| | must | measured | verdict |",
    "|---|---|---|---|",
    ...report.limits.map(limitText),
    "",
  ].join("\n");
}

function groupText(group: TimedGroup): readonly string[] {
  const rate = group.bytes !== undefined;
  const fastest = Math.min(...group.commands.map(({ median_s }) => median_s).filter((median) => !Number.isNaN(median)));
  const size = group.bytes === undefined ? "" : ` (${(group.bytes / 2 ** 20).toFixed(0)} MiB)`;
  return [
    `## ${group.title}${size}`,
    "",
    rate ? "| command | time | GB/s | over the fastest |" : "| command | time | over the fastest |",
    rate ? "|---|---|---|---|" : "|---|---|---|",
    ...group.commands.map((command) => commandText(command, fastest, rate)),
    "",
  ];
}

function commandText(command: Timed, fastest: number, rate: boolean): string {
  const name = cell(command.name);
  if (command.failed !== undefined) return `| ${name} | ${cell(command.failed.split("\n")[0] ?? "")} |${rate ? " – |" : ""} – |`;
  const { median_s, min_s, max_s, times_s, bytes_per_s } = command;
  const time = `${ms(median_s)} ms (${ms(min_s)}–${ms(max_s)}; ${times_s.length})`;
  return `| ${name} | ${time} |${rate ? ` ${((bytes_per_s ?? Number.NaN) / 1e9).toFixed(2)} |` : ""} ${(median_s / fastest).toFixed(2)}× |`;
}

/** A bar would end it. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function ms(seconds: number): string {
  return (seconds * 1000).toFixed(0);
}

function limitText({ what, sense, must, unit, value, holds }: Limit): string {
  const suffix = unit === "×" ? "×" : " ms";
  const measured = value === null ? "not measured" : `${value.toFixed(unit === "×" ? 2 : 0)}${suffix}`;
  return `| ${cell(what)} | ${sense} ${must}${suffix} | ${measured} | ${holds ? "holds" : "**missed**"} |`;
}
