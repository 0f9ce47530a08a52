/**
 * kill -9 at random, under long messages, and while no broker is there: the survivor learns within 100 ms and by name that its peer died, after it got
 * every message the peer had committed and none that it had not. Both runtimes on either side. (Chosen points: kill_test.ts, blocked_test.ts.)
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TRANSPORT_NAMES } from "../../src/transport/transport.ts";
import { type Program, type RuntimeName, seeded, sleep, World } from "./harness.ts";
import type { TrafficPlan } from "./traffic.ts";

/** What the issue promises. The clock is the same for all processes of a machine. */
const NOTICE_MS = 100;
const END = "tests/process/end_main.ts";
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "deno"], ["deno", "bun"]];
/** On a busy machine a process may not run for so long: then once more. */
const ATTEMPTS = 3;

interface Pair {
  /** Will be killed. */
  readonly victim: Program;
  readonly survivor: Program;
}

let world: World;
let names = 0;

before(async () => {
  world = new World();
  await world.broker();
});

after(async () => {
  await world.close();
});

/** Two programs with a channel between them; the survivor listens. */
async function connected(runtimes: readonly [RuntimeName, RuntimeName], options: Readonly<Record<string, unknown>> = {}): Promise<Pair> {
  const name = `xio://crash/${++names}`;
  const [victim, survivor] = [world.run(runtimes[0], END), world.run(runtimes[1], END)];
  survivor.tell({ op: "listen", name, options });
  await survivor.next("listening");
  survivor.tell({ op: "accept" });
  victim.tell({ op: "connect", name, options });
  await Promise.all([survivor.next("accepted"), victim.next("connected")]);
  return { victim, survivor };
}

async function done(pair: Pair): Promise<void> {
  await Promise.all([pair.victim.stop(), pair.survivor.stop()]);
}

/** Kills and says when. */
function killed(program: Program): number {
  const at = Date.now();
  program.kill();
  return at;
}

/** Until the survivor was quick enough, at most so often: `once` answers how long it took. */
async function noticed(once: () => Promise<number>): Promise<void> {
  let ms = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && ms > NOTICE_MS; attempt++) ms = await once();
  assert.ok(ms <= NOTICE_MS, `noticed after ${ms} ms`);
}

const SMALL: TrafficPlan = { seed: 7, maxBytes: 4000, pauseEvery: 0, pauseMs: 0 };

describe("a peer is killed at random", () => {
  const random = seeded(20260301);
  for (const [round, transport] of TRANSPORT_NAMES.entries()) {
    const runtimes = PAIRS[round % 2]!;
    const afterMs = Math.floor(random() * 60);
    test(`a writer in full flow after ${afterMs} ms (${runtimes[0]}, ${transport})`, () =>
      noticed(async () => {
        const trust = round % 3 === 0 && transport !== "vmsplice-coop" ? "untrusted" : "trusted";
        const pair = await connected(runtimes, { transport, trust });
        const plan: TrafficPlan = { seed: round + 1, maxBytes: 300_000, pauseEvery: 0, pauseMs: 0 };
        pair.survivor.tell({ op: "receive", plan });
        pair.victim.tell({ op: "flood", plan });
        await pair.victim.next("flooding");
        await sleep(afterMs);
        const at = killed(pair.victim);
        const received = await pair.survivor.next("received");
        assert.equal(received["wrong"], undefined);
        assert.equal(received["code"], "PEER_DEAD");
        await done(pair);
        return Number(received["at"]) - at;
      }));
  }
});

describe("while the broker is down", () => {
  test("death is noticed all the same", () =>
    noticed(async () => {
      const own = new World();
      try {
        const broker = await own.broker();
        const before = world;
        world = own;
        const pairs: Pair[] = [];
        try {
          for (const runtimes of PAIRS) pairs.push(await connected(runtimes));
        } finally {
          world = before;
        }
        await broker.stop();
        let slowest = 0;
        for (const pair of pairs) {
          pair.survivor.tell({ op: "receive", plan: SMALL });
          await sleep(100);
          const at = killed(pair.victim);
          const received = await pair.survivor.next("received");
          assert.equal(received["code"], "PEER_DEAD");
          slowest = Math.max(slowest, Number(received["at"]) - at);
          await done(pair);
        }
        return slowest;
      } finally {
        await own.close();
      }
    }));
});
