/** What tests of policy share: a table with round figures, and facts of flows as they might be. */
import { type DirectionFacts, type EndFacts, type FlowFacts, SHARED, type Transport, TRANSPORTS } from "../../src/policy/facts.ts";
import { DEFAULT_RULES, type Terms, termsFor } from "../../src/policy/rules.ts";
import { CostModel, LOADS, PATTERNS, PLACEMENTS, type Row, SIZES_BYTES, type Table } from "../../src/policy/table.ts";

/** Nanoseconds of a small message: [stream across, stream same, request across, request same], idle; and per byte. */
const COSTS: Readonly<Record<Transport, readonly [number, number, number, number, number]>> = {
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
/** A hog beside it makes everything twice as slow, a spin a thousand times. */
const HOG = 2;
const HOG_SPIN = 1000;

export function rows(): Row[] {
  return TRANSPORTS.flatMap((transport) => {
    const trusts = transport === "vmsplice-coop"
      ? ["trusted"] as const
      : SHARED.has(transport)
      ? ["trusted", "untrusted"] as const
      : ["n/a"] as const;
    return trusts.flatMap((trust) =>
      PATTERNS.flatMap((pattern) => PLACEMENTS.flatMap((placement) => LOADS.map((load) => row(transport, trust, pattern, placement, load))))
    );
  });
}

function row(transport: Transport, trust: Row["trust"], pattern: Row["pattern"], placement: Row["placement"], load: Row["load"]): Row {
  const costs = COSTS[transport];
  const fixed = costs[(pattern === "stream" ? 0 : 2) + (placement === "across" ? 0 : 1)] ?? 0;
  const factor = load === "idle" ? 1 : transport === "mempipe-spin" ? HOG_SPIN : HOG;
  const copies = trust === "untrusted" ? 2 : 1;
  return {
    transport,
    trust,
    pattern,
    placement,
    load,
    sizes_bytes: [...SIZES_BYTES],
    ns: SIZES_BYTES.map((size) => factor * (fixed + copies * costs[4] * size)),
  };
}

export const TABLE: Table = {
  version: 1,
  machine: { processor: "test", cpus: 2, kernel: "6.18", hypervisor: null },
  made_at: "2026-01-01T00:00:00Z",
  rows: rows(),
};
export const MODEL = new CostModel(TABLE);
export const TERMS: Terms = termsFor(DEFAULT_RULES, undefined, "xio://test");

export function direction(more: Partial<DirectionFacts> = {}): DirectionFacts {
  return {
    transport: "mempipe",
    msgsPerS: 0,
    meanBytes: 64,
    sizeMix: [1, 0, 0, 0],
    blockedShare: 0,
    waitedShare: 0,
    wakeUpsPerS: 0,
    sleepsPerS: 0,
    ...more,
  };
}

export function end(more: Partial<EndFacts> = {}): EndFacts {
  return {
    cpu: 0,
    affinity: [0, 1],
    runDelayShare: 0,
    ranShare: 0,
    otherBusyShare: 0,
    crowded: false,
    stealShare: 0,
    node: 0,
    memoryNode: 0,
    cgroup: undefined,
    ...more,
  };
}

export function facts(more: Partial<FlowFacts> = {}): FlowFacts {
  return {
    trust: "trusted",
    asked: undefined,
    directions: [direction(), direction()],
    ends: [end(), end({ cpu: 1 })],
    pair: { sameCoreShare: 0, boundTogether: false, lineNs: undefined },
    ringBytes: 65_536,
    machine: { virtualised: false, cpus: 2, pressureShare: 0 },
    ...more,
  };
}

/** A hundred thousand questions and answers a second. */
export function conversation(transport: Transport, more: Partial<FlowFacts> = {}, msgsPerS = 100_000): FlowFacts {
  return facts({ directions: [direction({ transport, msgsPerS }), direction({ transport, msgsPerS })], ...more });
}

/** A stream one way. */
export function stream(transport: Transport, meanBytes: number, msgsPerS: number, more: Partial<FlowFacts> = {}): FlowFacts {
  return facts({ directions: [direction({ transport, msgsPerS, meanBytes }), direction({ transport })], ...more });
}
