/** Bringing ends together or apart: advised by figures; done only where nobody else has a say, and undone unless it is proven to help. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Advice, advise, type Sight, type Step, Trial } from "../../src/policy/coschedule.ts";
import { conversation, MODEL, stream } from "./support.ts";

const TOGETHER = { pair: { sameCoreShare: 1, boundTogether: false, lineNs: undefined } };

describe("advice", () => {
  test("sleeping questions and answers belong on one core, streams on two", () => {
    const asleep = advise(conversation("unix", {}, 20_000), "unix", MODEL);
    assert.equal(asleep.advice, "together");
    assert.ok(asleep.gain > 5);
    assert.match(asleep.reason, /6\.\d times as fast on one core/);
    assert.equal(advise(stream("mempipe", 64, 100_000, TOGETHER), "mempipe", MODEL).advice, "apart");
    assert.equal(advise(conversation("mempipe-spin", TOGETHER, 250), "mempipe-spin", MODEL).advice, "apart");
  });
  test("nothing to gain, nothing to lose", () => {
    assert.equal(advise(conversation("unix", {}, 10), "unix", MODEL).advice, "none");
    assert.equal(advise(stream("mempipe", 64, 100_000), "mempipe", MODEL).advice, "none");
    const single = conversation("unix", { machine: { virtualised: false, cpus: 1, pressureShare: 0 } }, 20_000);
    assert.equal(advise(single, "unix", MODEL).advice, "none");
  });
});

describe("a trial", () => {
  const together: Advice = { advice: "together", gain: 6, reason: "because" };
  const none: Advice = { advice: "none", gain: 1, reason: "" };
  const sight = (nowMs: number, msgsPerS: number, more: Partial<Sight> = {}): Sight => ({
    nowMs,
    msgsPerS,
    advice: together,
    affinities: [[0, 1], [0, 1]],
    cpus: [0, 1],
    busy: (cpu) => (cpu === 0 ? 0.5 : 0),
    ...more,
  });
  const SET: Partial<Sight> = { affinities: [[1], [1]] };
  const step = (found: Step | undefined) => found?.step;

  test("takes the quieter core, and keeps what helps", () => {
    const trial = new Trial();
    assert.deepEqual(trial.step(sight(0, 1000)), { step: "set", masks: [[1], [1]], reason: "because" });
    assert.equal(trial.step(sight(100, 6000, SET)), undefined, "it has to settle");
    assert.equal(step(trial.step(sight(400, 6000, SET))), "kept");
    assert.equal(trial.step(sight(5000, 6000, { ...SET, advice: none })), undefined);
    assert.ok(trial.holds);
  });
  test("undoes within a second what does not help, and then leaves it for ever longer", () => {
    const trial = new Trial();
    let nowMs = 0;
    const pauses: number[] = [];
    for (let round = 0; round < 3; round++) {
      const began = nowMs;
      while (step(trial.step(sight(nowMs, 1000))) !== "set") nowMs += 1000;
      pauses.push(nowMs - began);
      assert.equal(trial.step(sight(nowMs + 900, 1000, SET)), undefined);
      const undo = trial.step(sight(nowMs + 1000, 1000, SET));
      assert.deepEqual(undo, { step: "undo", masks: [[0, 1], [0, 1]], reason: "it did not help within a second" });
      nowMs += 1000;
    }
    assert.ok((pauses[1] ?? 0) >= 29_000 && (pauses[2] ?? 0) >= 59_000, String(pauses));
  });
  test("undoes what no longer helps", () => {
    const trial = new Trial();
    trial.step(sight(0, 1000));
    trial.step(sight(400, 6000, SET));
    assert.equal(step(trial.step(sight(9000, 1000, SET))), "undo");
    assert.ok(!trial.holds);
  });
  test("never touches an affinity that somebody narrowed", () => {
    for (const affinities of [[[0], [0, 1]], [[0, 1], [1]], [[0], [1]], [undefined, [0, 1]]] as const) {
      assert.equal(new Trial().step(sight(0, 1000, { affinities })), undefined);
    }
  });
  test("lets go when a program sets its own while ours is in place, and gives back the other end's only", () => {
    const trial = new Trial();
    trial.step(sight(0, 1000));
    const undo = trial.step(sight(200, 6000, { affinities: [[0], [1]] }));
    assert.deepEqual(undo, { step: "undo", masks: [undefined, [0, 1]], reason: "a program set its affinity itself" });
    assert.equal(trial.step(sight(300, 6000)), undefined, "and does not begin again at once");
  });
  test("when the channel ends, its ends get back what they had", () => {
    const trial = new Trial();
    assert.equal(trial.abandon(0), undefined);
    const other = new Trial();
    other.step(sight(0, 1000));
    assert.deepEqual(other.abandon(50), [[0, 1], [0, 1]]);
  });
});
