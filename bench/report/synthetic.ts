/**
 * Made-up input of machines we do not have, shaped like the authors' figures: 48 Opteron cores in dies of six, two dies a socket, four sockets. Seeded, so that
 * the same seed gives the same report. Nothing in it was measured; it tries the page, and nothing else is to be learned from it.
 *
 *     bun bench/report/synthetic.ts OUT.json [CORES] [SEED]
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import type { BenchReport, ReadCell, ReadPeer } from "./input.ts";

type Pair = readonly [number, number];
/** What a report has in its cells; what is absent here is absent there. */
export type SyntheticCell = Partial<ReadCell> & Pick<ReadCell, "kind" | "transport" | "size_bytes" | "cores">;

const DIE = 6;
const SOCKET = 12;
const QUANTILES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

/** Small, fast and good enough for noise (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A cache line by the distance of its cores: same die, same socket, one hop, two hops. */
function lineNs([a, b]: Pair): number {
  if (Math.floor(a / DIE) === Math.floor(b / DIE)) return 52;
  if (Math.floor(a / SOCKET) === Math.floor(b / SOCKET)) return 98;
  return (Math.floor(a / SOCKET) + Math.floor(b / SOCKET)) % 2 === 1 ? 190 : 245;
}

interface Model {
  readonly transport: string;
  readonly trusts: readonly string[];
  readonly waiting: string;
  /** One-way latency: on one core; across, as a part of its own and a number of cache lines. */
  readonly sameNs: number;
  readonly baseNs: number;
  readonly lines: number;
  /** GB/s across near cores for 64 B, 4 KiB, 64 KiB; and what is left of it on one core. */
  readonly rates: readonly [number, number, number];
  readonly same: number;
}

const SHARED = ["trusted", "untrusted"];
const KERNEL = ["n/a"];

/** The authors' shape: mempipe ≤ 1 µs, pipe 13, unix 18, tcp 27; spinning on one core takes 66.9 ms, tcp 15 µs. */
const MODELS: readonly Model[] = [
  {
    transport: "mempipe-spin",
    trusts: SHARED,
    waiting: "spin",
    sameNs: 66.9e6,
    baseNs: 40,
    lines: 3.2,
    rates: [0.9, 3.9, 4.2],
    same: 0.0002,
  },
  {
    transport: "mempipe-futex",
    trusts: SHARED,
    waiting: "futex",
    sameNs: 7_900,
    baseNs: 10_500,
    lines: 7,
    rates: [0.28, 2.6, 3.4],
    same: 0.9,
  },
  { transport: "shmem-pipe", trusts: SHARED, waiting: "n/a", sameNs: 9_000, baseNs: 13_200, lines: 8, rates: [0.06, 2.4, 3.6], same: 0.8 },
  {
    transport: "vmsplice-coop",
    trusts: KERNEL,
    waiting: "n/a",
    sameNs: 8_600,
    baseNs: 13_500,
    lines: 9,
    rates: [0.04, 1.3, 1.9],
    same: 0.9,
  },
  { transport: "pipe", trusts: KERNEL, waiting: "n/a", sameNs: 6_500, baseNs: 12_000, lines: 8, rates: [0.07, 1.1, 0.95], same: 0.8 },
  { transport: "unix", trusts: KERNEL, waiting: "n/a", sameNs: 9_200, baseNs: 16_500, lines: 12, rates: [0.03, 0.75, 0.98], same: 1.1 },
  { transport: "tcp", trusts: KERNEL, waiting: "n/a", sameNs: 15_000, baseNs: 22_500, lines: 34, rates: [0.06, 0.55, 1.05], same: 0.7 },
  {
    transport: "tcp-nodelay",
    trusts: KERNEL,
    waiting: "n/a",
    sameNs: 15_100,
    baseNs: 22_400,
    lines: 34,
    rates: [0.012, 0.42, 1.06],
    same: 0.75,
  },
];
const SIZES = [64, 4096, 65_536] as const;

interface Noise {
  /** Around 1. */
  readonly factor: (width: number) => number;
  readonly chance: (probability: number) => boolean;
}

function noiseOf(seed: number): Noise {
  const next = random(seed);
  // The sum of four is bell-shaped enough.
  return { factor: (width) => 1 + width * (next() + next() + next() + next() - 2), chance: (probability) => next() < probability };
}

function placed(cores: Pair, noise: Noise): Pick<ReadCell, "cores" | "placement_before_ns" | "placement_after_ns"> {
  if (cores[0] === cores[1]) return { cores: [...cores], placement_before_ns: null, placement_after_ns: null };
  const line = (): number => lineNs(cores) * noise.factor(0.03);
  return { cores: [...cores], placement_before_ns: line(), placement_after_ns: line() };
}

function latencyNs(model: Model, cores: Pair, trust: string): number {
  const copy = trust === "untrusted" ? 18 : 0;
  return copy + (cores[0] === cores[1] ? model.sameNs : model.baseNs + model.lines * lineNs(cores));
}

function latencyCell(model: Model, trust: string, cores: Pair, noise: Noise, driver = "native", slower = 1): SyntheticCell {
  const middle = latencyNs(model, cores, trust) * noise.factor(0.04) * slower;
  const tail = (q: number): number => middle * (q <= 0.5 ? 0.9 + 0.2 * q : 1 + 0.02 * (1 / (1 - q)) ** 0.62);
  const runs = Array.from({ length: 5 }, () => middle * noise.factor(0.02));
  return {
    kind: "lat",
    transport: model.transport,
    waiting: model.waiting,
    trust,
    driver,
    size_bytes: 64,
    batch: 1,
    check: "full",
    ...placed(cores, noise),
    p50_ns: middle,
    p99_ns: tail(0.99),
    p999_ns: tail(0.999),
    quantiles: QUANTILES.map((q) => [q, q === 0.5 ? middle : tail(q)]),
    runs,
    set_aside: noise.chance(0.01) ? 1 : 0,
    spread: noise.chance(0.03) ? 0.22 : 0.04,
    unsteady: false,
  };
}

function throughputCell(model: Model, trust: string, cores: Pair, size: number, check: string, noise: Noise): SyntheticCell {
  const near = model.rates[SIZES.findIndex((one) => one === size)] ?? model.rates[1];
  const far = cores[0] === cores[1] ? model.same : (52 / lineNs(cores)) ** 0.3;
  const copied = trust === "untrusted" ? 0.84 : 1;
  const compared = check === "full" && size > 64 ? 0.88 : 1;
  const bytes = near * 1e9 * far * copied * compared * noise.factor(0.03);
  return {
    kind: "thr",
    transport: model.transport,
    waiting: model.waiting,
    trust,
    driver: "native",
    size_bytes: size,
    batch: 16,
    check,
    ...placed(cores, noise),
    msgs_per_s: bytes / size,
    bytes_per_s: bytes,
    ...(check === "full" ? { check_bytes_per_s: 7.4e9 } : {}),
    runs: Array.from({ length: 5 }, () => bytes / size * noise.factor(0.02)),
    set_aside: 0,
    spread: 0.05,
    unsteady: false,
  };
}

function interruptCell(cores: Pair, noise: Noise): SyntheticCell {
  const middle = (620 + 2.9 * lineNs(cores)) * noise.factor(0.03);
  return {
    kind: "lat",
    transport: "ipi",
    waiting: "n/a",
    trust: "n/a",
    driver: "native",
    size_bytes: 0,
    batch: 1,
    ...placed(cores, noise),
    p50_ns: middle,
    runs: [middle],
  };
}

/** Ordered pairs of all cores, same core on the diagonal. */
export function pairs(cores: number): readonly Pair[] {
  return Array.from({ length: cores * cores }, (_, index) => [Math.floor(index / cores), index % cores] as const);
}

function peerCell(peer: string, runtime: string, kind: "lat" | "thr", size: number, theirs: number, ours: number, noise: Noise): ReadPeer {
  return {
    peer,
    runtime,
    kind,
    size_bytes: size,
    ...placed([0, 1], noise),
    ...(kind === "lat" ? { p50_ns: theirs } : { msgs_per_s: theirs }),
    runs: [theirs],
    ours: { transport: "mempipe", driver: runtime, value: ours },
    ratio: kind === "lat" ? theirs / ours : ours / theirs,
  };
}

function peerCells(noise: Noise): readonly ReadPeer[] {
  return [
    peerCell("Bun.spawn IPC (advanced)", "bun", "lat", 64, 27_400, 1_100, noise),
    peerCell("Unix socket", "bun", "lat", 64, 27_800, 1_100, noise),
    peerCell("WebSocket over loopback", "bun", "lat", 64, 29_000, 1_100, noise),
    peerCell("zeromq.js 6 ipc", "deno", "lat", 64, 122_000, 1_000, noise),
    peerCell("worker postMessage with a transferred buffer", "deno", "lat", 64, 9_400, 1_000, noise),
    peerCell("Bun.spawn IPC (advanced)", "bun", "thr", 64, 428_000, 26e6, noise),
    peerCell("Unix socket", "bun", "thr", 64, 853_000, 26e6, noise),
    peerCell("Unix socket, 16 a write", "bun", "thr", 65_536, 70_000, 61_000, noise),
  ];
}

export function synthetic(cores = 48, seed = 1): Omit<BenchReport, "cells"> & { readonly cells: readonly SyntheticCell[] } {
  const noise = noiseOf(seed);
  const all = pairs(cores);
  // On one core, in one die, in one socket, one hop away: (a) to (d) of the paper's figure 4.
  const chosen = ([[0, 0], [0, 1], [0, DIE], [0, SOCKET]] as const).filter(([, b]) => b < cores);
  const cells: SyntheticCell[] = [
    ...all.filter(([a, b]) => a !== b).map((pair) => interruptCell(pair, noise)),
    ...MODELS.flatMap((model) => all.flatMap((pair) => model.trusts.map((trust) => latencyCell(model, trust, pair, noise)))),
    ...["bun", "deno"].flatMap((driver) =>
      MODELS.flatMap((model) =>
        chosen.map((pair) => latencyCell(model, model.trusts[0]!, pair, noise, driver, model.trusts === SHARED ? 2.4 : 1.2))
      )
    ),
    ...chosen.flatMap((pair) =>
      SIZES.flatMap((size) =>
        MODELS.flatMap((model) =>
          model.trusts.flatMap((trust) => ["plain", "full"].map((check) => throughputCell(model, trust, pair, size, check, noise)))
        )
      )
    ),
  ];
  return {
    environment: {
      date: "2012-01-31T12:00:00Z",
      note: "synthetic: made up in the shape of published figures, not measured",
      cpu: "AMD Opteron 6168 (synthetic)",
      cpus: cores,
      kernel: "3.1.0",
      architecture: "x64",
      caches: ["L1 data 64K shared by CPUs 0", "L2 unified 512K shared by CPUs 0", "L3 unified 5118K shared by CPUs 0-5"],
      numa_nodes: Math.ceil(cores / DIE),
      virtualization: "none seen",
      governor: "performance",
      mitigations: {},
    },
    cells: flawed(cells),
    set_aside: cells.reduce((total, { set_aside = 0 }) => total + set_aside, 0),
    failed: [{ cell: "lat shmem-pipe trusted deno 64 B", reason: "the placement never stayed the same" }],
    peers: peerCells(noise),
  };
}

/** One cell in a thousand moved while it was measured, and wide spreads are flagged, as in real runs. */
function flawed(cells: readonly SyntheticCell[]): readonly SyntheticCell[] {
  return cells.map((cell, index) => {
    const moved = index % 997 === 500 && typeof cell.placement_before_ns === "number";
    return {
      ...cell,
      unsteady: (cell.spread ?? 0) > 0.15,
      ...(moved ? { placement_after_ns: (cell.placement_before_ns ?? 0) * 3.5 } : {}),
    };
  });
}

if (import.meta.main) {
  const [path, cores = "48", seed = "1"] = process.argv.slice(2);
  if (path === undefined) {
    process.stderr.write("usage: bench/report/synthetic.ts OUT.json [CORES] [SEED]\n");
    process.exitCode = 2;
  } else {
    writeFileSync(path, `${JSON.stringify(synthetic(Number(cores), Number(seed)))}\n`);
  }
}
