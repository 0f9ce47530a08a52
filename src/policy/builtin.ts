/**
 * The table until somebody has calibrated: of no machine in particular. Its shape is what all machines have in common, its figures are estimates
 * of the right order, not measurements of one: a sleep across cores costs ten times a switch of tasks on one; who spins on a core that somebody
 * else has costs that one's time slice; memory beats sockets per byte, and a copy more costs a copy more. The policy knows that it is not
 * measured, and asks for a larger advantage (`CAUTIOUS_PACE`).
 */
import { SHARED, type Transport, TRANSPORTS } from "./facts.ts";
import {
  type Load,
  LOADS,
  type Pattern,
  PATTERNS,
  type Placement,
  PLACEMENTS,
  type Row,
  SIZES_BYTES,
  type Table,
  TABLE_VERSION,
} from "./table.ts";

/** Nanoseconds of a short message between two event loops, and for each byte more. */
interface Costs {
  readonly stream: Readonly<Record<Placement, number>>;
  readonly request: Readonly<Record<Placement, number>>;
  readonly perByte: number;
}

const COSTS: Readonly<Record<Transport, Costs>> = {
  // Both ends look before they sleep: half a microsecond while both are busy, two switches of tasks on one core.
  "mempipe": { stream: { across: 100, same: 200 }, request: { across: 500, same: 5000 }, perByte: 0.1 },
  "mempipe-spin": { stream: { across: 100, same: 10_000 }, request: { across: 450, same: 4_000_000 }, perByte: 0.1 },
  "mempipe-futex": { stream: { across: 120, same: 180 }, request: { across: 25_000, same: 4500 }, perByte: 0.1 },
  "unix": { stream: { across: 500, same: 400 }, request: { across: 27_000, same: 7000 }, perByte: 0.3 },
  "tcp": { stream: { across: 600, same: 500 }, request: { across: 34_000, same: 10_000 }, perByte: 0.3 },
  "tcp-nodelay": { stream: { across: 700, same: 500 }, request: { across: 33_000, same: 10_000 }, perByte: 0.25 },
  "pipe": { stream: { across: 500, same: 400 }, request: { across: 27_000, same: 6500 }, perByte: 0.4 },
  "vmsplice-coop": { stream: { across: 700, same: 600 }, request: { across: 28_000, same: 7000 }, perByte: 0.35 },
  "shmem-pipe": { stream: { across: 450, same: 450 }, request: { across: 5000, same: 6500 }, perByte: 0.08 },
};
/** Another copy before anything looks. */
const COPY_PER_BYTE = 0.04;
/** Half of the time is somebody else's. */
const BESIDE_A_HOG = 2;
/** Each wait lasts until the other's time slice is over. */
const SLICE_NS: Readonly<Record<Pattern, number>> = { stream: 5000, request: 3_000_000 };

export const BUILT_IN_TABLE: Table = {
  version: TABLE_VERSION,
  machine: null,
  made_at: "built in",
  rows: TRANSPORTS.flatMap((transport) =>
    trustsOf(transport).flatMap((trust) =>
      PATTERNS.flatMap((pattern) =>
        PLACEMENTS.flatMap((placement) => LOADS.map((load) => rowOf(transport, trust, pattern, placement, load)))
      )
    )
  ),
};

function trustsOf(transport: Transport): readonly Row["trust"][] {
  if (transport === "vmsplice-coop") return ["trusted"];
  return SHARED.has(transport) ? ["trusted", "untrusted"] : ["n/a"];
}

function rowOf(transport: Transport, trust: Row["trust"], pattern: Pattern, placement: Placement, load: Load): Row {
  const costs = COSTS[transport];
  const perByte = costs.perByte + (trust === "untrusted" ? COPY_PER_BYTE : 0);
  const alone = (bytes: number) => costs[pattern][placement] + perByte * bytes;
  const slice = transport === "mempipe-spin" ? SLICE_NS[pattern] : 0;
  const ns = SIZES_BYTES.map((bytes) => (load === "idle" ? alone(bytes) : BESIDE_A_HOG * alone(bytes) + slice));
  return { transport, trust, pattern, placement, load, sizes_bytes: [...SIZES_BYTES], ns };
}
