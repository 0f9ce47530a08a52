/** When a choice is acted on: soon when it matters, never for noise, and a bounded number of times whatever an adversary does. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Decider, mostMoves, PACE } from "../../src/policy/decide.ts";
import { crowdedBy, type FlowFacts, type Transport } from "../../src/policy/facts.ts";
import { seenOf } from "../../src/policy/proof.ts";
import { choose } from "../../src/policy/select.ts";
import { seeded } from "../process/harness.ts";
import { conversation, direction, end, facts, MODEL, stream, TERMS } from "./support.ts";

const TICK_MS = 100;
const TOGETHER = { sameCoreShare: 1, boundTogether: true, lineNs: undefined };

/** A flow that does what it is told at once; counts its moves. */
class Flow {
  readonly decider = new Decider(PACE, 0);
  transport: Transport;
  ringBytes = 65_536;
  moves: number[] = [];
  nowMs = 0;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  tick(of: (transport: Transport, ringBytes: number) => FlowFacts, terms = TERMS): void {
    this.nowMs += TICK_MS;
    const seen = of(this.transport, this.ringBytes);
    const decision = this.decider.sample(
      choose(seen, MODEL, terms),
      seenOf(seen),
      this.transport,
      this.ringBytes,
      PACE,
      this.nowMs,
    );
    if (decision === undefined) return;
    this.transport = decision.transport;
    this.ringBytes = decision.ringBytes ?? this.ringBytes;
    this.moves.push(this.nowMs);
  }
}

describe("reaction", () => {
  test("a spin forced onto one core is left within three samples, and taken up again when both are idle", () => {
    const flow = new Flow("mempipe-spin");
    const asked = "mempipe-spin";
    for (let at = 0; at < 10; at++) flow.tick((transport) => conversation(transport, { asked }, 1_000_000));
    assert.deepEqual(flow.moves, []);
    const began = flow.nowMs;
    for (let at = 0; at < 20; at++) {
      flow.tick((transport) => conversation(transport, { asked, pair: TOGETHER }, transport === "mempipe-spin" ? 250 : 200_000));
    }
    assert.equal(flow.transport, "mempipe-futex");
    assert.equal(flow.moves.length, 1);
    assert.ok((flow.moves[0] ?? Infinity) - began <= 3 * TICK_MS);
    for (let at = 0; at < 20; at++) flow.tick((transport) => conversation(transport, { asked }, 20_000));
    assert.equal(flow.transport, "mempipe-spin");
    assert.equal(flow.moves.length, 2);
  });
  test("a hog that comes and goes costs two moves", () => {
    const flow = new Flow("mempipe-spin");
    const hog = [end({ otherBusyShare: 0.9 }), end({ cpu: 1 })] as const;
    const phase = (ticks: number, ends: FlowFacts["ends"] | undefined, rate: number) => {
      for (let at = 0; at < ticks; at++) {
        flow.tick((transport) => conversation(transport, { asked: "mempipe-spin", ...(ends === undefined ? {} : { ends }) }, rate));
      }
    };
    phase(30, undefined, 100_000);
    phase(30, hog, 5000);
    phase(30, undefined, 20_000);
    assert.equal(flow.moves.length, 2);
    assert.equal(flow.transport, "mempipe-spin");
  });
  test("a lull in the load does not bring back at once what was just left", () => {
    const flow = new Flow("mempipe-spin");
    const hog = [end({ otherBusyShare: 0.9 }), end({ cpu: 1 })] as const;
    const tick = (ends: FlowFacts["ends"] | undefined, rate: number) =>
      flow.tick((transport) => conversation(transport, { asked: "mempipe-spin", ...(ends === undefined ? {} : { ends }) }, rate));
    while (flow.moves.length === 0 && flow.nowMs < 5000) tick(hog, 5000);
    for (let at = 0; at < 6; at++) tick(undefined, 20_000);
    assert.equal(flow.transport, "mempipe-futex");
    for (let at = 0; at < 6; at++) tick(undefined, 20_000);
    assert.equal(flow.transport, "mempipe-spin", "though not for long");
  });
  test("what is slightly better, or hardly used, is not worth a move", () => {
    const slight = new Flow("mempipe-futex");
    slight.ringBytes = 1_048_576;
    for (let at = 0; at < 600; at++) {
      slight.tick((transport) => stream(transport, 64 * 1024, 10_000, { ringBytes: 1_048_576 }), {
        ...TERMS,
        transports: ["mempipe-futex", "mempipe"],
      });
    }
    assert.deepEqual(slight.moves, []);
    const rare = new Flow("tcp");
    for (let at = 0; at < 100; at++) rare.tick((transport) => conversation(transport, {}, 1));
    assert.deepEqual(rare.moves, []);
  });
  test("a pin is followed at once, traffic or not", () => {
    const flow = new Flow("mempipe");
    for (let at = 0; at < 3; at++) flow.tick((transport) => conversation(transport, {}, 0), { ...TERMS, pin: "tcp" });
    assert.equal(flow.transport, "tcp");
  });
  test("a ring grows once it has been too small for a while", () => {
    const flow = new Flow("mempipe");
    const blocked = (transport: Transport, ringBytes: number) =>
      facts({ ringBytes, directions: [direction({ transport, msgsPerS: 1e6, blockedShare: 0.5 }), direction({ transport })] });
    for (let at = 0; at < 3; at++) flow.tick(blocked);
    assert.deepEqual(flow.moves, []);
    for (let at = 0; at < 3; at++) flow.tick(blocked);
    assert.equal(flow.ringBytes, 131_072);
    assert.equal(flow.transport, "mempipe");
  });
  test("a transport that an end refused is left alone for a while", () => {
    const flow = new Flow("tcp");
    flow.decider.refused("mempipe", PACE, 0);
    for (let at = 0; at < 20; at++) flow.tick((transport) => stream(transport, 64, 100_000), { ...TERMS, transports: ["mempipe", "tcp"] });
    assert.deepEqual(flow.moves, []);
    for (let at = 0; at < PACE.refusedMs / TICK_MS; at++) {
      flow.tick((transport) => stream(transport, 64, 100_000), { ...TERMS, transports: ["mempipe", "tcp"] });
    }
    assert.equal(flow.transport, "mempipe");
  });
});

describe("a move that was for the worse", () => {
  /** On this machine, other than in the table, shared memory makes questions ten times as slow. */
  const wrong = (transport: Transport) => conversation(transport, {}, transport === "tcp" ? 20_000 : 2000);
  const ticks = (flow: Flow, count: number, of: (transport: Transport) => FlowFacts) => {
    for (let at = 0; at < count; at++) flow.tick(of, { ...TERMS, transports: ["tcp", "mempipe", "unix"] });
  };
  test("is undone within a second, and nothing is tried on the table's word for half a minute", () => {
    const flow = new Flow("tcp");
    ticks(flow, 200, wrong);
    assert.equal(flow.transport, "tcp");
    assert.equal(flow.moves.length, 2);
    assert.ok((flow.moves[1] ?? Infinity) - (flow.moves[0] ?? 0) <= 1000);
    ticks(flow, 200, wrong);
    assert.equal(flow.moves.length, 4, "then once more");
    ticks(flow, 500, wrong);
    assert.equal(flow.moves.length, 4, "and after that not for a whole one");
  });
  test("is no reason to stay where something else is the matter", () => {
    const flow = new Flow("tcp");
    ticks(flow, 30, wrong);
    assert.deepEqual([flow.transport, flow.moves.length], ["tcp", 2]);
    ticks(flow, 30, (transport) => stream(transport, 4096, 100_000));
    assert.deepEqual([flow.transport, flow.moves.length], ["mempipe", 3]);
  });
  test("is told from a load that became less by itself", () => {
    const flow = new Flow("tcp");
    ticks(flow, 10, (transport) => conversation(transport, {}, flow.moves.length === 0 ? 20_000 : 4000));
    ticks(flow, 190, (transport) => conversation(transport, {}, 4000));
    assert.equal(flow.transport, "mempipe");
    assert.equal(flow.moves.length, 3, "there, back to see, and there again");
  });
  test("shows by as many messages as before at least, whatever the pace of the load", () => {
    const flow = new Flow("tcp");
    ticks(flow, 200, (transport) => conversation(transport, {}, 5000));
    assert.deepEqual([flow.transport, flow.moves.length], ["mempipe", 1]);
  });
  test("is not judged by messages of another situation, nor is one from a spin", () => {
    const flow = new Flow("mempipe-spin");
    const hog = [end({ otherBusyShare: 0.9 }), end({ cpu: 1 })] as const;
    const asked = "mempipe-spin";
    for (let at = 0; at < 20; at++) flow.tick((transport) => conversation(transport, { asked }, 1_000_000));
    for (let at = 0; at < 20; at++) {
      flow.tick((transport) => conversation(transport, { asked, ends: hog }, transport === "mempipe-spin" ? 400_000 : 50_000));
    }
    assert.deepEqual([flow.transport, flow.moves.length], ["mempipe-futex", 1], "others are to have the CPU, too");
    const together = new Flow("tcp");
    ticks(together, 10, (transport) => conversation(transport, { asked: "tcp" }, 100_000));
    ticks(together, 30, (transport) => conversation(transport, { pair: TOGETHER }, transport === "tcp" ? 3000 : 4000));
    assert.deepEqual([together.transport, together.moves.length], ["mempipe", 1]);
    const growing = new Flow("tcp");
    growing.ringBytes = 1_048_576;
    ticks(growing, 100, (transport) => {
      const [size, rate] = growing.moves.length === 0 ? [64, 1e6] : [65_536, 1e4];
      return stream(transport, size, rate, { ringBytes: growing.ringBytes });
    });
    assert.deepEqual([growing.transport, growing.moves.length], ["mempipe", 1]);
  });
  test("is not undone by a move to what became forbidden", () => {
    const flow = new Flow("tcp");
    while (flow.moves.length === 0 && flow.nowMs < 5000) ticks(flow, 1, wrong);
    for (let at = 0; at < 20; at++) flow.tick(wrong, { ...TERMS, transports: ["mempipe"] });
    assert.deepEqual([flow.transport, flow.moves.length], ["mempipe", 1]);
  });
});

describe("an adversary", () => {
  /** Whatever the load does, within any stretch there are no more moves than the ration. */
  function assertRationed(flow: Flow): void {
    for (const [first, from] of flow.moves.entries()) {
      for (const [more, to] of flow.moves.slice(first).entries()) {
        assert.ok(more + 1 <= mostMoves(PACE, to - from) + 1, `${more + 1} moves within ${to - from} ms`);
      }
      const next = flow.moves[first + 1];
      assert.ok(next === undefined || next - from >= PACE.dwellMs);
    }
  }
  test("that turns the load around as soon as the flow has moved gets no more than the ration", () => {
    const flow = new Flow("mempipe-spin");
    for (let at = 0; at < 2000; at++) {
      // Always the situation that is worst for where it is now.
      flow.tick((transport) =>
        conversation(
          transport,
          { asked: "mempipe-spin", ...(transport === "mempipe-spin" ? { pair: TOGETHER } : {}) },
          transport === "mempipe-spin" ? 250 : 40_000,
        )
      );
    }
    assert.ok(flow.moves.length > 10, "it does try");
    assert.ok(flow.moves.length <= mostMoves(PACE, flow.nowMs));
    assertRationed(flow);
  });
  for (let seed = 1; seed <= 12; seed++) {
    test(`at random, seed ${seed}`, () => {
      const random = seeded(seed);
      const flow = new Flow("mempipe");
      let now = conversation("mempipe");
      for (let at = 0; at < 1000; at++) {
        if (random() < 0.2) {
          const rate = 10 ** (random() * 6);
          const size = 2 ** (random() * 21);
          const busy = random() < 0.5 ? random() : 0;
          const more = {
            ends: [end({ otherBusyShare: busy }), end({ cpu: 1 })] as const,
            pair: { sameCoreShare: random() < 0.5 ? 1 : 0, boundTogether: false, lineNs: undefined },
          };
          now = random() < 0.5 ? conversation("mempipe", more, rate) : stream("mempipe", size, rate, more);
        }
        flow.tick((transport, ringBytes) => ({
          ...now,
          ringBytes,
          directions: [{ ...now.directions[0], transport }, { ...now.directions[1], transport }],
        }));
      }
      assert.ok(flow.moves.length <= mostMoves(PACE, flow.nowMs));
      assertRationed(flow);
    });
  }
  test("a hog whose share now and then looks like none is fled from once", () => {
    const random = seeded(7);
    const flow = new Flow("mempipe-spin");
    let crowded = false;
    for (let at = 0; at < 1000; at++) {
      const otherBusyShare = 0.27 + 0.28 * random();
      crowded = crowdedBy(otherBusyShare, crowded);
      const ends = [end({ otherBusyShare, crowded }), end({ cpu: 1 })] as const;
      flow.tick((transport) => conversation(transport, { asked: "mempipe-spin", ends }, transport === "mempipe-spin" ? 1000 : 20_000));
    }
    assert.equal(flow.transport, "mempipe-futex");
    assert.equal(flow.moves.length, 1);
  });
  test("noise around a tie moves nothing", () => {
    const random = seeded(99);
    const flow = new Flow("mempipe-futex");
    flow.ringBytes = 1_048_576;
    const terms = { ...TERMS, transports: ["mempipe-futex", "mempipe"] as const };
    for (let at = 0; at < 1000; at++) {
      flow.tick(
        (transport) => stream(transport, 65_536 * (0.7 + 0.6 * random()), 15_000 * (0.7 + 0.6 * random()), { ringBytes: 1_048_576 }),
        terms,
      );
    }
    assert.deepEqual(flow.moves, []);
  });
});
