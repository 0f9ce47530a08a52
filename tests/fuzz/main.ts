/**
 * `npm run fuzz`: hostile peers, long. Ends with one line and exit 0, or 1.
 *
 *   npm run fuzz                                  10⁷ rounds against the native core, 2,000 attacks by processes, 200,000 mutated broker frames
 *   npm run fuzz -- --rounds 1000000 --seed 9     other numbers; a failure prints how to repeat it
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { fuzzBroker } from "../hostile/frames.ts";
import { fuzzNative } from "../hostile/native.ts";
import { attackRounds } from "../hostile/rounds.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string" }, attacks: { type: "string" }, frames: { type: "string" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const parts: readonly (readonly [string, () => Promise<string>])[] = [
  ["native core", async () => JSON.stringify(await fuzzNative(Number(values.rounds ?? 10_000_000), seed, 3_600_000))],
  ["attacks by processes", async () => `${await attackRounds(Number(values.attacks ?? 2000), seed)} attacks survived`],
  ["broker frames", async () => `${await fuzzBroker(Number(values.frames ?? 200_000), seed)} frames survived`],
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
