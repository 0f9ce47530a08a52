/** Steering over a made-up machine: what is sampled, decided, ordered and said, and what is left alone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Accounts, DEFAULT_QUOTAS } from "../../src/broker/accounts.ts";
import { type Flow, type FlowEnd, Flows } from "../../src/broker/flows.ts";
import type { Counters } from "../../src/broker/sampler.ts";
import { Steering, type SteeringRecord } from "../../src/broker/steering.ts";
import { FableError } from "../../src/errors.ts";
import type { Transport } from "../../src/policy/facts.ts";
import { DEFAULT_RULES, type Rules } from "../../src/policy/rules.ts";
import { MODEL } from "../policy/support.ts";
import { client } from "./table_support.ts";

const NOTHING: Counters = {
  ...{ messagesSent: 0, bytesSent: 0, rings: 0, sleeps: 0, blockedNs: 0, waitedNs: 0 },
  ...{ transport: "mempipe", switches: 0, switchReason: 0, cpu: 0, memoryNode: undefined },
};

/** Two nodes of two CPUs, as the kernel shows them. */
const NODES: Readonly<Record<string, string>> = {
  "/sys/devices/system/node/online": "0-1",
  "/sys/devices/system/node/node0/cpulist": "0-1",
  "/sys/devices/system/node/node0/distance": "10 20",
  "/sys/devices/system/node/node1/cpulist": "2-3",
  "/sys/devices/system/node/node1/distance": "20 10",
};

/** A machine of two CPUs on which two processes talk, and a clock that runs as fast as the test wants. */
class Machine {
  readonly flows = new Flows(new Accounts(DEFAULT_QUOTAS));
  readonly flow: Flow;
  nowMs = 1000;
  cpuMs = 0;
  /** What a look at the kernel costs. */
  lookCostMs = 0;
  orderCostMs = 0;
  msgsPerS = 0;
  messageBytes = 64;
  transport: Transport;
  switches = 0;
  switchReason = 0;
  cpus: [number, number] = [0, 1];
  affinities: [readonly number[], readonly number[]] = [[0, 1], [0, 1]];
  rules: Rules = DEFAULT_RULES;
  /** CPUs 0 and 1 are one node, 2 and 3 another, and of the memory that both ends write into. */
  readonly nodes: boolean;
  memoryNode: number | undefined;
  refuses: FableError | undefined;
  answers = true;
  readonly orders: string[] = [];
  readonly records: SteeringRecord[] = [];
  readonly steering: Steering;
  #messages = 0;
  #task: (() => void) | undefined;
  #pauses: number[] = [];

  constructor(transport: "mempipe" | "mempipe-spin" | "unix" = "mempipe-spin", asked = true, nodes = false) {
    this.transport = transport;
    this.nodes = nodes;
    const ends = ([1, 2] as const).map((session): FlowEnd => ({
      client: { ...client(session), pid: 100 + session },
      ...{ session, detachedAt: undefined, name: `xio://${session}`, control: `1:${session}`, ringBytes: 65_536, open: true },
    })) as [FlowEnd, FlowEnd];
    const names = ["xio://1", "xio://2"] as const;
    this.flow = this.flows.open({ flow: "test22-1", transport, trust: "trusted", reason: "r", since: 0, names, asked, ends });
    this.steering = new Steering({
      flows: () => this.flows.whole(),
      now: () => this.nowMs,
      cpuTime: () => this.cpuMs,
      after: (ms, task) => {
        this.#pauses.push(ms);
        this.#task = task;
      },
      observers: () => [0, 1],
      counters: (ids) => ids.map((_, side) => this.#counters(side)),
      kernel: { read: (path) => this.#read(path), affinity: (tid) => this.affinities[tid - 101] },
      confine: (tid, cpus) => {
        this.affinities[tid - 101] = cpus;
        return true;
      },
      order: (_flow, to, ringBytes, done) => {
        this.orders.push(`${to}${ringBytes === undefined ? "" : ` ${ringBytes}`}`);
        this.cpuMs += this.orderCostMs;
        if (!this.answers) return;
        if (this.refuses !== undefined) return done(this.refuses);
        this.move(to, 3);
        done(undefined);
      },
      busy: () => false,
      rules: () => this.rules,
      model: () => MODEL,
      virtualised: true,
      log: (record) => this.records.push(record),
    });
    this.steering.wake();
  }

  get lastPauseMs(): number {
    return this.#pauses.at(-1) ?? 0;
  }

  move(to: Transport, reason: number): void {
    this.transport = to;
    this.switches += 1;
    this.switchReason = reason;
  }

  /** Lets time pass, round by round. */
  run(ms: number): void {
    const until = this.nowMs + ms;
    while (this.nowMs < until && this.#task !== undefined) {
      const [task, pause] = [this.#task, this.lastPauseMs];
      this.#task = undefined;
      this.nowMs += pause;
      this.#messages += (this.msgsPerS * pause) / 1000;
      task();
    }
  }

  #counters(side: number): Counters {
    const { transport, switches, switchReason, memoryNode, cpus: { [side]: cpu = 0 } } = this;
    const messagesSent = Math.round(this.#messages);
    return { ...NOTHING, messagesSent, bytesSent: messagesSent * this.messageBytes, transport, switches, switchReason, memoryNode, cpu };
  }

  #read(path: string): string | undefined {
    this.cpuMs += this.lookCostMs;
    if (path === "/proc/stat") return "cpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0";
    if (this.nodes && path in NODES) return NODES[path];
    const stat = /^\/proc\/10([12])\/stat$/.exec(path);
    return stat === null ? undefined : `1 (x) S ${Array(35).fill(0).join(" ")} ${this.cpus[Number(stat[1]) - 1]} 0`;
  }
}

/** Both ends on one core, where a spin gets nowhere. */
function together(machine: Machine): void {
  machine.cpus = [0, 0];
  machine.affinities = [[0], [0]];
  machine.msgsPerS = 250;
}

describe("a spin on one core", () => {
  test("is moved once, and both the log and the flow say why", () => {
    const machine = new Machine();
    together(machine);
    machine.run(500);
    assert.deepEqual(machine.orders, ["mempipe-futex"]);
    machine.msgsPerS = 100_000;
    machine.run(3000);
    assert.deepEqual(machine.orders, ["mempipe-futex"]);
    const [record] = machine.records;
    assert.deepEqual([record?.event, record?.transport], ["moved", "mempipe-futex"]);
    assert.equal(machine.steering.reasonFor(machine.flow), record?.reason);
    assert.equal(machine.steering.placement(machine.flow), "one core (CPU 0)");
  });
  test("comes back to the spin that was asked for when it is alone again", () => {
    const machine = new Machine();
    together(machine);
    machine.run(500);
    [machine.cpus, machine.affinities, machine.msgsPerS] = [[0, 1], [[0], [1]], 20_000];
    machine.run(2000);
    assert.deepEqual(machine.orders, ["mempipe-futex", "mempipe-spin"]);
    assert.equal(machine.steering.placement(machine.flow), "CPU 0 and CPU 1");
  });
  test("is not ordered about while an order is under way", () => {
    const machine = new Machine();
    machine.answers = false;
    together(machine);
    machine.run(5000);
    assert.deepEqual(machine.orders, ["mempipe-futex"]);
    assert.equal(machine.steering.explain(machine.flow).held, "it is being moved");
  });
  test("that an end refuses to leave is asked again after a minute, not before", () => {
    const machine = new Machine();
    machine.refuses = new FableError("UNSUPPORTED_TRANSPORT", "not here");
    together(machine);
    machine.run(30_000);
    assert.deepEqual(machine.orders, ["mempipe-futex"]);
    assert.deepEqual(machine.records.map(({ event, reason }) => [event, reason]), [["refused", "not here"]]);
    machine.run(40_000);
    assert.equal(machine.orders.length, 2);
  });
});

describe("people", () => {
  test("manual means that nothing is moved, for all or for one; auto undoes it", () => {
    for (const flow of [undefined, "it"] as const) {
      const machine = new Machine();
      const which = flow === undefined ? undefined : machine.flow;
      machine.steering.setMode("manual", which);
      together(machine);
      machine.run(2000);
      assert.deepEqual(machine.orders, []);
      assert.equal(machine.steering.explain(machine.flow).mode, "manual");
      machine.steering.setMode("auto", which);
      machine.run(500);
      assert.equal(machine.orders.length, 1);
    }
  });
  test("what an operator moved is left alone until it is given back", () => {
    const machine = new Machine("mempipe", false);
    machine.msgsPerS = 100_000;
    machine.run(300);
    machine.move("tcp", 2);
    machine.run(3000);
    assert.deepEqual(machine.orders, []);
    assert.match(machine.steering.explain(machine.flow).held ?? "", /an operator moved it/);
    machine.steering.setMode("auto", machine.flow);
    machine.run(1000);
    assert.deepEqual(machine.orders, ["mempipe"]);
  });
  test("where a program moves its own channel is where it stays", () => {
    const machine = new Machine("mempipe", false);
    machine.msgsPerS = 100_000;
    machine.run(300);
    machine.move("tcp", 1);
    machine.run(5000);
    assert.deepEqual(machine.orders, []);
    assert.deepEqual([machine.steering.explain(machine.flow).origin, machine.steering.explain(machine.flow).asked], ["program", "tcp"]);
  });
  test("a program that moves its channel again and again finds nobody's order in its way", () => {
    const machine = new Machine("mempipe", false);
    together(machine);
    for (const to of ["mempipe-spin", "unix", "mempipe-spin", "tcp", "mempipe-spin"] as const) {
      machine.move(to, 1);
      machine.run(400);
    }
    assert.deepEqual(machine.orders, []);
    machine.run(2000);
    assert.deepEqual(machine.orders, ["mempipe-futex"], "but it is not left there");
  });
  test("a newer order of somebody else's is no refusal", () => {
    const machine = new Machine();
    machine.refuses = new FableError("SUPERSEDED", "a newer order took its place");
    together(machine);
    machine.run(5000);
    assert.ok(machine.orders.length >= 2 && machine.orders.length <= 5, String(machine.orders.length));
  });
  test("a rule that pins moves also what is silent, and once only", () => {
    const machine = new Machine("mempipe", false);
    machine.rules = {
      ...DEFAULT_RULES,
      connections: [{ from: undefined, to: "xio://2", allow: true, trust: undefined, pin: "pipe", transports: undefined }],
    };
    machine.run(3000);
    assert.deepEqual(machine.orders, ["pipe"]);
  });
});

describe("cost", () => {
  test("rounds are rarer while nothing travels, and stop without flows", () => {
    const machine = new Machine();
    machine.run(1000);
    assert.equal(machine.lastPauseMs, 250);
    machine.msgsPerS = 1000;
    machine.run(1000);
    assert.equal(machine.lastPauseMs, 50);
    machine.flows.died(machine.flow.ends[0]?.client.process ?? "");
    machine.flows.died(machine.flow.ends[1]?.client.process ?? "");
    machine.run(1000);
    const { rounds } = machine.steering.cost;
    machine.run(10_000);
    assert.equal(machine.steering.cost.rounds, rounds);
  });
  test("dear rounds are rare rounds: a hundredth of a CPU at most", () => {
    const machine = new Machine();
    machine.msgsPerS = 1000;
    machine.lookCostMs = 1;
    machine.run(20_000);
    const [before, began] = [machine.cpuMs, machine.nowMs];
    machine.run(60_000);
    assert.ok(machine.lastPauseMs > 250);
    assert.ok((machine.cpuMs - before) / (machine.nowMs - began) <= 0.01, `${machine.cpuMs - before} ms of ${machine.nowMs - began}`);
  });
});

describe("memory of several nodes", () => {
  test("goes to the node of its reader, once, and the flow says why", () => {
    const machine = new Machine("mempipe", false, true);
    [machine.msgsPerS, machine.memoryNode] = [100_000, 0];
    machine.run(2000);
    assert.deepEqual(machine.orders, []);
    machine.cpus = [2, 3];
    machine.run(700);
    assert.deepEqual(machine.orders, ["mempipe 65536"]);
    machine.memoryNode = 1;
    machine.run(20_000);
    assert.equal(machine.orders.length, 1);
    assert.match(machine.steering.reasonFor(machine.flow) ?? "", /^mempipe with memory on node 1, because its reader runs on node 1 now/);
    assert.deepEqual(machine.steering.explain(machine.flow).facts.ends.map((end) => [end.node, end.memory_node]), [[1, 1], [1, 1]]);
  });
  test("goes there soon also where looks at the kernel and orders are dear, and looks take a hundredth of a CPU at most", () => {
    const machine = new Machine("mempipe", false, true);
    [machine.msgsPerS, machine.memoryNode, machine.lookCostMs, machine.orderCostMs] = [100_000, 0, 2, 100];
    machine.run(60_000);
    const [before, began] = [machine.cpuMs, machine.nowMs];
    for (const node of [1, 0]) {
      const from = machine.nowMs;
      machine.cpus = node === 1 ? [2, 3] : [0, 1];
      for (const ordered = machine.orders.length; machine.orders.length === ordered;) machine.run(1);
      assert.ok(machine.nowMs - from <= 500, `after ${machine.nowMs - from} ms`);
      machine.memoryNode = node;
      machine.run(2000);
    }
    machine.run(60_000);
    const looksMs = machine.cpuMs - before - machine.orders.length * machine.orderCostMs;
    assert.ok(looksMs / (machine.nowMs - began) <= 0.01, `${looksMs} ms of ${machine.nowMs - began}`);
  });
  test("goes there also for traffic that no other transport would be worth a thought", () => {
    const machine = new Machine("mempipe", false, true);
    [machine.msgsPerS, machine.messageBytes, machine.memoryNode, machine.cpus] = [300, 1024, 0, [2, 3]];
    machine.run(900);
    assert.deepEqual(machine.orders, ["mempipe 65536"]);
  });
  test("stays where it is by a manual policy, and where there is one node", () => {
    for (const nodes of [true, false]) {
      const machine = new Machine("mempipe", false, nodes);
      [machine.msgsPerS, machine.memoryNode, machine.cpus] = [100_000, 0, [2, 3]];
      if (nodes) machine.steering.setMode("manual", undefined);
      machine.run(5000);
      assert.deepEqual(machine.orders, []);
    }
  });
});

describe("where to run", () => {
  test("nobody's affinity is touched unless the rules allow it", () => {
    const machine = new Machine("unix");
    machine.msgsPerS = 20_000;
    machine.run(5000);
    assert.deepEqual(machine.affinities, [[0, 1], [0, 1]]);
  });
  test("ends are brought together, and apart again when it did not help", () => {
    const machine = new Machine("unix");
    machine.rules = { ...DEFAULT_RULES, affinity: true };
    machine.msgsPerS = 20_000;
    machine.run(700);
    assert.deepEqual(machine.affinities, [[0], [0]]);
    machine.run(1500);
    assert.deepEqual(machine.affinities, [[0, 1], [0, 1]]);
    assert.match(machine.records.at(-1)?.reason ?? "", /^undone: it did not help/);
  });
  test("what helped stays, and is undone when the channel ends", () => {
    const machine = new Machine("unix");
    machine.rules = { ...DEFAULT_RULES, affinity: true };
    machine.msgsPerS = 20_000;
    machine.run(700);
    [machine.msgsPerS, machine.cpus] = [120_000, [0, 0]];
    machine.run(3000);
    assert.deepEqual(machine.affinities, [[0], [0]]);
    assert.match(machine.records.at(-1)?.reason ?? "", /^kept: /);
    machine.steering.forget(machine.flow);
    assert.deepEqual(machine.affinities, [[0, 1], [0, 1]]);
  });
  for (
    const [what, happens, reason] of [
      ["nothing travels any more", (machine: Machine) => void (machine.msgsPerS = 0), /^undone: hardly anything travels$/],
      ["the rules change", (machine: Machine) => void (machine.rules = DEFAULT_RULES), /^undone: the rules do not allow it$/],
    ] as const
  ) {
    test(`what helped is undone when ${what}`, () => {
      const machine = new Machine("unix");
      machine.rules = { ...DEFAULT_RULES, affinity: true };
      machine.msgsPerS = 20_000;
      machine.run(700);
      [machine.msgsPerS, machine.cpus] = [120_000, [0, 0]];
      machine.run(3000);
      assert.deepEqual(machine.affinities, [[0], [0]]);
      happens(machine);
      machine.run(1500);
      assert.deepEqual(machine.affinities, [[0, 1], [0, 1]]);
      assert.match(machine.records.at(-1)?.reason ?? "", reason);
    });
  }
});

test("an idle flow can be explained", () => {
  const explanation = new Machine("mempipe", false).steering.explain(new Machine("mempipe", false).flow);
  assert.deepEqual([explanation.choice.transport, explanation.held, explanation.mode], ["mempipe", null, "auto"]);
  assert.match(explanation.choice.reason, /nothing travels/);
});
