/**
 * `fable bench`: cells of transports, sizes, drivers and trust, measured in rounds in fresh processes, each beside the cost of a cache line.
 *
 *     bun bench/runner.ts lat|thr          with the defaults; the command line is `fable bench`
 */
import { loadavg } from "node:os";
import process from "node:process";
import { cellOf, type CellPlan, type Kind, nameOf, runtimesOf } from "./runner/cells.ts";
import { missing, missingRuntime } from "./runner/checkout.ts";
import { compareReports, type Comparison, comparisonText, placementsOf } from "./runner/compare.ts";
import { allowedCores, describeEnvironment } from "./runner/environment.ts";
import { type BenchOptions, planCells, runtimesFor } from "./runner/options.ts";
import type { PlacementClass } from "./runner/placement.ts";
import { endPrograms } from "./runner/programs.ts";
import { announcement, busyness, nothing, type Progress, ProgressLine } from "./runner/progress.ts";
import { assertWritable, type BenchReport, type OldReport, readReport, writeJson } from "./runner/report.ts";
import { runRounds } from "./runner/rounds.ts";
import { taskOf } from "./runner/run-cell.ts";
import { cellTable } from "./runner/table.ts";

export { type BenchOptions, BenchUsageError } from "./runner/options.ts";
export type { BenchReport } from "./runner/report.ts";

/** How often a run is repeated that the placement spoilt. */
const REPEATS = 3;

/** What there is to say after measuring, beside the report. */
export interface BenchOutcome {
  readonly report: BenchReport;
  /** With `compare`. */
  readonly comparison?: Comparison;
}

/** Where the words of a run go, and whether somebody wants it to end. */
export interface Surroundings {
  readonly cores: readonly number[];
  readonly progress: Progress;
  readonly stopped: () => boolean;
  /** Where a report was measured that this one will be compared with. */
  readonly preferred?: ReadonlyMap<string, PlacementClass>;
  /** One sentence, if the runtime is not there. */
  readonly missingRuntime: (runtime: "bun" | "deno") => string | undefined;
}

export const QUIETLY: Surroundings = { cores: allowedCores(), progress: nothing, stopped: () => false, missingRuntime };

/** Measures without printing anything. */
export async function measure(kind: Kind, options: BenchOptions, surroundings: Surroundings = QUIETLY): Promise<BenchReport> {
  const { cells: plans, skipped } = planCells(kind, options, surroundings.cores);
  const wrong = missing();
  if (wrong !== undefined) throw new Error(wrong);
  const absent = new Map(runtimesFor(plans).map((runtime) => [runtime, surroundings.missingRuntime(runtime)] as const));
  const reasonOf = ({ driver }: CellPlan): string | undefined =>
    (runtimesOf(driver) ?? []).map((one) => absent.get(one)).find((one) => one !== undefined);
  const possible = plans.filter((plan) => reasonOf(plan) === undefined);
  const environment = await describeEnvironment();
  const { progress, stopped } = surroundings;
  const { preferred = new Map<string, PlacementClass>() } = surroundings;
  const outcomes = await runRounds(possible.map(taskOf), { rounds: 0, placement: "most", preferred, repeats: REPEATS, progress, stopped });
  const results = possible.map((plan, index) => ({ plan, outcome: outcomes[index]!, cell: cellOf(plan, outcomes[index]!) }));
  const lost = results.filter(({ cell, outcome }) => cell === undefined || outcome.error !== undefined).map(({ plan, outcome }) => ({
    cell: nameOf(plan),
    reason: outcome.error ?? (stopped() ? "interrupted" : "the placement never stayed the same"),
    impossible: outcome.impossible === true,
  }));
  const plain = ({ cell, reason }: { readonly cell: string; readonly reason: string }) => ({ cell, reason });
  return {
    environment,
    cells: results.flatMap(({ cell }) => cell ?? []),
    set_aside: outcomes.reduce((sum, { setAside }) => sum + setAside.length, 0),
    failed: [
      ...plans.flatMap((plan) => reasonOf(plan) === undefined ? [] : [{ cell: nameOf(plan), reason: reasonOf(plan) ?? "" }]),
      ...lost.filter(({ impossible }) => !impossible).map(plain),
    ],
    skipped: [...skipped, ...lost.filter(({ impossible }) => impossible).map(plain)],
    interrupted: stopped(),
  };
}

/** What `fable bench` does: says what it will take, measures with progress, prints tables, writes files. Ctrl-C keeps what is finished. */
export async function runBench(kind: Kind, options: BenchOptions): Promise<BenchOutcome> {
  assertWritable("--json", options.json);
  assertWritable("--html", options.html);
  const old = options.compare === undefined ? undefined : readReport(options.compare);
  const plan = planCells(kind, options, QUIETLY.cores);
  note(announcement(plan.cells));
  const busy = busyness(loadavg()[0] ?? 0, QUIETLY.cores.length);
  if (busy !== undefined) note(busy);
  for (const { cell, reason } of plan.skipped) note(`skipped: ${cell}: ${reason}`);
  const interrupt = interruptible();
  const line = new ProgressLine(process.stderr);
  try {
    const report = await measure(kind, options, {
      ...QUIETLY,
      ...(old === undefined ? {} : { preferred: placementsOf(old.cells) }),
      progress: (done, of, cell) => line.show(done, of, cell),
      stopped: interrupt.wanted,
    });
    line.clear();
    return await present(report, options, plan.skipped.length, old);
  } finally {
    interrupt.release();
  }
}

/** Signals that come at once are one: `timeout` sends two. */
const ONE_SIGNAL_MS = 300;

/** Ctrl-C once ends the programs under way; twice ends this one. */
function interruptible(): { wanted: () => boolean; release: () => void } {
  let interrupted = false;
  let last = 0;
  const signals = ["SIGINT", "SIGTERM"] as const;
  const interrupt = (): void => {
    const again = interrupted && Date.now() - last > ONE_SIGNAL_MS;
    last = Date.now();
    if (again) process.exit(130);
    interrupted = true;
    endPrograms();
  };
  for (const signal of signals) process.on(signal, interrupt);
  return { wanted: () => interrupted, release: () => signals.forEach((signal) => process.removeListener(signal, interrupt)) };
}

async function present(report: BenchReport, options: BenchOptions, told: number, old: OldReport | undefined): Promise<BenchOutcome> {
  const print = options.json === "-" ? note : (text: string): void => console.log(text);
  print(cellTable(report.cells));
  for (const { cell, reason } of report.skipped.slice(told)) note(`skipped: ${cell}: ${reason}`);
  for (const { cell, reason } of report.failed) note(`not measured: ${cell}: ${reason}`);
  const comparison = old === undefined ? undefined : compareReports(old.cells, cellsAsRead(report));
  if (comparison !== undefined) print(comparisonText(comparison));
  await writeFiles(report, options);
  return comparison === undefined ? { report } : { report, comparison };
}

/** A file that cannot be written does not keep the other one from being written. */
async function writeFiles(report: BenchReport, { json, html }: BenchOptions): Promise<void> {
  const wrong: unknown[] = [];
  const attempt = async (option: string, write: () => void | Promise<void>): Promise<void> => {
    try {
      await write();
    } catch (error) {
      wrong.push(new Error(`${option} could not be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
    }
  };
  if (json !== undefined) await attempt(`--json ${json}`, () => writeJson(json, report));
  if (html !== undefined) {
    await attempt(`--html ${html}`, async () => {
      const { writeReport } = await import("./report/report.ts");
      // the page has one list of what it has no figures for
      await writeReport(html, { ...report, failed: [...report.failed, ...report.skipped] });
    });
  }
  if (wrong.length > 0) throw wrong[0];
}

/** A comparison reads the new cells as it reads those of a file. */
function cellsAsRead(report: BenchReport): OldReport["cells"] {
  return report.cells.map((cell) => ({
    ...cell,
    cores: [cell.cores[0], cell.cores[1]],
    runs: [...cell.runs],
    run_lines_ns: cell.run_lines_ns === undefined ? undefined : [...cell.run_lines_ns],
  }));
}

/** Two files that `--json` wrote. */
export function compareFiles(before: string, after: string): Comparison {
  const comparison = compareReports(readReport(before).cells, readReport(after).cells);
  console.log(comparisonText(comparison));
  return comparison;
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

if (import.meta.main) {
  const kind = process.argv[2];
  if (kind !== "lat" && kind !== "thr") {
    note("usage: bench/runner.ts lat|thr");
    process.exit(2);
  }
  const { report } = await runBench(kind, {});
  if (report.failed.length > 0) process.exitCode = 1;
}
