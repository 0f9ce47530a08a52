/** How a choice is judged: which transport was best, and how much is to be regretted. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bestOf, judged, type RegretCell, situations, steady, summarise, titleOf } from "../../bench/regret/grid.ts";

describe("regret", () => {
  test("the grid has every size, pattern, place, load and trust once", () => {
    const titles = situations().map(titleOf);
    assert.equal(titles.length, 4 * 2 * 2 * 3 * 2);
    assert.equal(new Set(titles).size, titles.length);
    assert.ok(titles.includes("request 65536 B, same core, hog on 1, untrusted"));
  });

  test("the best is the one with the best median, not with the best run", () => {
    assert.equal(bestOf({ mempipe: [10, 11, 12], tcp: [1, 100, 2] }), "mempipe");
    assert.throws(() => bestOf({}));
  });

  const of = (chosenBy: readonly number[], best: readonly number[], policy: readonly number[]) => judged(chosenBy, { best, policy });

  test("what the best differs from itself is no regret", () => {
    const even = of([100, 100], [90, 90], [90, 90]);
    assert.equal(even.regret, 0);
    assert.ok(Math.abs(even.same_again - 1 / 9) < 1e-9);
    assert.equal(of([100], [100], [80]).regret, 0.25);
    assert.ok(Math.abs(of([110], [100], [80]).regret - 0.15) < 1e-9);
    assert.equal(of([100], [100], [120]).regret, 0, "better than the best is no regret");
  });

  test("runs are compared with their neighbours: a machine that becomes slower is nobody's fault", () => {
    const drifting = of([100], [100, 100, 100, 60, 60], [100, 100, 60, 60, 60]);
    assert.deepEqual([drifting.best_per_s, drifting.policy_per_s, drifting.regret, drifting.scores], [100, 60, 0, 5]);
  });

  test("runs that agree are enough, such that do not are repeated, and few say nothing", () => {
    const even = { best: [100, 101, 99, 100, 100], policy: [80, 81, 80, 79, 80] };
    assert.ok(steady(even), "how large the regret is does not matter");
    const wild = { best: [100, 101, 99, 100, 100], policy: [100, 60, 98, 50, 70] };
    assert.ok(!steady(wild));
    assert.ok((of([100], wild.best, wild.policy).regret_error ?? 0) > (of([100], even.best, even.policy).regret_error ?? 1));
    assert.equal(of([100], [100, 100], [90, 90]).regret_error, null);
  });

  test("a summary names the median and the worst", () => {
    const cells = [0, 0.02, 0.3].map((regret) => ({ regret, same_again: regret / 2 }) as RegretCell);
    assert.deepEqual(summarise(cells), { cells: 3, median: 0.02, worst: 0.3, same_again: 0.01 });
  });
});
