/**
 * `fable bench`: hands its options to the benchmark of the checkout. The benchmark is not part of the command's bundle, because it starts programs of its
 * own from its sources; where there are no sources, it says so.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TransportName } from "../transport/transport.ts";
import { CommandFailed } from "./failure.ts";
import { type CoreChoice, UsageError } from "./usage.ts";
import type { Driver } from "./words.ts";

/** What `runBench` of bench/runner.ts is given; what is not said is its to choose. */
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

interface Runner {
  runBench(kind: "lat" | "thr", options: BenchOptions): Promise<{ readonly failed: readonly unknown[] }>;
}

export async function bench(kind: "lat" | "thr", options: BenchOptions): Promise<void> {
  const runner = runnerUrl(import.meta.url);
  if (!existsSync(fileURLToPath(runner))) {
    throw new CommandFailed(`the benchmark is part of a checkout, and ${fileURLToPath(runner)} is not there`);
  }
  const { runBench } = await import(runner.href) as Runner;
  const { failed } = await runBench(kind, options).catch((error: unknown) => {
    // The benchmark is loaded beside this bundle and has classes of its own.
    throw error instanceof Error && error.name === "UsageError" ? new UsageError(error.message, 'see "fable bench --help"') : error;
  });
  // The report has named them.
  if (failed.length > 0) throw new CommandFailed(`${failed.length} ${failed.length === 1 ? "cell was" : "cells were"} not measured`);
}

/** Seen from the source of this file, and from the bundle in dist/. */
export function runnerUrl(moduleUrl: string): URL {
  return new URL(moduleUrl.endsWith(".ts") ? "../../bench/runner.ts" : "../bench/runner.ts", moduleUrl);
}
