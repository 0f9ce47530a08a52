/** When the broker looks: rarely if that is dear, and in between, where memory can lie on several nodes, it glances. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Kind, Rhythm } from "../../src/broker/rhythm.ts";

interface Tally {
  readonly looks: number;
  readonly glances: number;
  readonly spentMs: number;
  readonly longestMs: number;
}

/** Lets it go on for so long after a while of getting used to it. */
function observe(rhythm: Rhythm, costMs: Readonly<Record<Kind, number>>, active = true): Tally {
  const tally = { look: 0, glance: 0, spent: 0, longest: 0 };
  for (let nowMs = 0; nowMs < 120_000;) {
    const kind = rhythm.kind(nowMs);
    const pause = rhythm.after({ kind, tookMs: costMs[kind], active, again: false }, nowMs);
    if (nowMs >= 60_000) {
      tally[kind] += 1;
      tally.spent += costMs[kind];
      tally.longest = Math.max(tally.longest, pause);
    }
    nowMs += pause;
  }
  return { looks: tally.look, glances: tally.glance, spentMs: tally.spent, longestMs: tally.longest };
}

describe("rhythm", () => {
  test("cheap looks come every 50 ms, without traffic every 250, and glances would add nothing", () => {
    for (const glances of [false, true]) {
      const { looks, glances: between } = observe(new Rhythm(glances), { look: 0.1, glance: 0.01 });
      assert.deepEqual([Math.round(looks / 100), between], [12, 0]);
    }
    assert.equal(observe(new Rhythm(true), { look: 0.1, glance: 0.01 }, false).looks, 240);
  });
  test("dear looks rest, and glances come between them where there are nodes", () => {
    const one = observe(new Rhythm(false), { look: 5, glance: 0.5 });
    assert.equal(one.glances, 0);
    assert.ok(one.longestMs <= 700 && one.spentMs <= 600, JSON.stringify(one));
    const several = observe(new Rhythm(true), { look: 5, glance: 0.5 });
    assert.ok(several.glances > 300 && several.longestMs <= 140 && several.spentMs <= 600, JSON.stringify(several));
  });
  test("silence needs no glances, and looks are never further apart than two seconds", () => {
    const tally = observe(new Rhythm(true), { look: 100, glance: 0.5 }, false);
    assert.deepEqual([tally.looks, tally.glances, tally.longestMs], [30, 0, 2000]);
  });
  test("an end that was just seen elsewhere is glanced at again soon, and the saved pause made up for", () => {
    const rhythm = new Rhythm(true);
    const round = (kind: Kind, tookMs: number, again: boolean, nowMs: number) => rhythm.after({ kind, tookMs, active: true, again }, nowMs);
    for (let nowMs = 0; nowMs < 100; nowMs++) round("look", 20, false, nowMs);
    for (let nowMs = 0; nowMs < 100; nowMs++) round("glance", 1, false, 100);
    const rest = round("glance", 1, false, 100);
    assert.ok(rest > 200, String(rest));
    assert.equal(round("glance", 1, true, 100), 150);
    const [after, later] = [round("glance", 1, false, 100), round("glance", 1, false, 100)];
    assert.ok(Math.abs(after + 150 - 2 * rest) < 2 && Math.abs(later - rest) < 2, `${after} and ${later}, not ${rest}`);
  });
  test("one glance that met a compiler does not make all others rare", () => {
    const rhythm = new Rhythm(true);
    rhythm.after({ kind: "look", tookMs: 1000, active: true, again: false }, 0);
    const pauses = [200, 0.5, 0.5].map((tookMs) => rhythm.after({ kind: "glance", tookMs, active: true, again: false }, 1));
    assert.ok(Math.max(...pauses) <= 100, String(pauses));
  });
});
