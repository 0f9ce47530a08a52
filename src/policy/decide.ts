/**
 * When to act on a choice. Moving a channel costs something, samples lie now and then, and an adversary may alternate two loads as it likes; so a
 * better transport has to earn its move: each sample credits it with what it would have saved, and debits what it would have cost. It is taken
 * once the credit pays for the move. That is never more than one move's price later than somebody who knows the future would have moved. Besides,
 * moves are rationed: a flow has a few in hand and gets another one every so often, so that their number is bounded whatever happens. What a move
 * brought is looked at afterwards (proof.ts). Pure.
 */
import type { Transport } from "./facts.ts";
import { Proof, type Seen } from "./proof.ts";
import type { Choice } from "./select.ts";

export interface Pace {
  /** What a move costs, in milliseconds of messages' time. */
  readonly moveCostMs: number;
  /** A candidate must be better by this share to earn anything: less is within the error of the table. */
  readonly margin: number;
  /** No move sooner than this after the last one. */
  readonly dwellMs: number;
  /** Nor back to where it just came from: load that has a lull is not gone. */
  readonly returnMs: number;
  /** Moves in hand, and how long it takes to get another one. */
  readonly burst: number;
  readonly refillMs: number;
  /** After a move that an end refused, that transport is not tried again for so long. */
  readonly refusedMs: number;
}

/** With a measured table; docs/policy.md says where the figures come from. */
export const PACE: Pace = { moveCostMs: 5, margin: 0.15, dwellMs: 250, returnMs: 800, burst: 6, refillMs: 5000, refusedMs: 60_000 };
/** The built-in table is of another machine. */
export const CAUTIOUS_PACE: Pace = { ...PACE, margin: 0.3 };

/** The most moves within a stretch of time. */
export function mostMoves(pace: Pace, stretchMs: number): number {
  return pace.burst + Math.floor(stretchMs / pace.refillMs);
}

export interface Decision {
  readonly transport: Transport;
  /** Bytes of memory, if other than now. */
  readonly ringBytes: number | undefined;
  readonly reason: string;
}

/** Samples further apart than this count as if they were not: nobody knows what was in between. */
const LONGEST_SAMPLE_MS = 1000;
/** So long a larger ring must have been wanted. */
const RING_PATIENCE_MS = 400;

/** The moves of one flow. */
export class Decider {
  #credits = new Map<Transport, number>();
  #refused = new Map<Transport, number>();
  #hand: number;
  #handAtMs: number;
  #lastMoveMs = -Infinity;
  #left: Transport | undefined;
  #lastSampleMs: number | undefined;
  #ringWantedMs = 0;
  readonly #proof = new Proof();
  /** A move that turned out to be for the worse, to be undone. */
  #back: Decision | undefined;

  constructor(pace: Pace, nowMs: number) {
    this.#hand = pace.burst;
    this.#handAtMs = nowMs;
  }

  /** Moves it may make now. */
  movesInHand(pace: Pace, nowMs: number): number {
    this.#deal(pace, nowMs);
    return Math.floor(this.#hand);
  }

  /** What each candidate has earned of the price of a move so far, 0 to 1. */
  earned(pace: Pace): ReadonlyMap<Transport, number> {
    return new Map([...this.#credits].map(([transport, credit]) => [transport, Math.min(1, credit / pace.moveCostMs)]));
  }

  /** By how much less than it says the table counts now, because a move of late was for the worse; 1: not at all. */
  doubt(seen: Seen, nowMs: number): number {
    return this.#proof.doubt(seen, nowMs);
  }

  /** One sample: what would be best now, and what there is. Gives a move if it is time for one; whoever gets it makes it. */
  sample(choice: Choice, seen: Seen, current: Transport, ringBytes: number, pace: Pace, nowMs: number): Decision | undefined {
    const elapsedMs = Math.min(LONGEST_SAMPLE_MS, Math.max(0, nowMs - (this.#lastSampleMs ?? nowMs)));
    this.#lastSampleMs = nowMs;
    this.#prove(choice, seen, current, nowMs);
    this.#credit(choice, current, pace, elapsedMs, this.doubt(seen, nowMs));
    const larger = choice.ringBytes > ringBytes && choice.trust !== "n/a";
    this.#ringWantedMs = larger ? this.#ringWantedMs + elapsedMs : 0;
    if (nowMs - this.#lastMoveMs < pace.dwellMs || this.movesInHand(pace, nowMs) < 1) return undefined;
    const back = this.#back;
    if (back !== undefined) {
      this.#took(nowMs);
      // Doubt keeps it from going there again, as long as that holds.
      this.#left = undefined;
      return back;
    }
    const best = this.#best(choice, current, pace, nowMs);
    if (best === undefined && this.#ringWantedMs < RING_PATIENCE_MS) return undefined;
    const ring = larger ? choice.ringBytes : undefined;
    this.#took(nowMs);
    this.#left = current;
    if (best !== undefined) this.#promise(choice, current, best, nowMs);
    if (best !== undefined) return { transport: best, ringBytes: ring, reason: choice.reason };
    return {
      transport: current,
      ringBytes: ring,
      reason: `${current} with ${choice.ringBytes} bytes, because its writers keep running out of room`,
    };
  }

  /** A move for another reason than the choice takes from the ration, too. False: none is left. */
  spend(pace: Pace, nowMs: number): boolean {
    if (this.movesInHand(pace, nowMs) < 1) return false;
    this.disturbed(nowMs);
    this.#hand -= 1;
    return true;
  }

  /** Nothing to decide now: the time until the next sample is nobody's credit. */
  skip(nowMs: number): void {
    this.#lastSampleMs = nowMs;
    this.#ringWantedMs = 0;
    this.#forgetProof();
  }

  /** An operator gave it into the policy's hands: a full ration, and nothing is held against any transport. */
  refresh(pace: Pace, nowMs: number): void {
    this.#hand = pace.burst;
    this.#handAtMs = nowMs;
    this.#refused.clear();
  }

  /** It is what it was told to be: nothing of before counts. */
  moved(nowMs: number): void {
    this.#credits.clear();
    this.#lastMoveMs = nowMs;
    this.#ringWantedMs = 0;
    this.#back = undefined;
  }

  /** Somebody else moved it, or it was moved for another reason: nor does what was to be proved. */
  disturbed(nowMs: number): void {
    this.moved(nowMs);
    this.#forgetProof();
  }

  /** An end could not follow. */
  refused(transport: Transport, pace: Pace, nowMs: number): void {
    this.#refused.set(transport, nowMs + pace.refusedMs);
    this.#credits.delete(transport);
    this.#forgetProof();
  }

  #forgetProof(): void {
    this.#proof.drop();
    this.#back = undefined;
  }

  #prove(choice: Choice, seen: Seen, current: Transport, nowMs: number): void {
    const verdict = this.#proof.sample(seen, current, nowMs);
    if (verdict === undefined || candidateOf(choice, verdict.transport)?.ruledOut !== undefined) return;
    this.#back = { ...verdict, ringBytes: undefined };
  }

  #promise(choice: Choice, current: Transport, best: Transport, nowMs: number): void {
    const [now, then] = [candidateOf(choice, current), candidateOf(choice, best)];
    const promised = (now?.nsPerMessage ?? 0) / (then?.nsPerMessage ?? Infinity);
    // What had to be left need not have been slower, nor what burned a CPU that somebody else wants.
    if (now?.ruledOut !== undefined || promised <= 1 || current === "mempipe-spin") return this.#proof.drop();
    this.#proof.began(current, best, promised, nowMs);
  }

  #credit(choice: Choice, current: Transport, pace: Pace, elapsedMs: number, doubt: number): void {
    const now = candidateOf(choice, current);
    // Something that is ruled out by now has to be left, whatever it costs: as if each candidate saved all of the time.
    const banned = now === undefined || (now.ruledOut !== undefined && now.cost !== Infinity);
    for (const { transport, cost, ruledOut } of choice.candidates) {
      if (transport === current || ruledOut !== undefined || cost === Infinity) {
        this.#credits.delete(transport);
        continue;
      }
      const gain = banned || now.cost === Infinity ? 1 : (now.cost * (1 - pace.margin)) / doubt - cost;
      this.#credits.set(transport, Math.max(0, Math.min(pace.moveCostMs * 2, (this.#credits.get(transport) ?? 0) + gain * elapsedMs)));
    }
  }

  /** The best of those who have earned it. */
  #best(choice: Choice, current: Transport, pace: Pace, nowMs: number): Transport | undefined {
    const banned = candidateOf(choice, current)?.ruledOut !== undefined;
    if (!banned && !this.#proof.ready(nowMs)) return undefined;
    const resting = banned || nowMs - this.#lastMoveMs >= pace.returnMs ? undefined : this.#left;
    return choice.candidates.find(({ transport, ruledOut }) =>
      ruledOut === undefined && transport !== resting && (this.#credits.get(transport) ?? 0) >= pace.moveCostMs
      && (this.#refused.get(transport) ?? 0) <= nowMs
    )?.transport;
  }

  #took(nowMs: number): void {
    this.#hand -= 1;
    this.moved(nowMs);
  }

  #deal(pace: Pace, nowMs: number): void {
    this.#hand = Math.min(pace.burst, this.#hand + Math.max(0, nowMs - this.#handAtMs) / pace.refillMs);
    this.#handAtMs = Math.max(this.#handAtMs, nowMs);
  }
}

function candidateOf(choice: Choice, transport: Transport): Choice["candidates"][number] | undefined {
  return choice.candidates.find((one) => one.transport === transport);
}
