/**
 * The simulation of reconfiguration (zig/sim) finds bugs: each of those that zig/sim/canaries.zig plants into a copy of the core is found
 * within the histories that `npm test` runs. See docs/internals/simulation.md.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** As in zig/sim/sim_test.zig. */
const HISTORIES = 10_000;

const source = readFileSync(join(ROOT, "zig/sim/canaries.zig"), "utf8");
const canaries = [...source.matchAll(/\.name = \.(\w+),\s*\.what = "([^"]+)"/g)].map(([, name = "", what = ""]) => ({ name, what }));

function simulate(...words: readonly string[]): { readonly status: number | null; readonly said: string } {
  const { status, stderr, error } = spawnSync(join(ROOT, "zig-out/bin/fable-sim-canaries"), words, { encoding: "utf8", timeout: 60_000 });
  if (error !== undefined) throw error;
  return { status, said: stderr };
}

describe("a planted bug is found:", () => {
  for (const { name, what } of canaries) {
    test(what, () => {
      const { status, said } = simulate("--canary", name, "--histories", String(HISTORIES));
      assert.equal(status, 1, said);
      assert.match(said, /^fable-sim: --seed \d+, step \d+: ./);
    });
  }

  test("and without one nothing is", () => {
    const { status, said } = simulate("--histories", "500");
    assert.equal(status, 0, said);
    assert.ok(canaries.length >= 8);
  });
});
