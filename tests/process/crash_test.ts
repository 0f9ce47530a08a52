/**
 * kill -9 at chosen points and at random: the survivor learns within 100 ms and by name that its peer died, after it got every message the peer had
 * committed and none that it had not; a writer that waits for a dead reader is freed; nothing is left behind. Both runtimes on either side.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Program, type RuntimeName, seeded, sleep, World } from "./harness.ts";
import type { TrafficPlan } from "./traffic.ts";

/** What the issue promises. The clock is the same for all processes of a machine. */
const NOTICE_MS = 100;
const END = "tests/process/end_main.ts";
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "deno"], ["deno", "bun"]];
const TRANSPORTS = ["mempipe", "mempipe-futex", "mempipe-spin", "unix"] as const;

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

function assertNoticed(line: Readonly<Record<string, unknown>>, killedAt: number): void {
  const ms = Number(line["at"]) - killedAt;
  assert.ok(ms <= NOTICE_MS, `noticed after ${ms} ms`);
}

const SMALL: TrafficPlan = { seed: 7, maxBytes: 4000, pauseEvery: 0, pauseMs: 0 };

describe("a writer is killed", () => {
  const points = [["reserve-and-stop", 37], ["wrap-and-stop", 0], ["fragments-and-stop", 20]] as const;
  for (const runtimes of PAIRS) {
    for (const [point, count] of points) {
      for (const options of [{ transport: "mempipe" }, { transport: "mempipe", trust: "untrusted" }, { transport: "unix" }]) {
        const words = Object.values(options).join(", ");
        test(`${point}: ${runtimes[0]} dies, ${runtimes[1]} reads (${words})`, async () => {
          const pair = await connected(runtimes, options);
          // The ring must be walked while the writer stops in its wrap; else the reader may come late, and finds all of it.
          if (point === "wrap-and-stop") pair.survivor.tell({ op: "receive", plan: SMALL });
          pair.victim.tell({ op: point, plan: SMALL, count });
          const { count: committed } = await pair.victim.next("stopped");
          await sleep(20);
          const at = killed(pair.victim);
          if (point !== "wrap-and-stop") pair.survivor.tell({ op: "receive", plan: SMALL });
          const received = await pair.survivor.next("received");
          assert.equal(received["wrong"], undefined);
          assert.deepEqual([received["code"], received["messages"]], ["PEER_DEAD", committed]);
          assertNoticed(received, at);
          await done(pair);
        });
      }
    }
  }
});

describe("a peer is killed while the other sleeps", () => {
  for (const [index, transport] of TRANSPORTS.entries()) {
    const runtimes = PAIRS[index % 2]!;
    test(`in the event loop, ${transport}: ${runtimes[0]} dies, ${runtimes[1]} sleeps`, async () => {
      const pair = await connected(runtimes, { transport });
      pair.survivor.tell({ op: "receive", plan: SMALL });
      pair.victim.tell({ op: "send", plan: SMALL, count: 10 });
      await pair.victim.next("sent");
      await sleep(150);
      const at = killed(pair.victim);
      const received = await pair.survivor.next("received");
      assert.deepEqual([received["code"], received["messages"]], ["PEER_DEAD", 10]);
      assertNoticed(received, at);
      await done(pair);
    });

    test(`blocked, ${transport}: ${runtimes[0]} dies, ${runtimes[1]} sleeps`, async () => {
      const pair = await connected(runtimes, { transport });
      pair.survivor.tell({ op: "block" });
      await pair.survivor.next("blocking");
      await sleep(150);
      const at = killed(pair.victim);
      const woken = await pair.survivor.next("unblocked");
      assert.deepEqual([woken["code"], woken["messages"]], ["PEER_DEAD", 0]);
      assertNoticed(woken, at);
      await done(pair);
    });

    test(`a writer waits for room, ${transport}: the reader (${runtimes[0]}) dies, ${runtimes[1]} is freed`, async () => {
      const pair = await connected(runtimes, { transport });
      pair.survivor.tell({ op: "block-writing" });
      await pair.survivor.next("blocking");
      await sleep(150);
      const at = killed(pair.victim);
      const freed = await pair.survivor.next("unblocked");
      assert.equal(freed["code"], "PEER_DEAD");
      assertNoticed(freed, at);
      await done(pair);
    });

    test(`a writer waits for room in the event loop, ${transport}: the reader (${runtimes[0]}) dies, ${runtimes[1]} is freed`, async () => {
      const pair = await connected(runtimes, { transport });
      pair.survivor.tell({ op: "flood", plan: SMALL });
      await pair.survivor.next("flooding");
      await sleep(150);
      const at = killed(pair.victim);
      const freed = await pair.survivor.next("flooded");
      assert.equal(freed["code"], "PEER_DEAD");
      assertNoticed(freed, at);
      await done(pair);
    });
  }
});

describe("a peer is killed at random", () => {
  const random = seeded(20260301);
  for (let round = 0; round < 6; round++) {
    const runtimes = PAIRS[round % 2]!;
    const transport = TRANSPORTS[round % TRANSPORTS.length]!;
    const afterMs = Math.floor(random() * 60);
    test(`a writer in full flow after ${afterMs} ms (${runtimes[0]}, ${transport})`, async () => {
      const pair = await connected(runtimes, { transport, trust: round % 3 === 0 ? "untrusted" : "trusted" });
      const plan: TrafficPlan = { seed: round + 1, maxBytes: 300_000, pauseEvery: 0, pauseMs: 0 };
      pair.survivor.tell({ op: "receive", plan });
      pair.victim.tell({ op: "flood", plan });
      await pair.victim.next("flooding");
      await sleep(afterMs);
      const at = killed(pair.victim);
      const received = await pair.survivor.next("received");
      assert.equal(received["wrong"], undefined);
      assert.equal(received["code"], "PEER_DEAD");
      assertNoticed(received, at);
      await done(pair);
    });
  }
});

describe("while the broker is down", () => {
  test("death is noticed all the same", async () => {
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
      for (const pair of pairs) {
        pair.survivor.tell({ op: "receive", plan: SMALL });
        await sleep(100);
        const at = killed(pair.victim);
        const received = await pair.survivor.next("received");
        assert.equal(received["code"], "PEER_DEAD");
        assertNoticed(received, at);
        await done(pair);
      }
    } finally {
      await own.close();
    }
  });
});
