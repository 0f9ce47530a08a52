/** Cells of `fable bench`: what is measured, and what comes out of it (the JSON that others script against). */
import type { BenchTransport, Driver } from "../../src/cli/words.ts";
import { transportByName } from "../../src/transport/registry.ts";
import type { Trust } from "../../src/transport/transport.ts";
import type { Workload } from "../drivers/job.ts";
import type { Runtimes } from "./pairs.ts";
import { lineOf, type Placement } from "./placement.ts";
import type { Outcome, Sample } from "./rounds.ts";
import { expectedSpread, median, UNSTEADY } from "./statistics.ts";

export type { Driver } from "../../src/cli/words.ts";
export type Kind = "lat" | "thr";
export type Waiting = "spin" | "futex" | "adaptive" | "n/a";
/** A transport, or the lower bound that stands beside them: an interrupt of the other core. */
export type CellTransport = BenchTransport;
/** full: every byte is written and compared. plain: the sequence number is compared, and every byte read. */
export type CheckName = "full" | "plain";

export interface CellPlan {
  readonly kind: Kind;
  readonly transport: CellTransport;
  readonly trust: Trust | "n/a";
  readonly driver: Driver;
  readonly size_bytes: number;
  readonly cores: readonly [number, number];
  readonly batch: number;
  readonly ring_bytes: number;
  readonly check: CheckName;
  readonly seconds: number;
  readonly messages: number | undefined;
  readonly rounds: number;
  readonly burn_ns?: number;
}

export interface Cell {
  readonly kind: Kind;
  readonly transport: CellTransport;
  readonly waiting: Waiting;
  readonly trust: Trust | "n/a";
  readonly driver: Driver;
  /** 0 for the interrupt. */
  readonly size_bytes: number;
  readonly cores: readonly [number, number];
  readonly batch: number;
  /** Of each direction; kernel transports keep as much on their way. 0 for the interrupt. */
  readonly ring_bytes: number;
  readonly check: CheckName;
  /** What both ends did; see bench/drivers/job.ts. Native ends are always in a loop of their own. */
  readonly workload: Workload | "native";
  /** line_ns around the cell, medians over its runs; null on one core. */
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  readonly p50_ns?: number;
  readonly p99_ns?: number;
  readonly p999_ns?: number;
  /** [fraction, ns], medians over the runs. */
  readonly quantiles?: readonly (readonly [number, number])[];
  /** Of the run with the fewest. */
  readonly round_trips?: number;
  /** The interrupt: the same call while the other core runs nothing of the process, so that nobody is interrupted. */
  readonly idle_p50_ns?: number;
  readonly msgs_per_s?: number;
  readonly bytes_per_s?: number;
  /** Natively: what comparing by itself reaches on memory in the first cache. */
  readonly check_bytes_per_s?: number;
  /** One per run in fresh processes: p50_ns, or messages per second. */
  readonly runs: readonly number[];
  /** line_ns of each run, unless both ends share a core. */
  readonly run_lines_ns?: readonly number[];
  /** Runs that do not count, because the placement changed, or was not that of most. */
  readonly set_aside: number;
  /** By how much, relatively, the figure is expected to differ when the command is repeated. */
  readonly spread: number;
  /** That is more than 15 %. */
  readonly unsteady: boolean;
  readonly verified: true;
}

/** What one run of a cell gives. */
export interface RunFigures {
  /** p50_ns or messages per second. */
  readonly main: number;
  readonly p99_ns?: number;
  readonly p999_ns?: number;
  readonly quantiles?: readonly (readonly [number, number])[];
  readonly round_trips?: number;
  readonly idle_p50_ns?: number;
  readonly check_bytes_per_s?: number;
}

/** Each run has as many, unless a round trip takes milliseconds. */
export const ROUND_TRIPS = 10_000;
const MIN_RING_BYTES = 65_536;
const MAX_RING_BYTES = 64 << 20;

/** Sixteen messages fit, and at least the default ring is used. */
export function ringFor(sizeBytes: number): number {
  let ring = MIN_RING_BYTES;
  while (ring < sizeBytes * 16 && ring < MAX_RING_BYTES) ring *= 2;
  return ring;
}

export function waitingOf(transport: CellTransport): Waiting {
  const waiting = transport === "ipi" ? "kernel" : transportByName(transport).waiting;
  return waiting === "kernel" ? "n/a" : waiting;
}

/** "n/a" where trust changes nothing. */
export function trustOf(transport: CellTransport): Trust | "n/a" {
  return transport === "ipi" ? "n/a" : transportByName(transport).trust;
}

export function runtimesOf(driver: Driver): Runtimes | undefined {
  if (driver === "native") return undefined;
  const [first, second = first] = driver.split("-") as [Runtimes[0], Runtimes[0]?];
  return [first, second];
}

type Named = Pick<CellPlan, "kind" | "transport" | "trust" | "driver" | "size_bytes" | "cores" | "batch" | "check"> & {
  readonly ring_bytes?: number | undefined;
};

/** What tells a cell from every other of a report. */
export function nameOf(cell: Named): string {
  const cores = cell.cores.join(",");
  if (cell.transport === "ipi") return `${cell.kind} ipi cores ${cores}`;
  const trust = cell.trust === "n/a" ? "" : ` ${cell.trust}`;
  const batch = cell.batch === 1 ? "" : ` by ${cell.batch}`;
  const ring = cell.ring_bytes === undefined || cell.ring_bytes === ringFor(cell.size_bytes) ? "" : ` ring ${cell.ring_bytes}`;
  return `${cell.kind} ${cell.transport}${trust} ${cell.driver} ${cell.size_bytes} B${batch}${ring} cores ${cores} ${cell.check}`;
}

/** How JavaScript ends behave in a cell: a forced spin looks all the time, everything else awaits. */
export function workloadOf(plan: Pick<CellPlan, "kind" | "transport">): Workload {
  if (plan.kind === "thr") return "cursor";
  return plan.transport === "mempipe-spin" ? "spin" : "loop";
}

/** Undefined if nothing counted. */
export function cellOf(plan: CellPlan, outcome: Outcome<RunFigures>): Cell | undefined {
  const { samples } = outcome;
  if (samples.length === 0) return undefined;
  const of = (pick: (sample: Sample<RunFigures>) => number): number => median(samples.map(pick));
  const runs = samples.map(({ value }) => value.main);
  const oneCore = plan.cores[0] === plan.cores[1];
  const line = (pick: (placement: Placement) => number | null): number | null =>
    oneCore ? null : of(({ placement }) => pick(placement) ?? Number.NaN);
  const spread = expectedSpread(runs);
  return {
    kind: plan.kind,
    transport: plan.transport,
    waiting: waitingOf(plan.transport),
    trust: plan.trust,
    driver: plan.driver,
    size_bytes: plan.size_bytes,
    cores: plan.cores,
    batch: plan.batch,
    ring_bytes: plan.ring_bytes,
    check: plan.check,
    workload: plan.driver === "native" ? "native" : workloadOf(plan),
    placement_before_ns: line(({ before }) => before),
    placement_after_ns: line(({ after }) => after),
    ...(plan.kind === "lat" ? latencyOf(samples, median(runs)) : rateOf(plan, samples, median(runs))),
    runs,
    ...(oneCore ? {} : { run_lines_ns: samples.map(({ placement }) => lineOf(placement)) }),
    set_aside: outcome.setAside.length,
    spread,
    unsteady: !(spread <= UNSTEADY),
    verified: true,
  };
}

function latencyOf(samples: readonly Sample<RunFigures>[], p50: number): Partial<Cell> {
  const of = (pick: (value: RunFigures) => number | undefined): number => median(samples.map(({ value }) => pick(value) ?? Number.NaN));
  const trips = samples.flatMap(({ value }) => value.round_trips ?? []);
  const fractions = samples[0]?.value.quantiles ?? [];
  const idle = of((value) => value.idle_p50_ns);
  return {
    p50_ns: p50,
    p99_ns: of(({ p99_ns }) => p99_ns),
    p999_ns: of(({ p999_ns }) => p999_ns),
    ...(fractions.length === 0
      ? {}
      : { quantiles: fractions.map(([q], index) => [q, of(({ quantiles }) => quantiles?.[index]?.[1])] as const) }),
    ...(trips.length === 0 ? {} : { round_trips: Math.min(...trips) }),
    ...(Number.isNaN(idle) ? {} : { idle_p50_ns: idle }),
  };
}

function rateOf(plan: CellPlan, samples: readonly Sample<RunFigures>[], rate: number): Partial<Cell> {
  const checks = samples.flatMap(({ value }) => value.check_bytes_per_s ?? []);
  return {
    msgs_per_s: rate,
    bytes_per_s: rate * plan.size_bytes,
    ...(checks.length === 0 ? {} : { check_bytes_per_s: median(checks) }),
  };
}

/** Median line_ns over the samples that count. */
export function lineOfAll(samples: readonly Sample<unknown>[]): number {
  return median(samples.map(({ placement }) => lineOf(placement)));
}
