/**
 * Who has which name and who listens. Pure: time is an argument. A name has one owner; several when all of them are one user's and asked to
 * share. After a crash of an earlier broker, names that no ticket proves are held back for one grace period, so that nobody squats.
 */
import { FableError } from "../errors.ts";

/** A connected client, as the tables see it. */
export interface Client {
  readonly session: number;
  readonly uid: number;
  readonly pid: number;
  /** user, process number and start time: one process, however often its number is used again. */
  readonly process: string;
}

export interface Listening {
  backlog: number;
  trust: "trusted" | "untrusted";
  /** Offers it has not answered yet. */
  outstanding: number;
}

export interface Owner {
  readonly client: Client;
  readonly name: string;
  readonly share: boolean;
  readonly since: number;
  listening: Listening | undefined;
}

export interface Claim {
  readonly client: Client;
  readonly name: string;
  readonly share: boolean;
  /** A valid ticket proves that this process had the name under an earlier broker or session. */
  readonly ticketed: boolean;
}

export class Names {
  readonly #owners = new Map<string, Owner[]>();
  readonly #graceUntil: number;

  /** `graceUntil`: until then only tickets are honoured at once; 0 for a broker that follows none. */
  constructor(graceUntil: number) {
    this.#graceUntil = graceUntil;
  }

  get graceUntil(): number {
    return this.#graceUntil;
  }

  get size(): number {
    return this.#owners.size;
  }

  /** Takes the name, or says "held" if it must wait for the end of the grace period. Throws NAME_TAKEN. */
  claim(
    claim: Claim,
    now: number,
  ): { readonly outcome: "granted"; readonly owner: Owner; readonly replaced: Owner | undefined } | { readonly outcome: "held" } {
    const owners = this.#owners.get(claim.name) ?? [];
    const replaced = claim.ticketed
      ? owners.find((owner) => owner.client.process === claim.client.process && owner.share === claim.share)
      : undefined;
    const others = owners.filter((owner) => owner !== replaced);
    const rival = others.find((owner) =>
      !(claim.share && owner.share && owner.client.uid === claim.client.uid && owner.client.session !== claim.client.session)
    );
    if (rival !== undefined) throw taken(claim.name, rival);
    if (!claim.ticketed && now < this.#graceUntil) return { outcome: "held" };
    const owner: Owner = {
      client: claim.client,
      name: claim.name,
      share: claim.share,
      since: replaced?.since ?? now,
      listening: undefined,
    };
    this.#owners.set(claim.name, [...others, owner]);
    return { outcome: "granted", owner, replaced };
  }

  /** Gives one registration back; undefined if it is not this session's. */
  release(session: number, name: string): Owner | undefined {
    const owners = this.#owners.get(name) ?? [];
    const owner = owners.find((candidate) => candidate.client.session === session);
    if (owner === undefined) return undefined;
    const left = owners.filter((candidate) => candidate !== owner);
    if (left.length === 0) this.#owners.delete(name);
    else this.#owners.set(name, left);
    return owner;
  }

  /** Everything a session has. */
  of(session: number): readonly Owner[] {
    return [...this.#owners.values()].flat().filter((owner) => owner.client.session === session);
  }

  /** The registration of this session, which must exist. */
  owned(session: number, name: string): Owner {
    const owner = (this.#owners.get(name) ?? []).find((candidate) => candidate.client.session === session);
    if (owner !== undefined) return owner;
    throw new FableError("REFUSED", `${name} is not registered by this program`, { remedy: "register the name first" });
  }

  listen(session: number, name: string, backlog: number, trust: Listening["trust"]): Owner {
    const owner = this.owned(session, name);
    // Again: new terms for the same listener, which still owes what it owes.
    if (owner.listening === undefined) owner.listening = { backlog, trust, outstanding: 0 };
    else Object.assign(owner.listening, { backlog, trust });
    return owner;
  }

  unlisten(session: number, name: string): void {
    this.owned(session, name).listening = undefined;
  }

  /** Where the name stands for somebody who wants to connect, and who would get the next offer. */
  find(
    name: string,
  ): { readonly state: "unknown" | "silent" | "busy" } | { readonly state: "ready"; readonly owner: Owner; readonly listening: Listening } {
    const owners = this.#owners.get(name);
    if (owners === undefined) return { state: "unknown" };
    let best: { owner: Owner; listening: Listening } | undefined;
    let silent = true;
    for (const owner of owners) {
      const { listening } = owner;
      if (listening === undefined) continue;
      silent = false;
      if (listening.outstanding >= listening.backlog) continue;
      if (best === undefined || listening.outstanding < best.listening.outstanding) best = { owner, listening };
    }
    if (best === undefined) return { state: silent ? "silent" : "busy" };
    this.#rotate(owners, best.owner);
    return { state: "ready", ...best };
  }

  /** In the order of names. */
  list(): readonly Owner[] {
    const names = [...this.#owners.keys()].sort();
    return names.flatMap((name) => this.#owners.get(name) ?? []);
  }

  /** Whoever was chosen goes last, so that equals take turns. */
  #rotate(owners: Owner[], chosen: Owner): void {
    if (owners.length < 2) return;
    owners.splice(owners.indexOf(chosen), 1);
    owners.push(chosen);
  }
}

function taken(name: string, rival: Owner): FableError {
  const whose = rival.share ? "; it can be shared by registrations of the same user that ask for it" : "";
  return new FableError("NAME_TAKEN", `${name} belongs to process ${rival.client.pid} of user ${rival.client.uid}${whose}`, {
    remedy: "take another name, or end that process (fable ls shows it)",
  });
}
