/**
 * `fable bench regret`: how much slower messages are with the transport that the policy chooses than with the best one, over sizes, patterns,
 * placements, load and trust. The best is found in runs of its own, and what it differs from itself between two sets of runs is subtracted.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import type { RegretOptions } from "../src/cli/bench.ts";
import { connectNameService } from "../src/naming/client.ts";
import { loadNative } from "../src/native/load.ts";
import { MUST, type RegretCell, type Situation, situations, summarise, titleOf } from "./regret/grid.ts";
import { type Effort, Ends, measureCell } from "./regret/measure.ts";
import { calibrated } from "./regret/table.ts";
import { describeEnvironment } from "./runner/environment.ts";
import { alike } from "./runner/placement.ts";
import { ProgressLine } from "./runner/progress.ts";
import { assertWritable } from "./runner/report.ts";
import { aligned } from "./runner/table.ts";
import { Place } from "./runner/told.ts";

const THOROUGH: Effort = { seconds: 0.15, rounds: 3, scores: 5, mostScores: 20, settleMs: 4000, repeats: 2 };
const QUICK: Effort = { seconds: 0.05, rounds: 1, scores: 3, mostScores: 6, settleMs: 1200, repeats: 1 };
/** Rough: what a cell takes, for the announcement. */
const CELL_S = { thorough: 9, quick: 2.8 };

export async function runRegret(options: RegretOptions): Promise<{ readonly failed: readonly string[] }> {
  assertWritable("--json", options.json);
  assertWritable("--html", options.html);
  const quick = options.quick === true;
  const wanted = situations().filter((situation) => titleOf(situation).includes(options.only ?? ""));
  note(
    `${wanted.length} cells, about ${
      Math.ceil(wanted.length * (quick ? CELL_S.quick : CELL_S.thorough) / 60)
    } min; Ctrl-C keeps what is finished`,
  );
  let stopped = false;
  const stop = (): void => void (stopped = true);
  process.once("SIGINT", stop);
  const environment = await describeEnvironment();
  const cells: RegretCell[] = [];
  const failed: string[] = [];
  const place = new Place();
  try {
    await calibrated(place);
    await measureAll(place, wanted, quick ? QUICK : THOROUGH, cells, failed, () => stopped);
  } finally {
    process.off("SIGINT", stop);
    await place.close();
  }
  if (options.json !== "-") report(cells, failed, quick);
  const summary = cells.length === 0 ? null : summarise(cells);
  const whole = { environment, quick, summary, cells, failed };
  if (options.json !== undefined) {
    const text = `${JSON.stringify(whole, undefined, 2)}\n`;
    if (options.json === "-") process.stdout.write(text);
    else writeFileSync(options.json, text);
  }
  if (options.html !== undefined) {
    const { writeReport } = await import("./report/report.ts");
    await writeReport(options.html, { ...whole, failed: failed.map((reason) => ({ cell: "regret", reason })) });
  }
  return { failed };
}

async function measureAll(
  place: Place,
  wanted: readonly Situation[],
  effort: Effort,
  cells: RegretCell[],
  failed: string[],
  stopped: () => boolean,
): Promise<void> {
  const service = await connectNameService(loadNative(), {
    socket: place.socket,
    command: place.command,
  });
  service.setRef(true);
  let ends: Ends | undefined;
  const line = new ProgressLine(process.stderr);
  try {
    for (const [index, situation] of wanted.entries()) {
      if (stopped()) return;
      line.show(index, wanted.length, titleOf(situation));
      try {
        ends ??= new Ends(service, place.environment);
        cells.push(await measureCell(ends, situation, effort));
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error));
        await ends?.stop();
        ends = undefined;
      }
    }
  } finally {
    line.clear();
    await ends?.stop();
    await service.close();
  }
}

function report(cells: readonly RegretCell[], failed: readonly string[], quick: boolean): void {
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const rows = cells.map((
    cell,
  ) => [
    moved(cell) ? `${titleOf(cell)} *` : titleOf(cell),
    cell.best,
    cell.chosen,
    percent(cell.regret),
    cell.regret_error === null ? "?" : percent(cell.regret_error),
    percent(cell.same_again),
    String(cell.moves),
    cell.why,
  ]);
  console.log(aligned([["cell", "best", "chosen", "regret", "±", "best again", "moves", "why"], ...rows]));
  if (cells.some(moved)) console.log("* the cores came apart or together meanwhile, in each attempt: what was measured is of two machines");
  for (const sentence of failed) console.log(`not measured: ${sentence}`);
  if (cells.length === 0) return;
  const { median, worst, same_again } = summarise(cells);
  const verdict = median <= MUST.median && worst <= MUST.worst ? "within" : "over";
  console.log(
    `regret: median ${percent(median)}, worst ${percent(worst)} over ${cells.length} cells; ${verdict} the limits of ${
      percent(MUST.median)
    } and ${percent(MUST.worst)}. The best differs from itself by ${percent(same_again)} (median)${
      quick ? ": with --quick, smaller regrets say nothing" : ""
    }.`,
  );
}

function moved({ placement_before_ns: before, placement_after_ns: after }: RegretCell): boolean {
  return !alike({ before, after });
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
