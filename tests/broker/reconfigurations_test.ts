/** Orders to move a flow: who may, who gets them, who is answered what. Without a broker. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Accounts, DEFAULT_QUOTAS } from "../../src/broker/accounts.ts";
import { type FlowEnd, Flows } from "../../src/broker/flows.ts";
import type { Client } from "../../src/broker/names.ts";
import { Reconfigurations, type Whereabouts } from "../../src/broker/reconfigurations.ts";
import type { Requests, Response } from "../../src/naming/protocol.ts";
import { client } from "./table_support.ts";

const BROKER = 500;
const [a, b, operator] = [client(1), client(2, 1001), client(9, BROKER)];
const FLOW = "test22-1";

type Answer = Response & { readonly code?: string; readonly message?: string };

/** One flow between sessions 1 and 2, a clock, and what was sent to whom. */
class Stage {
  readonly flows = new Flows(new Accounts(DEFAULT_QUOTAS));
  readonly sent = new Map<number, Response[]>();
  /** What the control regions say. */
  where = [{ transport: "mempipe", switches: 0 }, { transport: "mempipe", switches: 0 }] as [Whereabouts, Whereabouts];
  now = 0;
  deadlineMs: number | undefined;
  readonly moves = new Reconfigurations({
    flows: this.flows,
    uid: BROKER,
    now: () => this.now,
    session: (id) => ({ send: (message) => (this.sent.set(id, [...this.sent.get(id) ?? [], message]), true) }),
    look: () => this.where,
    drainDeadlineMs: () => this.deadlineMs,
  });

  constructor(clients: readonly [Client, Client] = [a, b], trust: "trusted" | "untrusted" = "trusted") {
    const end = (of: Client, name: string, control: string): FlowEnd => {
      return { client: of, session: of.session, detachedAt: undefined, name, control, ringBytes: 4096, open: true };
    };
    const ends = [end(clients[0], "xio://a", "1:1"), end(clients[1], "xio://b", "1:2")] as const;
    this.flows.open({ flow: FLOW, transport: "mempipe", trust, reason: "r", since: 5, names: ["xio://a", "xio://b"], ends });
  }

  order(of: Client = operator, more: Partial<Requests["reconfigure"]> = {}): void {
    this.moves.begin(of, { type: "reconfigure", id: 7, flow: FLOW, transport: "tcp", timeout_ms: 1000, ...more });
  }

  report(of: Client, order: number, outcome: Requests["reconfigured"]["outcome"] = "done", message = ""): void {
    this.moves.reported(of, { type: "reconfigured", flow: FLOW, order, outcome, message });
  }

  to(of: Client): readonly Answer[] {
    return this.sent.get(of.session) ?? [];
  }

  /** What whoever asked was told. */
  answers(of: Client = operator): readonly string[] {
    return this.to(of).flatMap((answer) => answer.type === "done" ? ["done"] : answer.type === "error" ? [answer.code ?? ""] : []);
  }
}

describe("an order", () => {
  test("goes to both ends; both reports are the answer", () => {
    const stage = new Stage();
    stage.order(operator, { ring_bytes: 8192 });
    const order = { type: "reconfigure", flow: FLOW, transport: "tcp", ring_bytes: 8192, reason: "operator", order: 1 };
    assert.deepEqual([stage.to(a), stage.to(b), stage.answers()], [[order], [order], []]);
    stage.report(b, 1);
    assert.deepEqual(stage.answers(), []);
    stage.report(a, 1);
    assert.deepEqual([stage.to(operator), stage.moves.size], [[{ type: "done", id: 7 }], 0]);
  });

  test("is done with one report, once both directions are seen to be there: the other end may never come to its event loop", () => {
    for (const ring of [undefined, 8192]) {
      const stage = new Stage();
      stage.where = [{ transport: "tcp", switches: 3 }, { transport: "tcp", switches: 5 }];
      stage.order(operator, ring === undefined ? {} : { ring_bytes: ring });
      assert.deepEqual(stage.answers(), [], "what is seen is no report");
      if (ring !== undefined) {
        stage.where = [{ transport: "tcp", switches: 4 }, { transport: "tcp", switches: 5 }];
        stage.report(b, 1);
        assert.deepEqual(stage.answers(), [], "with other memory, each direction has to move");
        continue;
      }
      stage.report(b, 1);
      assert.deepEqual(stage.answers(), ["done"]);
      stage.report(a, 1);
      assert.deepEqual(stage.answers(), ["done"]);
    }
  });

  test("says how long open buffers may hold it up, if the operator's rules do", () => {
    const stage = new Stage();
    stage.deadlineMs = 50;
    stage.order();
    assert.deepEqual(stage.to(a), [{
      type: "reconfigure",
      flow: FLOW,
      transport: "tcp",
      reason: "operator",
      drain_deadline_ms: 50,
      order: 1,
    }]);
  });

  test("of the policy: both ends hear who wants it, and the policy hears what came of it", () => {
    const stage = new Stage();
    const heard: (string | undefined)[] = [];
    const flow = stage.flows.get(FLOW);
    assert.ok(flow !== undefined);
    const order = () => stage.moves.order(flow, "tcp", undefined, 1000, (error) => heard.push(error?.code));
    order();
    assert.ok(stage.moves.concerns(flow));
    assert.equal((stage.to(a)[0] as { readonly reason?: string }).reason, "policy");
    stage.report(a, 1);
    stage.report(b, 1);
    order();
    stage.report(b, 2, "UNSUPPORTED_TRANSPORT", "no");
    stage.report(a, 2);
    order();
    stage.order();
    assert.deepEqual(heard, [undefined, "UNSUPPORTED_TRANSPORT", "SUPERSEDED"]);
    assert.deepEqual(stage.answers(), [], "whoever came after it still waits");
  });

  test("goes once to a program that has both ends", () => {
    const stage = new Stage([a, a]);
    stage.order();
    assert.equal(stage.to(a).length, 1);
    stage.report(a, 1);
    assert.deepEqual(stage.answers(), ["done"]);
  });

  test("that one end cannot carry out fails once both have reported, and says whose fault it was", () => {
    const stage = new Stage();
    stage.order();
    stage.report(a, 1, "UNSUPPORTED_TRANSPORT", "there is no loopback here");
    assert.deepEqual(stage.answers(), []);
    stage.report(b, 1);
    assert.deepEqual(stage.answers(), ["UNSUPPORTED_TRANSPORT"]);
    assert.equal(stage.to(operator)[0]?.message, "xio://a (process 101): there is no loopback here");
  });

  test("is superseded by the next, whose reports alone count", () => {
    const stage = new Stage();
    stage.order();
    stage.order(a, { id: 8, transport: "pipe" });
    assert.deepEqual(stage.answers(), ["SUPERSEDED"]);
    for (const end of [a, b]) stage.report(end, 1);
    assert.deepEqual(stage.answers(a), []);
    for (const end of [a, b]) stage.report(end, 2);
    assert.deepEqual(stage.answers(a), ["done"]);
  });

  test("that nobody reports on times out and names who did not", () => {
    const stage = new Stage();
    stage.order();
    stage.report(a, 1);
    assert.equal(stage.moves.nextDeadline(), 1000);
    stage.moves.expire(999);
    assert.deepEqual(stage.answers(), []);
    stage.moves.expire(1000);
    assert.deepEqual(stage.answers(), ["TIMEOUT"]);
    assert.match(stage.to(operator)[0]?.message ?? "", /^xio:\/\/b \(process 102\) did not report/);
    assert.equal(stage.moves.nextDeadline(), Infinity);
    // The end gets there later: nobody waits for it any more.
    stage.report(b, 1);
    assert.equal(stage.to(operator).length, 1);
  });
});

describe("who may", () => {
  for (const [who, uid, may] of [["root", 0, true], ["an end's user", 1001, true], ["somebody else", 1002, false]] as const) {
    test(`${who}: ${may ? "yes" : "no"}`, () => {
      const stage = new Stage();
      if (may) return stage.order(client(5, uid));
      assert.throws(() => stage.order(client(5, uid)), { code: "REFUSED", message: /only the broker's own user, root/ });
      assert.deepEqual([stage.to(a), stage.moves.size], [[], 0]);
    });
  }

  test("one session cannot answer for another, nor invent reports", () => {
    const stage = new Stage();
    stage.order();
    stage.report(operator, 1);
    stage.report(a, 2);
    stage.report(a, 1);
    stage.report(a, 1);
    assert.deepEqual(stage.answers(), []);
  });
});

describe("what speaks against an order", () => {
  test("no such flow", () => assert.throws(() => new Stage().order(operator, { flow: "test22-2" }), { code: "NAME_UNKNOWN" }));

  test("pages lent to somebody untrusted", () => {
    const stage = new Stage([a, b], "untrusted");
    assert.throws(() => stage.order(operator, { transport: "vmsplice-coop" }), { code: "UNSUPPORTED_TRANSPORT" });
    stage.order(operator, { transport: "pipe" });
  });

  test("an end without a session, or closed", () => {
    const stage = new Stage();
    stage.flows.detach(2, b.process, 0);
    assert.throws(() => stage.order(), { code: "REFUSED", message: /^xio:\/\/b \(process 102\) has no connection to the broker/ });
    const other = new Stage();
    other.flows.close(b, FLOW);
    assert.throws(() => other.order(), { code: "CLOSED" });
  });

  test("an end that owes reports, but only until it gives them", () => {
    const stage = new Stage();
    for (let count = 0; count < 4; count++) stage.order();
    for (let order = 1; order <= 4; order++) stage.report(a, order);
    assert.throws(() => stage.order(), { code: "QUOTA", message: /^xio:\/\/b / });
    assert.deepEqual(stage.answers(), ["SUPERSEDED", "SUPERSEDED", "SUPERSEDED"], "the one under way is left alone");
    stage.report(b, 1);
    stage.order();
  });
});

describe("while an order is under way", () => {
  test("an end loses its session", () => {
    const stage = new Stage();
    stage.order();
    stage.report(a, 1);
    stage.moves.sessionEnded(2);
    assert.deepEqual([stage.answers(), stage.moves.size], [["PEER_CLOSED"], 0]);
  });

  test("an end dies, or closes", () => {
    for (const [dead, code] of [[b.process, "PEER_DEAD"], [undefined, "CLOSED"]] as const) {
      const stage = new Stage();
      stage.order();
      stage.moves.flowEnded(stage.flows.get(FLOW)!, dead);
      assert.deepEqual([stage.answers(), stage.moves.size], [[code], 0]);
    }
  });

  test("whoever asked leaves, or gives up: nobody is told anything", () => {
    const stage = new Stage();
    stage.order();
    stage.moves.sessionEnded(operator.session);
    stage.order();
    assert.equal(stage.moves.cancel(operator, 8), false);
    assert.equal(stage.moves.cancel(operator, 7), true);
    for (const order of [1, 2]) for (const end of [a, b]) stage.report(end, order);
    assert.deepEqual(stage.answers(), []);
  });
});
