/** `npm run fuzz`: hostile peers, long; `--help` has its options. Ends with one line and exit 0, or 1. */
import process from "node:process";
import { count, optionsOf } from "../../scripts/lib/options.ts";
import { fuzzBroker } from "../hostile/frames.ts";
import { fuzzNative } from "../hostile/native.ts";
import { attackRounds } from "../hostile/rounds.ts";

const { rounds, attacks, frames, seed = Date.now() % 1_000_000 } = optionsOf({
  command: "npm run fuzz --",
  what: "Hostile peers, long. Ends with one line and exit 0, or 1; a failure prints how to repeat it.",
  options: {
    rounds: count("against the native core", 10_000_000),
    attacks: count("by processes", 2000),
    frames: count("mutated ones to a broker", 200_000),
    seed: count("of everything random (default: another each time)", undefined),
  },
  examples: ["npm run fuzz -- --rounds 1000000 --seed 9", "npm run fuzz -- --rounds 0 --attacks 0"],
});
const parts: readonly (readonly [string, () => Promise<string>])[] = [
  ["native core", async () => JSON.stringify(await fuzzNative(rounds, seed, 3_600_000))],
  ["attacks by processes", async () => `${await attackRounds(attacks, seed)} attacks survived`],
  ["broker frames", async () => `${await fuzzBroker(frames, seed)} frames survived`],
];
let failed = 0;
for (const [name, run] of parts) {
  try {
    console.log(`ok     ${name}: ${await run()}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${name} (--seed ${seed}): ${error instanceof Error ? error.message : String(error)}`);
  }
}
console.log(`${parts.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
