/**
 * `fable bench`: cells of transports, sizes, drivers and trust, measured in rounds in fresh processes, each beside the cost of a cache line.
 *
 *     bun bench/runner.ts lat|thr          with the defaults; the command line is `fable bench`
 */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import type { TransportName, Trust } from "../src/transport/transport.ts";
import { type Cell, cellOf, type CellPlan, type Driver, type Kind, nameOf, runtimesOf, taskOf } from "./runner/cells.ts";
import { missing } from "./runner/checkout.ts";
import { describeEnvironment, type Environment } from "./runner/environment.ts";
import { endPrograms } from "./runner/programs.ts";
import { runRounds } from "./runner/rounds.ts";
import { cellTable } from "./runner/table.ts";

export type CoreChoice = "all" | "same" | readonly [number, number];

export interface BenchOptions {
  readonly transport?: readonly TransportName[];
  readonly size?: readonly number[];
  readonly cores?: CoreChoice;
  readonly driver?: readonly Driver[];
  readonly trust?: "trusted" | "untrusted" | "both";
  readonly seconds?: number;
  readonly messages?: number;
  readonly batch?: number;
  /** A path, or "-" for stdout. */
  readonly json?: string;
  readonly html?: string;
}

export interface BenchReport {
  readonly environment: Environment;
  readonly cells: readonly Cell[];
  /** Cells that could not be measured, and why. */
  readonly failed: readonly { readonly cell: string; readonly reason: string }[];
}

export type Progress = (done: number, of: number, cell: string) => void;

const ROUNDS = 5;
const REPEATS = 3;
/** Start, warm-up and placement probes of one run, in seconds. */
const OVERHEAD_S = { native: 0.3, javascript: 2.5 };
const DEFAULT_BATCH = 16;

/** A mistake in the options: one sentence. */
export class BenchUsageError extends Error {
  override readonly name = "UsageError";
}

/** Every combination of the options, without those that mean the same. */
export function planCells(kind: Kind, options: BenchOptions): readonly CellPlan[] {
  const { transport = ["mempipe-spin", "mempipe", "mempipe-futex", "unix"], driver = ["native"], seconds = 0.3, messages } = options;
  const sizes = options.size ?? (kind === "lat" ? [64] : [64, 4096, 65_536]);
  const trusts: readonly Trust[] = options.trust === "both" ? ["trusted", "untrusted"] : [options.trust ?? "trusted"];
  if (options.html !== undefined) throw new BenchUsageError("this version writes no HTML report; use --json");
  const odd = sizes.find((size) => size < 16 || size % 8 !== 0);
  if (odd !== undefined) throw new BenchUsageError(`messages of ${odd} bytes are not measured: sizes are multiples of 8, and at least 16`);
  return coresOf(options.cores).flatMap((cores) =>
    driver.flatMap((by) =>
      sizes.flatMap((size_bytes) =>
        transport.flatMap((name) =>
          (name === "unix" ? ["n/a" as const] : trusts).map((trust) => ({
            kind,
            transport: name,
            trust,
            driver: by,
            size_bytes,
            cores,
            batch: kind === "lat" ? 1 : options.batch ?? DEFAULT_BATCH,
            seconds,
            messages,
          }))
        )
      )
    )
  );
}

function coresOf(choice: CoreChoice | undefined): readonly (readonly [number, number])[] {
  const count = availableParallelism();
  if (choice === "same") return [[0, 0]];
  if (choice === "all") {
    const all = Array.from({ length: count }, (_, core) => core);
    return all.flatMap((a) => all.map((b) => [a, b] as const));
  }
  const cores = choice ?? [0, 1];
  if (Math.max(...cores) >= count) {
    throw new BenchUsageError(
      `there is no core ${Math.max(...cores)} here: ${count === 1 ? "use --cores same" : `cores go from 0 to ${count - 1}`}`,
    );
  }
  return [[cores[0], cores[1]]];
}

/** Measures without printing anything. */
export async function measure(
  kind: Kind,
  options: BenchOptions,
  progress: Progress = () => {},
  stopped: () => boolean = () => false,
): Promise<BenchReport> {
  const plans = planCells(kind, options);
  const wrong = missing([...new Set(plans.flatMap(({ driver }) => runtimesOf(driver) ?? []))]);
  if (wrong !== undefined) throw new Error(wrong);
  const environment = await describeEnvironment();
  const outcomes = await runRounds(plans.map(taskOf), { rounds: ROUNDS, repeats: REPEATS, progress, stopped });
  const cells = plans.map((plan, index) => ({ plan, outcome: outcomes[index]!, cell: cellOf(plan, outcomes[index]!) }));
  return {
    environment,
    cells: cells.flatMap(({ cell }) => cell ?? []),
    failed: cells.filter(({ cell, outcome }) => cell === undefined || outcome.error !== undefined)
      .map(({ plan, outcome }) => ({ cell: nameOf(plan), reason: outcome.error ?? "the placement never stayed the same" })),
  };
}

/** What `fable bench` does: measures with progress, prints a table, writes the JSON. */
export async function runBench(kind: Kind, options: BenchOptions, onProgress?: Progress): Promise<BenchReport> {
  const plans = planCells(kind, options);
  note(`${plans.length} cells, ${ROUNDS} runs each, about ${Math.ceil(estimate(plans))} s; Ctrl-C keeps what is finished`);
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    endPrograms();
  };
  process.once("SIGINT", interrupt);
  try {
    const began = performance.now();
    const show: Progress = (done, of, cell) => line(`${done}/${of} ${timeLeft(began, done, of)} ${cell}`);
    const report = await measure(kind, options, onProgress ?? show, () => interrupted);
    line("");
    if (options.json !== "-") console.log(cellTable(report.cells));
    for (const { cell, reason } of report.failed) note(`${cell}: ${interrupted ? "interrupted" : reason}`);
    if (options.json !== undefined) writeJson(options.json, report);
    return report;
  } finally {
    process.removeListener("SIGINT", interrupt);
  }
}

function writeJson(path: string, report: BenchReport): void {
  const text = `${JSON.stringify(report, undefined, 2)}\n`;
  if (path === "-") process.stdout.write(text);
  else writeFileSync(path, text);
}

function estimate(plans: readonly CellPlan[]): number {
  return plans.reduce(
    (total, { driver, seconds }) =>
      total + ROUNDS * (driver === "native" ? OVERHEAD_S.native + seconds * 3 : OVERHEAD_S.javascript + seconds * 4),
    0,
  );
}

function timeLeft(began: number, done: number, of: number): string {
  if (done === 0) return "";
  return `${Math.ceil((performance.now() - began) / done * (of - done) / 1000)} s left`;
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Overwrites itself on a terminal, and says nothing elsewhere. */
function line(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

if (import.meta.main) {
  const kind = process.argv[2];
  if (kind !== "lat" && kind !== "thr") {
    note("usage: bench/runner.ts lat|thr");
    process.exit(2);
  }
  const { failed } = await runBench(kind, {});
  if (failed.length > 0) process.exitCode = 1;
}
