/** Who may have how much, and how far whom to trust: the broker's table without a broker. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Wish } from "../../src/broker/table.ts";
import { claim, client, half, listener, makeTable, wish } from "./table_support.ts";

describe("trust and transport", () => {
  const cases: readonly (readonly [
    string,
    { readonly uid?: number; readonly trust?: "trusted" | "untrusted"; readonly offered?: Partial<Wish> },
    string,
    string,
  ])[] = [
    ["both trust", {}, "offer", "trusted"],
    ["the listener does not", { trust: "untrusted" }, "again", "untrusted"],
    ["the initiator does not", { offered: { offered: { transport: "mempipe", trust: "untrusted" } } }, "offer", "untrusted"],
    ["another user", { uid: 2000 }, "again", "untrusted"],
    ["root is another user too", { uid: 0 }, "again", "untrusted"],
    [
      "another user, prepared for it",
      { uid: 2000, offered: { offered: { transport: "mempipe", trust: "untrusted" } } },
      "offer",
      "untrusted",
    ],
    [
      "a kernel transport needs no other half",
      { uid: 2000, offered: { transport: "unix", offered: { transport: "unix", trust: "trusted" } } },
      "offer",
      "untrusted",
    ],
    [
      "futex by hand",
      { offered: { transport: "mempipe-futex", offered: { transport: "mempipe-futex", trust: "trusted" } } },
      "offer",
      "trusted",
    ],
  ];
  for (const [what, { uid = 1000, trust = "trusted", offered = {} }, outcome, effective] of cases) {
    test(what, () => {
      const table = makeTable();
      const [server, caller] = [client(1), client(2, uid)];
      table.openSession(server);
      table.openSession(caller);
      table.register(claim(server), 1, 0);
      table.listen(server, "xio://a", 1, trust);
      const [step] = table.connect(caller, wish(1, offered)).steps;
      assert.equal(step?.step, outcome);
      if (step?.step === "offer") assert.equal(step.offer.trust, effective);
      if (step?.step === "again") {
        assert.equal(step.trust, effective);
        assert.match(step.reason, uid === 1000 ? /an end asked for it/ : /different users/);
        assert.equal(table.waiting, 0);
        assert.equal(table.accounts.usage(uid).channels, 0);
      }
    });
  }
});

describe("quotas", () => {
  test("of one user do not touch another's", () => {
    const table = makeTable({ quotas: { sessions: 2, names: 1, waiting: 1 } });
    const [a, b, c, other] = [client(1), client(2), client(3), client(4, 2000)];
    table.openSession(a);
    table.openSession(b);
    assert.throws(() => table.openSession(c), { code: "QUOTA", message: /user 1000 .* 2 connections/ });
    table.openSession(other);
    table.register(claim(a), 1, 0);
    assert.throws(() => table.register(claim(b, "xio://b"), 1, 0), { code: "QUOTA" });
    table.register(claim(other, "xio://other"), 1, 0);
    table.connect(a, wish(1, { to: "xio://later" }));
    assert.throws(() => table.connect(b, wish(1, { to: "xio://later" })), { code: "QUOTA" });
    table.connect(other, wish(1, { to: "xio://later" }));
    table.closeSession(a, 0);
    table.openSession(c);
    table.register(claim(c, "xio://b"), 1, 0);
  });

  test("a refused registration costs nothing", () => {
    const table = makeTable({ quotas: { names: 2 } });
    const [a, b] = [client(1), client(2)];
    table.openSession(a);
    table.openSession(b);
    table.register(claim(a), 1, 0);
    for (let round = 0; round < 10; round++) assert.throws(() => table.register(claim(b), 1, 0), { code: "NAME_TAKEN" });
    assert.equal(table.accounts.usage(1000).names, 1);
  });

  test("memory and channels are counted for both ends, and given back", () => {
    const table = makeTable({ quotas: { channels: 3, memoryBytes: 1_000_000 } });
    const [server, caller] = [client(1), client(2)];
    listener(table, server);
    table.openSession(caller);
    assert.throws(() => table.connect(caller, wish(1, { ringBytes: 1_048_576 })), { code: "QUOTA", message: /shared memory/ });
    table.connect(caller, wish(1));
    table.accept(table.answered(server, "test22-1"), half(), 0);
    table.connect(caller, wish(2));
    assert.throws(
      () => table.accept(table.answered(server, "test22-2"), half(), 0),
      { code: "QUOTA" },
      "the acceptor's end would be the fourth",
    );
    const [failed] = table.refuse(table.answered(server, "test22-2"), new Error() as never);
    assert.equal(failed?.step, "fail");
    table.flows.died(server.process);
    assert.equal(table.accounts.usage(1000).channels, 0);
    assert.equal(table.accounts.usage(1000).memoryBytes, 0);
  });

  test("a control region serves one channel", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server);
    table.openSession(caller);
    const first = wish(1);
    table.connect(caller, first);
    const answer = half();
    assert.throws(() => table.accept(table.answered(server, "test22-1"), { ...answer, control: first.control }, 0), { code: "REFUSED" });
    table.accept(table.answered(server, "test22-1"), answer, 0);
    assert.throws(() => table.connect(caller, wish(2, { control: first.control })), { code: "REFUSED" });
    table.connect(caller, wish(3));
    assert.throws(() => table.accept(table.answered(server, "test22-2"), answer, 0), { code: "REFUSED" });
  });
});
