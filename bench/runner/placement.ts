/**
 * Where the two ends run, told by what a cache line between their cores costs. On a virtual machine that changes within seconds, so it is
 * measured around everything, and what was measured while it changed is set aside.
 */

/** Nanoseconds of a bounced line before and after; null on one core, where there is no line to bounce. */
export interface Placement {
  readonly before: number | null;
  readonly after: number | null;
}

export type PlacementClass = "same core" | "same physical core" | "near" | "far";

/** Two lines of one placement differ less than that. */
const ALIKE = 1.35;
const PHYSICAL_CORE_NS = 33;
const FAR_NS = 130;

export function alike(placement: Placement): boolean {
  const { before, after } = placement;
  if (before === null || after === null) return before === after;
  return Math.max(before, after) / Math.min(before, after) <= ALIKE && classOf(before) === classOf(after);
}

export function lineOf(placement: Placement): number {
  return placement.before === null || placement.after === null ? Number.NaN : (placement.before + placement.after) / 2;
}

export function classOf(lineNs: number | null): PlacementClass {
  if (lineNs === null) return "same core";
  if (lineNs < PHYSICAL_CORE_NS) return "same physical core";
  return lineNs < FAR_NS ? "near" : "far";
}
