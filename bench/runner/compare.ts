/**
 * Two reports of the same cells: what became faster, what slower, what stayed the same, and what nobody can tell. Pure.
 *
 * Each cell's runs of then and of now are compared by the exact interval of their ratio. That of a change is so wide that all changes of a report
 * together are wrong in one of twenty comparisons at most; that something is the same is said of each cell by itself. The interval knows how runs of one command differ; how far the machine drifts between two commands it cannot know,
 * so a change counts from five per cent on, and more where the runs themselves say that repeating gives something else.
 */
import { type CellPlan, type CellTransport, type Driver, nameOf } from "./cells.ts";
import { classOf, type PlacementClass } from "./placement.ts";
import type { OldCell } from "./report.ts";
import { expectedSpread, median, ratioInterval } from "./statistics.ts";
import { aligned } from "./table.ts";

export type Verdict = "faster" | "slower" | "same" | "can't tell";

export interface Compared {
  readonly cell: string;
  readonly verdict: Verdict;
  /** Speed of now over speed of then, whatever the cell measures; NaN without runs to compare. */
  readonly speed: number;
  /** The interval that the verdict rests on. */
  readonly low: number;
  readonly high: number;
  /** Half a sentence where nobody can tell. */
  readonly why?: string;
}

export interface Comparison {
  readonly cells: readonly Compared[];
  /** In one of the reports only. */
  readonly unmatched: readonly string[];
}

/** All changes of a comparison together are wrong this often at most. */
const RISK = 0.05;
/** Between two commands a machine differs that much without a cause of ours. */
export const DRIFT = 0.05;
/** What certainly differs less is the same. */
const SAME = 0.1;
/** Lines of like placement. */
const LINES_ALIKE = 1.2;
const FEWEST_RUNS = 3;

export function compareReports(before: readonly OldCell[], after: readonly OldCell[]): Comparison {
  const then = new Map(before.map((cell) => [keyOf(cell), cell]));
  const now = new Map(after.map((cell) => [keyOf(cell), cell]));
  const both = [...now.keys()].filter((key) => then.has(key));
  return {
    cells: both.map((key) => compareCell(key, then.get(key)!, now.get(key)!, RISK / both.length)),
    unmatched: [...new Set([...then.keys(), ...now.keys()])].filter((key) => !then.has(key) || !now.has(key)),
  };
}

/** Where the cells of a report were measured, by their cores: what is compared with it is best measured there. */
export function placementsOf(cells: readonly OldCell[]): ReadonlyMap<string, PlacementClass> {
  const lines = Map.groupBy(cells.filter((cell) => lineOf(cell) !== undefined), (cell) => cell.cores.join(","));
  return new Map([...lines].map(([cores, group]) => [cores, classOf(median(group.map((cell) => lineOf(cell) ?? Number.NaN)))]));
}

function keyOf(cell: OldCell): string {
  const { kind, size_bytes, batch, ring_bytes, check, cores } = cell;
  const words = { transport: cell.transport as CellTransport, trust: cell.trust as CellPlan["trust"], driver: cell.driver as Driver };
  return nameOf({ ...words, kind, check, cores, size_bytes, batch, ring_bytes });
}

function compareCell(cell: string, then: OldCell, now: OldCell, risk: number): Compared {
  const lines = placementsDiffer(then, now);
  const speedOf = (value: number): number => then.kind === "lat" ? 1 / value : value;
  const nothing = { cell, verdict: "can't tell" as const, speed: Number.NaN, low: 0, high: Number.POSITIVE_INFINITY };
  if (lines !== undefined) return { ...nothing, why: lines };
  if (Math.min(then.runs.length, now.runs.length) < FEWEST_RUNS) return { ...nothing, why: "too few runs" };
  const runs = [then.runs.map(speedOf), now.runs.map(speedOf)] as const;
  const { ratio: speed, low, high } = ratioInterval(...runs, risk);
  const shift = { cell, speed, low, high };
  const needed = 1 + Math.max(DRIFT, expectedSpread(then.runs) / 2, expectedSpread(now.runs) / 2);
  if (high < 1 / needed) return { ...shift, verdict: "slower" };
  if (low > needed) return { ...shift, verdict: "faster" };
  const alone = ratioInterval(...runs, RISK);
  if (alone.low > 1 / (1 + SAME) && alone.high < 1 + SAME) return { cell, speed, low: alone.low, high: alone.high, verdict: "same" };
  const why = high === Number.POSITIVE_INFINITY
    ? "too few runs for so many cells: measure both with more --rounds"
    : "the runs differ too much among themselves";
  return { ...shift, verdict: "can't tell", why };
}

function placementsDiffer(then: OldCell, now: OldCell): string | undefined {
  const [a, b] = [lineOf(then), lineOf(now)];
  if (a === undefined || b === undefined) return undefined;
  if (classOf(a) === classOf(b) && Math.max(a, b) / Math.min(a, b) <= LINES_ALIKE) return undefined;
  return `the placement is another (a line costs ${b.toFixed(0)} instead of ${a.toFixed(0)} ns)`;
}

function lineOf(cell: OldCell): number | undefined {
  if (cell.run_lines_ns !== undefined && cell.run_lines_ns.length > 0) return median(cell.run_lines_ns);
  const { placement_before_ns: before, placement_after_ns: after } = cell;
  return before === null || after === null ? undefined : (before + after) / 2;
}

/** A table, and a sentence that sums it up. */
export function comparisonText({ cells, unmatched }: Comparison): string {
  const rows = cells.map((one) => [one.cell, percent(one.speed), interval(one), one.verdict, one.why ?? ""]);
  const count = (verdict: Verdict): string => `${cells.filter((one) => one.verdict === verdict).length} ${verdict}`;
  const sum = (["faster", "slower", "same", "can't tell"] as const).map(count).join(", ");
  const rest = unmatched.length === 0 ? "" : `; ${unmatched.length} in one report only`;
  return `${aligned([["cell", "speed", "interval", "verdict", ""], ...rows])}\n${sum}${rest}`;
}

function interval({ speed, low, high }: Compared): string {
  return Number.isNaN(speed) ? "" : `${percent(low)} to ${percent(high)}`;
}

function percent(ratio: number): string {
  return Number.isFinite(ratio) ? `${ratio >= 1 ? "+" : ""}${((ratio - 1) * 100).toFixed(1)} %` : "?";
}
