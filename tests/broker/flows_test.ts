/** Flows as the broker sees them: deaths, sessions that come and go, and restoring from what both ends show. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Accounts, DEFAULT_QUOTAS } from "../../src/broker/accounts.ts";
import { DETACHED_MS, type FlowEnd, Flows, isWhole, type Restoration } from "../../src/broker/flows.ts";
import type { Client } from "../../src/broker/names.ts";

const a: Client = { session: 1, uid: 1000, pid: 11, process: "1000:11:1" };
const b: Client = { session: 2, uid: 1000, pid: 12, process: "1000:12:1" };

function end(client: Client, control: string): FlowEnd {
  return { client, session: client.session, detachedAt: undefined, name: "xio://x", control, ringBytes: 4096, open: true };
}

function setUp(): { readonly flows: Flows; readonly accounts: Accounts } {
  const accounts = new Accounts(DEFAULT_QUOTAS);
  return { flows: new Flows(accounts), accounts };
}

function open(
  flows: Flows,
  flow = "test22-1",
  clients: readonly [Client, Client] = [a, b],
  controls: readonly [string, string] = ["1:1", "1:2"],
) {
  const ends = [end(clients[0], controls[0]), end(clients[1], controls[1])] as const;
  return flows.open({ flow, transport: "mempipe", trust: "trusted", reason: "r", since: 5, names: ["xio://x", "xio://y"], ends });
}

function restoration(role: 0 | 1, more: Partial<Restoration> = {}): Restoration {
  const names = ["xio://x", "xio://y"] as const;
  const shown = role === 0 ? "1:1" : "1:2";
  return {
    flow: "old222-1",
    role,
    names,
    transport: "mempipe",
    trust: "trusted",
    reason: "r",
    since: 5,
    ringBytes: 4096,
    region: "1:1",
    shown,
    ...more,
  };
}

describe("death", () => {
  test("of a process is told to the other end, once, and the flow is gone", () => {
    const { flows } = setUp();
    open(flows);
    open(flows, "test22-2", [b, a], ["1:3", "1:4"]);
    const told = flows.died(a.process);
    assert.deepEqual(told.map(({ flow, tell }) => [flow.flow, tell]), [["test22-1", [2]], ["test22-2", [2]]]);
    assert.equal(flows.size, 0);
    assert.deepEqual(flows.died(a.process), []);
    assert.equal(flows.involves(b.process), false);
  });

  test("after closing in good order is not told: the other end still reads what is there", () => {
    const { flows } = setUp();
    open(flows);
    flows.close(a, "test22-1");
    assert.deepEqual(flows.died(a.process).map(({ tell }) => tell), [[]]);
    assert.equal(flows.size, 1);
    assert.equal(flows.close(b, "test22-1")?.flow, "test22-1");
    assert.equal(flows.size, 0);
  });

  test("of both ends of one process ends the flow", () => {
    const { flows } = setUp();
    open(flows, "test22-1", [a, { ...a, session: 3 }]);
    assert.deepEqual(flows.died(a.process).map(({ tell }) => tell), [[]]);
    assert.equal(flows.size, 0);
  });
});

describe("sessions", () => {
  test("may end while the process keeps its channel, for a while", () => {
    const { flows } = setUp();
    open(flows);
    flows.detach(a.session, a.process, 100);
    assert.equal(flows.nextDeadline(), 100 + DETACHED_MS);
    assert.deepEqual(flows.expire(100 + DETACHED_MS - 1), []);
    flows.restore({ ...a, session: 9 }, restoration(0, { flow: "test22-1" }));
    assert.equal(flows.nextDeadline(), Infinity);
    assert.equal(flows.died(b.process)[0]?.tell[0], 9);
  });

  test("that do not come back close their ends", () => {
    const { flows } = setUp();
    open(flows);
    flows.close(b, "test22-1");
    flows.detach(a.session, a.process, 100);
    assert.deepEqual(flows.expire(100 + DETACHED_MS).map((flow) => flow.flow), ["test22-1"]);
    assert.equal(flows.size, 0);
    assert.equal(flows.nextDeadline(), Infinity);
  });

  test("close only their own ends", () => {
    const { flows } = setUp();
    open(flows);
    assert.equal(flows.close({ ...a, session: 77 }, "test22-1"), undefined);
    assert.equal(flows.close({ ...b, process: "1000:99:1" }, "test22-1"), undefined);
    flows.close(b, "test22-1");
    assert.equal(flows.get("test22-1")?.ends[0]?.open, true);
  });
});

describe("restoring", () => {
  for (const first of [0, 1] as const) {
    test(`both ends, ${first === 0 ? "initiator" : "acceptor"} first`, () => {
      const { flows, accounts } = setUp();
      const clients = [a, b] as const;
      assert.equal(isWhole(flows.restore(clients[first], restoration(first))), false);
      assert.deepEqual(flows.list(), []);
      const second = first === 0 ? 1 : 0;
      assert.equal(isWhole(flows.restore(clients[second], restoration(second))), true);
      assert.deepEqual(flows.list().map((flow) => [flow.flow, flow.names, flow.since]), [["old222-1", ["xio://x", "xio://y"], 5]]);
      assert.equal(accounts.usage(1000).channels, 2);
      flows.close(a, "old222-1");
      flows.close(b, "old222-1");
      assert.equal(accounts.users, 0);
    });
  }

  test("showing another region than the ticket's is refused", () => {
    const { flows } = setUp();
    assert.throws(() => flows.restore(a, restoration(0, { shown: "1:9" })), { code: "REFUSED" });
    assert.equal(flows.size, 0);
  });

  test("tickets that do not fit each other are refused", () => {
    for (const first of [0, 1] as const) {
      const [one, two] = first === 0 ? [a, b] as const : [b, a] as const;
      const second = first === 0 ? 1 : 0;
      const { flows, accounts } = setUp();
      flows.restore(one, restoration(first));
      assert.throws(() => flows.restore(two, restoration(second, { region: "1:66", shown: "1:66" })), { code: "REFUSED" });
      assert.equal(accounts.usage(1000).channels, 1);
      assert.equal(isWhole(flows.restore(two, restoration(second))), true);
    }
  });

  test("an end that is there is not taken over by another process", () => {
    const { flows } = setUp();
    flows.restore(a, restoration(0));
    assert.throws(() => flows.restore(b, restoration(0)), { code: "REFUSED" });
    assert.throws(() => flows.restore(a, restoration(0, { region: "1:5", shown: "1:5" })), { code: "REFUSED" });
  });

  test("a region that serves a channel cannot be shown for another", () => {
    const { flows } = setUp();
    open(flows);
    assert.throws(() => flows.restore(a, restoration(0)), { code: "REFUSED" });
  });

  test("is subject to quotas, and charges nothing when refused", () => {
    const accounts = new Accounts({ ...DEFAULT_QUOTAS, channels: 1 });
    const flows = new Flows(accounts);
    flows.restore(a, restoration(0));
    assert.throws(() => flows.restore(b, restoration(1)), { code: "QUOTA" });
    assert.equal(flows.size, 1);
    flows.died(a.process);
    assert.equal(accounts.users, 0);
  });
});
