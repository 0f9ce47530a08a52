/** What `fable bench` may be asked for, and the cells that come of it. Pure: which cores there are is given. */
import type { BenchOptions as Asked } from "../../src/cli/bench.ts";
import type { CoreChoice } from "../../src/cli/usage.ts";
import type { TransportName, Trust } from "../../src/transport/transport.ts";
import type { CellPlan, CellTransport, CheckName, Kind } from "./cells.ts";
import { nameOf, ringFor, runtimesOf, trustOf } from "./cells.ts";

export interface BenchOptions extends Asked {
  /** Tests only: makes the native ends of one transport slower by as many nanoseconds per message. */
  readonly planted?: { readonly transport: TransportName; readonly burn_ns: number };
}

/** A mistake in the options: one sentence. */
export class BenchUsageError extends Error {
  override readonly name = "UsageError";
}

export interface NotMeasured {
  readonly cell: string;
  readonly reason: string;
}

export interface Plan {
  readonly cells: readonly CellPlan[];
  /** What was asked for and cannot be, whatever happens. */
  readonly skipped: readonly NotMeasured[];
}

const DEFAULT_TRANSPORTS: readonly CellTransport[] = ["mempipe-spin", "mempipe", "mempipe-futex", "unix", "tcp"];
const DEFAULT_BATCH = 16;
const DEFAULT_SECONDS = 0.2;
/** A sequence number. */
const SMALLEST = 8;
/** A message in place takes a quarter of its ring at most. */
const MESSAGES_IN_RING = 4;
/** Enough for an exact interval between two reports of a hundred cells that an outlier does not spoil. A run of JavaScript takes ten times as long. */
export const ROUNDS = { native: 11, javascript: 7 };

/** Every combination of the options, without those that mean the same. */
export function planCells(kind: Kind, options: BenchOptions, allowed: readonly number[]): Plan {
  const { transport = DEFAULT_TRANSPORTS, driver = ["native"], seconds = DEFAULT_SECONDS, messages, rounds } = options;
  const sizes = options.size ?? (kind === "lat" ? [64] : [64, 4096, 65_536]);
  const small = sizes.find((size) => size < SMALLEST);
  if (small !== undefined) {
    throw new BenchUsageError(`messages of ${small} bytes are not measured: each carries a sequence number of ${SMALLEST} bytes`);
  }
  const { ring = Number.POSITIVE_INFINITY } = options;
  const large = sizes.find((size) => size > ring / MESSAGES_IN_RING);
  if (large !== undefined) {
    throw new BenchUsageError(`a ring of ${ring} bytes is too small for messages of ${large} bytes: it holds four of them`);
  }
  const cells: CellPlan[] = [];
  const skipped: NotMeasured[] = [];
  const add = (plan: CellPlan): void => {
    const reason = impossible(plan);
    if (reason === undefined) cells.push(plan);
    else skipped.push({ cell: nameOf(plan), reason });
  };
  for (const cores of coresOf(options.cores, allowed)) {
    if (transport.includes("ipi")) {
      add(interruptPlan({ kind, driver: "native", cores, seconds, messages, rounds: rounds ?? ROUNDS.native }));
    }
    for (const by of driver) {
      const base = { kind, driver: by, cores, seconds, messages, rounds: rounds ?? (by === "native" ? ROUNDS.native : ROUNDS.javascript) };
      for (const size_bytes of sizes) {
        for (const name of transport.filter((one) => one !== "ipi")) {
          for (const trust of trustsOf(name, options.trust ?? "trusted")) {
            for (const check of checksOf(kind, options.check)) {
              const batch = kind === "lat" ? 1 : options.batch ?? DEFAULT_BATCH;
              const burn = options.planted?.transport === name ? { burn_ns: options.planted.burn_ns } : {};
              add({ ...base, transport: name, trust, size_bytes, batch, ring_bytes: options.ring ?? ringFor(size_bytes), check, ...burn });
            }
          }
        }
      }
    }
  }
  const [first] = skipped;
  if (cells.length === 0 && first !== undefined) throw new BenchUsageError(`nothing is left to measure: ${first.cell}: ${first.reason}`);
  return { cells, skipped };
}

/** No payload, and nothing to check: one cell for each pair of cores. */
function interruptPlan(base: Omit<CellPlan, "transport" | "trust" | "size_bytes" | "batch" | "ring_bytes" | "check">): CellPlan {
  return { ...base, transport: "ipi", trust: "n/a", size_bytes: 0, batch: 1, ring_bytes: 0, check: "plain" };
}

function trustsOf(transport: CellTransport, asked: Trust | "both"): readonly (Trust | "n/a")[] {
  if (trustOf(transport) === "n/a") return ["n/a"];
  return asked === "both" ? ["trusted", "untrusted"] : [asked];
}

function checksOf(kind: Kind, asked: CheckName | "both" | undefined): readonly CheckName[] {
  const wanted = asked ?? (kind === "lat" ? "full" : "both");
  return wanted === "both" ? ["full", "plain"] : [wanted];
}

/** Half a sentence if a cell makes no sense anywhere. */
function impossible(plan: CellPlan): string | undefined {
  if (plan.transport === "ipi" && plan.kind === "thr") return "an interrupt carries no messages";
  if (plan.transport === "ipi" && plan.cores[0] === plan.cores[1]) return "an interrupt goes to another core";
  if (plan.transport === "vmsplice-coop" && plan.trust === "untrusted") {
    return "vmsplice-coop hands out the sender's own pages, so it is refused to an end that is not trusted";
  }
  return undefined;
}

function coresOf(choice: CoreChoice | undefined, allowed: readonly number[]): readonly (readonly [number, number])[] {
  const first = allowed[0] ?? 0;
  if (choice === "same") return [[first, first]];
  if (choice === "all") return allowed.flatMap((a) => allowed.map((b) => [a, b] as const));
  if (choice === undefined && allowed.length < 2) {
    throw new BenchUsageError("there is no second core for the other end: use --cores same");
  }
  const cores = choice ?? [first, allowed[1] ?? first];
  const absent = cores.find((core) => !allowed.includes(core));
  if (absent !== undefined) {
    throw new BenchUsageError(
      `core ${absent} is not there for this process: ${allowed.length === 1 ? "use --cores same" : `it may use ${allowed.join(", ")}`}`,
    );
  }
  return [cores];
}

/** The runtimes that the cells need. */
export function runtimesFor(cells: readonly CellPlan[]): readonly ("bun" | "deno")[] {
  return [...new Set(cells.flatMap(({ driver }) => runtimesOf(driver) ?? []))];
}
