/**
 * The channels the broker introduced, as it sees them: two ends, each of one process. Pure. A flow lives as long as one of its processes has an
 * end open; sessions come and go. After a restart of the broker a flow is whole again when both ends have shown their control regions and
 * tickets that fit each other.
 */
import { FableError } from "../errors.ts";
import { type Accounts, type Usage } from "./accounts.ts";
import type { Client } from "./names.ts";

export const CONTROL_BYTES = 4096;

/**
 * How long an end may be without a session while its process lives. A client that lost its broker is back within a second; one that is not back
 * by then has closed its name service (or its worker was ended), and nobody will tell when the channel goes.
 */
export const DETACHED_MS = 10_000;

/** One end; the initiator's has index 0. */
export interface FlowEnd {
  readonly client: Client;
  /** Where to reach it; undefined while its process has no session with an interest in the flow. */
  session: number | undefined;
  detachedAt: number | undefined;
  readonly name: string;
  /** Device and inode of its control region. */
  readonly control: string;
  readonly ringBytes: number;
  open: boolean;
}

export interface Flow {
  readonly flow: string;
  readonly transport: "mempipe" | "mempipe-spin" | "mempipe-futex" | "unix";
  readonly trust: "trusted" | "untrusted";
  readonly reason: string;
  readonly since: number;
  /** The connecting end asked for the transport by name. */
  readonly asked?: boolean;
  /** Both names, also while only one end has come back. */
  readonly names: readonly [string, string];
  readonly ends: [FlowEnd | undefined, FlowEnd | undefined];
  /** Device and inode of the initiator's control region. */
  readonly region: string;
}

export interface Restoration {
  readonly flow: string;
  readonly role: 0 | 1;
  readonly names: readonly [string, string];
  readonly transport: Flow["transport"];
  readonly trust: Flow["trust"];
  readonly reason: string;
  readonly since: number;
  readonly asked?: boolean;
  readonly ringBytes: number;
  /** The initiator's control region, as the ticket says, and the region of this end's own that was shown. */
  readonly region: string;
  readonly shown: string;
}

/** What an end costs its user. */
export function endCost(ringBytes: number): Partial<Usage> {
  return { channels: 1, memoryBytes: ringBytes + CONTROL_BYTES };
}

export class Flows {
  readonly #accounts: Accounts;
  readonly #flows = new Map<string, Flow>();
  readonly #byProcess = new Map<string, Set<Flow>>();
  readonly #controls = new Map<string, string>();
  readonly #detached = new Set<FlowEnd>();

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  get size(): number {
    return this.#flows.size;
  }

  get(flow: string): Flow | undefined {
    return this.#flows.get(flow);
  }

  /** Whole flows in the order of their identities. */
  list(): readonly Flow[] {
    return [...this.#flows.values()].filter(isWhole).sort((a, b) => (a.flow < b.flow ? -1 : 1));
  }

  /** Whole flows in no order in particular. */
  *whole(): Iterable<Flow & { readonly ends: [FlowEnd, FlowEnd] }> {
    for (const flow of this.#flows.values()) if (isWhole(flow)) yield flow;
  }

  /** True while some end of this process is open. */
  involves(process: string): boolean {
    return this.#byProcess.has(process);
  }

  /** A control region belongs to one flow. */
  assertUnused(control: string): void {
    if (this.#controls.has(control)) {
      throw new FableError("REFUSED", "this control region already belongs to a channel", { remedy: "each channel has its own" });
    }
  }

  /** Both ends are there; their costs have been charged by the caller. */
  open(flow: Omit<Flow, "region" | "ends"> & { readonly ends: readonly [FlowEnd, FlowEnd] }): Flow {
    const [initiator, acceptor] = flow.ends;
    const whole: Flow = { ...flow, ends: [initiator, acceptor], region: initiator.control };
    this.#flows.set(flow.flow, whole);
    for (const end of flow.ends) this.#link(whole, end);
    return whole;
  }

  /** This client closed its end. Gives the flow if nothing of it is left. */
  close(client: Client, flow: string): Flow | undefined {
    const known = this.#flows.get(flow);
    const end = known?.ends.find((candidate) =>
      candidate?.open === true && candidate.client.process === client.process && candidate.session === client.session
    );
    if (known === undefined || end === undefined) return undefined;
    end.open = false;
    return known.ends.some((other) => other?.open === true) ? undefined : this.#remove(known);
  }

  /** A session ended; its process may live on with its channels. */
  detach(session: number, process: string, now: number): void {
    for (const flow of this.#byProcess.get(process) ?? []) {
      for (const end of flow.ends) {
        if (end?.session !== session) continue;
        end.session = undefined;
        end.detachedAt = now;
        this.#detached.add(end);
      }
    }
  }

  /** Takes ends that stayed without a session for closed. Gives the flows of which nothing is left. */
  expire(now: number): readonly Flow[] {
    const over: Flow[] = [];
    for (const end of this.#detached) {
      if ((end.detachedAt ?? now) + DETACHED_MS > now) continue;
      this.#detached.delete(end);
      end.open = false;
      const flow = this.#flows.get(this.#controls.get(end.control) ?? "");
      if (flow !== undefined && !flow.ends.some((other) => other?.open === true)) over.push(this.#remove(flow));
    }
    return over;
  }

  /** When `expire` has something to do next; Infinity if not at all. */
  nextDeadline(): number {
    let next = Infinity;
    for (const end of this.#detached) next = Math.min(next, (end.detachedAt ?? next) + DETACHED_MS);
    return next;
  }

  /** A process died: its flows are over. `tell` is whom to inform, once per flow. */
  died(process: string): readonly { readonly flow: Flow; readonly tell: readonly number[] }[] {
    return [...(this.#byProcess.get(process) ?? [])].map((flow) => {
      const abrupt = flow.ends.some((end) => end?.open === true && end.client.process === process);
      const tell = flow.ends.flatMap((
        end,
      ) => (abrupt && end?.open === true && end.client.process !== process && end.session !== undefined ? [end.session] : []));
      // An end that closed in good order leaves the other one to read the rest.
      const left = flow.ends.some((end) => end?.open === true && end.client.process !== process);
      if (!abrupt && left) this.#forgetProcess(flow, process);
      else this.#remove(flow);
      return { flow, tell };
    });
  }

  /** One end shows itself after a restart of the broker, or in a new session. Throws when it does not fit. */
  restore(client: Client, claim: Restoration): Flow {
    if (claim.role === 0 && claim.region !== claim.shown) {
      throw misfit("the control region shown is not the one the ticket was made for");
    }
    const known = this.#flows.get(claim.flow);
    const end = known?.ends[claim.role];
    if (known !== undefined && end !== undefined) return this.#reattach(known, end, client, claim);
    this.assertUnused(claim.shown);
    if (known !== undefined && known.region !== claim.region) throw misfit("the tickets of its ends name different regions");
    this.#accounts.charge(client.uid, endCost(claim.ringBytes));
    const flow: Flow = known ?? { ...pick(claim), ends: [undefined, undefined] };
    this.#flows.set(flow.flow, flow);
    const fresh: FlowEnd = {
      client,
      session: client.session,
      detachedAt: undefined,
      name: claim.names[claim.role],
      control: claim.shown,
      ringBytes: claim.ringBytes,
      open: true,
    };
    flow.ends[claim.role] = fresh;
    this.#link(flow, fresh);
    return flow;
  }

  #link(flow: Flow, end: FlowEnd): void {
    this.#controls.set(end.control, flow.flow);
    const flows = this.#byProcess.get(end.client.process) ?? new Set();
    this.#byProcess.set(end.client.process, flows.add(flow));
  }

  #reattach(flow: Flow, end: FlowEnd, client: Client, claim: Restoration): Flow {
    if (end.client.process !== client.process || end.control !== claim.shown) throw misfit("this end of the flow is somebody else's");
    end.session = client.session;
    end.detachedAt = undefined;
    this.#detached.delete(end);
    return flow;
  }

  #giveBack(end: FlowEnd): void {
    this.#detached.delete(end);
    this.#controls.delete(end.control);
    this.#accounts.giveBack(end.client.uid, endCost(end.ringBytes));
  }

  #forgetProcess(flow: Flow, process: string): void {
    const flows = this.#byProcess.get(process);
    flows?.delete(flow);
    if (flows?.size === 0) this.#byProcess.delete(process);
  }

  #remove(flow: Flow): Flow {
    this.#flows.delete(flow.flow);
    for (const end of flow.ends) {
      if (end === undefined) continue;
      this.#giveBack(end);
      this.#forgetProcess(flow, end.client.process);
    }
    return flow;
  }
}

/** Both ends are known. */
export function isWhole(flow: Flow): flow is Flow & { readonly ends: [FlowEnd, FlowEnd] } {
  return flow.ends[0] !== undefined && flow.ends[1] !== undefined;
}

function pick(claim: Restoration): Omit<Flow, "ends"> {
  const { flow, names, transport, trust, reason, since, asked = false, region } = claim;
  return { flow, names, transport, trust, reason, since, asked, region };
}

function misfit(why: string): FableError {
  return new FableError("REFUSED", `this flow cannot be restored: ${why}`, {
    remedy: "the channel itself goes on; only fable flows misses it",
  });
}
