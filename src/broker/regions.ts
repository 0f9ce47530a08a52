/**
 * Descriptors that clients send are claims. Before the broker passes one on it asks the kernel: is it memory, is it as large as was said, can
 * nobody shrink it any more, can nobody map it writable a second time where that matters. Ends check again before they map.
 */
import { FableError } from "../errors.ts";
import { CONTROL_BYTES } from "./flows.ts";

export interface RegionFacts {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly seals: number;
  readonly isMemory: boolean;
}

const SEAL_SHRINK = 2;
const SEAL_GROW = 4;
const SEAL_FUTURE_WRITE = 16;
const MIN_RING_BYTES = 4096;
const MAX_RING_BYTES = 67_108_864;

/** The identity of a control region that may be passed on. */
export function checkControl(facts: RegionFacts | undefined): string {
  const region = memory(facts, "control region");
  if (region.sizeBytes !== CONTROL_BYTES) throw bad("control region", `has ${region.sizeBytes} bytes instead of ${CONTROL_BYTES}`);
  requireSeals(region, "control region", SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE);
  return identity(region);
}

/** The size of a ring that may be passed on. `expected`: what its owner said, if it said anything. */
export function checkRing(
  facts: RegionFacts | undefined,
  trust: "trusted" | "untrusted",
  expected: number | undefined,
): { readonly bytes: number; readonly identity: string } {
  const region = memory(facts, "ring");
  const { sizeBytes } = region;
  const size = sizeBytes >= MIN_RING_BYTES && sizeBytes <= MAX_RING_BYTES && (sizeBytes & (sizeBytes - 1)) === 0;
  if (!size) throw bad("ring", `has ${sizeBytes} bytes, which is no power of two from ${MIN_RING_BYTES} to ${MAX_RING_BYTES}`);
  if (expected !== undefined && sizeBytes !== expected) throw bad("ring", `has ${sizeBytes} bytes instead of ${expected}`);
  requireSeals(region, "ring", trust === "untrusted" ? SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE : SEAL_SHRINK | SEAL_GROW);
  return { bytes: sizeBytes, identity: identity(region) };
}

function memory(facts: RegionFacts | undefined, what: string): RegionFacts {
  if (facts === undefined || !facts.isMemory) throw bad(what, "is no memfd");
  return facts;
}

function requireSeals(facts: RegionFacts, what: string, seals: number): void {
  if ((facts.seals & seals) === seals) return;
  const missing = [[SEAL_SHRINK, "SHRINK"], [SEAL_GROW, "GROW"], [SEAL_FUTURE_WRITE, "FUTURE_WRITE"]] as const;
  const names = missing.filter(([bit]) => (seals & bit) !== 0 && (facts.seals & bit) === 0).map(([, name]) => name);
  throw bad(what, `lacks the seal ${names.join(" and ")}`);
}

function identity(facts: RegionFacts): string {
  return `${facts.device}:${facts.inode}`;
}

function bad(what: string, why: string): FableError {
  return new FableError("REFUSED", `the ${what} ${why}`, { remedy: "memory of a channel must be made by the fable library" });
}
