/** What `fable calibrate` measures, in which order, and the table that becomes of it. Pure. */
import { SHARED, type Transport, TRANSPORTS, type Trust } from "../policy/facts.ts";
import type { Fingerprint, Load, Pattern, Placement, Row, Table } from "../policy/table.ts";
import { PATTERNS, SIZES_BYTES, TABLE_VERSION } from "../policy/table.ts";

/** Where both ends and a hog run. */
export interface Setting {
  readonly placement: Placement;
  readonly cpus: readonly [number, number];
  readonly hogCpu: number | undefined;
}

/** Measured without moving the channel in between. */
export interface Stage {
  readonly transport: Transport;
  readonly ringBytes: number;
  readonly sizesBytes: readonly number[];
}

/** Measured over one channel, without moving processes in between. */
export interface Round {
  readonly trust: Trust;
  readonly setting: Setting;
  readonly stages: readonly Stage[];
}

export interface Sample {
  readonly transport: Transport;
  readonly trust: Trust | "n/a";
  readonly pattern: Pattern;
  readonly placement: Placement;
  readonly load: Load;
  readonly sizeBytes: number;
  readonly ns: number;
}

/** Both ends on one CPU and on two, with and without a hog on each. With one CPU only the first. */
export function settingsFor(cpus: readonly number[]): readonly Setting[] {
  const [a = 0, b] = cpus;
  const same = [undefined, a].map((hogCpu): Setting => ({ placement: "same", cpus: [a, a], hogCpu }));
  if (b === undefined) return same;
  return [...[undefined, a, b].map((hogCpu): Setting => ({ placement: "across", cpus: [a, b], hogCpu })), ...same];
}

/** Rings as the policy would make them for those sizes. */
const RINGS: readonly (readonly [ringBytes: number, sizesBytes: readonly number[]])[] = [
  [65_536, SIZES_BYTES.slice(0, 2)],
  [524_288, SIZES_BYTES.slice(2, 3)],
  [4_194_304, SIZES_BYTES.slice(3)],
];

/** Everything, ordered so that processes are moved about as rarely as possible. */
export function rounds(cpus: readonly number[], transports: readonly Transport[] = TRANSPORTS): readonly Round[] {
  return settingsFor(cpus).flatMap((setting) =>
    (["trusted", "untrusted"] as const).map((trust): Round => {
      const possible = transports.filter((transport) => trust === "trusted" || (SHARED.has(transport) && transport !== "vmsplice-coop"));
      return { trust, setting, stages: possible.flatMap(stagesOf) };
    }).filter(({ stages }) => stages.length > 0)
  );
}

/** Also over the kernel's paths a writer waits when its memory is full of what the other end has not taken: with 4 MiB of it, 4 KiB over tcp on one core took 1.7 µs, with 64 KiB 2.3. */
function stagesOf(transport: Transport): readonly Stage[] {
  return RINGS.map(([ringBytes, sizesBytes]) => ({ transport, ringBytes, sizesBytes }));
}

/** How many cells a round fills. */
export function cellsOf({ stages }: Round): number {
  return stages.reduce((sum, { sizesBytes }) => sum + sizesBytes.length * PATTERNS.length, 0);
}

/** The table of all samples. Several of one cell, as with a hog on this core or that one, become their mean. */
export function tableOf(samples: readonly Sample[], machine: Fingerprint, madeAt: string): Table {
  const cells = new Map<string, { readonly sample: Sample; readonly bySize: Map<number, number[]> }>();
  for (const sample of samples) {
    const { transport, trust, pattern, placement, load } = sample;
    const key = [transport, trust, pattern, placement, load].join(" ");
    const cell = cells.get(key) ?? { sample, bySize: new Map<number, number[]>() };
    cells.set(key, cell);
    cell.bySize.set(sample.sizeBytes, [...cell.bySize.get(sample.sizeBytes) ?? [], sample.ns]);
  }
  const rows = [...cells.values()].map(({ sample: { transport, trust, pattern, placement, load }, bySize }): Row => {
    const sizes = [...bySize.keys()].sort((x, y) => x - y);
    const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
    return {
      transport,
      trust,
      pattern,
      placement,
      load,
      sizes_bytes: sizes,
      ns: sizes.map((size) => rounded(mean(bySize.get(size) ?? []))),
    };
  });
  return { version: TABLE_VERSION, machine, made_at: madeAt, rows: withoutOtherCores(rows) };
}

/** On a machine with one CPU there is no "across", and nothing that would ever be there. */
function withoutOtherCores(rows: readonly Row[]): readonly Row[] {
  if (rows.some(({ placement }) => placement === "across")) return rows;
  return [...rows, ...rows.map((row): Row => ({ ...row, placement: "across" }))];
}

function rounded(ns: number): number {
  return Number(ns.toPrecision(4));
}
