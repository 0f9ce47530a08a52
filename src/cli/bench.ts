/**
 * `fable bench`: hands its options to the benchmark of the checkout. The benchmark is not part of the command's bundle, because it starts programs of its
 * own from its sources; where there are no sources, it says so.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommandFailed } from "./failure.ts";
import { type CoreChoice, UsageError } from "./usage.ts";
import type { BenchTransport, Driver } from "./words.ts";

/** What `runBench` of bench/runner.ts is given; what is not said is its to choose. */
export interface BenchOptions {
  readonly transport?: readonly BenchTransport[];
  readonly size?: readonly number[];
  readonly cores?: CoreChoice;
  readonly driver?: readonly Driver[];
  readonly trust?: "trusted" | "untrusted" | "both";
  readonly check?: "full" | "plain" | "both";
  /** Of one run. */
  readonly seconds?: number;
  /** Of one run, instead of `seconds`. */
  readonly messages?: number;
  readonly batch?: number;
  /** Of each direction; a power of two that holds four messages. Default: sixteen of them, and 64 KiB at least. */
  readonly ring?: number;
  /** Runs of each cell, each in fresh processes. */
  readonly rounds?: number;
  /** A path, or "-" for stdout. */
  readonly json?: string;
  readonly html?: string;
  /** An earlier report, to say what became faster and slower. */
  readonly compare?: string;
}

interface Comparison {
  readonly cells: readonly { readonly verdict: string }[];
}

interface Runner {
  runBench(kind: "lat" | "thr", options: BenchOptions): Promise<{
    readonly report: { readonly failed: readonly unknown[]; readonly interrupted: boolean };
    readonly comparison?: Comparison;
  }>;
  compareFiles(before: string, after: string): Comparison;
}

export async function bench(kind: "lat" | "thr", options: BenchOptions): Promise<void> {
  const { report, comparison } = await (await runner()).runBench(kind, options).catch(usage);
  // The report has named them.
  const { failed, interrupted } = report;
  if (interrupted) throw new CommandFailed("interrupted; what was finished is kept");
  if (failed.length > 0) throw new CommandFailed(`${failed.length} ${failed.length === 1 ? "cell was" : "cells were"} not measured`);
  if (comparison !== undefined) assertNotSlower(comparison);
}

/** What `runRegret` of bench/regret.ts is given. */
export interface RegretOptions {
  /** At most five minutes, and less sure. */
  readonly quick?: boolean;
  /** Only cells with this text in their title. */
  readonly only?: string;
  /** A path, or "-" for stdout. */
  readonly json?: string;
  readonly html?: string;
}

/** `fable bench regret`. */
export async function regret(options: RegretOptions): Promise<void> {
  const { runRegret } = await checkoutModule("regret.ts") as {
    runRegret(options: RegretOptions): Promise<{ readonly failed: readonly unknown[] }>;
  };
  const { failed } = await runRegret(options);
  if (failed.length > 0) throw new CommandFailed(`${failed.length} ${failed.length === 1 ? "cell was" : "cells were"} not measured`);
}

/** `fable bench compare OLD NEW`. */
export async function compare(before: string, after: string): Promise<void> {
  const { compareFiles } = await runner();
  assertNotSlower(await Promise.resolve().then(() => compareFiles(before, after)).catch(usage));
}

function assertNotSlower({ cells }: Comparison): void {
  const slower = cells.filter(({ verdict }) => verdict === "slower").length;
  if (slower > 0) throw new CommandFailed(`${slower} ${slower === 1 ? "cell" : "cells"} became slower`);
}

async function runner(): Promise<Runner> {
  return await checkoutModule("runner.ts") as Runner;
}

async function checkoutModule(file: string): Promise<unknown> {
  const url = benchUrl(import.meta.url, file);
  if (!existsSync(fileURLToPath(url))) {
    throw new CommandFailed(`the benchmark is part of a checkout, and ${fileURLToPath(url)} is not there`);
  }
  return await import(url.href);
}

/** The benchmark is loaded beside this bundle and has classes of its own. */
function usage(error: unknown): never {
  throw error instanceof Error && error.name === "UsageError" ? new UsageError(error.message, 'see "fable bench --help"') : error;
}

/** Seen from the source of this file, and from the bundle in dist/. */
export function benchUrl(moduleUrl: string, file: string): URL {
  return new URL(`${moduleUrl.endsWith(".ts") ? "../.." : ".."}/bench/${file}`, moduleUrl);
}
