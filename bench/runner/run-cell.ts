/** One run of one cell in fresh processes: natively, between runtimes, or the interrupt. */
import type { TransportName } from "../../src/transport/transport.ts";
import { isStream } from "../drivers/job.ts";
import { type CellPlan, nameOf, ROUND_TRIPS, type RunFigures, runtimesOf, workloadOf } from "./cells.ts";
import { nativeInterrupt, nativeLatency, nativeRate, placementOf, probe } from "./native.ts";
import { type PairJob, pairLatency, pairRates, type Runtimes } from "./pairs.ts";
import type { Sample, Task } from "./rounds.ts";
import { median } from "./statistics.ts";

export function taskOf(plan: CellPlan): Task<RunFigures> {
  const runtimes = runtimesOf(plan.driver);
  const cores = plan.cores.join(",");
  const task = { name: nameOf(plan), rounds: plan.rounds, group: cores, probe: () => probe(plan.cores) };
  if (plan.transport === "ipi") return { ...task, run: () => runInterrupt(cores) };
  if (runtimes !== undefined) return { ...task, run: () => runJavaScript(plan, plan.transport as TransportName, runtimes) };
  // What fills the time of the first run is what each later one sends: finding it out takes as long as measuring.
  let messages = plan.messages;
  return {
    ...task,
    async run() {
      const { sample, sent } = await runNative(plan, messages);
      messages ??= sent;
      return sample;
    },
  };
}

async function runInterrupt(cores: string): Promise<Sample<RunFigures>> {
  const got = await nativeInterrupt({ cores, "round-trips": ROUND_TRIPS });
  return { value: { ...figures(got), idle_p50_ns: got.idle_p50_ns }, placement: placementOf(got) };
}

type Latency = Pick<RunFigures, "quantiles" | "round_trips"> & {
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly p999_ns: number;
};

function figures({ p50_ns, p99_ns, p999_ns, quantiles, round_trips }: Latency): RunFigures {
  return {
    main: p50_ns,
    p99_ns,
    p999_ns,
    ...(quantiles === undefined ? {} : { quantiles }),
    ...(round_trips === undefined ? {} : { round_trips }),
  };
}

async function runNative(plan: CellPlan, messages: number | undefined): Promise<{ sample: Sample<RunFigures>; sent: number | undefined }> {
  const options = {
    transport: plan.transport,
    trust: plan.trust === "n/a" ? "trusted" : plan.trust,
    size: plan.size_bytes,
    ring: plan.ring_bytes,
    cores: plan.cores.join(","),
    batch: plan.batch,
    check: plan.check,
    seconds: plan.seconds,
    runs: 1,
    ...(plan.burn_ns === undefined ? {} : { "burn-ns": plan.burn_ns }),
  };
  if (plan.kind === "lat") {
    const length = plan.messages === undefined
      ? { "round-trips": ROUND_TRIPS, "least-seconds": plan.seconds }
      : { "round-trips": plan.messages };
    const got = await nativeLatency({ ...options, ...length });
    return { sample: { value: figures(got), placement: placementOf(got) }, sent: undefined };
  }
  const got = await nativeRate({ ...options, ...(messages === undefined ? {} : { messages }) });
  const check = got.check_bytes_per_s === undefined ? {} : { check_bytes_per_s: got.check_bytes_per_s };
  return { sample: { value: { main: got.msgs_per_s, ...check }, placement: placementOf(got) }, sent: got.messages };
}

async function runJavaScript(plan: CellPlan, transport: TransportName, runtimes: Runtimes): Promise<Sample<RunFigures>> {
  const job: PairJob = {
    runtimes,
    workload: workloadOf(plan),
    transport,
    trust: plan.trust === "n/a" ? "trusted" : plan.trust,
    sizeBytes: plan.size_bytes,
    ringBytes: plan.ring_bytes,
    cores: plan.cores,
    batch: plan.batch,
    check: plan.check,
    seconds: plan.seconds,
    runs: 1,
    limitSeconds: plan.seconds * 10,
    roundTrips: plan.kind === "lat" ? plan.messages ?? ROUND_TRIPS : ROUND_TRIPS,
    ...(plan.messages === undefined ? {} : { messages: plan.messages }),
  };
  const before = await probe(plan.cores);
  const value = await figuresOf(job);
  return { value, placement: { before, after: await probe(plan.cores) } };
}

async function figuresOf(job: PairJob): Promise<RunFigures> {
  return isStream(job.workload) ? { main: median((await pairRates(job)).rates) } : figures(await pairLatency(job));
}
