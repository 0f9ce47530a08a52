/** Pairs of JavaScript processes: starts side 1, waits until it listens, starts side 0, and gives what that measured. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, type JobResult, type LatencyResult, READY, type StreamResult } from "../drivers/job.ts";
import { commandOf, driverProgram, type RuntimeName } from "./checkout.ts";
import { ProgramFailed, start } from "./programs.ts";

const TIMEOUT_MS = 120_000;
/** Side 1 ends by itself after side 0. */
const FAREWELL_MS = 10_000;

/** The runtime of side 0 and that of side 1. */
export type Runtimes = readonly [RuntimeName, RuntimeName];

export type PairJob = Partial<Omit<Job, "side" | "core">> & Pick<Job, "workload"> & {
  readonly runtimes: Runtimes;
  /** Undefined leaves both to the scheduler. */
  readonly cores?: readonly [number, number];
};

const defaults: Omit<Job, "side" | "workload" | "path" | "core"> = {
  medium: "fable",
  transport: "mempipe",
  trust: "trusted",
  sizeBytes: 64,
  ringBytes: 65_536,
  batch: 16,
  pipeline: 1,
  check: "sequence",
  seconds: 0.3,
  runs: 3,
  roundTrips: 10_000,
  limitSeconds: 60,
  restMs: 2,
};

export async function runPair(pair: PairJob): Promise<JobResult> {
  const { runtimes, cores, ...job } = pair;
  const folder = mkdtempSync(join(tmpdir(), "fable-bench-"));
  const sideOf = (side: 0 | 1): readonly string[] => {
    const whole: Job = { ...defaults, path: join(folder, "socket"), ...job, side, ...(cores === undefined ? {} : { core: cores[side] }) };
    return commandOf(runtimes[side], driverProgram, [JSON.stringify(whole)]);
  };
  const second = start(sideOf(1), TIMEOUT_MS);
  try {
    if (await second.firstLine !== READY) {
      await second.output;
      throw new ProgramFailed("the second end did not listen");
    }
    const first = start(sideOf(0), TIMEOUT_MS);
    const result = JSON.parse(await Promise.race([first.output, failureOf(second.output)])) as JobResult;
    const late = setTimeout(() => second.kill(), FAREWELL_MS);
    await second.output.finally(() => clearTimeout(late));
    return result;
  } catch (error) {
    second.kill();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Never resolves; rejects if the program fails. */
function failureOf(output: Promise<string>): Promise<never> {
  return output.then(() => new Promise<never>(() => {}));
}

export async function pairLatency(pair: PairJob): Promise<LatencyResult> {
  const result = await runPair(pair);
  if (!("p50_ns" in result)) throw new ProgramFailed(`${pair.workload} gives no latency`);
  return result;
}

export async function pairRates(pair: PairJob): Promise<StreamResult> {
  const result = await runPair(pair);
  if (!("rates" in result)) throw new ProgramFailed(`${pair.workload} gives no rates`);
  return result;
}
