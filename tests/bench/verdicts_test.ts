/** Comparing two reports: the statistics behind a verdict, and verdicts over made-up runs whose truth is known. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareReports, comparisonText, type Verdict } from "../../bench/runner/compare.ts";
import type { OldCell } from "../../bench/runner/report.ts";
import { expectedSpread, ratioInterval } from "../../bench/runner/statistics.ts";

/** Numbers from 0 to 1 that are the same every time. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Runs as a machine gives them: a few per cent apart, one of ten a good deal slower. */
function runsOf(random: () => number, rate: number, count = 11, noise = 0.03): number[] {
  return Array.from({ length: count }, () => {
    const slow = random() < 0.1 ? 0.75 : 1;
    return rate * slow * (1 + noise * (random() + random() + random() - 1.5));
  });
}

function cell(runs: readonly number[], more: Partial<OldCell> = {}): OldCell {
  return {
    kind: "thr",
    transport: "unix",
    trust: "n/a",
    driver: "native",
    size_bytes: 64,
    cores: [0, 1],
    batch: 16,
    check: "full",
    runs: [...runs],
    run_lines_ns: runs.map(() => 50),
    placement_before_ns: 50,
    placement_after_ns: 51,
    ...more,
  };
}

const verdicts = (before: readonly OldCell[], after: readonly OldCell[]): readonly Verdict[] =>
  compareReports(before, after).cells.map(({ verdict }) => verdict);

describe("the interval of a ratio", () => {
  test("is that of the rank-sum test", () => {
    // five and five: the outermost differences err in 2 of 252 cases, the next ones in 4
    const five = [1, 2, 3, 4, 5];
    const all = ratioInterval(five, five, 2 / 252);
    assert.deepEqual([all.low, all.high].map((bound) => Number(bound.toFixed(9))), [0.2, 5]);
    const next = ratioInterval(five, five, 4 / 252);
    assert.deepEqual([next.low, next.high].map((bound) => Number(bound.toFixed(9))), [0.25, 4]);
    assert.deepEqual(ratioInterval(five, five, 1.9 / 252), { ratio: 1, low: 0, high: Number.POSITIVE_INFINITY });
  });

  test("holds the truth as often as it says", () => {
    const random = numbers(7);
    let missed = 0;
    for (let i = 0; i < 2000; i++) {
      const { low, high } = ratioInterval(runsOf(random, 100, 7), runsOf(random, 80, 7), 0.05);
      if (low > 0.8 || high < 0.8) missed++;
    }
    assert.ok(missed > 20 && missed <= 120, `${missed} of 2000`);
  });

  test("is not moved by one wild run among eleven, even for ninety cells", () => {
    const steady = [100, 101, 99, 100, 102, 98, 100, 101, 99, 100, 100];
    const { low, high } = ratioInterval(steady, [...steady.slice(1), 10], 0.05 / 90);
    assert.ok(low > 0.9 && high < 1.1, `${low} ${high}`);
  });
});

describe("the expected spread", () => {
  test("grows with what the runs differ, and not with one outlier", () => {
    const near = [100, 101, 99, 100, 102, 98, 100, 101, 99, 100, 100];
    const wide = near.map((run, index) => run * (1 + 0.2 * (index % 3 - 1)));
    assert.ok(expectedSpread(near) < 0.03);
    assert.ok(expectedSpread([...near.slice(1), 400]) < 0.03);
    assert.ok(expectedSpread(wide) > 0.15);
    assert.equal(expectedSpread([1, 1, 1]), 0);
    assert.equal(expectedSpread([100, 100]), Number.POSITIVE_INFINITY);
  });

  test("sees a drift from the first half of the runs to the second", () => {
    assert.ok(expectedSpread([100, 100, 100, 100, 100, 130, 130, 130, 130, 130]) >= 0.29);
  });

  test("is kept by repeated medians of like runs", () => {
    const random = numbers(3);
    const middle = (runs: readonly number[]): number => [...runs].sort((a, b) => a - b)[runs.length >> 1]!;
    let off = 0;
    for (let i = 0; i < 500; i++) {
      const [first, second] = [runsOf(random, 100), runsOf(random, 100)];
      const apart = Math.max(middle(first), middle(second)) / Math.min(middle(first), middle(second)) - 1;
      if (apart > expectedSpread(first)) off++;
    }
    assert.ok(off <= 50, `${off} of 500 were further apart`);
  });
});

describe("verdicts", () => {
  test("a fifth slower is seen in one of sixty cells, and nothing in the others", () => {
    const random = numbers(11);
    const rates = Array.from({ length: 60 }, (_, i) => 1e5 * (i + 1));
    const make = (factor: (index: number) => number) =>
      rates.map((rate, i) => cell(runsOf(random, rate * factor(i)), { size_bytes: 8 * (i + 1) }));
    const before = make(() => 1);
    const after = compareReports(before, make((i) => i === 17 ? 0.8 : 1));
    assert.deepEqual(after.cells.filter(({ verdict }) => verdict === "slower").map(({ cell }) => cell), [
      "thr unix native 144 B by 16 cores 0,1 full",
    ]);
    assert.equal(after.cells.filter(({ verdict }) => verdict === "faster").length, 0);
    const same = after.cells.filter(({ verdict }) => verdict === "same");
    assert.ok(same.length >= 50);
    assert.ok(same.every(({ low, high }) => low > 0.9 && high < 1.1), "the interval shown is the one that says so");
    const back = compareReports(make((i) => i === 17 ? 0.8 : 1), before);
    assert.deepEqual(back.cells.filter(({ verdict }) => verdict === "faster").map(({ cell }) => cell), [
      "thr unix native 144 B by 16 cores 0,1 full",
    ]);
  });

  test("the same again, a hundred times: no change is reported", () => {
    const random = numbers(5);
    for (let i = 0; i < 100; i++) {
      const report = () => Array.from({ length: 20 }, (_, k) => cell(runsOf(random, 1000), { size_bytes: 8 * (k + 1) }));
      assert.deepEqual(verdicts(report(), report()).filter((verdict) => verdict === "slower" || verdict === "faster"), []);
    }
  });

  test("of latency, less is faster", () => {
    const of = (ns: number) => [cell(Array.from({ length: 11 }, (_, i) => ns + i), { kind: "lat", batch: 1 })];
    assert.deepEqual([verdicts(of(1000), of(1300)), verdicts(of(1300), of(1000)), verdicts(of(1000), of(1003))], [["slower"], ["faster"], [
      "same",
    ]]);
  });

  test("nobody can tell: another placement, few runs, wild runs", () => {
    const steady = Array.from({ length: 11 }, (_, i) => 1000 + i);
    const far = cell(steady.map((run) => run / 2), { run_lines_ns: steady.map(() => 220) });
    const wild = cell(steady.map((run, index) => run * (index % 2 === 0 ? 1.5 : 0.6)));
    const few = compareReports([cell([1000, 1001, 1002])], [cell([800, 810, 820])]).cells[0];
    const against = (now: OldCell) => compareReports([cell(steady)], [now]).cells[0];
    const whys = [against(far), against(cell(steady.slice(0, 2))), few, against(wild)];
    assert.deepEqual(whys.map((one) => one?.verdict), Array(4).fill("can't tell"));
    assert.match(
      whys.map((one) => one?.why).join("\n"),
      /^the placement is another.*\ntoo few runs\ntoo few runs for so many.*--rounds\nthe runs differ too much/,
    );
    assert.match(comparisonText(compareReports([cell(steady)], [far])), /cores 0,1 full  \?  +can't tell  the placement/);
  });

  test("only cells of both reports are compared, and the rest is counted", () => {
    const steady = Array.from({ length: 11 }, (_, i) => 1000 + i);
    const comparison = compareReports([cell(steady), cell(steady, { transport: "tcp" })], [cell(steady), cell(steady, { check: "plain" })]);
    assert.deepEqual([comparison.cells.length, comparison.unmatched.length], [1, 2]);
    assert.match(
      comparisonText(comparison),
      /unix native 64 B.*\+0\.0 %.*same\n0 faster, 0 slower, 1 same, 0 can't tell; 2 in one report only$/,
    );
  });
});
