/**
 * Orders to move a channel: who may give one, both ends get it, whoever asked hears when it is done: when both ends say so, or one does and the
 * control regions of both show it, because the other may be a program that never comes to its event loop. The ends move by themselves once
 * they have the order, so that nothing here, not even the broker's death, can leave a channel half moved. No I/O and no clock of its own.
 *
 * Of one flow the newest order counts: whoever waits for an older one is told that it is superseded. How many orders an end may owe a report
 * for is bounded, or somebody could drown a program that is busy.
 */
import { FableError } from "../errors.ts";
import { errorMessage, type Requests, type Responses } from "../naming/protocol.ts";
import type { TransportName } from "../transport/transport.ts";
import { type Flow, type FlowEnd, type Flows, isWhole } from "./flows.ts";
import type { Client } from "./names.ts";
import type { Session } from "./session.ts";

export interface ReconfigurationsOptions {
  readonly flows: Pick<Flows, "get">;
  /** The broker's own user. */
  readonly uid: number;
  now(): number;
  session(id: number): Pick<Session, "send"> | undefined;
  /** How long open buffers may hold up a move; undefined: as the ends say. */
  drainDeadlineMs?(): number | undefined;
  /** What the ends' control regions say: where each direction is, and how often it moved. */
  look(flow: Flow): readonly [Whereabouts, Whereabouts];
}

export interface Whereabouts {
  readonly transport: TransportName;
  readonly switches: number;
}

interface Move {
  readonly transport: TransportName;
  readonly ringBytes: number | undefined;
  readonly timeoutMs: number;
  readonly reason: "operator" | "policy";
}

interface Pending {
  readonly flow: Flow;
  readonly order: number;
  readonly transport: TransportName;
  /** How often each direction must have moved before it can be said to have followed this order. */
  readonly switches: readonly [number, number];
  /** Who asked, if somebody did: a client, not the policy. */
  readonly asker: { readonly session: number; readonly id: number } | undefined;
  /** Hears what came of it: undefined, it is done. */
  readonly settle: (error: FableError | undefined) => void;
  readonly deadline: number;
  /** The ends that have not reported, by their sessions; one session may have both. */
  readonly missing: Map<number, readonly FlowEnd[]>;
  failure: FableError | undefined;
}

/** Reports that a session may owe: for one flow, and for all. */
const OWED_PER_FLOW = 4;
const OWED_PER_SESSION = 256;
const LAST_ORDER = 0xffff_ffff;

export class Reconfigurations {
  readonly #options: ReconfigurationsOptions;
  readonly #pending = new Map<string, Pending>();
  /** By session: flow and number of each order that it has not reported on. */
  readonly #owed = new Map<number, Set<string>>();
  #lastOrder = 0;

  constructor(options: ReconfigurationsOptions) {
    this.#options = options;
  }

  /** Orders that wait for reports. */
  get size(): number {
    return this.#pending.size;
  }

  /** Somebody wants a flow moved. Throws what speaks against it. */
  begin(client: Client, request: Requests["reconfigure"]): void {
    const flow = this.#options.flows.get(request.flow);
    if (flow === undefined || !isWhole(flow)) throw unknownFlow(request.flow);
    this.#authorise(client, flow);
    const { transport, ring_bytes: ringBytes, timeout_ms: timeoutMs } = request;
    const asker = { session: client.session, id: request.id };
    this.#order(flow, { transport, ringBytes, timeoutMs, reason: "operator" }, asker, (error) => {
      this.#options.session(asker.session)?.send(error === undefined ? { type: "done", id: asker.id } : errorMessage(asker.id, error));
    });
  }

  /** The policy wants a flow moved; `settle` hears what came of it. Throws what speaks against it. */
  order(
    flow: Flow,
    transport: TransportName,
    ringBytes: number | undefined,
    timeoutMs: number,
    settle: (error: FableError | undefined) => void,
  ): void {
    this.#order(flow, { transport, ringBytes, timeoutMs, reason: "policy" }, undefined, settle);
  }

  /** Somebody waits for reports about it. */
  concerns(flow: Flow): boolean {
    return this.#pending.has(flow.flow);
  }

  #order(flow: Flow, move: Move, asker: Pending["asker"], settle: Pending["settle"]): void {
    const { transport, ringBytes, timeoutMs, reason } = move;
    if (transport === "vmsplice-coop" && flow.trust === "untrusted") throw needsTrust();
    const missing = this.#reach(flow);
    const older = this.#pending.get(flow.flow);
    if (older !== undefined) this.#fail(older, superseded(transport));
    this.#lastOrder = this.#lastOrder === LAST_ORDER ? 1 : this.#lastOrder + 1;
    const order = this.#lastOrder;
    const deadline = this.#options.now() + timeoutMs;
    // With other memory it is a move, even to the transport that it has.
    const [a, b] = this.#options.look(flow);
    const switches = [a, b].map((now) => now.switches + (ringBytes === undefined ? 0 : 1)) as [number, number];
    this.#pending.set(flow.flow, {
      ...{ flow, order, transport, switches, deadline, missing },
      ...{ asker, settle, failure: undefined },
    });
    const deadlineMs = this.#options.drainDeadlineMs?.();
    const ring = ringBytes === undefined ? {} : { ring_bytes: ringBytes };
    const message: Responses["reconfigure"] = {
      type: "reconfigure",
      flow: flow.flow,
      transport,
      ...ring,
      reason,
      ...(deadlineMs === undefined ? {} : { drain_deadline_ms: deadlineMs }),
      order,
    };
    for (const session of missing.keys()) {
      this.#owed.set(session, (this.#owed.get(session) ?? new Set()).add(owing(flow.flow, order)));
      // One that cannot be told any more is about to end, and then whoever asked hears of it.
      this.#options.session(session)?.send(message);
    }
  }

  /** An end says what came of an order. Late and invented reports are of no interest. */
  reported(client: Client, { flow, order, outcome, message, remedy }: Requests["reconfigured"]): void {
    if (this.#owed.get(client.session)?.delete(owing(flow, order)) !== true) return;
    const pending = this.#pending.get(flow);
    const ends = pending?.order === order ? pending.missing.get(client.session) : undefined;
    if (pending === undefined || ends === undefined) return;
    pending.missing.delete(client.session);
    if (outcome !== "done") {
      pending.failure ??= new FableError(outcome, `${called(ends)}: ${message}`, remedy === undefined ? {} : { remedy });
    }
    if (pending.missing.size > 0 && !this.#isVisible(pending)) return;
    this.#options.look(pending.flow);
    if (pending.failure !== undefined) return this.#fail(pending, pending.failure);
    this.#pending.delete(flow);
    pending.settle(undefined);
  }

  /** Whoever asked gave up; the ends go on. True if there was something to give up. */
  cancel(client: Client, id: number): boolean {
    const given = [...this.#pending.values()].filter(({ asker }) => asker?.session === client.session && asker.id === id);
    for (const pending of given) this.#pending.delete(pending.flow.flow);
    return given.length > 0;
  }

  sessionEnded(session: number): void {
    this.#owed.delete(session);
    for (const pending of [...this.#pending.values()]) {
      if (pending.asker?.session === session) this.#pending.delete(pending.flow.flow);
      const ends = pending.missing.get(session);
      if (ends !== undefined) this.#fail(pending, lost(ends));
    }
  }

  /** An end of the flow closed, or its process died: nobody reports on it any more. */
  flowEnded(flow: Flow, dead?: string): void {
    for (const owed of this.#owed.values()) for (const one of owed) if (one.startsWith(owing(flow.flow, ""))) owed.delete(one);
    const pending = this.#pending.get(flow.flow);
    const ends = flow.ends.filter((end) => end !== undefined && end.client.process === dead) as readonly FlowEnd[];
    if (pending !== undefined) this.#fail(pending, ends.length > 0 ? died(ends) : closed(flow));
  }

  /** The broker leaves: the next one answers whoever waits. */
  abandon(): void {
    this.#pending.clear();
  }

  /** Tells those whose time is over who did not report. */
  expire(now: number): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.deadline > now) continue;
      this.#fail(pending, pending.failure ?? late([...pending.missing.values()].flat()));
    }
  }

  /** When `expire` has something to do next; Infinity if not at all. */
  nextDeadline(): number {
    let next = Infinity;
    for (const { deadline } of this.#pending.values()) next = Math.min(next, deadline);
    return next;
  }

  /** One end says that it is done, and both directions are where they were ordered to be. */
  #isVisible({ flow, transport, switches, failure }: Pending): boolean {
    const now = this.#options.look(flow);
    return failure === undefined && now.every((one, side) => one.transport === transport && one.switches >= (switches[side] ?? 0));
  }

  #authorise(client: Client, flow: Flow): void {
    const allowed = [this.#options.uid, 0, ...flow.ends.map((end) => end?.client.uid)];
    if (allowed.includes(client.uid)) return;
    throw new FableError("REFUSED", "only the broker's own user, root and the users of its two ends may move a channel", {
      remedy: "run the command as one of them",
    });
  }

  /** The sessions of both ends. Throws if one of them cannot be told. */
  #reach(flow: Flow): Map<number, readonly FlowEnd[]> {
    const sessions = new Map<number, readonly FlowEnd[]>();
    for (const end of flow.ends) {
      if (end === undefined) continue;
      if (!end.open) throw closed(flow);
      if (end.session === undefined) throw detached(end);
      const owed = [...this.#owed.get(end.session) ?? []];
      if (owed.length >= OWED_PER_SESSION || owed.filter((one) => one.startsWith(owing(flow.flow, ""))).length >= OWED_PER_FLOW) {
        throw busy(end);
      }
      sessions.set(end.session, [...sessions.get(end.session) ?? [], end]);
    }
    return sessions;
  }

  #fail(pending: Pending, error: FableError): void {
    this.#pending.delete(pending.flow.flow);
    pending.settle(error);
  }
}

const owing = (flow: string, order: number | "") => `${flow} ${order}`;

/** How people find an end: its name and its process. */
function called(ends: readonly FlowEnd[]): string {
  return ends.map((end) => `${end.name} (process ${end.client.pid})`).join(" and ");
}

export function unknownFlow(flow: string): FableError {
  return new FableError("NAME_UNKNOWN", `there is no channel ${flow}`, { remedy: "fable flows shows those there are" });
}

function needsTrust(): FableError {
  return new FableError(
    "UNSUPPORTED_TRANSPORT",
    "vmsplice-coop lends the sender's own pages, and the ends of this channel do not trust each other",
    {
      remedy: "choose pipe, which copies",
    },
  );
}

function superseded(transport: string): FableError {
  return new FableError("SUPERSEDED", `a newer order (${transport}) took the place of this one`, {
    remedy: "see fable flows for what the channel does now",
  });
}

function detached(end: FlowEnd): FableError {
  return new FableError("REFUSED", `${called([end])} has no connection to the broker, which therefore cannot order anything there`, {
    remedy: "try again in a moment; if it stays so, its program has closed its name service",
  });
}

function busy(end: FlowEnd): FableError {
  return new FableError("QUOTA", `${called([end])} has not yet reported on the orders it was given before`, {
    remedy: "look whether that program is stuck (fable flows shows its process)",
  });
}

function lost(ends: readonly FlowEnd[]): FableError {
  return new FableError("PEER_CLOSED", `${called(ends)} lost its connection to the broker before it reported`, {
    remedy: "see fable flows for what the channel does now",
  });
}

function closed(flow: Flow): FableError {
  return new FableError("CLOSED", `the channel ${flow.flow} is being closed`, { remedy: "nothing moves any more" });
}

function died(ends: readonly FlowEnd[]): FableError {
  return new FableError("PEER_DEAD", `${called(ends)} died`, { remedy: "start it again; it will be a new channel" });
}

function late(ends: readonly FlowEnd[]): FableError {
  return new FableError("TIMEOUT", `${called(ends)} did not report in time that the channel moved`, {
    remedy: "look whether that program is stuck; the order stays with it, and fable flows shows what becomes of it",
  });
}
