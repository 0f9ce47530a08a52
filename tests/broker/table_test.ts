/** Rendezvous, names and deadlines: the broker's table without a broker. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertEmpty, claim, client, half, listener, makeTable, offerIn, wish } from "./table_support.ts";

describe("names", () => {
  test("have one owner, until it gives them back or ends", () => {
    const table = makeTable();
    const [a, b] = [client(1), client(2)];
    table.openSession(a);
    table.openSession(b);
    assert.equal(table.register(claim(a), 1, 0)?.step, "registered");
    assert.throws(() => table.register(claim(b), 1, 0), { code: "NAME_TAKEN", message: /belongs to process 101 of user 1000/ });
    assert.throws(() => table.register(claim(a), 2, 0), { code: "NAME_TAKEN" });
    assert.throws(() => table.unregister(b, "xio://a"), { code: "REFUSED" });
    table.unregister(a, "xio://a");
    assert.equal(table.register(claim(b), 2, 0)?.step, "registered");
    table.closeSession(b, 0);
    assert.equal(table.register(claim(a), 3, 0)?.step, "registered");
    table.closeSession(a, 0);
    assertEmpty(table);
  });

  test("of others cannot be listened on, closed or spoken for", () => {
    const table = makeTable();
    const [a, b] = [client(1), client(2)];
    listener(table, a);
    table.openSession(b);
    assert.throws(() => table.listen(b, "xio://a", 1, "trusted"), { code: "REFUSED" });
    assert.throws(() => table.names.unlisten(b.session, "xio://a"), { code: "REFUSED" });
    assert.throws(() => table.connect(b, wish(1, { from: "xio://a" })), { code: "REFUSED" });
    assert.throws(() => table.connect(b, wish(1, { from: "xio://unheard" })), { code: "REFUSED" });
  });

  test("are shared by registrations of one user that all ask for it, and connections are spread", () => {
    const table = makeTable();
    const [a, b, c, stranger] = [client(1), client(2), client(3), client(4, 2000)];
    for (const one of [a, b, c, stranger]) table.openSession(one);
    table.register(claim(a, "xio://a", { share: true }), 1, 0);
    table.register(claim(b, "xio://a", { share: true }), 1, 0);
    assert.throws(() => table.register(claim(c), 1, 0), { code: "NAME_TAKEN", message: /can be shared/ });
    assert.throws(() => table.register(claim(stranger, "xio://a", { share: true }), 1, 0), { code: "NAME_TAKEN" });
    assert.throws(() => table.register(claim(a, "xio://a", { share: true }), 2, 0), { code: "NAME_TAKEN" });
    table.listen(a, "xio://a", 9, "trusted");
    table.listen(b, "xio://a", 9, "trusted");
    const owners = [1, 2, 3, 4].map((id) => offerIn(table.connect(c, wish(id)).steps).offer.owner.client.session);
    assert.deepEqual([...owners].sort(), [1, 1, 2, 2]);
    table.closeSession(a, 0);
    assert.equal(table.names.list().length, 1);
  });

  test("after a crash belong to tickets for a while, then to whoever asked first", () => {
    const table = makeTable({ graceUntil: 1000 });
    const [old, squatter, patient, late] = [client(1), client(2), client(3), client(4)];
    for (const one of [old, squatter, patient, late]) table.openSession(one);
    assert.equal(table.register(claim(squatter, "xio://a"), 1, 10), undefined, "waits");
    assert.equal(table.register(claim(patient, "xio://free"), 2, 10), undefined, "waits");
    assert.equal(table.register(claim(late, "xio://free"), 3, 20), undefined, "waits");
    assert.equal(table.waiting, 3);
    assert.equal(table.nextDeadline(), 1000);
    assert.equal(table.register(claim(old, "xio://a", { ticketed: true }), 1, 500)?.step, "registered");
    assert.deepEqual(table.expire(999).registered, []);
    const steps = table.expire(1000).registered;
    assert.deepEqual(steps.map((step) => [step.step, step.client.session]), [["not-registered", 2], ["registered", 3], [
      "not-registered",
      4,
    ]]);
    for (const one of [old, squatter, patient, late]) table.closeSession(one, 1000);
    assertEmpty(table);
  });

  test("held back ones are forgotten with their session, or when cancelled", () => {
    const table = makeTable({ graceUntil: 1000 });
    const [a, b] = [client(1), client(2)];
    table.openSession(a);
    table.openSession(b);
    table.register(claim(a), 1, 0);
    table.register(claim(b, "xio://b"), 7, 0);
    table.cancel(b, 7);
    table.closeSession(a, 0);
    assert.deepEqual(table.expire(1000).registered, []);
    table.closeSession(b, 0);
    assertEmpty(table);
  });

  test("move with their process when its old session has not ended yet", () => {
    const table = makeTable();
    const [before, after, other] = [client(1, 1000, 7), client(2, 1000, 7), client(3, 1000, 8)];
    for (const one of [before, after, other]) table.openSession(one);
    table.register(claim(before), 1, 5);
    table.listen(before, "xio://a", 1, "trusted");
    assert.throws(() => table.register(claim(other, "xio://a", { ticketed: true }), 1, 6), { code: "NAME_TAKEN" });
    const step = table.register(claim(after, "xio://a", { ticketed: true }), 1, 6);
    assert.ok(step?.step === "registered" && step.owner.since === 5 && step.owner.listening === undefined);
    table.closeSession(before, 7);
    assert.equal(table.names.list()[0]?.client.session, 2);
    table.closeSession(after, 8);
    table.closeSession(other, 8);
    assertEmpty(table);
  });
});

describe("rendezvous", () => {
  test("offers to who listens, and opens the flow when it accepts", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server);
    table.openSession(caller);
    const { offer } = offerIn(table.connect(caller, wish(1)).steps);
    assert.equal(offer.flow, "test22-1");
    assert.equal(offer.trust, "trusted");
    assert.match(offer.reason, /^mempipe, because both ends are on this host/);
    const { flow } = table.accept(table.answered(server, "test22-1"), half(), 50);
    assert.deepEqual(flow.names, ["xio://anonymous/2", "xio://a"]);
    assert.equal(flow.since, 50);
    assert.equal(table.waiting, 0);
    assert.deepEqual(table.accounts.usage(1000), { sessions: 2, names: 1, waiting: 0, channels: 2, memoryBytes: 2 * (65_536 + 4096) });
    assert.throws(() => table.answered(server, "test22-1"), { code: "PROTOCOL" }, "one answer each");
    assert.equal(table.flows.close(caller, "test22-1"), undefined);
    assert.equal(table.flows.close(caller, "test22-1"), undefined, "twice is once");
    assert.equal(table.flows.close(server, "test22-1")?.flow, "test22-1");
    table.closeSession(server, 60);
    table.closeSession(caller, 60);
    assertEmpty(table);
  });

  test("waits for a listener, in order", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    table.openSession(caller);
    for (const id of [1, 2, 3]) assert.deepEqual(table.connect(caller, wish(id)).steps, []);
    const steps = listener(table, server, 2);
    assert.deepEqual(steps.map((step) => step.step === "offer" && step.pending.wish.id), [1, 2], "as far as the backlog goes");
    const more = table.accept(table.answered(server, "test22-1"), half(), 0).steps;
    assert.equal(offerIn(more).pending.wish.id, 3);
  });

  test("a refusal reaches the initiator and makes room", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server, 1);
    table.openSession(caller);
    table.connect(caller, wish(1));
    assert.deepEqual(table.connect(caller, wish(2)).steps, []);
    const offer = table.answered(server, "test22-1");
    const [failed, next] = table.refuse(offer, Object.assign(new Error("no"), { code: "REFUSED" }) as never);
    assert.ok(failed?.step === "fail" && failed.pending.wish.id === 1);
    assert.ok(next?.step === "offer" && next.pending.wish.id === 2);
    table.closeSession(caller, 0);
    table.closeSession(server, 0);
    assertEmpty(table);
  });

  test("does not wait when asked not to", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    table.openSession(server);
    table.openSession(caller);
    assert.throws(() => table.connect(caller, wish(1, { wait: false })), { code: "NAME_UNKNOWN" });
    table.register(claim(server), 1, 0);
    assert.throws(() => table.connect(caller, wish(1, { wait: false })), { code: "NOT_LISTENING" });
    table.listen(server, "xio://a", 1, "trusted");
    assert.equal(table.connect(caller, wish(1, { wait: false })).steps.length, 1);
  });

  test("a deadline says why nothing came of it, and frees everything", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    table.openSession(caller);
    table.openSession(server);
    const late = (id: number) => {
      const [step] = table.expire(1000).failed;
      assert.ok(step?.step === "fail" && step.pending.wish.id === id);
      return step.error.code;
    };
    table.connect(caller, wish(1));
    assert.equal(table.nextDeadline(), 1000);
    assert.deepEqual(table.expire(999).failed, []);
    assert.equal(late(1), "NAME_UNKNOWN");
    table.register(claim(server), 1, 0);
    table.connect(caller, wish(2));
    assert.equal(late(2), "NOT_LISTENING");
    table.listen(server, "xio://a", 1, "trusted");
    table.connect(caller, wish(3));
    table.connect(caller, wish(4, { deadline: 900 }));
    assert.equal(table.expire(950).failed.length, 1);
    assert.equal(late(3), "TIMEOUT");
    table.closeSession(caller, 0);
    table.closeSession(server, 0);
    assertEmpty(table);
  });

  test("a listener that owes an answer is not flooded by those who give up", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server, 1);
    table.openSession(caller);
    offerIn(table.connect(caller, wish(1)).steps);
    assert.equal(table.cancel(caller, 1)?.wish.id, 1);
    for (const id of [2, 3, 4]) {
      assert.deepEqual(table.connect(caller, wish(id)).steps, [], "its backlog is full of the one it has not answered");
      table.cancel(caller, id);
    }
    table.connect(caller, wish(5));
    const offer = table.answered(server, "test22-1");
    assert.equal(offer.pending, undefined);
    assert.throws(() => table.accept(offer, half(), 0), { code: "CLOSED" });
    assert.equal(offerIn(table.refuse(offer, new Error() as never)).pending.wish.id, 5);
    assert.equal(table.cancel(caller, 99), undefined, "nothing to cancel");
    assert.equal(table.cancel(server, 5), undefined, "not the server's to cancel");
  });

  test("whoever a dying listener owes an answer tries again with a fresh half", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server);
    table.openSession(caller);
    table.connect(caller, wish(1));
    const { steps, gone } = table.closeSession(server, 0);
    assert.deepEqual(gone, []);
    assert.ok(steps.length === 1 && steps[0]?.step === "again" && steps[0].pending.wish.id === 1);
    assert.throws(() => table.answered(server, "test22-1"), { code: "PROTOCOL" });
    table.closeSession(caller, 0);
    assertEmpty(table);
  });

  test("a dying initiator takes its wishes along", () => {
    const table = makeTable();
    const [server, caller] = [client(1), client(2)];
    listener(table, server, 1);
    table.openSession(caller);
    table.connect(caller, wish(1));
    table.connect(caller, wish(2));
    assert.deepEqual(table.closeSession(caller, 0).gone.map((pending) => pending.wish.id), [1, 2]);
    assert.equal(table.answered(server, "test22-1").pending, undefined);
    table.refuse(table.answered(server, "test22-1"), new Error() as never);
    table.closeSession(server, 0);
    assertEmpty(table);
  });

  test("an offer is answered by whom it was made to, nobody else", () => {
    const table = makeTable();
    const [server, caller, other] = [client(1), client(2), client(3)];
    listener(table, server);
    listener(table, other, 4, "xio://b");
    table.openSession(caller);
    table.connect(caller, wish(1));
    assert.throws(() => table.answered(other, "test22-1"), { code: "PROTOCOL" });
    assert.throws(() => table.answered(server, "test22-2"), { code: "PROTOCOL" });
  });

  test("one program may connect to itself", () => {
    const table = makeTable();
    const self = client(1);
    listener(table, self);
    offerIn(table.connect(self, wish(1)).steps);
    const { flow } = table.accept(table.answered(self, "test22-1"), half(), 0);
    table.flows.close(self, flow.flow);
    assert.equal(table.flows.close(self, flow.flow)?.flow, flow.flow);
    table.closeSession(self, 0);
    assertEmpty(table);
  });

  test("the same request twice is one too many", () => {
    const table = makeTable();
    const caller = client(1);
    table.openSession(caller);
    table.connect(caller, wish(1));
    assert.throws(() => table.connect(caller, wish(1)), { code: "PROTOCOL" });
    assert.equal(table.waiting, 1);
  });

  test("those who wait at one name are bounded", () => {
    const table = makeTable({ waitingPerName: 2 });
    const caller = client(1);
    table.openSession(caller);
    table.connect(caller, wish(1));
    table.connect(caller, wish(2));
    assert.throws(() => table.connect(caller, wish(3)), { code: "BACKLOG_FULL" });
    assert.equal(table.connect(caller, wish(4, { to: "xio://b" })).steps.length, 0);
  });
});
