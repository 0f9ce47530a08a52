/** Memory follows its reader between NUMA nodes, on machines this one is not: topologies are made up. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Decision } from "../../src/policy/decide.ts";
import { Follower, parseCpuList, type Placed, relocations, topologyOf } from "../../src/policy/numa.ts";
import { end, facts, stream } from "./support.ts";

const TWO = topologyOf([{ node: 0, cpus: "0-1", distances: "10 20" }, { node: 1, cpus: "2-3", distances: "20 10" }]);
/** The paper's: eight nodes of six cores. */
const EIGHT = topologyOf(Array.from({ length: 8 }, (_, node) => ({
  node,
  cpus: `${node * 6}-${node * 6 + 5}`,
  distances: Array.from({ length: 8 }, (_, other) => (other === node ? 10 : 16)).join(" "),
})));

const ring = (more: Partial<Placed>): Placed => ({
  readerNode: 1,
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
        const found = relocations([ring({ readerNode: EIGHT.nodeOfCpu.get(cpu), memoryNode: from })], EIGHT, 0);
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
      { readerNode: undefined },
      { readerNode: TWO.nodeOfCpu.get(99) },
      { memoryNode: undefined },
    ];
    for (const more of stays) assert.deepEqual(relocations([ring(more)], TWO, 0), []);
  });
  test("not where the nodes are equally far", () => {
    const flat = topologyOf([{ node: 0, cpus: "0-1", distances: "10 10" }, { node: 1, cpus: "2-3", distances: "10 10" }]);
    assert.deepEqual(relocations([ring({})], flat, 0), []);
  });
});

describe("following one channel", () => {
  const always = () => true;
  /** End 0 writes a stream; end 1 reads it on a node, where its memory lies on another perhaps. */
  const at = (node: number, memoryNode: number) =>
    stream("mempipe", 4096, 50_000, { ends: [end({ memoryNode: 0 }), end({ node, memoryNode })] });
  /** What a sample leads to. */
  function sample(follower: Follower, given: ReturnType<typeof facts>, nowMs: number, spend = always): Decision | undefined {
    follower.see([given.ends[0].node, given.ends[1].node], nowMs);
    return follower.decide(given, TWO, nowMs, spend);
  }
  /** Samples each 50 ms, and when it ordered something. */
  function follow(follower: Follower, given: ReturnType<typeof facts>, fromMs: number, toMs: number, spend = always): readonly number[] {
    const ordered: number[] = [];
    for (let nowMs = fromMs; nowMs < toMs; nowMs += 50) if (sample(follower, given, nowMs, spend) !== undefined) ordered.push(nowMs);
    return ordered;
  }

  test("a reader that moved is followed within half a second, and its memory left alone then", () => {
    const follower = new Follower();
    assert.deepEqual(follow(follower, at(0, 0), 0, 2000), []);
    const [when] = follow(follower, at(1, 0), 2000, 2500);
    assert.ok(when !== undefined && when >= 2200, String(when));
    assert.deepEqual(follow(follower, at(1, 1), 2500, 20_000), []);
  });
  test("it says why, and asks for the same path again", () => {
    const follower = new Follower();
    follow(follower, at(1, 1), 0, 1000);
    const decision = [...Array(20).keys()].map((step) => sample(follower, at(0, 1), 1000 + step * 50)).find((one) => one !== undefined);
    assert.deepEqual([decision?.transport, decision?.ringBytes], ["mempipe", 65_536]);
    assert.match(
      decision?.reason ?? "",
      /^mempipe with memory on node 0, because its reader runs on node 0 now, its memory lies on node 1$/,
    );
  });
  test("one that goes back and forth all the time is not followed", () => {
    const follower = new Follower();
    follow(follower, at(0, 0), 0, 1000);
    for (let nowMs = 1000; nowMs < 10_000; nowMs += 200) {
      assert.deepEqual(follow(follower, at(1, 0), nowMs, nowMs + 100), []);
      assert.deepEqual(follow(follower, at(0, 0), nowMs + 100, nowMs + 200), []);
    }
  });
  test("where looks are rare, one is enough", () => {
    const follower = new Follower();
    for (const nowMs of [0, 2000, 4000]) assert.equal(sample(follower, at(0, 0), nowMs), undefined);
    assert.match(sample(follower, at(1, 0), 6000)?.reason ?? "", /node 1/);
  });
  test("memory that does not come along is called less and less often", () => {
    const ordered = follow(new Follower(), at(1, 0), 0, 60_000);
    assert.ok(ordered.length >= 4 && ordered.length <= 7, String(ordered));
    const gaps = ordered.slice(1).map((when, index) => when - (ordered[index] ?? 0));
    assert.deepEqual(gaps, [...gaps].sort((a, b) => a - b));
  });
  test("never without a move in hand", () => {
    assert.deepEqual(follow(new Follower(), at(1, 0), 0, 10_000, () => false), []);
  });
});

test("the kernel's lists of CPUs", () => {
  assert.deepEqual(parseCpuList("0-3,8\n"), [0, 1, 2, 3, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.deepEqual(parseCpuList("5"), [5]);
  assert.deepEqual(parseCpuList("x,3-1,2"), [2]);
});
