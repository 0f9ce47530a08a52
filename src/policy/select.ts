/**
 * Which transport a new channel gets, and why: a pure function of facts, so that every decision can be repeated and shown to people. The
 * calibrated table of this host joins the facts in a later issue; the shape of question and answer stays.
 */

export type SelectableTransport = "mempipe" | "mempipe-spin" | "mempipe-futex" | "unix";

export interface SelectionFacts {
  /** By hand, from whoever connects. */
  readonly requested: SelectableTransport | undefined;
  /** Both ends can map the same memory. */
  readonly sameHost: boolean;
  readonly trust: "trusted" | "untrusted";
  /** Who made the trust what it is: "asked" by an end, or because the "user" differs. */
  readonly trustBecause: "asked" | "user";
}

export interface Selection {
  readonly transport: SelectableTransport;
  /** One sentence for `fable flows`. */
  readonly reason: string;
}

export function select(facts: SelectionFacts): Selection {
  const shared = facts.requested !== "unix";
  const trust = !shared || facts.trust === "trusted"
    ? ""
    : facts.trustBecause === "user"
    ? "; untrusted, because the ends belong to different users"
    : "; untrusted, because an end asked for it";
  if (facts.requested !== undefined) {
    return { transport: facts.requested, reason: `${facts.requested} was asked for by the connecting end${trust}` };
  }
  if (facts.sameHost) return { transport: "mempipe", reason: `mempipe, because both ends are on this host and can share memory${trust}` };
  return { transport: "unix", reason: "unix, because the ends cannot share memory" };
}
