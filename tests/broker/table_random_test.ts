/** The table under long random histories, each of which a seed repeats: sums add up, nothing waits for ever, and in the end nothing is left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../src/broker/names.ts";
import type { Step, Table } from "../../src/broker/table.ts";
import { FableError } from "../../src/errors.ts";
import { assertEmpty, claim, client, half, makeTable, wish } from "./table_support.ts";

/** A small generator of our own, so that a seed means the same everywhere. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class History {
  readonly table: Table;
  readonly #draw: (below: number) => number;
  readonly #clients = new Map<number, Client>();
  readonly #offers = new Map<string, Client>();
  readonly #flows = new Map<string, readonly [Client, Client]>();
  /** Connects that have had no answer yet. */
  readonly #open = new Set<string>();
  #session = 0;
  #id = 0;
  #now = 0;

  constructor(seed: number) {
    this.#draw = generator(seed);
    this.table = makeTable({ graceUntil: seed % 2 === 0 ? 200 : 0, waitingPerName: 5, quotas: { names: 6, channels: 9, waiting: 7 } });
  }

  step(): void {
    this.#now += this.#draw(20);
    const actions = [
      this.#arrive,
      this.#leave,
      this.#register,
      this.#listen,
      this.#connect,
      this.#connect,
      this.#connect,
      this.#answer,
      this.#answer,
      this.#cancel,
      this.#close,
      this.#die,
      this.#expire,
    ];
    try {
      actions[this.#draw(actions.length)]?.call(this);
    } catch (error) {
      // Refusals are part of life; anything else is a fault of the table.
      if (!(error instanceof FableError)) throw error;
    }
    const waiting = [...this.#clients.values()].reduce((uids, one) => uids.add(one.uid), new Set<number>());
    for (const uid of waiting) for (const amount of Object.values(this.table.accounts.usage(uid))) assert.ok(amount >= 0);
  }

  /** Everybody leaves; every connect must have had its answer, or gone with its session. */
  end(): void {
    for (const one of [...this.#clients.values()]) this.#part(one);
    this.#follow(this.table.expire(Infinity).failed);
    for (const [flow, ends] of this.#flows) for (const one of ends) this.table.flows.close(one, flow);
    for (const ends of this.#flows.values()) for (const one of ends) this.table.flows.died(one.process);
    assert.deepEqual([...this.#open], []);
    assertEmpty(this.table);
  }

  #pick(): Client {
    const all = [...this.#clients.values()];
    const one = all[this.#draw(all.length)];
    if (one === undefined) throw new FableError("CLOSED", "nobody is there");
    return one;
  }

  #name = () => `xio://n/${this.#draw(4)}`;

  #arrive(): void {
    this.#session += 1;
    const one = client(this.#session, 1000 + this.#draw(2), this.#draw(3) === 0 ? Math.max(1, this.#session - 1) : this.#session);
    this.table.openSession(one);
    this.#clients.set(one.session, one);
  }

  #leave(): void {
    if (this.#draw(3) === 0) this.#part(this.#pick());
  }

  #part(one: Client): void {
    this.#clients.delete(one.session);
    const { gone, steps } = this.table.closeSession(one, this.#now);
    for (const pending of gone) assert.ok(this.#open.delete(`${pending.client.session}:${pending.wish.id}`));
    for (const [flow, owner] of this.#offers) if (owner.session === one.session) this.#offers.delete(flow);
    this.#follow(steps);
  }

  #register(): void {
    const one = this.#pick();
    if (this.#draw(5) === 0) this.#follow(this.table.unregister(one, this.#name()));
    else {this.table.register(
        claim(one, this.#name(), { share: this.#draw(2) === 0, ticketed: this.#draw(4) === 0 }),
        ++this.#id,
        this.#now,
      );}
  }

  #listen(): void {
    const one = this.#pick();
    if (this.#draw(5) === 0) this.table.names.unlisten(one.session, this.#name());
    else this.#follow(this.table.listen(one, this.#name(), 1 + this.#draw(3), this.#draw(2) === 0 ? "trusted" : "untrusted"));
  }

  #connect(): void {
    const one = this.#pick();
    const offered = { transport: "mempipe", trust: this.#draw(2) === 0 ? "trusted" : "untrusted" } as const;
    const id = ++this.#id;
    const { steps } = this.table.connect(
      one,
      wish(id, { to: this.#name(), wait: this.#draw(3) > 0, offered, deadline: this.#now + this.#draw(200) }),
    );
    this.#open.add(`${one.session}:${id}`);
    this.#follow(steps);
  }

  #answer(): void {
    const all = [...this.#offers];
    const [flow, owner] = all[this.#draw(all.length)] ?? [];
    if (flow === undefined || owner === undefined) return;
    const offer = this.table.answered(owner, flow);
    this.#offers.delete(flow);
    const { pending } = offer;
    try {
      if (this.#draw(3) === 0) throw new FableError("REFUSED", "no");
      const accepted = this.table.accept(offer, half(), this.#now);
      assert.ok(pending !== undefined && this.#open.delete(`${pending.client.session}:${pending.wish.id}`));
      this.#flows.set(flow, [pending.client, owner]);
      this.#follow(accepted.steps);
    } catch (error) {
      if (!(error instanceof FableError)) throw error;
      this.#follow(this.table.refuse(offer, error));
    }
  }

  #cancel(): void {
    const [entry] = [...this.#open];
    const [session = 0, id = 0] = entry?.split(":").map(Number) ?? [];
    const one = this.#clients.get(session);
    if (entry !== undefined && one !== undefined && this.table.cancel(one, id) !== undefined) this.#open.delete(entry);
  }

  #close(): void {
    const [entry] = [...this.#flows];
    if (entry === undefined) return;
    this.table.flows.close(entry[1][this.#draw(2)] as Client, entry[0]);
  }

  #die(): void {
    if (this.#draw(4) > 0) return;
    const { process } = this.#pick();
    this.table.flows.died(process);
    for (const one of [...this.#clients.values()]) if (one.process === process) this.#part(one);
  }

  #expire(): void {
    this.#follow(this.table.expire(this.#now).failed);
  }

  /** What the broker would do: offers are remembered, everything else is an answer. */
  #follow(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.step === "offer") this.#offers.set(step.offer.flow, step.offer.owner.client);
      else assert.ok(this.#open.delete(`${step.pending.client.session}:${step.pending.wish.id}`), "one answer for each connect");
    }
  }
}

test("random histories leave nothing behind", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const history = new History(seed);
    try {
      for (let step = 0; step < 300; step++) history.step();
      history.end();
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
  }
});
