/** Native rows: the spin over the line, the rate over boost's queue, bandwidth over the machine's own limit. */
import { runBoost } from "../peers/boost.ts";
import { ringFor } from "../runner/cells.ts";
import { nativeLatency, nativeLimit, type NativeOptions, nativeRate, placementOf, probe } from "../runner/native.ts";
import { lineOf, type Placement } from "../runner/placement.ts";
import type { Sample } from "../runner/rounds.ts";
import { median } from "../runner/statistics.ts";
import type { Measured, Row } from "./row.ts";

export type Cores = readonly [number, number];

/** Runs of the tool within one sample. */
const RUNS = 3;
const BOOST_PAIRS = 3;
const BOOST_MESSAGES = 10_000_000;

export function nativeRows(cores: Cores): readonly Row[] {
  return [
    spin(cores, 48, 1.7, 1.3),
    spin(cores, 64, 1.9, 1.55),
    againstBoost(cores, 1, 0.7, 1),
    againstBoost(cores, 16, 1, 1.5),
    overLimit(cores, 4096, ringFor(4096)),
    overLimit(cores, 65_536, ringFor(65_536)),
    overLimit(cores, 4096, 8 << 20),
    overLimit(cores, 65_536, 8 << 20),
  ];
}

function spin(cores: Cores, size: number, must: number, reach: number): Row {
  return {
    title: "native spin, one way p50 over line_ns",
    cell: `${size} B`,
    sense: "≤",
    unit: "×",
    must,
    reach,
    async run() {
      const got = await nativeLatency({ transport: "mempipe-spin", size, cores: cores.join(","), runs: RUNS });
      const placement = placementOf(got);
      const parts = { p50_ns: got.p50_ns, p99_ns: got.p99_ns, line_ns: lineOf(placement) };
      return { value: { value: got.p50_ns / lineOf(placement), parts }, placement };
    },
  };
}

function againstBoost(cores: Cores, batch: number, must: number, reach: number): Row {
  return {
    title: "native 64 B rate, sequence verified, over boost::lockfree::spsc_queue",
    cell: batch === 1 ? "publishing each" : `publishing by ${batch}`,
    sense: "≥",
    unit: "×",
    must,
    reach,
    async run(forth) {
      const before = await probe(cores);
      const ours: number[] = [];
      const theirs: number[] = [];
      // ours and theirs in turn, so that a change of the machine meets both
      for (let pair = 0; pair < BOOST_PAIRS; pair++) {
        const steps = [async () => ours.push(await ownRate(cores, batch)), async () => theirs.push(await boostRate(cores, batch))];
        for (const step of forth === (pair % 2 === 0) ? steps : steps.reverse()) await step();
      }
      const parts = { fable_per_s: median(ours), boost_per_s: median(theirs) };
      return { value: { value: parts.fable_per_s / parts.boost_per_s, parts }, placement: { before, after: await probe(cores) } };
    },
  };
}

async function ownRate(cores: Cores, batch: number): Promise<number> {
  const got = await nativeRate({
    transport: "mempipe-spin",
    size: 64,
    batch,
    check: "sequence",
    cores: cores.join(","),
    seconds: 0.1,
    runs: 1,
    placement: "no",
  });
  return got.msgs_per_s;
}

/** The better of the two ways to take messages out: which one that is depends on the placement. */
async function boostRate(cores: Cores, batch: number): Promise<number> {
  const all = await runBoost({ cores, batch, messages: BOOST_MESSAGES, runs: 1, consume: "all" });
  const pop = await runBoost({ cores, batch, messages: BOOST_MESSAGES, runs: 1, consume: "pop" });
  return Math.max(...all.runs, ...pop.runs);
}

function overLimit(cores: Cores, size: number, ring: number): Row {
  return {
    title: "native, written and read in full, over the fill → read limit",
    cell: `${size / 1024} KiB, ring ${ring / 1024} KiB`,
    sense: "≥",
    unit: "×",
    must: 0.7,
    reach: 0.9,
    async run(forth) {
      const options: NativeOptions = { size, ring, cores: cores.join(","), seconds: 0.1, runs: RUNS };
      const first = forth ? await nativeRate({ ...options, transport: "mempipe-spin" }) : await nativeLimit(options);
      const second = forth ? await nativeLimit(options) : await nativeRate({ ...options, transport: "mempipe-spin" });
      const [ours, limit] = forth ? [first, second] : [second, first];
      const parts = {
        fable_bytes_per_s: ours.bytes_per_s,
        limit_bytes_per_s: limit.bytes_per_s,
        check_bytes_per_s: ours.check_bytes_per_s ?? Number.NaN,
      };
      return { value: { value: ours.bytes_per_s / limit.bytes_per_s, parts }, placement: joined(placementOf(first), placementOf(second)) };
    },
  };
}

/** From before the first to after the second. */
function joined(first: Placement, second: Placement): Placement {
  return { before: first.before, after: second.after };
}

/** A sample measured around by placement probes. */
export async function around(cores: Cores, measure: () => Promise<Measured>): Promise<Sample<Measured>> {
  const before = await probe(cores);
  const value = await measure();
  return { value, placement: { before, after: await probe(cores) } };
}

/** Two of them in turn, the first one first if `forth`. */
export async function inTurn<T>(forth: boolean, first: () => Promise<T>, second: () => Promise<T>): Promise<readonly [T, T]> {
  if (forth) return [await first(), await second()];
  const after = await second();
  return [await first(), after];
}
