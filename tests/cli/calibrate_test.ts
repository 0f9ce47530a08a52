/** What a calibration measures, and the table that becomes of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cellsOf, rounds, type Sample, settingsFor, tableOf } from "../../src/cli/calibrate-plan.ts";
import { CostModel, fits, parseTable, SIZES_BYTES } from "../../src/policy/table.ts";

const MACHINE = { processor: "p", cpus: 2, kernel: "k", hypervisor: null };

/** Every sample of a plan, of as many nanoseconds as `ns` says. */
function measured(cpus: readonly number[], ns: (hogCpu: number | undefined) => number): readonly Sample[] {
  return rounds(cpus).flatMap(({ trust, setting, stages }) =>
    stages.flatMap(({ transport, sizesBytes }) =>
      sizesBytes.flatMap((sizeBytes) =>
        (["stream", "request"] as const).map((pattern): Sample => ({
          transport,
          trust: ["unix", "tcp", "tcp-nodelay", "pipe"].includes(transport) ? "n/a" : trust,
          pattern,
          placement: setting.placement,
          load: setting.hogCpu === undefined ? "idle" : "hog",
          sizeBytes,
          ns: ns(setting.hogCpu),
        }))
      )
    )
  );
}

describe("the plan", () => {
  test("has every transport in every setting and size, and lends nobody's pages to somebody untrusted", () => {
    const plan = rounds([0, 1]);
    assert.equal(plan.reduce((sum, round) => sum + cellsOf(round), 0), 13 * 5 * 4 * 2);
    assert.ok(!plan.some(({ trust, stages }) => trust === "untrusted" && stages.some(({ transport }) => transport === "vmsplice-coop")));
  });
  test("moves processes about as rarely as there are settings", () => {
    const plan = rounds([3, 5]);
    const changes = plan.filter((round, index) => round.setting !== plan[index - 1]?.setting);
    assert.equal(changes.length, settingsFor([3, 5]).length);
    assert.deepEqual(settingsFor([3, 5]).map(({ cpus, hogCpu }) => [...cpus, hogCpu]), [
      [3, 5, undefined],
      [3, 5, 3],
      [3, 5, 5],
      [3, 3, undefined],
      [3, 3, 3],
    ]);
  });
});

describe("the table", () => {
  test("is one that the policy takes, of this machine, with the mean of both hogs", () => {
    const table = tableOf(measured([0, 1], (hogCpu) => (hogCpu === undefined ? 10 : 100 + 100 * hogCpu)), MACHINE, "now");
    assert.deepEqual(parseTable(JSON.stringify(table)), { table });
    assert.ok(fits(table, MACHINE));
    assert.equal(table.rows.length, 13 * 2 * 2 * 2);
    const cost = (together: number, load: number) =>
      new CostModel(table).nsPerMessage("tcp", { trust: "trusted", bytes: 64, request: 0, together, load }) ?? 0;
    for (const [expected, together, load] of [[10, 0, 0], [150, 0, 1], [10, 1, 0], [100, 1, 1]] as const) {
      assert.ok(Math.abs(cost(together, load) - expected) < 1e-6);
    }
  });
  test("of a machine with one CPU answers for two as for one", () => {
    const table = tableOf(measured([0], () => 7), MACHINE, "now");
    assert.ok("table" in parseTable(JSON.stringify(table)));
    const model = new CostModel(table);
    for (const bytes of SIZES_BYTES) {
      const cost = model.nsPerMessage("mempipe", { trust: "untrusted", bytes, request: 1, together: 0, load: 0 }) ?? 0;
      assert.ok(Math.abs(cost - 7) < 1e-6);
    }
  });
  test("leaves out what could not be measured", () => {
    const table = tableOf(measured([0, 1], () => 5).filter(({ transport }) => transport !== "vmsplice-coop"), MACHINE, "now");
    assert.ok("table" in parseTable(JSON.stringify(table)));
    const situation = { trust: "trusted", bytes: 64, request: 0, together: 0, load: 0 } as const;
    assert.equal(new CostModel(table).nsPerMessage("vmsplice-coop", situation), undefined);
  });
});
