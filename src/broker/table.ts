/**
 * Rendezvous: brings together who wants a name and who listens on it. Pure: no I/O, no clock; each method says what happened as steps that
 * the broker carries out. Descriptors stay with the broker; the table knows channels by the identity of their control regions.
 */
import { FableError } from "../errors.ts";
import { FIRST_TRANSPORTS } from "../naming/transports.ts";
import { anonymousName } from "../naming/uri.ts";
import { DEFAULT_RULES, type Rules, termsFor } from "../policy/rules.ts";
import { select } from "../policy/select.ts";
import { Accounts, type Quotas } from "./accounts.ts";
import { endCost, type Flow, type FlowEnd, Flows } from "./flows.ts";
import { type Claim, type Client, Names, type Owner } from "./names.ts";

type TransportName = Flow["transport"];
type Trust = Flow["trust"];

/** What somebody who connects wants and has prepared. */
export interface Wish {
  readonly id: number;
  readonly to: string;
  readonly from: string | undefined;
  readonly transport: TransportName | undefined;
  readonly wait: boolean;
  readonly offered: { readonly transport: TransportName; readonly trust: Trust };
  /** The ring it made; 0 if the transport needs none. */
  readonly ringBytes: number;
  readonly control: string;
  readonly deadline: number;
}

export interface Pending {
  readonly client: Client;
  readonly wish: Wish;
  offer: Offer | undefined;
}

/** A pending connection that a listener has been told about. */
export interface Offer {
  readonly flow: string;
  readonly owner: Owner;
  readonly listening: { outstanding: number };
  readonly transport: TransportName;
  readonly trust: Trust;
  readonly reason: string;
  /** Undefined once the initiator has given up: then the answer goes nowhere. */
  pending: Pending | undefined;
}

export type Step =
  | { readonly step: "offer"; readonly pending: Pending; readonly offer: Offer }
  | { readonly step: "again"; readonly pending: Pending; readonly transport: TransportName; readonly trust: Trust; readonly reason: string }
  | { readonly step: "fail"; readonly pending: Pending; readonly error: FableError };

export type RegisterStep =
  | {
    readonly step: "registered";
    readonly client: Client;
    readonly id: number;
    readonly owner: Owner;
    readonly replaced: Owner | undefined;
  }
  | { readonly step: "not-registered"; readonly client: Client; readonly id: number; readonly error: FableError };

export interface TableOptions {
  readonly quotas: Quotas;
  /** Six letters or digits that no other broker has: the first half of flow identities. */
  readonly tag: string;
  readonly graceUntil: number;
  /** Connections that wait at one name. */
  readonly waitingPerName: number;
  /** The operator's, as they are now (default: everybody may do everything). */
  rules?(): Rules;
}

interface Held {
  readonly claim: Claim;
  readonly id: number;
}

export class Table {
  readonly accounts: Accounts;
  readonly names: Names;
  readonly flows: Flows;
  readonly #options: TableOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #waiting = new Map<string, Pending[]>();
  readonly #offers = new Map<string, Offer>();
  #held: Held[] = [];
  #sequence = 0;

  constructor(options: TableOptions) {
    this.#options = options;
    this.accounts = new Accounts(options.quotas);
    this.names = new Names(options.graceUntil);
    this.flows = new Flows(this.accounts);
  }

  /** Connects and registrations that wait. */
  get waiting(): number {
    return this.#pending.size + this.#held.length;
  }

  openSession(client: Client): void {
    this.accounts.charge(client.uid, { sessions: 1 });
  }

  /** A session ended: its names are free, its wishes gone, and whoever it had not answered tries again. */
  closeSession(client: Client, now: number): { readonly gone: readonly Pending[]; readonly steps: readonly Step[] } {
    const gone = [...this.#pending.values()].filter((pending) => pending.client.session === client.session);
    const steps: Step[] = [];
    for (const pending of gone) this.#drop(pending);
    for (const owner of this.names.of(client.session)) steps.push(...this.unregister(client, owner.name));
    for (const held of this.#held.filter((held) => held.claim.client.session === client.session)) this.#dropHeld(held);
    for (const offer of [...this.#offers.values()].filter((offer) => offer.owner.client.session === client.session)) {
      this.#offers.delete(offer.flow);
      if (offer.pending === undefined) continue;
      const { pending, transport, trust } = offer;
      this.#drop(pending);
      steps.push({ step: "again", pending, transport, trust, reason: "the listener went away before it answered" });
    }
    this.flows.detach(client.session, client.process, now);
    this.accounts.giveBack(client.uid, { sessions: 1 });
    return { gone, steps };
  }

  register(claim: Claim, id: number, now: number): RegisterStep | undefined {
    this.accounts.charge(claim.client.uid, { names: 1 });
    try {
      const result = this.names.claim(claim, now);
      if (result.outcome === "granted") {
        if (result.replaced !== undefined) this.accounts.giveBack(claim.client.uid, { names: 1 });
        return { step: "registered", client: claim.client, id, owner: result.owner, replaced: result.replaced };
      }
      this.accounts.charge(claim.client.uid, { waiting: 1 });
      this.accounts.giveBack(claim.client.uid, { names: 1 });
      this.#held.push({ claim, id });
      return undefined;
    } catch (error) {
      this.accounts.giveBack(claim.client.uid, { names: 1 });
      throw error;
    }
  }

  unregister(client: Client, name: string): readonly Step[] {
    const owner = this.names.release(client.session, name);
    if (owner === undefined) {
      throw new FableError("REFUSED", `${name} is not registered by this program`, { remedy: "only its owner can give a name back" });
    }
    this.accounts.giveBack(client.uid, { names: 1 });
    return [];
  }

  listen(client: Client, name: string, backlog: number, trust: Trust): readonly Step[] {
    this.names.listen(client.session, name, backlog, trust);
    return this.#dispatch(name);
  }

  /** Somebody wants to connect. No step about it means that it waits. */
  connect(client: Client, wish: Wish): { readonly pending: Pending; readonly steps: readonly Step[] } {
    if (this.#pending.has(key(client.session, wish.id))) throw new FableError("PROTOCOL", `request ${wish.id} is already under way`);
    if (wish.from !== undefined) this.names.owned(client.session, wish.from);
    this.flows.assertUnused(wish.control);
    if (!this.#terms(wish).allow) throw forbidden(wish);
    const found = this.names.find(wish.to);
    if (!wish.wait && (found.state === "unknown" || found.state === "silent")) throw absent(wish.to, found.state, undefined);
    const queue = this.#waiting.get(wish.to) ?? [];
    if (queue.length >= this.#options.waitingPerName) throw full(wish.to, this.#options.waitingPerName);
    this.accounts.charge(client.uid, { waiting: 1, ...endCost(wish.ringBytes) });
    const pending: Pending = { client, wish, offer: undefined };
    this.#pending.set(key(client.session, wish.id), pending);
    queue.push(pending);
    this.#waiting.set(wish.to, queue);
    return { pending, steps: this.#dispatch(wish.to) };
  }

  /** The initiator gave up. Undefined if there is nothing to give up any more. */
  cancel(client: Client, id: number): Pending | undefined {
    const held = this.#held.find((candidate) => candidate.id === id && candidate.claim.client.session === client.session);
    if (held !== undefined) this.#dropHeld(held);
    const pending = this.#pending.get(key(client.session, id));
    if (pending !== undefined) this.#drop(pending);
    return pending;
  }

  /** The offer this client answers. Throws if it never got one; `pending` is undefined if the initiator has given up. */
  answered(client: Client, flow: string): Offer {
    const offer = this.#offers.get(flow);
    if (offer !== undefined && offer.owner.client.session === client.session) return offer;
    throw new FableError("PROTOCOL", `${flow} was not offered to this program, or is answered already`);
  }

  /** The listener accepts: the flow is open. Throws (and leaves the offer to `refuse`) when its user may not have one more. */
  accept(
    offer: Offer,
    half: { readonly control: string; readonly ringBytes: number },
    now: number,
  ): { readonly flow: Flow; readonly steps: readonly Step[] } {
    const { pending, owner } = offer;
    if (pending === undefined) throw new FableError("CLOSED", "the connecting end has given up");
    this.flows.assertUnused(half.control);
    if (half.control === pending.wish.control) throw new FableError("REFUSED", "both ends show the same control region");
    this.accounts.charge(owner.client.uid, endCost(half.ringBytes));
    this.#settle(offer);
    this.#pending.delete(key(pending.client.session, pending.wish.id));
    this.accounts.giveBack(pending.client.uid, { waiting: 1 });
    const names = [pending.wish.from ?? anonymousName(pending.client.session), owner.name] as const;
    const initiator = end(pending.client, names[0], pending.wish.control, pending.wish.ringBytes);
    const acceptor = end(owner.client, names[1], half.control, half.ringBytes);
    const { flow, transport, trust, reason } = offer;
    const asked = pending.wish.transport !== undefined;
    const opened = this.flows.open({ flow, transport, trust, reason, since: now, asked, names, ends: [initiator, acceptor] });
    return { flow: opened, steps: this.#dispatch(owner.name) };
  }

  /** The listener refuses, or its answer was no good. */
  refuse(offer: Offer, error: FableError): readonly Step[] {
    const { pending } = offer;
    this.#settle(offer);
    const steps: Step[] = [];
    if (pending !== undefined) {
      this.#drop(pending);
      steps.push({ step: "fail", pending, error });
    }
    return [...steps, ...this.#dispatch(offer.owner.name)];
  }

  /** What time did: deadlines that passed, and the end of the grace period. */
  expire(now: number): { readonly failed: readonly Step[]; readonly registered: readonly RegisterStep[]; readonly over: readonly Flow[] } {
    const failed: Step[] = [];
    for (const pending of [...this.#pending.values()]) {
      if (pending.wish.deadline > now) continue;
      const error = this.#lateness(pending);
      this.#drop(pending);
      failed.push({ step: "fail", pending, error });
    }
    return { failed, registered: now >= this.names.graceUntil ? this.#endGrace(now) : [], over: this.flows.expire(now) };
  }

  /** When `expire` has something to do next. */
  nextDeadline(): number | undefined {
    let next = Math.min(this.flows.nextDeadline(), this.#held.length > 0 ? this.names.graceUntil : Infinity);
    for (const pending of this.#pending.values()) next = Math.min(next, pending.wish.deadline);
    return next === Infinity ? undefined : next;
  }

  /** Gives whoever waits at this name to those who listen on it, as far as their backlogs go. */
  #dispatch(name: string): readonly Step[] {
    const queue = this.#waiting.get(name);
    const steps: Step[] = [];
    while (queue !== undefined && queue.length > 0) {
      const found = this.names.find(name);
      if (found.state !== "ready") break;
      const pending = queue.shift();
      if (pending === undefined) break;
      steps.push(this.#match(pending, found.owner, found.listening));
    }
    if (queue?.length === 0) this.#waiting.delete(name);
    return steps;
  }

  #match(pending: Pending, owner: Owner, listening: { outstanding: number; readonly trust: Trust }): Step {
    const { wish, client } = pending;
    const sameUser = client.uid === owner.client.uid;
    const terms = this.#terms(wish);
    const asked = wish.offered.trust === "untrusted" || listening.trust === "untrusted";
    const trust: Trust = !sameUser || asked || terms.trust === "untrusted" ? "untrusted" : "trusted";
    const trustBecause = !sameUser ? "user" : asked ? "asked" : "rule";
    // What no channel begins with, it is moved to once it is there.
    const pinned = FIRST_TRANSPORTS.find((name) => name === terms.pin);
    const { transport, reason } = select({ requested: wish.transport, sameHost: true, trust, trustBecause, pinned });
    const stricter = transport !== "unix" && trust === "untrusted" && wish.offered.trust === "trusted";
    if (transport !== wish.offered.transport || stricter) {
      this.#drop(pending);
      return { step: "again", pending, transport, trust, reason };
    }
    const flow = `${this.#options.tag}-${++this.#sequence}`;
    const offer: Offer = { flow, owner, listening, transport, trust, reason, pending };
    pending.offer = offer;
    listening.outstanding += 1;
    this.#offers.set(flow, offer);
    return { step: "offer", pending, offer };
  }

  /** What the operator's rules say about that connection. */
  #terms(wish: Wish): ReturnType<typeof termsFor> {
    return termsFor(this.#options.rules?.() ?? DEFAULT_RULES, wish.from, wish.to);
  }

  /** The pending connection is over, one way or the other. Its offer stays outstanding: the listener still owes an answer. */
  #drop(pending: Pending): void {
    this.#pending.delete(key(pending.client.session, pending.wish.id));
    const queue = this.#waiting.get(pending.wish.to);
    const place = queue?.indexOf(pending) ?? -1;
    if (queue !== undefined && place >= 0) queue.splice(place, 1);
    if (queue?.length === 0) this.#waiting.delete(pending.wish.to);
    if (pending.offer !== undefined) pending.offer.pending = undefined;
    const cost = endCost(pending.wish.ringBytes);
    this.accounts.giveBack(pending.client.uid, { waiting: 1, ...cost });
  }

  #settle(offer: Offer): void {
    this.#offers.delete(offer.flow);
    offer.listening.outstanding -= 1;
  }

  #dropHeld(held: Held): void {
    this.#held = this.#held.filter((candidate) => candidate !== held);
    this.accounts.giveBack(held.claim.client.uid, { waiting: 1 });
  }

  #endGrace(now: number): readonly RegisterStep[] {
    return this.#held.slice().flatMap((held) => {
      const { claim: { client }, id } = held;
      this.#dropHeld(held);
      try {
        const step = this.register(held.claim, id, now);
        return step === undefined ? [] : [step];
      } catch (error) {
        if (!(error instanceof FableError)) throw error;
        return [{ step: "not-registered", client, id, error }];
      }
    });
  }

  #lateness(pending: Pending): FableError {
    const { to } = pending.wish;
    if (pending.offer !== undefined) {
      return new FableError("TIMEOUT", `whoever listens on ${to} did not answer in time`, {
        remedy: "look whether that program is stuck (fable ls shows it)",
      });
    }
    const { state } = this.names.find(to);
    if (state === "unknown" || state === "silent") return absent(to, state, "in time");
    return full(to, undefined);
  }
}

function key(session: number, id: number): string {
  return `${session}:${id}`;
}

function end(client: Client, name: string, control: string, ringBytes: number): FlowEnd {
  return { client, session: client.session, detachedAt: undefined, name, control, ringBytes, open: true };
}

function forbidden({ from, to }: Wish): FableError {
  return new FableError("REFUSED", `the policy file does not let ${from ?? "programs without a name"} connect to ${to}`, {
    remedy: "ask the operator of the broker for a rule that allows it",
  });
}

function absent(name: string, state: "unknown" | "silent", when: string | undefined): FableError {
  const late = when === undefined ? "" : ` ${when}`;
  return state === "unknown"
    ? new FableError("NAME_UNKNOWN", `nobody registered ${name}${late}`, {
      remedy: "start the program that registers it; fable ls shows the names there are",
    })
    : new FableError("NOT_LISTENING", `${name} is registered, but nobody listened on it${late}`, { remedy: "have its owner listen" });
}

function full(name: string, waiting: number | undefined): FableError {
  const why = waiting === undefined ? "did not take the connections offered to it" : `has ${waiting} connections waiting`;
  return new FableError("BACKLOG_FULL", `${name} ${why}`, { remedy: "try again later, or give the listener a larger backlog" });
}
