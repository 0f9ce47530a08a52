/**
 * Whether a move did what it was made for. A table says what messages cost in general; how many travel before and after says what this channel
 * gained. Where clearly fewer do, the channel goes back to where it was, and the table counts for less in that situation, by as much as it was
 * wrong, for a while. Whether fewer travelled because of the move shows in going back: if that changes nothing, the load itself had changed.
 *
 * A load of its own pace travels as often either way and proves nothing; nor does one whose sizes, pattern or neighbours change meanwhile. Pure.
 */
import { type FlowFacts, loadOf, requestShare, togetherShare, type Transport } from "./facts.ts";

/** What one sample shows of a flow. */
export interface Seen {
  /** Of both directions. */
  readonly msgsPerS: number;
  readonly meanBytes: number;
  readonly request: number;
  readonly together: number;
  readonly load: number;
}

export function seenOf(facts: FlowFacts): Seen {
  const [a, b] = facts.directions;
  const msgsPerS = a.msgsPerS + b.msgsPerS;
  const meanBytes = msgsPerS === 0 ? 0 : (a.msgsPerS * a.meanBytes + b.msgsPerS * b.meanBytes) / msgsPerS;
  return { msgsPerS, meanBytes, request: requestShare(facts), together: togetherShare(facts), load: loadOf(facts) };
}

/** Samples that say what travelled before a move: the least of them, because what came before a change is not to be held against the move. */
const BEFORE = 3;
/** One alone may be of two situations. */
const LEAST_BEFORE = 2;
/** A flow of which less was seen is not moved on a guess: nobody could say afterwards what that brought. */
const KNOWN_MS = 100;
/** So long it has, once it arrived; the most of the samples in the later half counts. */
const PROOF_MS = 400;
const SETTLE_MS = 200;
/** An order that took longer is none that anybody can judge by. */
const LONGEST_MS = 2000;
/** Fewer messages than this share of before: it was for the worse. The least before and the most after leave as much again to noise. */
const WORSE = 0.9;
/** Going back must bring so many times as many, or the move was not to blame. */
const BETTER = 1.1;
/** How long the table is doubted in that situation; twice as long each further time. */
const DOUBT_MS = 30_000;
const LONGEST_DOUBT_MS = 3_600_000;

/** What was learnt of a situation, and until when that is remembered: by how much the table is wrong; 1: right, whatever the load does. */
interface Lesson {
  readonly seen: Seen;
  readonly factor: number;
  readonly until: number;
}

interface Trial {
  readonly from: Transport;
  readonly to: Transport;
  readonly seen: Seen;
  readonly msgsPerS: number;
  /** What was promised: time of a message before, over after. */
  readonly promised: number;
  readonly beganMs: number;
  /** Whether this is the way back, which is proved as well. */
  readonly back: boolean;
  arrivedMs: number | undefined;
  most: number;
}

export interface Verdict {
  /** Where it should go back to. */
  readonly transport: Transport;
  readonly reason: string;
}

export class Proof {
  #recent: Seen[] = [];
  #sinceMs = Infinity;
  #trial: Trial | undefined;
  #lesson: Lesson | undefined;
  #doubtMs = DOUBT_MS;

  /** By how much the table was wrong where things were as they are now, as far as is remembered; 1: not at all. */
  doubt(seen: Seen, nowMs: number): number {
    return this.#learnt(seen, nowMs)?.factor ?? 1;
  }

  /** Whether enough was seen to judge a move by. */
  ready(nowMs: number): boolean {
    return nowMs - this.#sinceMs >= KNOWN_MS;
  }

  /** The flow moves, for `promised` times as little time a message. */
  began(from: Transport, to: Transport, promised: number, nowMs: number): void {
    const seen = this.#recent.at(-1);
    if (seen === undefined || this.#recent.length < LEAST_BEFORE || this.#learnt(seen, nowMs)?.factor === 1) return this.drop();
    const msgsPerS = Math.min(...this.#recent.map((one) => one.msgsPerS));
    this.#trial = { from, to, seen, msgsPerS, promised, beganMs: nowMs, back: false, arrivedMs: undefined, most: 0 };
    this.#forget();
  }

  /** Something else moved it, or nobody looked: what was to be proved cannot be. */
  drop(): void {
    this.#trial = undefined;
    this.#forget();
  }

  /** One sample. Says if it should go back; once. */
  sample(seen: Seen, current: Transport, nowMs: number): Verdict | undefined {
    const trial = this.#trial;
    const last = this.#recent.at(-1);
    // Rates of another situation say nothing about this one.
    if (last !== undefined && !alike(last, seen)) this.#recent = [];
    this.#recent.push(seen);
    this.#sinceMs = Math.min(this.#sinceMs, nowMs);
    if (this.#recent.length > BEFORE) this.#recent.shift();
    if (trial === undefined) return undefined;
    if (!alike(trial.seen, seen) || nowMs - trial.beganMs > LONGEST_MS) return this.#over();
    if (current !== trial.to) return undefined;
    trial.arrivedMs ??= nowMs;
    if (nowMs - trial.arrivedMs < SETTLE_MS) return undefined;
    trial.most = Math.max(trial.most, seen.msgsPerS);
    return nowMs - trial.arrivedMs < PROOF_MS ? undefined : this.#judge(trial, nowMs);
  }

  #judge(trial: Trial, nowMs: number): Verdict | undefined {
    this.#over();
    const share = Math.max(1, trial.most) / Math.max(1, trial.msgsPerS);
    if (trial.back) {
      // Whatever it was, it was not the move; and the next one need not prove itself to a load like this.
      if (share < BETTER) this.#lesson = { seen: trial.seen, factor: 1, until: nowMs + DOUBT_MS };
      return undefined;
    }
    if (share >= WORSE) return undefined;
    this.#lesson = { seen: trial.seen, factor: Math.max(1, trial.promised) / share, until: nowMs + this.#doubtMs };
    this.#doubtMs = Math.min(LONGEST_DOUBT_MS, this.#doubtMs * 2);
    const { from, to, seen } = trial;
    this.#trial = { ...trial, from: to, to: from, seen, msgsPerS: trial.most, beganMs: nowMs, back: true, arrivedMs: undefined, most: 0 };
    return { transport: from, reason: `${from} again, because over ${to} only ${percent(share)} as many messages travelled` };
  }

  #forget(): void {
    this.#recent = [];
    this.#sinceMs = Infinity;
  }

  #learnt(seen: Seen, nowMs: number): Lesson | undefined {
    return this.#lesson !== undefined && nowMs < this.#lesson.until && alike(this.#lesson.seen, seen) ? this.#lesson : undefined;
  }

  #over(): undefined {
    this.#trial = undefined;
    return undefined;
  }
}

/** So far apart, shares are of different situations. */
const FAR = 0.3;

function alike(a: Seen, b: Seen): boolean {
  const sizes = (a.meanBytes + 1) / (b.meanBytes + 1);
  return Math.max(sizes, 1 / sizes) < Math.SQRT2 && Math.abs(a.request - b.request) < FAR && Math.abs(a.together - b.together) < FAR
    && Math.abs(a.load - b.load) < FAR;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
