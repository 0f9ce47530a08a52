/**
 * A peer, or a client of the broker, that does what no honest one would: short, seeded. `npm run fuzz` is the long form. A victim never crashes,
 * hangs or reads past what it was given, keeps nothing, and serves the next honest client in full.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fuzzBroker } from "../hostile/frames.ts";
import { fuzzNative } from "../hostile/native.ts";
import { type AttackSettings, attacksOn, Siege } from "../hostile/rounds.ts";
import { descriptors, grownDescriptors, type RuntimeName, usage, World } from "./harness.ts";

const SETTINGS: readonly (AttackSettings & { readonly victim: RuntimeName; readonly attacker: RuntimeName })[] = [
  { transport: "mempipe", trust: "untrusted", victim: "bun", attacker: "deno" },
  { transport: "mempipe", trust: "trusted", victim: "deno", attacker: "bun" },
  { transport: "unix", trust: "untrusted", victim: "deno", attacker: "bun" },
];

for (const settings of SETTINGS) {
  describe(`a ${settings.attacker} peer attacks a ${settings.victim} victim over ${settings.transport}, ${settings.trust}`, () => {
    let world: World;
    let siege: Siege;
    before(async () => {
      world = new World();
      await world.broker();
      siege = await Siege.begin(world, settings.victim, settings.attacker);
      await siege.friend();
    });
    after(async () => {
      await world.close();
    });
    for (const [index, attack] of attacksOn(settings.transport).entries()) {
      test(attack.name, async () => {
        await siege.attack(attack, settings, 100 + index);
        await siege.friend();
      });
    }
    test("and the victim keeps nothing of it", async () => {
      const { descriptors: before } = usage(siege.victim.pid);
      for (const attack of attacksOn(settings.transport).slice(0, 6)) await siege.attack(attack, settings, 1);
      await siege.friend();
      assert.ok(await grownDescriptors(siege.victim.pid, before) <= 0, descriptors(siege.victim.pid).join(", "));
    });
  });
}

describe("fuzzing, briefly", () => {
  test("the native core: 150,000 rounds", async () => {
    const tally = await fuzzNative(150_000, 20260301, 60_000);
    assert.equal(tally.rounds, 150_000);
    // The run reaches what it is about: honest deliveries, windows, faults and refusals, moves of both kinds of programs.
    const reached = [
      "window",
      "delivered",
      "fault",
      "refused",
      "dead",
      "ended",
      "offered",
      "crossed",
      "moved",
      "drained",
      "declined",
      "finished",
      "turned",
    ] as const;
    for (const kind of reached) assert.ok(tally[kind] > 0, kind);
  });

  test("the broker: 4,000 frames", async () => {
    assert.ok(await fuzzBroker(4000, 20260301) >= 4000);
  });
});
