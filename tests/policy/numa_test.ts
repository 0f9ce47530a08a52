/** Memory follows its reader between NUMA nodes, on machines this one is not: topologies are made up. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCpuList, type Placed, relocations, topologyOf } from "../../src/policy/numa.ts";

const TWO = topologyOf([{ node: 0, cpus: "0-1", distances: "10 20" }, { node: 1, cpus: "2-3", distances: "20 10" }]);
/** The paper's: eight nodes of six cores. */
const EIGHT = topologyOf(Array.from({ length: 8 }, (_, node) => ({
  node,
  cpus: `${node * 6}-${node * 6 + 5}`,
  distances: Array.from({ length: 8 }, (_, other) => (other === node ? 10 : 16)).join(" "),
})));

const ring = (more: Partial<Placed>): Placed => ({
  readerCpu: 2,
  readerShare: 1,
  memoryNode: 0,
  ringBytes: 65_536,
  bytesPerS: 1e9,
  movedMs: -Infinity,
  ...more,
});

describe("relocation", () => {
  test("to the node of the reader", () => {
    const [move] = relocations([ring({}), ring({ memoryNode: 1 })], TWO, 0);
    assert.deepEqual([move?.ring, move?.from, move?.to], [0, 0, 1]);
    assert.match(move?.reason ?? "", /node 1 now, its memory lies on node 0/);
    assert.equal(relocations([ring({ memoryNode: 1 })], TWO, 0).length, 0);
  });
  test("between any two of many nodes", () => {
    for (let from = 0; from < 8; from++) {
      for (let cpu = 0; cpu < 48; cpu++) {
        const to = Math.floor(cpu / 6);
        const found = relocations([ring({ readerCpu: cpu, memoryNode: from })], EIGHT, 0);
        assert.deepEqual(found.map((move) => [move.from, move.to]), from === to ? [] : [[from, to]]);
      }
    }
  });
  test("not for a reader that is passing by, an idle ring, one that just moved, or a place nobody knows", () => {
    const stays: readonly Partial<Placed>[] = [
      { readerShare: 0.5 },
      { bytesPerS: 1000 },
      { movedMs: -500 },
      { ringBytes: 67_108_864, bytesPerS: 1e10, movedMs: -5000 },
      { readerCpu: undefined },
      { readerCpu: 99 },
      { memoryNode: undefined },
    ];
    for (const more of stays) assert.deepEqual(relocations([ring(more)], TWO, 0), []);
  });
  test("not where the nodes are equally far", () => {
    const flat = topologyOf([{ node: 0, cpus: "0-1", distances: "10 10" }, { node: 1, cpus: "2-3", distances: "10 10" }]);
    assert.deepEqual(relocations([ring({})], flat, 0), []);
  });
});

test("the kernel's lists of CPUs", () => {
  assert.deepEqual(parseCpuList("0-3,8\n"), [0, 1, 2, 3, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.deepEqual(parseCpuList("5"), [5]);
  assert.deepEqual(parseCpuList("x,3-1,2"), [2]);
});
