/** Filters follow what changes and ignore what does not; gaps in sampling and nonsense do them no harm. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Level, RateFilter, ShareFilter, SizeFilter } from "../../src/policy/kalman.ts";
import { seeded } from "../process/harness.ts";

/** Sum of twelve: normal enough, variance 1. */
function normal(random: () => number): number {
  let sum = -6;
  for (let count = 0; count < 12; count++) sum += random();
  return sum;
}

describe("a level", () => {
  test("is steadier than its samples", () => {
    const random = seeded(1);
    const level = new Level({ driftPerS: 0.01 });
    const errors: number[] = [];
    for (let at = 0; at < 500; at++) errors.push(level.update(3 + 0.3 * normal(random), 0.09, 0.1) - 3);
    const spread = Math.sqrt(errors.slice(50).reduce((sum, error) => sum + error * error, 0) / 450);
    assert.ok(spread < 0.15, `spread ${spread} of samples with 0.3`);
  });
  test("a single wild sample hardly moves it, two on the same side are a step", () => {
    const level = new Level({ driftPerS: 0.01 });
    for (let at = 0; at < 50; at++) level.update(1, 0.01, 0.1);
    level.update(100, 0.01, 0.1);
    assert.ok((level.estimate ?? 0) < 2, `${level.estimate} after one`);
    level.update(1, 0.01, 0.1);
    assert.ok(Math.abs((level.estimate ?? 0) - 1) < 0.5);
    level.update(100, 0.01, 0.1);
    level.update(100, 0.01, 0.1);
    assert.equal(level.estimate, 100);
  });
  test("the first sample of a step does not hide the second", () => {
    for (const share of [0.65, 0.8, 1]) {
      const together = new ShareFilter();
      for (let at = 0; at < 50; at++) together.update(share, 0.05);
      together.update(0, 0.05);
      assert.ok(together.share > 0.3, `from ${share}: ${together.share} after one`);
      assert.equal(together.update(0, 0.05), 0, `from ${share}, after two`);
    }
  });
  test("wild samples on alternating sides are noise", () => {
    const level = new Level({ driftPerS: 0.01 });
    for (let at = 0; at < 50; at++) level.update(0, 0.01, 0.1);
    for (let at = 0; at < 20; at++) level.update(at % 2 === 0 ? 50 : -50, 0.01, 0.1);
    assert.ok(Math.abs(level.estimate ?? 0) < 5, `${level.estimate}`);
  });
  test("after a gap a sample counts for more", () => {
    const after = (gapS: number) => {
      const level = new Level({ driftPerS: 0.05 });
      for (let at = 0; at < 50; at++) level.update(0, 0.1, 0.1);
      return level.update(0.8, 0.1, gapS);
    };
    assert.ok(after(10) > after(1) && after(1) > after(0.1));
    assert.ok(after(1000) > 0.79);
  });
  test("what is no number is no sample", () => {
    const level = new Level({ driftPerS: 1 });
    level.update(5, 0.1, 0.1);
    for (const bad of [NaN, Infinity]) level.update(bad, 0.1, 0.1);
    level.update(6, NaN, 0.1);
    level.update(6, 0.1, NaN);
    assert.equal(level.estimate, 5);
  });
  test("it is never surer than its samples make it, and never negative", () => {
    const level = new Level({ driftPerS: 0 });
    for (let at = 1; at < 100; at++) {
      level.update(1, 0.5, 0.1);
      assert.ok(level.variance >= 0 && level.variance <= 0.5 / at + 1e-9);
    }
  });
});

describe("rates", () => {
  test("counts over unequal stretches give one rate", () => {
    const random = seeded(2);
    const rate = new RateFilter();
    for (let at = 0; at < 100; at++) {
      const elapsedS = 0.05 + random();
      rate.update(Math.round(1000 * elapsedS), elapsedS);
    }
    assert.ok(Math.abs(rate.perS - 1000) < 20, `${rate.perS}`);
  });
  test("a step of a hundred times is there after two samples", () => {
    const rate = new RateFilter();
    for (let at = 0; at < 50; at++) rate.update(100, 0.1);
    rate.update(10_000, 0.1);
    assert.ok(rate.perS < 10_000);
    rate.update(10_000, 0.1);
    assert.ok(Math.abs(rate.perS - 100_000) < 1000, `${rate.perS}`);
  });
  test("silence is believed soon, and becomes zero", () => {
    const rate = new RateFilter();
    for (let at = 0; at < 50; at++) rate.update(10_000, 0.1);
    for (let at = 0; at < 5; at++) rate.update(0, 0.1);
    assert.ok(rate.perS < 100, `${rate.perS}`);
    for (let at = 0; at < 600; at++) rate.update(0, 0.1);
    assert.equal(rate.perS, 0);
  });
  test("one message in a while is a small rate, not none", () => {
    const rate = new RateFilter();
    for (let at = 0; at < 300; at++) rate.update(at % 20 === 0 ? 1 : 0, 0.1);
    assert.ok(rate.perS > 0.1 && rate.perS < 5, `${rate.perS}`);
  });
});

test("sizes: the typical one, also among empty messages", () => {
  const size = new SizeFilter();
  for (let at = 0; at < 50; at++) size.update(100, 100 * 4096, 0.1);
  assert.ok(Math.abs(size.bytes - 4096) < 1);
  size.update(0, 0, 0.1);
  assert.ok(Math.abs(size.bytes - 4096) < 1, "no message says nothing");
  const empty = new SizeFilter();
  empty.update(10, 0, 0.1);
  assert.equal(empty.bytes, 0);
});

test("shares stay between 0 and 1", () => {
  const random = seeded(3);
  const share = new ShareFilter();
  for (let at = 0; at < 1000; at++) {
    const now = share.update(random() * 3 - 1, 0.1);
    assert.ok(now >= 0 && now <= 1);
  }
  for (let at = 0; at < 6; at++) share.update(1, 0.1);
  assert.ok(share.share > 0.9);
});
