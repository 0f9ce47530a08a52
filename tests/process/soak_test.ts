/**
 * 2·10⁴ messages of 1 B … 1 MiB arrive once, in order and intact in every combination of runtimes, transport, trust and waiting, with either side pausing
 * at random. `npm run soak` does the same with 10⁷.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { COMBINATIONS, describeCombination, PAIRS, SoakPair } from "../soak/combinations.ts";
import { World } from "./harness.ts";

const MESSAGES = 20_000;
const LIMIT_MS = 60_000;

for (const [index, runtimes] of PAIRS.entries()) {
  describe(`${runtimes[0]} to ${runtimes[1]}`, () => {
    let world: World;
    let pair: SoakPair;
    before(async () => {
      world = new World();
      await world.broker();
      pair = new SoakPair(world, runtimes);
    });
    after(async () => {
      await world.close();
    });
    for (const [number, combination] of COMBINATIONS.entries()) {
      test(describeCombination(combination), async () => {
        const result = await pair.run(combination, MESSAGES, 1 + index * COMBINATIONS.length + number, LIMIT_MS);
        assert.equal(result.wrong, undefined);
      });
    }
  });
}
