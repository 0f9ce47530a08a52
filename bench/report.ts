/**
 * Draws the report of one or several runs: latency, throughput and peers measured apart, on one page.
 *
 *     bun bench/report.ts LAT.json THR.json PEERS.json REPORT.html
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { mergeReports } from "./report/input.ts";
import { page } from "./report/page.ts";

function read(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path} is not JSON; "fable bench --json FILE" writes it`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Its exit code: 0 done, 1 failed, 2 wrong usage. */
export function main(paths: readonly string[]): number {
  const target = paths.at(-1);
  if (paths.length < 2 || target === undefined || !/\.html?$/.test(target)) {
    process.stderr.write("usage: bench/report.ts IN.json… OUT.html\n");
    return 2;
  }
  try {
    writeFileSync(target, page(mergeReports(paths.slice(0, -1).map(read))));
    return 0;
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\n`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
