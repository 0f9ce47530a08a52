/** The report of `fable bench`: what is in it, writing it, and reading an earlier one. */
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import * as v from "valibot";
import type { Cell } from "./cells.ts";
import type { Environment } from "./environment.ts";
import { BenchUsageError, type NotMeasured } from "./options.ts";

export interface BenchReport {
  readonly environment: Environment;
  readonly cells: readonly Cell[];
  /** Runs that do not count, of all cells. */
  readonly set_aside: number;
  /** Cells that could not be measured, and why. */
  readonly failed: readonly NotMeasured[];
  /** Cells that this machine, or the kind of cell, does not allow. */
  readonly skipped: readonly NotMeasured[];
  /** Somebody ended it early. */
  readonly interrupted: boolean;
}

// ---- writing ----

/** Before anything is measured: a place where no file can be is a mistake in the options. */
export function assertWritable(option: string, path: string | undefined): void {
  if (path === undefined || path === "-") return;
  const folder = dirname(resolve(path));
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  try {
    accessSync(existsSync(path) ? path : folder, constants.W_OK);
  } catch {
    throw new BenchUsageError(`${option} ${path} cannot be written`);
  }
  if (isFolder) throw new BenchUsageError(`${option} ${path} is a folder; name a file in it`);
}

export function writeJson(path: string, report: BenchReport): void {
  const text = `${JSON.stringify(report, undefined, 2)}\n`;
  if (path === "-") writeFileSync(process.stdout.fd, text);
  else writeFileSync(path, text);
}

// ---- reading ----

const positive = v.pipe(v.number(), v.gtValue(0));
const cores = v.tuple([v.number(), v.number()]);

/** What comparing needs; everything else in a file is its own affair. Files of before `check` and `batch` are read as what they measured. */
const oldCell = v.object({
  kind: v.picklist(["lat", "thr"]),
  transport: v.string(),
  trust: v.string(),
  driver: v.string(),
  size_bytes: v.number(),
  cores,
  batch: v.number(),
  ring_bytes: v.optional(v.number()),
  check: v.optional(v.picklist(["full", "plain"]), "full"),
  runs: v.array(positive),
  run_lines_ns: v.optional(v.array(positive)),
  placement_before_ns: v.nullable(v.number()),
  placement_after_ns: v.nullable(v.number()),
  spread: v.optional(v.nullable(v.number())),
});

const oldReport = v.object({
  environment: v.optional(v.object({ date: v.optional(v.string()), revision: v.optional(v.string()), cpu: v.optional(v.string()) }), {}),
  cells: v.array(oldCell),
});

export type OldCell = v.InferOutput<typeof oldCell>;
export type OldReport = v.InferOutput<typeof oldReport>;

/** Cells and their runs of a file that `--json` wrote. */
export function readReport(path: string): OldReport {
  const text = textOf(path);
  try {
    return v.parse(oldReport, JSON.parse(text));
  } catch (error) {
    const issue = v.isValiError(error) ? `: ${v.getDotPath(error.issues[0]) ?? "it"} is not as it should be` : "";
    throw new BenchUsageError(`${path} is no report of fable bench${issue}`);
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw new BenchUsageError(`${path} cannot be read (${why})`);
  }
}
