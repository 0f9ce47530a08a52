/** Rows of the JavaScript ends: against the line, against the clock, and against the runtime's own Unix socket. */
import type { Workload } from "../drivers/job.ts";
import type { RuntimeName } from "../runner/checkout.ts";
import { probe } from "../runner/native.ts";
import { type PairJob, pairLatency, pairRates, type Runtimes } from "../runner/pairs.ts";
import { lineOf } from "../runner/placement.ts";
import { median } from "../runner/statistics.ts";
import { around, type Cores, inTurn } from "./native-rows.ts";
import type { Row } from "./row.ts";

const BOTH: readonly RuntimeName[] = ["bun", "deno"];
const PAIRS: readonly Runtimes[] = [["bun", "bun"], ["deno", "deno"], ["bun", "deno"], ["deno", "bun"]];
const STREAM_RUNS = 3;
/** Deno's writes are asynchronous: this many under way at once is the fastest way to write one message at a time. */
const PIPELINE: Readonly<Record<RuntimeName, number>> = { bun: 1, deno: 16 };
const LARGE_BYTES = 65_536;
const LARGE_RING_BYTES = 4 << 20;

export function scriptRows(cores: Cores, broker: string): readonly Row[] {
  return [
    ...PAIRS.map((runtimes) => spin(cores, runtimes)),
    ...PAIRS.map((runtimes) => busy(cores, runtimes)),
    ...BOTH.map((runtime) => asleep(cores, runtime)),
    ...BOTH.map((runtime) => stream(cores, runtime, "friendly", "64 B messages/s, friendly API, over the own Unix socket", 5, 10)),
    ...BOTH.map((runtime) => stream(cores, runtime, "cursor", "64 B messages/s, cursors by 16, over the own Unix socket", 12, 30)),
    ...BOTH.map((runtime) => stream(cores, runtime, "zero-copy", "64 KiB zero-copy, over the own Unix socket", 8, 12)),
    ...BOTH.map((runtime) => connect(cores, runtime, broker)),
  ];
}

function label(runtimes: Runtimes): string {
  return runtimes.join(" → ");
}

function spin(cores: Cores, runtimes: Runtimes): Row {
  return {
    title: "JS spin, one way p50, 48 B, over line_ns",
    cell: label(runtimes),
    sense: "≤",
    unit: "×",
    must: 2.5,
    reach: 1.6,
    async run() {
      const before = await probe(cores);
      const got = await pairLatency({ runtimes, workload: "spin", transport: "mempipe-spin", sizeBytes: 48, cores, roundTrips: 20_000 });
      const placement = { before, after: await probe(cores) };
      const parts = { p50_ns: got.p50_ns, p99_ns: got.p99_ns, line_ns: lineOf(placement) };
      return { value: { value: got.p50_ns / lineOf(placement), parts }, placement };
    },
  };
}

function busy(cores: Cores, runtimes: Runtimes): Row {
  return {
    title: "awaiting in the event loop, peer busy: round trip p50",
    cell: label(runtimes),
    sense: "≤",
    unit: "µs",
    must: 2,
    reach: 1,
    run: () =>
      around(cores, async () => {
        const got = await pairLatency({ runtimes, workload: "loop", sizeBytes: 64, cores });
        const parts = { round_trip_p50_ns: got.p50_ns * 2, round_trip_p99_ns: got.p99_ns * 2 };
        return { value: got.p50_ns * 2 / 1000, parts };
      }),
  };
}

function asleep(cores: Cores, runtime: RuntimeName): Row {
  const job: PairJob = { runtimes: [runtime, runtime], workload: "asleep", sizeBytes: 64, cores, roundTrips: 300, restMs: 2 };
  return {
    title: "both ends asleep ≥ 1 ms: round trip p50 over the own Unix socket",
    cell: runtime,
    sense: "≤",
    unit: "×",
    must: 1.2,
    reach: 1,
    run: (forth) =>
      around(cores, async () => {
        const [ours, theirs] = await inTurn(forth, () => pairLatency(job), () => pairLatency({ ...job, medium: "socket" }));
        const parts = { fable_round_trip_ns: ours.p50_ns * 2, socket_round_trip_ns: theirs.p50_ns * 2 };
        return { value: ours.p50_ns / theirs.p50_ns, parts };
      }),
  };
}

function stream(cores: Cores, runtime: RuntimeName, workload: Workload, title: string, must: number, reach: number): Row {
  const large = workload === "zero-copy";
  const size = large ? { sizeBytes: LARGE_BYTES, ringBytes: LARGE_RING_BYTES, batch: 1 } : { sizeBytes: 64, ringBytes: 65_536, batch: 16 };
  const job: PairJob = { runtimes: [runtime, runtime], workload, cores, runs: STREAM_RUNS, ...size };
  // One write per message, however many of ours are published at once: that is what a program does which has messages to send.
  const baseline: PairJob = {
    ...job,
    medium: "socket",
    workload: large ? "zero-copy" : "friendly",
    batch: 1,
    pipeline: large ? 1 : PIPELINE[runtime],
  };
  return {
    title: `JS ${title}`,
    cell: runtime,
    sense: "≥",
    unit: "×",
    must,
    reach,
    run: (forth) =>
      around(cores, async () => {
        const rate = async (one: PairJob): Promise<number> => median((await pairRates(one)).rates);
        const [ours, theirs] = await inTurn(forth, () => rate(job), () => rate(baseline));
        const gathered = large ? undefined : await rate({ ...baseline, batch: 16, pipeline: 1 });
        const parts = { fable_per_s: ours, socket_per_s: theirs, ...(gathered === undefined ? {} : { socket_by_16_per_s: gathered }) };
        return { value: ours / theirs, parts };
      }),
  };
}

function connect(cores: Cores, runtime: RuntimeName, broker: string): Row {
  return {
    title: "connect by name, broker running, p50",
    cell: runtime,
    sense: "≤",
    unit: "µs",
    must: 1000,
    reach: 300,
    run: () =>
      around(cores, async () => {
        // unpinned: three processes share two cores, and the scheduler knows best
        const got = await pairLatency({ runtimes: [runtime, runtime], workload: "connect", path: broker, roundTrips: 200 });
        return { value: got.p50_ns / 1000, parts: { p50_ns: got.p50_ns, p99_ns: got.p99_ns } };
      }),
  };
}
