/** The cells of `fable bench regret`, and how good a choice was. Pure. */
import type { TransportName, Trust } from "../../src/transport/transport.ts";
import { expectedSpread, median, UNSTEADY } from "../runner/statistics.ts";
import type { Pattern } from "./end.ts";

export interface Situation {
  readonly pattern: Pattern;
  readonly size_bytes: number;
  /** Of the two ends. */
  readonly cores: readonly [number, number];
  /** A core on which something else is busy all the time. */
  readonly hog: number | null;
  readonly trust: Trust;
}

export interface RegretCell extends Situation {
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  /** The best transport, as found in runs that do not count for its score. */
  readonly best: TransportName;
  /** What the policy had chosen at the end, and its sentence. */
  readonly chosen: TransportName;
  readonly why: string;
  /** Messages or round trips per second: of every transport while choosing the best, of the best and of the policy's choice in the runs that count. */
  readonly rates: Readonly<Partial<Record<TransportName, number>>>;
  readonly best_per_s: number;
  readonly policy_per_s: number;
  /** By how much the best differs from itself between the two sets of runs. */
  readonly same_again: number;
  /** How much longer a message took than with the best, that difference subtracted; 0: nothing to regret. */
  readonly regret: number;
  /** How far off that is expected to be when the cell is measured again; null: too few runs to say. */
  readonly regret_error: number | null;
  /** Runs that count, of each. */
  readonly scores: number;
  /** How often the policy moved the channel in this cell. */
  readonly moves: number;
}

const SIZES = [64, 4096, 65_536, 1 << 20];
const PATTERNS: readonly Pattern[] = ["stream", "request"];

export function situations(): readonly Situation[] {
  const places: readonly (readonly [number, number])[] = [[0, 0], [0, 1]];
  return (["trusted", "untrusted"] as const).flatMap((trust) =>
    places.flatMap((cores) =>
      [null, 0, 1].flatMap((hog) =>
        PATTERNS.flatMap((pattern) => SIZES.map((size_bytes): Situation => ({ pattern, size_bytes, cores, hog, trust })))
      )
    )
  );
}

export function titleOf({ pattern, size_bytes, cores, hog, trust }: Situation): string {
  const where = cores[0] === cores[1] ? "same core" : "across";
  const load = hog === null ? "idle" : `hog on ${hog}`;
  return `${pattern} ${size_bytes} B, ${where}, ${load}, ${trust}`;
}

/** Which transport was best in the runs that choose. */
export function bestOf(rates: Readonly<Partial<Record<TransportName, readonly number[]>>>): TransportName {
  const [first, ...rest] = (Object.keys(rates) as TransportName[]).map((name) => ({ name, rate: median(rates[name] ?? []) }));
  if (first === undefined) throw new Error("no transport was measured");
  return rest.reduce((best, one) => one.rate > best.rate ? one : best, first).name;
}

/** Runs of the best and of the policy's choice, made in turn. Neighbours make pairs: what the machine did meanwhile it did to both. */
export interface Scored {
  readonly best: readonly number[];
  readonly policy: readonly number[];
}

function timesSlower({ best, policy }: Scored): readonly number[] {
  return best.map((rate, turn) => rate / (policy[turn] ?? Number.NaN));
}

/** Whether more runs would hardly change what they say, whatever that is. */
export function steady(scored: Scored): boolean {
  return expectedSpread(timesSlower(scored)) <= UNSTEADY;
}

export function judged(
  chosenBy: readonly number[],
  scored: Scored,
): Pick<RegretCell, "best_per_s" | "policy_per_s" | "same_again" | "regret" | "regret_error" | "scores"> {
  const [again, best_per_s, policy_per_s] = [median(chosenBy), median(scored.best), median(scored.policy)];
  const same_again = Math.abs(again / best_per_s - 1);
  const slower = timesSlower(scored);
  const error = expectedSpread(slower);
  return {
    best_per_s,
    policy_per_s,
    same_again,
    regret: Math.max(0, median(slower) - 1 - same_again),
    regret_error: Number.isFinite(error) ? error : null,
    scores: slower.length,
  };
}

/** What is promised of all cells together, and of each. */
export const MUST = { median: 0.05, worst: 0.25 } as const;

export interface Summary {
  readonly cells: number;
  readonly median: number;
  readonly worst: number;
  /** Median of what the best differs from itself: regrets below that say nothing. */
  readonly same_again: number;
}

export function summarise(cells: readonly Pick<RegretCell, "regret" | "same_again">[]): Summary {
  const regrets = cells.map(({ regret }) => regret);
  return {
    cells: cells.length,
    median: median(regrets),
    worst: Math.max(...regrets),
    same_again: median(cells.map(({ same_again }) => same_again)),
  };
}
