/** Cells of `fable bench`: what is measured, and what comes out of it (the JSON that others script against). */
import type { TransportName, Trust } from "../../src/transport/transport.ts";
import { isStream, type Workload } from "../drivers/job.ts";
import type { RuntimeName } from "./checkout.ts";
import { nativeLatency, nativeRate, placementOf, probe } from "./native.ts";
import { type PairJob, pairLatency, pairRates, type Runtimes } from "./pairs.ts";
import { lineOf, type Placement } from "./placement.ts";
import type { Outcome, Sample, Task } from "./rounds.ts";
import { median } from "./statistics.ts";

export type Kind = "lat" | "thr";
export type Driver = "native" | "bun" | "deno" | "bun-deno" | "deno-bun";
export type Waiting = "spin" | "futex" | "adaptive";

export interface CellPlan {
  readonly kind: Kind;
  readonly transport: TransportName;
  readonly trust: Trust | "n/a";
  readonly driver: Driver;
  readonly size_bytes: number;
  readonly cores: readonly [number, number];
  readonly batch: number;
  readonly seconds: number;
  readonly messages: number | undefined;
}

export interface Cell {
  readonly kind: Kind;
  readonly transport: TransportName;
  readonly waiting: Waiting;
  readonly trust: Trust | "n/a";
  readonly driver: Driver;
  readonly size_bytes: number;
  readonly cores: readonly [number, number];
  readonly batch: number;
  /** What both ends did; see bench/drivers/job.ts. Native ends are always in a loop of their own. */
  readonly workload: Workload | "native";
  /** line_ns around the cell, medians over its runs; null on one core. */
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  readonly p50_ns?: number;
  readonly p99_ns?: number;
  readonly p999_ns?: number;
  readonly msgs_per_s?: number;
  readonly bytes_per_s?: number;
  /** One per run in fresh processes: p50_ns, or messages per second. */
  readonly runs: readonly number[];
  /** Runs that do not count, because the placement changed during them. */
  readonly set_aside: number;
  readonly verified: true;
}

/** What one run of a cell gives. */
export interface RunFigures {
  /** p50_ns or messages per second. */
  readonly main: number;
  readonly p99_ns?: number;
  readonly p999_ns?: number;
}

const ROUND_TRIPS = 10_000;
const MIN_RING_BYTES = 65_536;
const MAX_RING_BYTES = 64 << 20;

/** Sixteen messages fit, and at least the default ring is used. */
export function ringFor(sizeBytes: number): number {
  let ring = MIN_RING_BYTES;
  while (ring < sizeBytes * 16 && ring < MAX_RING_BYTES) ring *= 2;
  return ring;
}

export function waitingOf(transport: TransportName): Waiting {
  if (transport === "mempipe-spin") return "spin";
  return transport === "mempipe-futex" ? "futex" : "adaptive";
}

export function runtimesOf(driver: Driver): Runtimes | undefined {
  if (driver === "native") return undefined;
  const [first, second = first] = driver.split("-") as [RuntimeName, RuntimeName?];
  return [first, second];
}

export function nameOf(plan: CellPlan): string {
  return `${plan.kind} ${plan.transport} ${plan.trust} ${plan.driver} ${plan.size_bytes} B`;
}

/** How JavaScript ends behave in a cell: a forced spin looks all the time, everything else awaits. */
function workloadOf(plan: CellPlan): Workload {
  if (plan.kind === "thr") return "cursor";
  return plan.transport === "mempipe-spin" ? "spin" : "loop";
}

export function taskOf(plan: CellPlan): Task<RunFigures> {
  const runtimes = runtimesOf(plan.driver);
  return { name: nameOf(plan), run: () => runtimes === undefined ? runNative(plan) : runJavaScript(plan, runtimes) };
}

async function runNative(plan: CellPlan): Promise<Sample<RunFigures>> {
  const options = {
    transport: plan.transport,
    trust: plan.trust === "n/a" ? "trusted" : plan.trust,
    size: plan.size_bytes,
    ring: ringFor(plan.size_bytes),
    cores: plan.cores.join(","),
    batch: plan.batch,
    seconds: plan.seconds,
    runs: 1,
    ...(plan.messages === undefined ? {} : { messages: plan.messages }),
  };
  if (plan.kind === "lat") {
    const got = await nativeLatency({ ...options, "round-trips": ROUND_TRIPS });
    return { value: { main: got.p50_ns, p99_ns: got.p99_ns, p999_ns: got.p999_ns }, placement: placementOf(got) };
  }
  const got = await nativeRate(options);
  return { value: { main: got.msgs_per_s }, placement: placementOf(got) };
}

async function runJavaScript(plan: CellPlan, runtimes: Runtimes): Promise<Sample<RunFigures>> {
  const workload = workloadOf(plan);
  const job: PairJob = {
    runtimes,
    workload,
    transport: plan.transport,
    trust: plan.trust === "n/a" ? "trusted" : plan.trust,
    sizeBytes: plan.size_bytes,
    ringBytes: ringFor(plan.size_bytes),
    cores: plan.cores,
    batch: plan.batch,
    seconds: plan.seconds,
    runs: 1,
    roundTrips: ROUND_TRIPS,
    ...(plan.messages === undefined ? {} : { messages: plan.messages }),
  };
  const before = await probe(plan.cores);
  const value = await figuresOf(job);
  return { value, placement: { before, after: await probe(plan.cores) } };
}

async function figuresOf(job: PairJob): Promise<RunFigures> {
  if (isStream(job.workload)) return { main: median((await pairRates(job)).rates) };
  const { p50_ns, p99_ns, p999_ns } = await pairLatency(job);
  return { main: p50_ns, p99_ns, p999_ns };
}

/** Undefined if nothing counted. */
export function cellOf(plan: CellPlan, outcome: Outcome<RunFigures>): Cell | undefined {
  const { samples } = outcome;
  if (samples.length === 0) return undefined;
  const of = (pick: (sample: Sample<RunFigures>) => number): number => median(samples.map(pick));
  const main = of(({ value }) => value.main);
  const line = (pick: (placement: Placement) => number | null): number | null =>
    plan.cores[0] === plan.cores[1] ? null : of(({ placement }) => pick(placement) ?? Number.NaN);
  return {
    kind: plan.kind,
    transport: plan.transport,
    waiting: waitingOf(plan.transport),
    trust: plan.trust,
    driver: plan.driver,
    size_bytes: plan.size_bytes,
    cores: plan.cores,
    batch: plan.batch,
    workload: plan.driver === "native" ? "native" : workloadOf(plan),
    placement_before_ns: line(({ before }) => before),
    placement_after_ns: line(({ after }) => after),
    ...(plan.kind === "lat"
      ? { p50_ns: main, p99_ns: of(({ value }) => value.p99_ns ?? Number.NaN), p999_ns: of(({ value }) => value.p999_ns ?? Number.NaN) }
      : { msgs_per_s: main, bytes_per_s: main * plan.size_bytes }),
    runs: samples.map(({ value }) => value.main),
    set_aside: outcome.setAside.length,
    verified: true,
  };
}

/** Median line_ns over the samples that count. */
export function lineOfAll(samples: readonly Sample<unknown>[]): number {
  return median(samples.map(({ placement }) => lineOf(placement)));
}
