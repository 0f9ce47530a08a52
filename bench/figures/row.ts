/** One row of the figures: what is measured, what it must reach, and the verdict. */
import { lineOf } from "../runner/placement.ts";
import type { Outcome, Sample, Task } from "../runner/rounds.ts";
import { median, type Spread, spread } from "../runner/statistics.ts";

/** A measured ratio (or time), with what it was made of. */
export interface Measured {
  readonly value: number;
  /** Absolute figures behind it, by name: they do not travel, but explain. */
  readonly parts: Readonly<Record<string, number>>;
}

export interface Row {
  /** What the row of the table says. */
  readonly title: string;
  /** Which of its cells. */
  readonly cell: string;
  /** "at most" or "at least". */
  readonly sense: "≤" | "≥";
  readonly must: number;
  readonly reach: number;
  readonly unit: "×" | "µs";
  run(forth: boolean): Promise<Sample<Measured>>;
}

export type Verdict = "reached" | "must" | "missed" | "not measured";

export interface RowResult {
  readonly title: string;
  readonly cell: string;
  readonly must: string;
  readonly reach: string;
  readonly value: Spread;
  readonly unit: string;
  /** Medians of the parts. */
  readonly parts: Readonly<Record<string, number>>;
  readonly line_ns: number;
  readonly set_aside: number;
  readonly verdict: Verdict;
  readonly samples: readonly number[];
  readonly error?: string;
}

export function taskOf(row: Row): Task<Measured> {
  return { name: `${row.title}: ${row.cell}`, run: (forth) => row.run(forth) };
}

export function resultOf(row: Row, outcome: Outcome<Measured>): RowResult {
  const values = outcome.samples.map(({ value }) => value.value);
  const names = Object.keys(outcome.samples[0]?.value.parts ?? {});
  return {
    title: row.title,
    cell: row.cell,
    must: limit(row, row.must),
    reach: limit(row, row.reach),
    value: spread(values),
    unit: row.unit,
    parts: Object.fromEntries(names.map((name) => [name, median(outcome.samples.map(({ value }) => value.parts[name] ?? Number.NaN))])),
    line_ns: median(outcome.samples.map(({ placement }) => lineOf(placement))),
    set_aside: outcome.setAside.length,
    verdict: verdictOf(row, values),
    samples: values,
    ...(outcome.error === undefined ? {} : { error: outcome.error }),
  };
}

function limit(row: Row, value: number): string {
  return `${row.sense} ${value}${row.unit === "×" ? "×" : ` ${row.unit}`}`;
}

/** By the median. */
export function verdictOf(row: Pick<Row, "sense" | "must" | "reach">, values: readonly number[]): Verdict {
  if (values.length === 0) return "not measured";
  const value = median(values);
  const holds = (bound: number): boolean => row.sense === "≤" ? value <= bound : value >= bound;
  if (holds(row.reach)) return "reached";
  return holds(row.must) ? "must" : "missed";
}
