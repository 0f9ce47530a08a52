/**
 * `npm test`: builds, then runs the Zig tests, the TypeScript tests under Bun and under Deno, and the process tests; last, whether they left
 * anything behind. Prints one line each, everything a failing runner said, and at the end `N passed, N failed`.
 *
 *   npm test                          everything
 *   npm test -- deno tests/runtime    some runners (zig bun deno process), some folders or files
 *   npm test -- --no-build …          with what was built before
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { filesBelow, tool } from "./lib/checkout.ts";
import { atLeastOneFailure, closingLine, type Counts, junitCounts, sum, zigCounts } from "./lib/counts.ts";
import { makeScratch, type Scratch } from "./lib/leftovers.ts";
import { run, type RunResult } from "./lib/run.ts";
import { StuckTest } from "./lib/stuck.ts";

const RUNNERS = ["zig", "bun", "deno", "process"] as const;
type Runner = typeof RUNNERS[number];
/** Lanes side by side, runners of a lane one after the other. The process tests look at the clock and have the machine to themselves. */
const STAGES: readonly (readonly (readonly Runner[])[])[] = [[["zig", "bun"], ["deno"]], [["process"]]];

const NO_BUILD = "--no-build";
const RUNNER_TIMEOUT_MS = 600_000;
const TEST_TIMEOUT_MS = 120_000;
/** A runner that says nothing for so long is stuck in a test, which is named. */
const SILENCE_MS = TEST_TIMEOUT_MS + 30_000;

/** The process tests drive both runtimes themselves, so one runtime runs them. */
const isProcessTest = (path: string) => path.startsWith("tests/process/");

interface Selection {
  readonly runners: readonly Runner[];
  readonly files: readonly string[];
}

function select(words: readonly string[]): Selection {
  const runners = RUNNERS.filter((runner) => words.includes(runner));
  const paths = words.filter((word) => !RUNNERS.some((runner) => runner === word));
  const all = filesBelow("tests", (path) => path.endsWith("_test.ts"));
  const files = paths.length === 0 ? all : all.filter((file) => paths.some((path) => file.startsWith(path.replace(/^\.\//, ""))));
  if (files.length === 0) throw new Error(`no test file in ${paths.join(", ")}`);
  const fitting = RUNNERS.filter((runner) => paths.length === 0 || runner !== "zig");
  return { runners: runners.length === 0 ? fitting : runners, files };
}

async function runTests(runner: Runner, files: readonly string[], scratch: Scratch): Promise<Counts> {
  const options = { quiet: true, timeoutMs: RUNNER_TIMEOUT_MS, env: scratch.environment(runner) };
  if (runner === "zig") {
    const result = await run(tool("zig"), ["build", "test", "--summary", "all"], options);
    return report(runner, result, zigCounts(result.output) ?? { passed: 0, failed: 0 });
  }
  const own = files.filter((file) => isProcessTest(file) === (runner === "process"));
  if (own.length === 0) return { passed: 0, failed: 0 };
  const folder = mkdtempSync(join(tmpdir(), "fable-report-"));
  const xml = join(folder, "report.xml");
  const watched = { ...options, watchdog: new StuckTest(SILENCE_MS, performance.now()) };
  try {
    const result = runner === "deno"
      ? await run(tool("deno"), ["test", "--allow-all", "--no-check", `--junit-path=${xml}`, ...own], watched)
      : await run(tool("bun"), [
        "test",
        `--timeout=${TEST_TIMEOUT_MS}`,
        "--reporter=junit",
        `--reporter-outfile=${xml}`,
        ...own.map((file) => `./${file}`),
      ], watched);
    return report(runner, result, junitCounts(readReport(xml)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Missing when the runner ended before it could write it. */
function readReport(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What a runner said about tests that passed is no help in finding why another failed. */
function withoutPasses(output: string): string {
  return output.split("\n").filter((line) => !/^\(pass\) |\.\.\. \S*ok\b/.test(line)).join("\n").trimEnd();
}

function whyStopped({ stuck, timedOut }: RunResult): string {
  return stuck !== undefined ? `: stopped, ${stuck}` : timedOut ? ": stopped, it took too long" : "";
}

function report(name: string, result: RunResult, counted: Counts): Counts {
  const counts = atLeastOneFailure(counted, result.exitCode);
  if (counts.failed > 0) {
    console.log(
      `---- ${name} ----\n${withoutPasses(result.output)}\n---- end of ${name}${whyStopped(result)} ----`,
    );
  }
  console.log(`${name.padEnd(10)} ${closingLine(counts)} (${result.seconds.toFixed(1)} s)`);
  return counts;
}

async function reportLeftovers(scratch: Scratch): Promise<Counts> {
  const left = await scratch.leftovers();
  for (const sentence of left) console.log(`left behind: ${sentence}`);
  const counts = left.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  console.log(`${"leftovers".padEnd(10)} ${closingLine(counts)}`);
  return counts;
}

function build(): Promise<RunResult> {
  const words = process.versions["bun"] === undefined ? ["run", "--allow-all"] : [];
  return run(process.execPath, [...words, "scripts/build.ts"], { quiet: true });
}

async function main(words: readonly string[]): Promise<Counts> {
  const { runners, files } = select(words.filter((word) => word !== NO_BUILD));
  if (!words.includes(NO_BUILD)) {
    const built = await build();
    if (built.exitCode !== 0) return report("build", built, { passed: 0, failed: 1 });
    if (built.output !== "") console.log(built.output.trimEnd());
  }
  const scratch = makeScratch();
  const counts: Counts[] = [];
  const drive = async (lane: readonly Runner[]) => {
    for (const runner of lane) if (runners.includes(runner)) counts.push(await runTests(runner, files, scratch));
  };
  for (const lanes of STAGES) await Promise.all(lanes.map(drive));
  return sum([...counts, await reportLeftovers(scratch)]);
}

const total = await main(process.argv.slice(2)).catch((error: unknown): Counts => {
  console.error(error instanceof Error ? error.message : error);
  return { passed: 0, failed: 1 };
});
console.log(closingLine(total));
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
