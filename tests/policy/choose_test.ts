/** What is best for a living channel: by figures, within trust, wishes and rules, with a sentence. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FlowFacts, requestShare, type Transport } from "../../src/policy/facts.ts";
import { type Choice, choose, ringFor } from "../../src/policy/select.ts";
import { conversation, direction, end, facts, MODEL, stream, TERMS } from "./support.ts";

const best = (of: FlowFacts, terms = TERMS): Choice => choose(of, MODEL, terms);
const why = (choice: Choice, transport: Transport) => choice.candidates.find((one) => one.transport === transport)?.ruledOut;
const TOGETHER = { pair: { sameCoreShare: 1, boundTogether: true, lineNs: undefined } };

describe("by situation", () => {
  test("large messages go to the path that is best for them, small ones stay in the ring", () => {
    assert.equal(best(stream("mempipe", 1_048_576, 1000)).transport, "shmem-pipe");
    assert.equal(best(stream("mempipe", 64, 100_000)).transport, "mempipe");
    assert.equal(best(stream("tcp", 64, 100_000)).transport, "mempipe");
  });
  test("a spin that shares its core, or waits for it, is left; with both cores idle it stays", () => {
    const hog = { ends: [end({ otherBusyShare: 0.9 }), end({ cpu: 1 })] } as const;
    assert.equal(best(conversation("mempipe-spin", { asked: "mempipe-spin", ...TOGETHER }, 250)).transport, "mempipe-futex");
    assert.equal(best(conversation("mempipe-spin", { asked: "mempipe-spin", ...hog }, 5000)).transport, "mempipe-futex");
    assert.equal(best(conversation("mempipe-spin", { asked: "mempipe-spin" }, 1_000_000)).transport, "mempipe-spin");
    assert.equal(best(conversation("mempipe-futex", { asked: "mempipe-spin" }, 20_000)).transport, "mempipe-spin", "and back");
  });
  test("a channel on which nothing happens stays where it is", () => {
    for (const transport of ["mempipe", "tcp", "unix", "pipe"] as const) {
      const choice = best(conversation(transport, {}, 0));
      assert.equal(choice.transport, transport);
      assert.match(choice.reason, /nothing travels/);
    }
  });
  test("acknowledgements do not make a stream a conversation", () => {
    const of = (back: number, blockedShare = 0) =>
      facts({ directions: [direction({ msgsPerS: 1000, blockedShare }), direction({ msgsPerS: back })] });
    assert.equal(requestShare(of(0)), 0);
    assert.equal(requestShare(of(100)), 0);
    assert.equal(requestShare(of(1000)), 1);
    assert.equal(requestShare(of(1000, 0.5)), 0, "two streams against each other");
  });
});

describe("within bounds", () => {
  test("no pages are lent to somebody untrusted, and trust stays what it is", () => {
    const choice = best(stream("mempipe", 65_536, 10_000, { trust: "untrusted" }), { ...TERMS, transports: ["vmsplice-coop"] });
    assert.notEqual(choice.transport, "vmsplice-coop");
    assert.equal(choice.trust, "untrusted");
  });
  test("what an end asked for is kept", () => {
    for (const asked of ["unix", "tcp", "mempipe-futex", "mempipe"] as const) {
      const choice = best(stream(asked, 1_048_576, 5000, { asked }));
      assert.equal(choice.transport, asked);
      if (asked !== "mempipe") assert.match(why(choice, "mempipe") ?? "", new RegExp(`asked for ${asked}`));
    }
  });
  test("a pin holds against everything, a list leaves out what is not on it", () => {
    assert.equal(best(conversation("mempipe"), { ...TERMS, pin: "tcp" }).transport, "tcp");
    const choice = best(conversation("unix"), { ...TERMS, transports: ["unix", "tcp"] });
    assert.equal(choice.transport, "unix");
    assert.match(why(choice, "mempipe") ?? "", /policy file/);
  });
  test("what the table does not know is not chosen", () => {
    const { candidates } = choose(conversation("mempipe", { trust: "untrusted" }), MODEL, TERMS);
    const unknown = candidates.find((one) => one.transport === "vmsplice-coop");
    assert.deepEqual([unknown?.cost, unknown?.nsPerMessage], [Infinity, undefined]);
  });
});

describe("besides", () => {
  test("all transports are candidates, those that are possible first and by cost", () => {
    const { candidates } = best(stream("mempipe", 4096, 10_000), { ...TERMS, transports: ["unix", "pipe", "mempipe"] });
    assert.equal(candidates.length, 9);
    const open = candidates.filter((one) => one.ruledOut === undefined);
    assert.deepEqual(candidates.slice(0, open.length), open);
    for (const [at, one] of open.entries()) assert.ok(one.cost >= (open[at - 1]?.cost ?? 0));
  });
  test("the reason says what, where, instead of what, and the figures", () => {
    assert.equal(
      best(stream("tcp", 64, 100_000)).reason,
      "mempipe, because for a stream of 64 bytes across cores it is better than tcp: 56 ns instead of 919 ns a message",
    );
    assert.match(best(conversation("mempipe", TOGETHER, 1000)).reason, /questions and answers of 64 bytes on one core/);
  });
  test("rings grow with messages and with writers that are blocked, to their bounds, and never shrink", () => {
    const ring = (meanBytes: number, blockedShare: number, ringBytes: number, maxRingBytes = 4_194_304) =>
      ringFor(facts({ directions: [direction({ meanBytes, blockedShare }), direction()], ringBytes }), { maxRingBytes });
    assert.equal(ring(64, 0, 65_536), 65_536);
    assert.equal(ring(65_536, 0, 65_536), 524_288);
    assert.equal(ring(2 ** 24, 0, 65_536), 4_194_304);
    assert.equal(ring(64, 0.5, 65_536), 131_072);
    assert.equal(ring(64, 0.5, 1_048_576), 1_048_576, "more does not help a slow reader");
    assert.equal(ring(64, 0, 2 ** 24), 2 ** 24);
    assert.equal(ring(2 ** 24, 1, 65_536, 65_536), 65_536);
  });
  test("questions that an untrusting end copies while the other core writes travel in pieces; answers without a writer beside do not", () => {
    const talk = (msgsPerS: number) => direction({ meanBytes: 2 ** 20, msgsPerS });
    const ring = (more: Partial<FlowFacts>) =>
      ringFor(facts({ directions: [talk(3000), talk(3000)], ...more }), { maxRingBytes: 4_194_304 });
    assert.equal(ring({ trust: "untrusted" }), 1_048_576);
    assert.equal(ring({ trust: "untrusted", ...TOGETHER }), 4_194_304);
    assert.equal(ring({ trust: "untrusted", directions: [talk(3000), talk(10)] }), 4_194_304, "a stream");
    assert.equal(ring({}), 4_194_304);
  });
});
