/**
 * The calibration table: what a message costs on this machine, by transport, size and situation, as `fable calibrate` measured it; and the model
 * that reads a cost for any size and any mixture of situations out of it. Pure: the text of a table comes from outside, checked here.
 */
import * as v from "valibot";
import { SHARED, type Transport, TRANSPORTS, type Trust } from "./facts.ts";

/** Changes when tables of before cannot be read any more; a table of another version is measured anew. */
export const TABLE_VERSION = 1;

export const PATTERNS = ["stream", "request"] as const;
export type Pattern = typeof PATTERNS[number];
/** Both ends on one core, or on two. */
export const PLACEMENTS = ["same", "across"] as const;
export type Placement = typeof PLACEMENTS[number];
/** Nothing else runs there, or something that never sleeps. */
export const LOADS = ["idle", "hog"] as const;
export type Load = typeof LOADS[number];
export const SIZES_BYTES = [64, 4096, 65_536, 1_048_576] as const;

/** What a table is valid for. */
export interface Fingerprint {
  readonly processor: string;
  readonly cpus: number;
  readonly kernel: string;
  readonly hypervisor: string | null;
}

/** One line of the table: nanoseconds per message, each at the size of the same place in `sizes_bytes`. */
export interface Row {
  readonly transport: Transport;
  readonly trust: Trust | "n/a";
  readonly pattern: Pattern;
  readonly placement: Placement;
  readonly load: Load;
  readonly sizes_bytes: readonly number[];
  readonly ns: readonly number[];
}

/** One cache line between two CPUs, one way. */
export interface CacheLine {
  readonly cpus: readonly [number, number];
  readonly ns: number;
}

export interface Table {
  readonly version: number;
  /** Null: built in, of no machine in particular. */
  readonly machine: Fingerprint | null;
  readonly made_at: string;
  readonly rows: readonly Row[];
  /** Between pairs of CPUs, as far as they were measured. */
  readonly lines?: readonly CacheLine[] | undefined;
}

const positive = v.pipe(v.number(), v.finite(), v.minValue(1e-3), v.maxValue(1e12));
const sizes = v.pipe(
  v.array(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 30))),
  v.minLength(1),
  v.maxLength(32),
  v.check((list) => list.every((size, at) => at === 0 || size > (list[at - 1] ?? 0)), "sizes that do not grow"),
);
const cpu = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8191));
const row = v.pipe(
  v.object({
    transport: v.picklist(TRANSPORTS),
    trust: v.picklist(["trusted", "untrusted", "n/a"]),
    pattern: v.picklist(PATTERNS),
    placement: v.picklist(PLACEMENTS),
    load: v.picklist(LOADS),
    sizes_bytes: sizes,
    ns: v.array(positive),
  }),
  v.check((one) => one.ns.length === one.sizes_bytes.length, "not as many times as sizes"),
  v.check((one) => SHARED.has(one.transport) === (one.trust !== "n/a"), "a trust that means nothing there"),
  v.check((one) => !(one.transport === "vmsplice-coop" && one.trust === "untrusted"), "pages lent to somebody untrusted"),
);
const schema = v.object({
  version: v.literal(TABLE_VERSION),
  machine: v.nullable(v.object({
    processor: v.string(),
    cpus: v.pipe(v.number(), v.integer(), v.minValue(1)),
    kernel: v.string(),
    hypervisor: v.nullable(v.string()),
  })),
  made_at: v.string(),
  lines: v.optional(v.pipe(v.array(v.object({ cpus: v.strictTuple([cpu, cpu]), ns: positive })), v.maxLength(8192))),
  rows: v.pipe(
    v.array(row),
    v.maxLength(1024),
    v.check((rows) => new Set(rows.map(keyOf)).size === rows.length, "a row twice"),
    // Without it there is nothing to fall back on.
    v.check(
      (rows) => ["trusted", "untrusted"].every((trust) => rows.some((it) => it.transport === "mempipe" && it.trust === trust)),
      "no mempipe",
    ),
  ),
});

/** A table from its text, or a sentence that says what is wrong with it. */
export function parseTable(text: string): { readonly table: Table } | { readonly problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: "it is not JSON" };
  }
  const result = v.safeParse(schema, value);
  if (result.success) return { table: result.output };
  const [issue] = result.issues;
  return { problem: `${v.getDotPath(issue) ?? "it"}: ${issue.message}` };
}

/** Whether a table was made for that machine and kernel. */
export function fits(table: Table, machine: Fingerprint): boolean {
  const { machine: made } = table;
  return made !== null && made.processor === machine.processor && made.cpus === machine.cpus && made.kernel === machine.kernel
    && made.hypervisor === machine.hypervisor;
}

export interface Situation {
  readonly trust: Trust;
  readonly bytes: number;
  /** How much of each there is, 0 to 1. */
  readonly request: number;
  readonly together: number;
  readonly load: number;
}

/** Reads costs out of a table. Made once for each table, asked for every transport, flow and sample: places in a list instead of words. */
export class CostModel {
  readonly table: Table;
  readonly #rows: readonly (Row | undefined)[];
  readonly #lines: ReadonlyMap<string, number>;

  constructor(table: Table) {
    this.table = table;
    const rows: (Row | undefined)[] = [];
    for (const one of table.rows) {
      const place = rowOf(one.transport, one.trust === "untrusted", one.pattern === "request", one.placement === "same");
      rows[place + (one.load === "hog" ? 1 : 0)] = one;
    }
    this.#rows = rows;
    this.#lines = new Map((table.lines ?? []).map(({ cpus: [a, b], ns }) => [pairOf(a, b), ns]));
  }

  /** One cache line between two CPUs; undefined if nobody measured it. */
  lineNs(a: number, b: number): number | undefined {
    return this.#lines.get(pairOf(a, b));
  }

  /** True for a table that was measured, not brought along. */
  get measured(): boolean {
    return this.table.machine !== null;
  }

  /** Nanoseconds per message; undefined for what the table does not know, such as a transport that does not work here. */
  nsPerMessage(transport: Transport, situation: Situation): number | undefined {
    const { request, together } = situation;
    const untrusted = situation.trust === "untrusted" && SHARED.has(transport);
    let sum = 0;
    for (let which = 0; which < 4; which++) {
      const [asks, same] = [which >= 2, which % 2 === 1];
      const much = (asks ? request : 1 - request) * (same ? together : 1 - together);
      if (much <= 0) continue;
      const ns = this.#underLoad(rowOf(transport, untrusted, asks, same), situation);
      if (ns === undefined) return undefined;
      sum += much * ns;
    }
    return sum;
  }

  #underLoad(place: number, { bytes, load }: Situation): number | undefined {
    const [idle, hog] = [this.#rows[place], this.#rows[place + 1]];
    if (idle === undefined) return hog === undefined ? undefined : interpolate(hog, bytes);
    const quiet = interpolate(idle, bytes);
    return load <= 0 || hog === undefined ? quiet : quiet * (1 - load) + interpolate(hog, bytes) * load;
  }
}

/** Where the row of a quiet machine lies; that with a hog comes after it. */
function rowOf(transport: Transport, untrusted: boolean, request: boolean, same: boolean): number {
  return (((PLACES[transport] * 2 + Number(untrusted)) * 2 + Number(request)) * 2 + Number(same)) * 2;
}

const PLACES = Object.fromEntries(TRANSPORTS.map((transport, place) => [transport, place])) as Readonly<Record<Transport, number>>;

function pairOf(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function keyOf(row: Pick<Row, "transport" | "trust" | "pattern" | "placement" | "load">): string {
  return `${row.transport} ${row.trust} ${row.pattern} ${row.placement} ${row.load}`;
}

/** Between two sizes along a straight line of logarithms; below the smallest as there; beyond the largest in proportion to the size. */
function interpolate({ sizes_bytes: sizes, ns }: Row, bytes: number): number {
  const last = sizes.length - 1;
  const size = Math.max(1, bytes);
  const [smallest = 1, largest = 1] = [sizes[0], sizes[last]];
  if (size <= smallest) return ns[0] ?? 0;
  if (size >= largest) return ((ns[last] ?? 0) * size) / largest;
  const above = sizes.findIndex((one) => one >= size);
  const [x0, x1] = [Math.log(sizes[above - 1] ?? 1), Math.log(sizes[above] ?? 1)];
  const [y0, y1] = [Math.log(ns[above - 1] ?? 1), Math.log(ns[above] ?? 1)];
  return Math.exp(y0 + ((y1 - y0) * (Math.log(size) - x0)) / (x1 - x0));
}
