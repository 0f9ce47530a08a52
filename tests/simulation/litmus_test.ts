/**
 * The memory models against the outcomes that the manuals and the literature give for small programs: what a processor may do, a model
 * must do; what it may not, a model must not. Each test is two programs and a question; "seen" means that some execution answers yes.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Arm64 } from "./arm64.ts";
import { explore } from "./explore.ts";
import type { Scenario } from "./machine.ts";
import { assemble, type MemoryMap } from "./program.ts";
import { X86 } from "./x86.ts";

interface Litmus {
  readonly name: string;
  readonly left: string;
  readonly right: string;
  /** The question, over the registers of right and over `l`, the value left noted; it is put when both have finished. */
  readonly asks: string;
  readonly x86: boolean;
  readonly arm64: boolean;
}

const LITMUS: readonly Litmus[] = [
  {
    name: "store buffering",
    left: "store x = 1; load r = y",
    right: "store y = 1; load r = x",
    asks: "l == 0 && r == 0",
    x86: true,
    arm64: true,
  },
  {
    name: "store buffering, both fence",
    left: "store x = 1; fence; load r = y",
    right: "store y = 1; fence; load r = x",
    asks: "l == 0 && r == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "store buffering, one fences",
    left: "store x = 1; fence; load r = y",
    right: "store y = 1; load r = x",
    asks: "l == 0 && r == 0",
    x86: true,
    arm64: true,
  },
  {
    name: "store buffering, one calls membarrier",
    left: "store x = 1; membarrier; load r = y",
    right: "store y = 1; load r = x",
    asks: "l == 0 && r == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "store buffering, release and acquire",
    left: "store.release x = 1; load.acquire r = y",
    right: "store.release y = 1; load.acquire r = x",
    asks: "l == 0 && r == 0",
    x86: true,
    arm64: true,
  },
  {
    name: "store buffering behind own stores",
    left: "store x = 1; load a = x; load r = y",
    right: "store y = 1; load a = y; load r = x",
    asks: "l == 0 && r == 0",
    x86: true,
    arm64: true,
  },
  {
    name: "message passing",
    left: "store x = 1; store y = 1",
    right: "load a = y; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: true,
  },
  {
    name: "message passing, release only",
    left: "store x = 1; store.release y = 1",
    right: "load a = y; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: true,
  },
  {
    name: "message passing, acquire only",
    left: "store x = 1; store y = 1",
    right: "load.acquire a = y; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: true,
  },
  {
    name: "message passing, release and acquire",
    left: "store x = 1; store.release y = 1",
    right: "load.acquire a = y; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "message passing, release and a branch",
    left: "store x = 1; store.release y = 1",
    right: "set b = 1; load a = y; if a == 0 goto over; load b = x; over:",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: true,
  },
  {
    name: "message passing, release and an address",
    left: "store ring[0] = 1; store.release y = 1",
    right: "load a = y; load b = ring[a - a]",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "message passing, fences",
    left: "store x = 1; fence; store y = 1",
    right: "load a = y; fence; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "message passing, fence and membarrier",
    left: "store x = 1; store y = 1",
    right: "load a = y; membarrier; load b = x",
    asks: "a == 1 && b == 0",
    x86: false,
    arm64: false,
  },
  {
    name: "load buffering",
    left: "load r = y; store x = 1",
    right: "load b = x; store y = 1",
    asks: "l == 1 && b == 1",
    x86: false,
    arm64: true,
  },
  {
    name: "load buffering, data",
    left: "load r = y; store x = r",
    right: "load b = x; store y = b",
    asks: "l == 1 && b == 1",
    x86: false,
    arm64: false,
  },
  {
    name: "load buffering, one branch",
    left: "load r = y; if r == 0 goto over; store x = 1; over:",
    right: "load b = x; store y = 1",
    asks: "l == 1 && b == 1",
    x86: false,
    arm64: true,
  },
  {
    name: "load buffering, two branches",
    left: "load r = y; if r == 0 goto over; store x = 1; over:",
    right: "load b = x; if b == 0 goto over; store y = 1; over:",
    asks: "l == 1 && b == 1",
    x86: false,
    arm64: false,
  },
  {
    name: "load buffering, release",
    left: "load r = y; store.release x = 1",
    right: "load b = x; store.release y = 1",
    asks: "l == 1 && b == 1",
    x86: false,
    arm64: false,
  },
  {
    name: "two reads of one cell",
    left: "store x = 1; store x = 2",
    right: "load a = x; load b = x",
    asks: "a == 2 && b == 1",
    x86: false,
    arm64: false,
  },
  {
    name: "two writes each",
    left: "store x = 1; store y = 2",
    right: "store y = 1; store x = 2",
    asks: "fx == 1 && fy == 1",
    x86: false,
    arm64: true,
  },
  {
    name: "a write after a message",
    left: "store x = 2; store y = 1",
    right: "load a = y; store x = 1",
    asks: "a == 1 && fx == 2",
    x86: false,
    arm64: true,
  },
  {
    name: "a write after a message, release and data",
    left: "store x = 2; store.release y = 1",
    right: "load a = y; store x = a",
    asks: "a == 1 && fx == 2",
    x86: false,
    arm64: false,
  },
  {
    name: "a read after two writes",
    left: "store x = 1; store y = 1",
    right: "store y = 2; load b = x",
    asks: "fy == 2 && b == 0",
    x86: true,
    arm64: true,
  },
];

const map: MemoryMap = { words: ["x", "y", "noted", "finished"], rings: [{ name: "ring", cells: 2 }], positions: 4 };

function scenario(litmus: Litmus): Scenario {
  const lines = (source: string): string => source.split("; ").join("\n");
  const left = `set r = 0\n${lines(litmus.left)}\nstore.release noted = r\nstore.release finished = 1\nend`;
  const right = `set r = 0\nset b = 0\n${lines(litmus.right)}\nfence\nload.acquire f = finished\nif f == 0 goto away\nload l = noted
    load fx = x\nload fy = y\ncheck !(${litmus.asks}) : seen\naway:\nend`;
  // registers a question may name, whether or not the programs set them
  const helpers = { a: 0 };
  return {
    name: litmus.name,
    map,
    programs: [assemble("left", left, map, helpers), assemble("right", right, map, helpers)],
    generations: [],
  };
}

describe("memory models", () => {
  for (const litmus of LITMUS) {
    test(litmus.name, () => {
      for (const machine of [new X86(scenario(litmus)), new Arm64(scenario(litmus))]) {
        const result = explore(machine, 100_000);
        if (result.violation !== undefined) assert.equal(result.violation.what, "seen", `${result.model}: ${result.violation.what}`);
        const expected = machine.model === "arm64" ? litmus.arm64 : litmus.x86;
        assert.equal(result.violation !== undefined, expected, `${result.model}: ${result.violation?.trace.join("\n") ?? "never seen"}`);
      }
    });
  }
});
