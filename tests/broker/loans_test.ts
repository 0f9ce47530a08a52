/** What is lent is written down first, and given back by whoever comes after a broker that was killed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Loans, type LoansEvent } from "../../src/broker/loans.ts";

const PATH = "/run/broker.loans.json";

/** A machine with two CPUs and threads 101 and 102, whose files and affinities outlive brokers. */
class Machine {
  readonly files = new Map<string, string>();
  readonly affinities = new Map<number, readonly number[]>([[101, [0, 1]], [102, [0, 1]]]);
  readonly starts = new Map<number, number>([[101, 5000], [102, 6000]]);
  full = false;
  readonly said: LoansEvent[] = [];

  broker(): Loans {
    const loans = new Loans({
      read: (path) => {
        const tid = Number(/^\/proc\/(\d+)\/stat$/.exec(path)?.[1] ?? NaN);
        if (Number.isNaN(tid)) return this.files.get(path);
        const start = this.starts.get(tid);
        return start === undefined ? undefined : `${tid} (a) ) name) S${" 1".repeat(18)} ${start} 7 8`;
      },
      replace: (path, text) => {
        if (this.full && text !== "") return false;
        if (text === "") this.files.delete(path);
        else this.files.set(path, text);
        return true;
      },
      affinity: (tid) => this.affinities.get(tid),
      confine: (tid, cpus) => this.affinities.has(tid) && this.affinities.set(tid, cpus).has(tid),
    }, PATH);
    loans.settle((event) => this.said.push(event));
    return loans;
  }
}

describe("CPUs that were lent", () => {
  test("a broker that gives them back leaves nothing", () => {
    const machine = new Machine();
    const broker = machine.broker();
    assert.equal(broker.confine(101, [0]), true);
    assert.equal(broker.confine(102, [1]), true);
    assert.equal((JSON.parse(machine.files.get(PATH) ?? "[]") as unknown[]).length, 2);
    assert.equal(broker.confine(101, [0, 1]), true);
    assert.equal(broker.confine(102, [0, 1]), true);
    assert.equal(machine.files.size, 0);
    assert.deepEqual([...machine.affinities.values()], [[0, 1], [0, 1]]);
  });

  test("the broker after one that was killed gives them back", () => {
    const machine = new Machine();
    const killed = machine.broker();
    killed.confine(101, [0]);
    killed.confine(101, [1]); // what it had before is what it had first
    killed.confine(102, [1]);
    machine.broker();
    assert.deepEqual([...machine.affinities.values()], [[0, 1], [0, 1]]);
    assert.equal(machine.files.size, 0);
    assert.deepEqual(machine.said, [{ event: "affinity-returned", threads: [101, 102] }]);
  });

  test("what a program set since, and whoever has its pid now, is left alone", () => {
    const machine = new Machine();
    const killed = machine.broker();
    killed.confine(101, [0]);
    killed.confine(102, [1]);
    machine.affinities.set(101, [1]);
    machine.starts.set(102, 9000);
    machine.broker();
    assert.deepEqual([machine.affinities.get(101), machine.affinities.get(102)], [[1], [1]]);
    assert.deepEqual([machine.files.size, machine.said.length], [0, 0]);
  });

  test("nothing is set that could not be written down, nor of a thread that is gone", () => {
    const machine = new Machine();
    const broker = machine.broker();
    machine.full = true;
    assert.equal(broker.confine(101, [0]), false);
    assert.deepEqual(machine.affinities.get(101), [0, 1]);
    machine.full = false;
    assert.equal(broker.confine(103, [0]), false);
    assert.equal(broker.confine(102, [0]), true);
    assert.equal((JSON.parse(machine.files.get(PATH) ?? "[]") as unknown[]).length, 1);
  });

  test("a file that says anything else is a file without loans", () => {
    const machine = new Machine();
    for (const text of ["", "{", "[1]", `[{ "tid": 101, "start": "5000", "before": [], "set": [0, 1] }]`, `[{ "tid": -1 }]`]) {
      machine.files.set(PATH, text);
      machine.broker();
      assert.deepEqual([machine.affinities.get(101), machine.files.size], [[0, 1], 0], text);
    }
  });
});
