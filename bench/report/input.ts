/**
 * What a report is drawn from: the JSON of `fable bench --json`, one file or several. A reader of files that other versions wrote is tolerant: a field may be
 * absent, and what makes no sense is left out and counted.
 */
import * as v from "valibot";

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
/** A field that is absent, or that makes no sense, is absent. */
const optional = <T>(schema: v.GenericSchema<unknown, T>) => v.fallback(v.optional(schema), undefined);
const count = v.fallback(v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0), 0);
const runs = v.fallback(v.optional(v.array(v.pipe(v.number(), v.finite())), []), []);
const kind = v.picklist(["lat", "thr"]);
const cores = v.tuple([v.pipe(v.number(), v.integer(), v.minValue(0)), v.pipe(v.number(), v.integer(), v.minValue(0))]);
const line = v.fallback(v.optional(v.nullable(positive), null), null);

const cellSchema = v.object({
  kind,
  transport: v.string(),
  waiting: v.fallback(v.optional(v.string(), "n/a"), "n/a"),
  trust: v.fallback(v.optional(v.string(), "n/a"), "n/a"),
  driver: v.fallback(v.optional(v.string(), "native"), "native"),
  size_bytes: v.pipe(v.number(), v.finite(), v.minValue(0)),
  cores,
  batch: v.fallback(v.optional(v.number(), 1), 1),
  check: v.fallback(v.optional(v.string(), "full"), "full"),
  placement_before_ns: line,
  placement_after_ns: line,
  p50_ns: optional(positive),
  p99_ns: optional(positive),
  p999_ns: optional(positive),
  msgs_per_s: optional(positive),
  bytes_per_s: optional(positive),
  check_bytes_per_s: optional(positive),
  idle_p50_ns: optional(positive),
  quantiles: v.fallback(v.optional(v.array(v.tuple([v.pipe(v.number(), v.minValue(0), v.maxValue(1)), positive])), []), []),
  runs,
  set_aside: count,
  spread: optional(v.pipe(v.number(), v.finite(), v.minValue(0))),
  unsteady: v.fallback(v.optional(v.boolean(), false), false),
});

const peerSchema = v.object({
  peer: v.string(),
  runtime: v.fallback(v.optional(v.string(), ""), ""),
  kind,
  size_bytes: v.pipe(v.number(), v.finite(), v.minValue(0)),
  cores,
  placement_before_ns: line,
  placement_after_ns: line,
  p50_ns: optional(positive),
  msgs_per_s: optional(positive),
  runs,
  ours: optional(v.object({ transport: v.string(), driver: v.string(), value: positive })),
  ratio: optional(positive),
});

/** A cell of `fable bench regret`. */
const regretSchema = v.object({
  pattern: v.picklist(["stream", "request"]),
  size_bytes: positive,
  cores,
  hog: v.fallback(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))), null),
  trust: v.string(),
  best: v.string(),
  chosen: v.string(),
  why: v.fallback(v.optional(v.string(), ""), ""),
  regret: v.pipe(v.number(), v.finite(), v.minValue(0)),
  regret_error: v.fallback(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))), null),
  same_again: v.fallback(v.pipe(v.number(), v.finite(), v.minValue(0)), 0),
  moves: count,
});

const reason = v.fallback(v.optional(v.string(), ""), "");
/** A cell has a name; a peer has one too, and a runtime. */
const failureSchema = v.union([
  v.object({ cell: v.string(), reason }),
  v.pipe(
    v.object({ peer: v.string(), runtime: v.fallback(v.optional(v.string(), ""), ""), reason }),
    v.transform(({ peer, runtime, reason: why }) => ({ cell: namePeer(peer, runtime), reason: why })),
  ),
]);

export type ReadCell = v.InferOutput<typeof cellSchema>;
export type ReadPeer = v.InferOutput<typeof peerSchema>;
export type ReadRegret = v.InferOutput<typeof regretSchema>;
export type Failure = v.InferOutput<typeof failureSchema>;

/** The same peer may run in several runtimes. */
export function namePeer(peer: string, runtime: string): string {
  return runtime === "" ? peer : `${peer} (${runtime})`;
}

/** What `renderReport` takes: the JSON of a run as its writer has it. Everything in it is looked at before it is believed. */
export interface BenchReport {
  readonly environment?: object;
  readonly cells?: readonly object[];
  readonly set_aside?: number;
  readonly failed?: readonly object[];
  readonly skipped?: readonly object[];
  readonly interrupted?: boolean;
  readonly peers?: readonly object[];
}

/** A report as it was understood. */
export interface ReadReport {
  readonly environment: Readonly<Record<string, unknown>>;
  readonly cells: readonly ReadCell[];
  readonly peers: readonly ReadPeer[];
  readonly regrets: readonly ReadRegret[];
  readonly failed: readonly Failure[];
  /** What the machine, or the kind of cell, does not allow. */
  readonly skipped: readonly Failure[];
  /** Somebody ended the run early. */
  readonly interrupted: boolean;
  /** Runs that do not count because the placement changed during them, over all cells. */
  readonly setAside: number;
  /** Entries that could not be understood. */
  readonly unreadable: number;
}

export function readReport(report: unknown): ReadReport {
  const { environment, cells, peers, failed, skipped, interrupted, set_aside } = record(report);
  const [judged, timed] = parted(cells, (cell) => "regret" in record(cell));
  const read = {
    cells: readAll(cellSchema, timed),
    regrets: readAll(regretSchema, judged),
    peers: readAll(peerSchema, peers),
    failed: readAll(failureSchema, failed),
    skipped: readAll(failureSchema, skipped),
  };
  const measured = read.cells.good.filter((cell) => (cell.kind === "lat" ? cell.p50_ns : cell.msgs_per_s) !== undefined);
  return {
    environment: record(environment),
    cells: measured,
    peers: read.peers.good,
    regrets: read.regrets.good,
    failed: read.failed.good,
    skipped: read.skipped.good,
    interrupted: interrupted === true,
    setAside: v.is(v.pipe(v.number(), v.integer(), v.minValue(0)), set_aside)
      ? set_aside
      : measured.reduce((total, cell) => total + cell.set_aside, 0),
    unreadable: read.cells.bad + read.peers.bad + read.regrets.bad + read.failed.bad + read.skipped.bad + read.cells.good.length
      - measured.length,
  };
}

/** Reports of several runs as one; of one machine, or it says why not. The environment is that of the first. */
export function mergeReports(reports: readonly unknown[]): ReadReport {
  const all = reports.map(readReport);
  const machines = new Set(
    all.filter(({ environment }) => Object.keys(environment).length > 0).map(({ environment }) => machineOf(environment)),
  );
  if (machines.size > 1) throw new Error(`these are runs of different machines, which a page does not mix: ${[...machines].join("; ")}`);
  const sum = (pick: (report: ReadReport) => number): number => all.reduce((total, report) => total + pick(report), 0);
  return {
    environment: all.find(({ environment }) => Object.keys(environment).length > 0)?.environment ?? {},
    cells: all.flatMap(({ cells }) => cells),
    peers: all.flatMap(({ peers }) => peers),
    regrets: all.flatMap(({ regrets }) => regrets),
    failed: all.flatMap(({ failed }) => failed),
    skipped: all.flatMap(({ skipped }) => skipped),
    interrupted: all.some(({ interrupted }) => interrupted),
    setAside: sum(({ setAside }) => setAside),
    unreadable: sum(({ unreadable }) => unreadable),
  };
}

function machineOf(environment: Readonly<Record<string, unknown>>): string {
  const { cpus, cpu } = environment;
  return `${typeof cpus === "number" ? `${cpus} × ` : ""}${typeof cpu === "string" ? cpu : "unknown processor"}`;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : {};
}

function parted(values: unknown, is: (value: unknown) => boolean): readonly [readonly unknown[], readonly unknown[]] {
  const all: readonly unknown[] = Array.isArray(values) ? values : [];
  return [all.filter(is), all.filter((value) => !is(value))];
}

function readAll<T>(schema: v.GenericSchema<unknown, T>, values: unknown): { readonly good: readonly T[]; readonly bad: number } {
  if (!Array.isArray(values)) return { good: [], bad: 0 };
  const results = values.map((value) => v.safeParse(schema, value));
  const good = results.flatMap((result) => (result.success ? [result.output] : []));
  return { good, bad: results.length - good.length };
}
