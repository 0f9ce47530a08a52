/** The table of no machine in particular. */
import { SHARED, TRANSPORTS } from "./facts.ts";
import { LOADS, PATTERNS, PLACEMENTS, SIZES_BYTES, type Table, TABLE_VERSION } from "./table.ts";
const COSTS: Readonly<Record<string, readonly [number, number, number, number, number]>> = {
  "mempipe": [50, 200, 500, 4000, 0.1],
  "mempipe-spin": [50, 100_000, 400, 4_000_000, 0.1],
  "mempipe-futex": [60, 150, 25_000, 2000, 0.1],
  "unix": [800, 900, 25_000, 4000, 0.3],
  "tcp": [900, 1100, 31_000, 7000, 0.3],
  "tcp-nodelay": [4000, 4000, 30_000, 7000, 0.2],
  "pipe": [400, 500, 24_000, 2500, 0.5],
  "vmsplice-coop": [700, 800, 26_000, 3000, 0.6],
  "shmem-pipe": [300, 400, 24_000, 2500, 0.05],
};
export const BUILT_IN_TABLE: Table = {
  version: TABLE_VERSION,
  machine: null,
  made_at: "",
  rows: TRANSPORTS.flatMap((transport) =>
    (transport === "vmsplice-coop" ? ["trusted"] as const : SHARED.has(transport) ? ["trusted", "untrusted"] as const : ["n/a"] as const)
      .flatMap((trust) =>
        PATTERNS.flatMap((pattern) =>
          PLACEMENTS.flatMap((placement) =>
            LOADS.map((load) => {
              const costs = COSTS[transport] ?? [1, 1, 1, 1, 1];
              const fixed = costs[(pattern === "stream" ? 0 : 2) + (placement === "across" ? 0 : 1)] ?? 0;
              const factor = load === "idle" ? 1 : transport === "mempipe-spin" ? 1000 : 2;
              return {
                transport,
                trust,
                pattern,
                placement,
                load,
                sizes_bytes: [...SIZES_BYTES],
                ns: SIZES_BYTES.map((size) => factor * (fixed + (trust === "untrusted" ? 2 : 1) * costs[4] * size)),
              };
            })
          )
        )
      )
  ),
};
