/**
 * Which transport a channel gets, and why: pure functions of facts, the calibration table and the operator's rules, so that every decision can
 * be repeated and shown to people. `select` answers for a new channel, of which nothing is known yet but who its ends are; `choose` for one that
 * lives, from what was seen of it. When to act on a choice is another question, which decide.ts answers.
 */
import { type Advice, advise } from "./coschedule.ts";
import {
  type FlowFacts,
  loadOf,
  requestShare,
  SHARED,
  togetherShare,
  type Transport,
  transportOf,
  TRANSPORTS,
  type Trust,
} from "./facts.ts";
import type { Terms } from "./rules.ts";
import type { CostModel, Situation } from "./table.ts";

export type SelectableTransport = "mempipe" | "mempipe-spin" | "mempipe-futex" | "unix";

export interface SelectionFacts {
  /** By hand, from whoever connects. */
  readonly requested: SelectableTransport | undefined;
  /** Both ends can map the same memory. */
  readonly sameHost: boolean;
  readonly trust: "trusted" | "untrusted";
  /** Who made the trust what it is: "asked" by an end, because the "user" differs, or by a "rule". */
  readonly trustBecause: "asked" | "user" | "rule";
  /** What a rule of the policy file pins this connection to, as far as a channel can begin with it. */
  readonly pinned?: SelectableTransport | undefined;
}

export interface Selection {
  readonly transport: SelectableTransport;
  /** One sentence for `fable flows`. */
  readonly reason: string;
}

const TRUST_REASONS = {
  user: "; untrusted, because the ends belong to different users",
  asked: "; untrusted, because an end asked for it",
  rule: "; untrusted, because a rule of the policy file says so",
} as const;

/** How a channel begins. */
export function select(facts: SelectionFacts): Selection {
  const wanted = facts.pinned ?? facts.requested;
  const shared = wanted !== "unix";
  const trust = !shared || facts.trust === "trusted" ? "" : TRUST_REASONS[facts.trustBecause];
  if (facts.pinned !== undefined) {
    return { transport: facts.pinned, reason: `${facts.pinned}, because a rule of the policy file pins it${trust}` };
  }
  if (facts.requested !== undefined) {
    return { transport: facts.requested, reason: `${facts.requested} was asked for by the connecting end${trust}` };
  }
  if (facts.sameHost) return { transport: "mempipe", reason: `mempipe, because both ends are on this host and can share memory${trust}` };
  return { transport: "unix", reason: "unix, because the ends cannot share memory" };
}

/** A transport that was considered. */
export interface Candidate {
  readonly transport: Transport;
  /** Predicted, as an average over the messages of both directions; undefined if the table does not know. */
  readonly nsPerMessage: number | undefined;
  /** Predicted seconds per second that its messages take, and what the CPU it burns is worth: the sum is what is compared. */
  readonly cost: number;
  /** Why it is out of the question; undefined: it is not. */
  readonly ruledOut: string | undefined;
}

export interface Choice {
  readonly transport: Transport;
  /** As it was: choosing never lowers it. */
  readonly trust: Trust | "n/a";
  readonly waiting: "adaptive" | "spin" | "futex" | "kernel";
  readonly ringBytes: number;
  readonly coscheduling: Advice;
  /** All, the best first. */
  readonly candidates: readonly Candidate[];
  readonly reason: string;
}

/** What a second of a CPU that nobody else wants is worth, in seconds of messages' time; more where others wait for it. */
export const IDLE_CPU_PRICE = 0.02;
export const BUSY_CPU_PRICE = 0.5;

/** What is best for a living channel now. */
export function choose(facts: FlowFacts, model: CostModel, terms: Terms): Choice {
  const current = transportOf(facts);
  const candidates = TRANSPORTS.map((transport) => candidate(transport, facts, model, terms))
    .sort((a, b) => Number(a.ruledOut !== undefined) - Number(b.ruledOut !== undefined) || a.cost - b.cost);
  const open = candidates.filter((one) => one.ruledOut === undefined);
  const [first] = open;
  const now = candidates.find((one) => one.transport === current);
  // At equal prices nothing is better than what is there.
  const best = first === undefined || (now !== undefined && now.ruledOut === undefined && now.cost <= first.cost) ? now : first;
  const transport = best?.transport ?? current;
  return {
    transport,
    trust: SHARED.has(transport) ? facts.trust : "n/a",
    waiting: waitingOf(transport),
    ringBytes: ringFor(facts, terms),
    coscheduling: advise(facts, transport, model),
    candidates,
    reason: reasonFor(transport, current, facts, now, best),
  };
}

export function waitingOf(transport: Transport): Choice["waiting"] {
  if (transport === "mempipe" || transport === "shmem-pipe") return "adaptive";
  if (transport === "mempipe-spin") return "spin";
  return transport === "mempipe-futex" ? "futex" : "kernel";
}

/** The situation of one direction. */
export function situationOf(facts: FlowFacts, side: 0 | 1): Situation {
  return {
    trust: facts.trust,
    bytes: facts.directions[side].meanBytes,
    request: requestShare(facts),
    together: togetherShare(facts),
    load: loadOf(facts),
  };
}

function candidate(transport: Transport, facts: FlowFacts, model: CostModel, terms: Terms): Candidate {
  const costs = ([0, 1] as const).map((side) => model.nsPerMessage(transport, situationOf(facts, side)));
  const rates = facts.directions.map(({ msgsPerS }) => msgsPerS);
  const [rateA = 0, rateB = 0] = rates;
  const [a, b] = costs;
  if (a === undefined || b === undefined) {
    return { transport, nsPerMessage: undefined, cost: Infinity, ruledOut: "the calibration table does not know it" };
  }
  const all = rateA + rateB;
  const spent = (rateA * a + rateB * b) * 1e-9;
  return {
    transport,
    nsPerMessage: all === 0 ? (a + b) / 2 : (spent / all) * 1e9,
    cost: spent + burned(transport, facts, spent),
    ruledOut: ruledOut(transport, facts, terms),
  };
}

/** A spinning end takes the rest of its core, whether there is anything to do or not. */
function burned(transport: Transport, facts: FlowFacts, spent: number): number {
  if (transport !== "mempipe-spin") return 0;
  const price = IDLE_CPU_PRICE + (BUSY_CPU_PRICE - IDLE_CPU_PRICE) * loadOf(facts);
  return price * Math.max(0, 2 - Math.min(1, spent));
}

/** What is left to choose where an end asked for something: that, and for a spin that hurts the same ring without it. */
function ruledOut(transport: Transport, facts: FlowFacts, terms: Terms): string | undefined {
  if (transport === "vmsplice-coop" && facts.trust === "untrusted") {
    return "it lends the sender's pages, and the ends do not trust each other";
  }
  if (terms.pin !== undefined) return transport === terms.pin ? undefined : `a rule of the policy file pins ${terms.pin}`;
  if (facts.asked !== undefined) {
    if (transport === facts.asked || (facts.asked === "mempipe-spin" && transport === "mempipe-futex")) return undefined;
    return `an end asked for ${facts.asked}`;
  }
  return terms.transports.includes(transport) ? undefined : "the policy file does not allow it";
}

const SMALLEST_RING_BYTES = 65_536;
/** A message of more than a quarter of the ring travels in fragments; two such in flight keep both ends busy. */
const MESSAGES_PER_RING = 8;
/** More than this only helps messages that are large themselves: a writer that is still blocked has a slow reader. */
const ENOUGH_RING_BYTES = 1_048_576;

/** Memory for each direction: enough for the messages there are, and for a writer that keeps running out of it; never less than now. */
export function ringFor(facts: Pick<FlowFacts, "directions" | "ringBytes" | "trust" | "pair">, terms: Pick<Terms, "maxRingBytes">): number {
  const largest = Math.max(...facts.directions.map(({ meanBytes }) => meanBytes));
  const blocked = Math.max(...facts.directions.map(({ blockedShare }) => blockedShare));
  let ring = Math.max(SMALLEST_RING_BYTES, facts.ringBytes);
  const most = copiedWhileWritten(facts) ? Math.min(ENOUGH_RING_BYTES, terms.maxRingBytes) : terms.maxRingBytes;
  while (ring < largest * MESSAGES_PER_RING && ring < most) ring *= 2;
  if (blocked > 0.1 && ring === facts.ringBytes && ring < Math.min(ENOUGH_RING_BYTES, terms.maxRingBytes)) ring *= 2;
  return ring;
}

/**
 * Who does not trust the other end copies each message before it reads it. Of an answer that is waited for, one core then copies a piece while the
 * other writes the next, if it travels in pieces: 1 MiB takes 203 µs through a ring of 1 MiB, 251 through one of 4.
 */
function copiedWhileWritten(facts: Pick<FlowFacts, "directions" | "trust" | "pair">): boolean {
  const [less = 0, more = 0] = facts.directions.map(({ msgsPerS }) => msgsPerS).sort((x, y) => x - y);
  return facts.trust === "untrusted" && less > more / 2 && togetherShare(facts) < 0.5;
}

function reasonFor(
  transport: Transport,
  current: Transport,
  facts: FlowFacts,
  now: Candidate | undefined,
  best: Candidate | undefined,
): string {
  const because = conditions(facts);
  if (facts.directions.every(({ msgsPerS }) => msgsPerS === 0)) {
    return `${transport}, because nothing travels that another one could do better`;
  }
  if (transport === current) return `${transport} is the best for ${because}`;
  const [before, after] = [now?.nsPerMessage, best?.nsPerMessage];
  const figures = before === undefined || after === undefined ? "" : `: ${duration(after)} instead of ${duration(before)} a message`;
  return `${transport}, because for ${because} it is better than ${current}${figures}`;
}

/** The situation in words. */
function conditions(facts: FlowFacts): string {
  const request = requestShare(facts);
  const largest = Math.max(...facts.directions.map(({ meanBytes }) => meanBytes));
  const what = request > 0.5 ? "questions and answers" : "a stream";
  const where = togetherShare(facts) > 0.5 ? "on one core" : "across cores";
  const busy = loadOf(facts) > 0.3 ? " that others use, too" : "";
  return `${what} of ${size(largest)} ${where}${busy}`;
}

function size(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} bytes`;
  return bytes < 1_048_576 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / 1_048_576)} MiB`;
}

function duration(ns: number): string {
  const short = (value: number) => (value < 9.95 ? value.toFixed(1) : String(Math.round(value)));
  if (ns < 1000) return `${Math.round(ns)} ns`;
  return ns < 1e6 ? `${short(ns / 1000)} µs` : `${short(ns / 1e6)} ms`;
}
