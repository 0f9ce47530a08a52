/**
 * kill -9 of the writer, the reader or the broker in every state of a move, and at chosen points without one: the survivor has every committed message
 * first and none that is torn, then a named end within 200 ms (100 where only a death is to be noticed), or a channel that works; nothing leaks. Every
 * round has a channel for each transport. A covering selection; `npm run soak` has the full product.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type RuntimeName, RUNTIMES, World } from "./harness.ts";
import { describeRound, Kills, POINTS, type Round, STATES, VICTIMS } from "./kills.ts";

const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = RUNTIMES.flatMap((writer) =>
  RUNTIMES.map((reader) => [writer, reader] as const)
);
const TRANSPORTS = 9;
const STOPPED_MS = 1000;
/** States that go on without the broker as they are; the others lead to one of these. */
const BROKER_STATES: readonly string[] = ["offered", "ready", "late", "draining", "retiring"];

/** Each state with each victim, and so that every transport is left for each other one. */
function selection(): readonly Round[] {
  const rounds: Round[] = [];
  for (const victim of VICTIMS) {
    for (const state of STATES) {
      if (victim === "broker" && !BROKER_STATES.includes(state)) continue;
      const turn = rounds.length;
      rounds.push({
        state,
        victim,
        runtimes: PAIRS[(turn + (turn >> 2)) % PAIRS.length],
        trust: turn % 5 === 4 ? "untrusted" : "trusted",
        shift: 1 + turn % (TRANSPORTS - 1),
      });
    }
  }
  return rounds;
}

/** Points of writing and sleeping without a move; a reader has none of its own but to be waited for. */
function points(): readonly Round[] {
  return POINTS.flatMap((state) =>
    (["trusted", "untrusted"] as const).flatMap((trust, index) =>
      (state === "asleep" ? ["writer", "reader"] as const : ["writer"] as const).map((victim, turn): Round => ({
        state,
        victim,
        runtimes: PAIRS[index === turn ? 1 : 2],
        trust,
        shift: 0,
      }))
    )
  );
}

let world: World;
let kills: Kills;
before(() => {
  world = new World();
  kills = new Kills(world);
});
after(async () => {
  await world.close();
});

describe("in the middle of a move", () => {
  for (const round of selection()) {
    test(describeRound(round), async () => {
      assert.deepEqual(await kills.run(round), []);
    });
  }
});

describe("a reader that is stopped in mid-switch for a second", () => {
  for (const [turn, trust] of (["trusted", "untrusted"] as const).entries()) {
    test(`loses nothing (${PAIRS[1 + turn].join(" to ")}, ${trust})`, async () => {
      const round: Round = { state: "flowing", victim: "reader", runtimes: PAIRS[1 + turn], trust, shift: 3 + turn };
      assert.deepEqual(await kills.stop(round, STOPPED_MS), []);
    });
  }
});

describe("without a move", () => {
  for (const round of points()) {
    test(describeRound(round), async () => {
      assert.deepEqual(await kills.run(round), []);
    });
  }
});
