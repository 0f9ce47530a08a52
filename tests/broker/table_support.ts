/** Clients, wishes and tables without a broker, for the tests of the broker's table. */
import assert from "node:assert/strict";
import { DEFAULT_QUOTAS, type Quotas } from "../../src/broker/accounts.ts";
import type { Client } from "../../src/broker/names.ts";
import { type Step, Table, type Wish } from "../../src/broker/table.ts";

export function client(session: number, uid = 1000, process = session): Client {
  return { session, uid, pid: 100 + process, process: `${uid}:${100 + process}:${process}` };
}

export function makeTable(
  options: { readonly quotas?: Partial<Quotas>; readonly graceUntil?: number; readonly waitingPerName?: number } = {},
): Table {
  const { quotas = {}, graceUntil = 0, waitingPerName = 8 } = options;
  return new Table({ quotas: { ...DEFAULT_QUOTAS, ...quotas }, tag: "test22", graceUntil, waitingPerName });
}

let controls = 0;
export function wish(id: number, more: Partial<Wish> = {}): Wish {
  return {
    id,
    to: "xio://a",
    from: undefined,
    transport: undefined,
    wait: true,
    offered: { transport: "mempipe", trust: "trusted" },
    ringBytes: 65_536,
    control: `1:${++controls}`,
    deadline: 1000,
    ...more,
  };
}

export function claim(of: Client, name = "xio://a", more: { readonly share?: boolean; readonly ticketed?: boolean } = {}) {
  return { client: of, name, share: more.share ?? false, ticketed: more.ticketed ?? false };
}

/** Registers and listens. */
export function listener(table: Table, of: Client, backlog = 4, name = "xio://a"): readonly Step[] {
  table.openSession(of);
  table.register(claim(of, name), 1, 0);
  return table.listen(of, name, backlog, "trusted");
}

export function offerIn(steps: readonly Step[]): Extract<Step, { step: "offer" }> {
  assert.equal(steps.length, 1);
  const [step] = steps;
  assert.ok(step?.step === "offer");
  return step;
}

export const half = (ringBytes = 65_536) => ({ control: `2:${++controls}`, ringBytes });

/** Nothing is charged to anybody and nothing waits. */
export function assertEmpty(table: Table): void {
  assert.equal(table.accounts.users, 0);
  assert.equal(table.waiting, 0);
  assert.equal(table.names.size, 0);
  assert.equal(table.flows.size, 0);
  assert.equal(table.nextDeadline(), undefined);
}
