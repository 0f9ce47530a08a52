/**
 * The ring with its sleeping and waking, explored exhaustively in both memory models: it holds as it is, and stops holding as soon as one
 * of the things it relies on is taken away. See docs/internals/memory-model.md.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { explore, type Result } from "./explore.ts";
import { HARMLESS, MUTATIONS } from "./mutations.ts";
import { oneWay } from "./protocol.ts";
import { BASE, machines, SMALL } from "./scenarios.ts";

const STATES_MAX = 2_000_000;

/** One line for each exploration, so that a log shows how much was looked at. */
function report(result: Result): void {
  const { model, scenario, states, steps, depth, ends, violation } = result;
  const outcome = violation === undefined ? `${ends} ends, all good` : `after ${violation.trace.length} steps: ${violation.what}`;
  console.log(
    `${model.padEnd(7)} ${String(states).padStart(7)} states ${String(steps).padStart(8)} steps, ${depth} deep: ${scenario}; ${outcome}`,
  );
}

describe("the protocol holds", () => {
  for (const { scenario } of SMALL) {
    test(scenario.name, () => {
      for (const machine of machines(scenario)) {
        const result = explore(machine, STATES_MAX);
        report(result);
        assert.equal(result.violation, undefined, `${machine.model}: ${result.violation?.what}\n${result.violation?.trace.join("\n")}`);
        assert.ok(result.ends > 0);
      }
    });
  }
});

describe("the protocol without", () => {
  MUTATIONS.forEach((mutation, index) => {
    test(mutation.name, () => {
      for (const machine of machines(oneWay({ ...BASE, ...mutation.options, name: mutation.name }, mutation.change))) {
        const result = explore(machine, STATES_MAX);
        report(result);
        const must = mutation.failsOn.some((model) => model === machine.model);
        assert.equal(result.violation !== undefined, must, `${machine.model}: ${result.violation?.what ?? "no damage found"}`);
        if (result.violation === undefined) continue;
        assert.match(result.violation.what, mutation.finds);
        assert.ok(result.violation.trace.length > 0 && result.violation.trace.every((line) => line !== ""));
        // the others: bun tests/simulation/show.ts
        if (index === 0) console.log(result.violation.trace.map((line) => `    ${line}`).join("\n"));
      }
    });
  });

  for (const { name, change } of HARMLESS) {
    test(`no harm: ${name}`, () => {
      for (const machine of machines(oneWay({ ...BASE, name }, change))) {
        const result = explore(machine, STATES_MAX);
        report(result);
        assert.equal(result.violation, undefined);
      }
    });
  }

  test("a mutation that changes nothing is an error", () => {
    assert.throws(() => oneWay(BASE, (lines) => lines.slice()), /changed nothing/);
  });
});

/** Orders in zig/core that protocol.ts copies. Who changes one of them has to change the model as well. */
const COPIED: readonly (readonly [what: string, code: RegExp])[] = [
  [
    "Writer: zero the next header, then store the first with release",
    /headerAt\(w\.position\)\.\* = 0; @atomicStore\(u64, w\.headerAt\(w\.published\), w\.held, \.release\);/,
  ],
  [
    "WriteCursor: the same",
    /c\.at\(c\.position\)\.\* = 0; @atomicStore\(u64, c\.at\(c\.published\), c\.held, \.release\);.*bell\.notify\(control\.sleep_data\);/,
  ],
  ["publish, then ring", /w\.publishHeld\(\); w\.bell\.notify\(control\.sleep_data\);/],
  ["the reader's cursor, acquire", /@atomicLoad\(u64, w\.released_at, \.acquire\)/],
  ["Reader: headers, acquire", /@bitCast\(@atomicLoad\(u64, at, \.acquire\)\)/],
  ["ReadCursor: headers, acquire", /const h = @atomicLoad\(u64, @as\(\*const u64, [^;]*, \.acquire\);/],
  ["release the space, then ring", /@atomicStore\(u64, r\.released_to, r\.consumed, \.release\); r\.bell\.notify\(control\.sleep_space\);/],
  ["notify", /if \(b\.fence\) fullFence\(\) else compilerBarrier\(\); const word = @atomicLoad\(u32, &b\.peer\.sleep_word, \.monotonic\);/],
  ["notifyAll", /fullFence\(\); const word = @atomicLoad\(u32, &b\.peer\.sleep_word, \.monotonic\);/],
  [
    "not twice, and the word before the wake",
    /if \(word == b\.own\.rung_word\) return; @atomicStore\(u32, &b\.own\.rung_word, word, \.release\);.*b\.calls\.wake/,
  ],
  [
    "announce all, one barrier, look again",
    /c\.announce\(.*if \(fences or !Sys\.globalBarrier\(\)\) bells\.fullFence\(\); count = w\.look\(\);/,
  ],
  ["not on a futex that was rung", /const seen = @atomicLoad\(u32, &c\.bell\.peer\.rung_word, \.acquire\); if \(seen != announced\)/],
  ["released before announcing", /c\.idle\(\);.*c\.bell\.announce\(bits\)/],
  ["the state before the records", /const before = c\.peerGone\(\);.*t\.look\(\).*nothing\((c, )?before\)/],
  [
    "END, then the state, then ring",
    /t\.end\(\),.*@atomicStore\(u32, &c\.bell\.own\.state, @intFromEnum\(control\.State\.write_closed\), \.release\); c\.bell\.notifyAll\(\);/,
  ],
];

describe("the code says what the model says", () => {
  const folder = new URL("../../zig/core/", import.meta.url);
  const sources = readdirSync(folder).map((name) =>
    readFileSync(new URL(name, folder), "utf8").replace(/\/\/.*$/gm, "").replace(/\s+/g, " ")
  );
  for (const [what, code] of COPIED) {
    test(what, () => {
      assert.ok(
        sources.some((source) => code.test(source)),
        `zig/core no longer has this order. Change tests/simulation/protocol.ts with it.`,
      );
    });
  }
});
