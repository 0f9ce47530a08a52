/**
 * Where the two ends of a channel should run. A blocking conversation across cores pays a wake-up of another core for each message, the same one
 * on one core a switch of tasks: twelve times less here. A stream wants two cores. `advise` says what would be better; `Trial` does it, if the
 * rules allow, in one way only: set it, measure for at most a second, keep it only if it helped, else undo it. An affinity that a program set
 * itself is its own business, also if it does so while ours is in place. Pure: who carries out the steps calls `step` with what it sees.
 */
import { type FlowFacts, requestShare, togetherShare, type Transport } from "./facts.ts";
import type { CostModel } from "./table.ts";

export interface Advice {
  readonly advice: "together" | "apart" | "none";
  /** By what factor a message would be faster; 1: no difference. */
  readonly gain: number;
  /** For people. */
  readonly reason: string;
}

/** Less is not worth pulling processes around. */
const WORTH = 1.5;
/** Flows slower than this have nothing to gain that anybody would notice. */
const LEAST_PER_S = 100;

/** Whether the ends would be better off on one core, or on two, with that transport. */
export function advise(facts: FlowFacts, transport: Transport, model: CostModel): Advice {
  const [a, b] = facts.directions;
  if (a.msgsPerS + b.msgsPerS < LEAST_PER_S) return { advice: "none", gain: 1, reason: "too little travels for it to matter" };
  if (facts.machine.cpus < 2) return { advice: "none", gain: 1, reason: "there is only one CPU" };
  const bytes = Math.max(a.meanBytes, b.meanBytes);
  const at = (together: number) =>
    model.nsPerMessage(transport, { trust: facts.trust, bytes, request: requestShare(facts), together, load: 0 });
  const [same, across] = [at(1), at(0)];
  if (same === undefined || across === undefined) return { advice: "none", gain: 1, reason: "the calibration table does not know" };
  const together = togetherShare(facts) > 0.5;
  const gain = together ? same / across : across / same;
  if (gain < WORTH) return { advice: "none", gain: Math.max(1, gain), reason: "they run where they should" };
  const what = requestShare(facts) > 0.5 ? "questions and answers" : "a stream";
  const factor = gain < 10 ? gain.toFixed(1) : Math.round(gain);
  return together
    ? { advice: "apart", gain, reason: `${what} over ${transport} would be ${factor} times as fast on two cores` }
    : { advice: "together", gain, reason: `${what} over ${transport} would be ${factor} times as fast on one core` };
}

/** What a trial sees: both threads' affinities as the kernel has them now, and messages per second of both directions. */
export interface Sight {
  readonly nowMs: number;
  readonly affinities: readonly [readonly number[] | undefined, readonly number[] | undefined];
  readonly msgsPerS: number;
  readonly advice: Advice;
  /** CPUs that both ends may use where nobody narrowed it, and how busy each is with others. */
  readonly cpus: readonly number[];
  readonly busy: (cpu: number) => number;
}

/** What is to be done with the threads of both ends; undefined: leave that one. */
export type Step =
  | { readonly step: "set"; readonly masks: readonly [readonly number[], readonly number[]]; readonly reason: string }
  | {
    readonly step: "undo";
    readonly masks: readonly [readonly number[] | undefined, readonly number[] | undefined];
    readonly reason: string;
  }
  | { readonly step: "kept"; readonly reason: string };

/** Longest time until it must have helped, and the shortest that says anything. */
const PROOF_MS = 1000;
const SETTLE_MS = 300;
/** By so much it must have helped. */
const PROVEN = 1.15;
/** After one that did not help; twice as long after each further one. */
const PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 3_600_000;

type State =
  | { readonly at: "rest"; readonly until: number }
  | {
    readonly at: "trial" | "kept";
    readonly since: number;
    readonly before: Masks;
    readonly set: readonly [readonly number[], readonly number[]];
    readonly rate: number;
  };
type Masks = readonly [readonly number[], readonly number[]];

export class Trial {
  #state: State = { at: "rest", until: 0 };
  #pauseMs = PAUSE_MS;

  /** True while an affinity of ours is in place. */
  get holds(): boolean {
    return this.#state.at !== "rest";
  }

  /** What to do now, if anything. */
  step(sight: Sight): Step | undefined {
    return this.#state.at === "rest" ? this.#consider(sight, this.#state.until) : this.#watch(sight, this.#state);
  }

  /** Nobody looks after it any longer: what is to be undone, if anything was set. */
  abandon(nowMs: number): Masks | undefined {
    const state = this.#state;
    this.#rest(nowMs);
    return state.at === "rest" ? undefined : state.before;
  }

  #consider(sight: Sight, until: number): Step | undefined {
    const [a, b] = sight.affinities;
    if (sight.nowMs < until || sight.advice.advice === "none" || a === undefined || b === undefined) return undefined;
    // Somebody narrowed it: a program, its operator, whoever. They know better.
    if (!equal(a, sight.cpus) || !equal(b, sight.cpus) || sight.cpus.length < 2) return undefined;
    const [first, second] = [...sight.cpus].sort((x, y) => sight.busy(x) - sight.busy(y));
    if (first === undefined || second === undefined) return undefined;
    const set: Masks = sight.advice.advice === "together" ? [[first], [first]] : [[first], [second]];
    this.#state = { at: "trial", since: sight.nowMs, before: [a, b], set, rate: sight.msgsPerS };
    return { step: "set", masks: set, reason: sight.advice.reason };
  }

  #watch(sight: Sight, state: Exclude<State, { readonly at: "rest" }>): Step | undefined {
    const foreign = sight.affinities.map((mask, side) => mask === undefined || !equal(mask, state.set[side] ?? []));
    if (foreign.includes(true)) {
      this.#rest(sight.nowMs);
      const own = [0, 1].map((side) => (foreign[side] === true ? undefined : state.before[side])) as [
        Masks[0] | undefined,
        Masks[1] | undefined,
      ];
      return { step: "undo", masks: own, reason: "a program set its affinity itself" };
    }
    const helped = sight.msgsPerS >= state.rate * PROVEN;
    const passed = sight.nowMs - state.since;
    if (state.at === "kept") {
      // What helped once may no longer: the conversation ended, or became a stream.
      if (helped) return undefined;
      this.#rest(sight.nowMs);
      return { step: "undo", masks: state.before, reason: "it no longer helps" };
    }
    if (helped && passed >= SETTLE_MS) {
      this.#state = { ...state, at: "kept" };
      this.#pauseMs = PAUSE_MS;
      return { step: "kept", reason: `${Math.round((sight.msgsPerS / Math.max(1, state.rate)) * 100) / 100} times as many messages` };
    }
    if (passed < PROOF_MS) return undefined;
    this.#rest(sight.nowMs);
    return { step: "undo", masks: state.before, reason: "it did not help within a second" };
  }

  #rest(nowMs: number): void {
    this.#state = { at: "rest", until: nowMs + this.#pauseMs };
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
  }
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((cpu, at) => cpu === b[at]);
}
