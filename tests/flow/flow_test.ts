/** The pure parts of reconfiguration: who waits for which move, how long open buffers hold it up, which memory is still used. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DrainDeadline } from "../../src/flow/drain-deadline.ts";
import { LeftMemory } from "../../src/flow/left-memory.ts";
import { Orders } from "../../src/flow/orders.ts";

describe("orders", () => {
  test("end when their direction is there, and not for another", () => {
    const orders = new Orders<string>();
    const ends: string[] = [];
    orders.add({ way: "outgoing", to: "tcp", ringBytes: 0 }, ({ end }) => ends.push(`out ${end}`));
    orders.add({ way: "incoming", to: "tcp", ringBytes: 0 }, ({ end }) => ends.push(`in ${end}`));
    orders.heard({ way: "outgoing", what: "pending", to: "tcp", status: 0 });
    orders.heard({ way: "outgoing", what: "moved", to: "pipe", status: 0 });
    assert.deepEqual(ends, []);
    orders.heard({ way: "outgoing", what: "moved", to: "tcp", status: 0 });
    orders.heard({ way: "incoming", what: "refused", to: "tcp", status: -15 });
    assert.deepEqual(ends, ["out moved", "in refused"]);
  });

  test("are replaced by newer ones for elsewhere, joined by equal ones, withdrawn one by one", () => {
    const orders = new Orders<string>();
    const ends: string[] = [];
    orders.add({ way: "outgoing", to: "tcp", ringBytes: 0 }, ({ end }) => ends.push(`a ${end}`));
    const first = orders.add({ way: "outgoing", to: "pipe", ringBytes: 0 }, ({ end }) => ends.push(`b ${end}`));
    const second = orders.add({ way: "outgoing", to: "pipe", ringBytes: 0 }, ({ end }) => ends.push(`c ${end}`));
    assert.deepEqual(ends, ["a replaced"]);
    assert.equal(first(), false, "somebody else still waits for it");
    assert.equal(second(), true);
    assert.equal(second(), false);
    orders.add({ way: "incoming", to: "pipe", ringBytes: 0 }, ({ end }) => ends.push(`d ${end}`), true);
    orders.coming();
    orders.over();
    assert.deepEqual(ends, ["a replaced", "d moved"]);
  });
});

test("the drain deadline runs from the first time that it was asked, and anew after it was cleared", () => {
  const deadline = new DrainDeadline(200);
  assert.deepEqual([deadline.leftMs(1000), deadline.leftMs(1150), deadline.leftMs(1200), deadline.leftMs(5000)], [200, 50, 0, 0]);
  deadline.clear();
  assert.equal(deadline.leftMs(5000), 200);
});

test("who orders a crossing may be less patient than the end, not more, and for that crossing only", () => {
  const deadline = new DrainDeadline(200);
  deadline.limit(50);
  assert.deepEqual([deadline.deadlineMs, deadline.leftMs(1000), deadline.leftMs(1050)], [50, 50, 0]);
  deadline.clear();
  assert.deepEqual([deadline.deadlineMs, deadline.leftMs(2000)], [200, 200]);
  deadline.clear();
  deadline.limit(9000);
  assert.equal(deadline.leftMs(3000), 200);
});

test("memory that was left is detached and given back with its last user, or at once", () => {
  const given: number[] = [];
  const left = new LeftMemory((epoch) => given.push(epoch));
  const used = new Uint8Array(8);
  left.add(0, new Uint8Array(8), 0);
  left.add(1, used, 2);
  left.returned(1);
  assert.deepEqual([given, used.length, left.size], [[0], 8, 1]);
  left.returned(1);
  left.returned(1);
  assert.deepEqual([given, used.length, left.size], [[0, 1], 0, 0]);
});
