/**
 * Clients that keep no rules. Whatever they send gets a code and the broker outlives it, with as many descriptors and as much memory as before,
 * and serves the next one. The broker is a process of its own, so that it can be looked at from outside.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { connectNameService } from "../../src/naming/client.ts";
import { LAYOUT_RANGE, PROTOCOL_RANGE } from "../../src/naming/protocol.ts";
import { type RuntimeName, RUNTIMES, World } from "../process/harness.ts";
import { RawClient } from "./raw.ts";
import { closeGranted, eventually, Half, native } from "./support.ts";

const BROKER = "tests/broker/broker_main.ts";
const HELLO = { type: "hello", protocol: [...PROTOCOL_RANGE], layout: [...LAYOUT_RANGE], program: "raw" };

interface Target {
  readonly socket: string;
  readonly pid: number;
  /** What the broker has open. */
  descriptors(): number;
}

/** A broker, and the test that it is as good as new afterwards. */
async function attack(runtime: RuntimeName, body: (target: Target) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    const broker = world.run(runtime, BROKER, ["broker", "--socket", world.socket]);
    await broker.next("listening");
    const descriptors = () => readdirSync(`/proc/${broker.pid}/fd`).length;
    await assertServes(world.socket);
    await eventually("it is quiet", async () => (await figures(world.socket))["sessions"] === 1);
    const before = descriptors();
    await body({ socket: world.socket, pid: broker.pid, descriptors });
    await assertServes(world.socket);
    await eventually("nothing is left of the attackers", async () => (await figures(world.socket))["sessions"] === 1, 20_000);
    const { names, flows, waiting, held_halves, observers, users } = await figures(world.socket);
    assert.deepEqual({ names, flows, waiting, held_halves, observers, users }, {
      names: 0,
      flows: 0,
      waiting: 0,
      held_halves: 0,
      observers: 0,
      users: 1,
    });
    await eventually(`descriptors: ${before} before, ${descriptors()} now`, () => descriptors() <= before);
    assert.equal(broker.exit, undefined);
  } finally {
    await world.close();
  }
}

async function figures(socket: string): Promise<Readonly<Record<string, number>>> {
  const service = await connectNameService(native, { socket, start: "never", timeoutMs: 20_000 });
  try {
    return await service.stats();
  } finally {
    await service.close();
  }
}

/** The broker introduces two ends in good order. */
async function assertServes(socket: string): Promise<void> {
  const open = () => connectNameService(native, { socket, start: "never", timeoutMs: 20_000 });
  const [server, caller] = [await open(), await open()];
  const halves: Half[] = [];
  const half = (role: 1 | 2) => (halves[halves.push(new Half("mempipe", "trusted", role, 4096)) - 1] as Half).offered;
  try {
    const registration = await server.register("xio://victim");
    await registration.listen({
      backlog: 1,
      onOffer: (offer) => {
        closeGranted(offer);
        const { controlFd, ringFd = -1 } = half(2);
        return { controlFd, ringFd };
      },
    });
    const request = { to: "xio://victim", trust: "trusted", ringBytes: 4096, maxMessageBytes: 1000, timeoutMs: 20_000 } as const;
    const grant = await caller.connect({ ...request, prepare: () => half(1) });
    closeGranted(grant);
    server.flowClosed(grant.flow);
    caller.flowClosed(grant.flow);
  } finally {
    await server.close();
    await caller.close();
    for (const one of halves) one.close();
  }
}

/** The broker's last words to a client it sends away. */
async function lastWords(client: RawClient): Promise<readonly [string, unknown]> {
  const answers = await client.answers();
  assert.equal(answers.at(-1), "end", JSON.stringify(answers));
  const error = answers.at(-2);
  assert.ok(typeof error === "object" && error["type"] === "error", JSON.stringify(answers));
  return [String(error["code"]), error["message"]];
}

const codes = (answers: Awaited<ReturnType<RawClient["answers"]>>) =>
  answers.map((answer) => (answer === "end" ? "end" : answer["type"] === "error" ? answer["code"] : answer["type"]));

for (const runtime of RUNTIMES) {
  describe(`a broker in ${runtime} outlives`, () => {
    test("garbage of every kind", () =>
      attack(runtime, async ({ socket }) => {
        const frames: readonly (readonly [string, string | Uint8Array])[] = [
          ["PROTOCOL", Uint8Array.from({ length: 4096 }, (_, index) => (index * 73 + 11) & 255)],
          ["PROTOCOL", "{"],
          ["PROTOCOL", '{"type":"hello"'],
          ["PROTOCOL", "[".repeat(50_000)],
          ["PROTOCOL", '{"type":"__proto__"}'],
          ["PROTOCOL", '{"type":"names","id":1}'],
          ["PROTOCOL", JSON.stringify({ ...HELLO, protocol: [0, 0] })],
          ["VERSION", JSON.stringify({ ...HELLO, protocol: [7, 9] })],
          ["VERSION", JSON.stringify({ ...HELLO, layout: [1, 1] })],
          ["TOO_LARGE", new Uint8Array(65_537)],
          ["TOO_LARGE", new Uint8Array(150_000)],
        ];
        for (const [code, frame] of frames) {
          const client = new RawClient(socket);
          client.send(frame);
          assert.equal((await lastWords(client))[0], code, String(frame).slice(0, 60));
          client.close();
        }
        const twice = new RawClient(socket);
        await twice.greet();
        twice.message(HELLO);
        twice.ring();
        assert.equal((await lastWords(twice))[0], "PROTOCOL");
        twice.close();
      }));

    test("frames of 64 MiB and 253 descriptors at once", () =>
      attack(runtime, async ({ socket }) => {
        const large = new RawClient(socket);
        large.growBuffer(160 * 2 ** 20);
        if (large.send(new Uint8Array(64 * 2 ** 20).fill(0x20))) assert.equal((await lastWords(large))[0], "TOO_LARGE");
        large.close();
        const file = openSync("/dev/null", "r");
        for (let round = 0; round < 20; round++) {
          for (const count of [17, 253]) {
            const client = new RawClient(socket);
            assert.equal(client.message(HELLO, Array.from({ length: count }, () => file)), true);
            assert.equal((await lastWords(client))[0], "TOO_LARGE");
            client.close();
          }
        }
        const generous = new RawClient(socket);
        await generous.greet();
        for (let id = 1; id <= 40; id++) generous.message({ type: "names", id }, Array.from({ length: 16 }, () => file));
        generous.ring();
        assert.equal((await generous.answers(40)).length, 40, "descriptors nobody asked for are closed, and that is all");
        generous.close();
        // By whoever opened it: Deno closes the number once more when it is used again.
        closeSync(file);
      }));

    test("wrong messages, a few answered, many not", () =>
      attack(runtime, async ({ socket }) => {
        const client = new RawClient(socket);
        await client.greet();
        client.message({ type: "frobnicate", id: 1 });
        client.message({ type: "register", id: 2, name: "xio://UPPER" });
        client.message({ type: "unregister", id: 3, name: "xio://not-mine" });
        client.message({ type: "listen", id: 4, name: "xio://not-mine", backlog: 1, trust: "trusted" });
        client.message({ type: "register", id: 5, name: "xio://a", ticket: "Zm9yZ2Vk.Zm9yZ2Vk" });
        client.message({ type: "restore", id: 6, flow: "abc123-1", ticket: "Zm9yZ2Vk.Zm9yZ2Vk", descriptors: [] });
        client.message({ type: "accept", flow: "abc123-1", descriptors: [] });
        client.message({ type: "refuse", flow: "abc123-1", code: "REFUSED", message: "" });
        client.message({ type: "flow-closed", flow: "abc123-1" });
        client.message({ type: "reconfigured", flow: "abc123-1", order: 1, outcome: "done", message: "" });
        client.message({ type: "reconfigure", id: 7, flow: "abc123-1", transport: "tcp", timeout_ms: 60_000 });
        client.message({ type: "cancel", id: 77 });
        client.ring();
        assert.deepEqual(codes(await client.answers(9)), [
          "PROTOCOL",
          "PROTOCOL",
          "REFUSED",
          "REFUSED",
          "REFUSED",
          "PROTOCOL",
          "PROTOCOL",
          "PROTOCOL",
          "NAME_UNKNOWN",
        ]);
        for (let id = 10; id < 40; id++) client.message({ type: "frobnicate", id });
        client.ring();
        assert.equal((await lastWords(client))[0], "PROTOCOL");
        client.close();
      }));

    test("halves that are no halves", () =>
      attack(runtime, async ({ socket }) => {
        const client = new RawClient(socket);
        await client.greet();
        const good = new Half("mempipe", "trusted", 1, 65_536);
        const small = new Half("mempipe", "trusted", 1, 4096);
        const file = openSync("/dev/null", "r");
        const { controlFd, ringFd = -1, doorbellFd, linkFd } = good.offered;
        const smallRing = small.offered.ringFd ?? -1;
        const connect = (id: number, more: object = {}) => ({
          ...{
            type: "connect",
            id,
            to: "xio://nobody",
            wait: true,
            offered: { transport: "mempipe", trust: "trusted" },
            ring_bytes: 65_536,
          },
          ...{ max_message_bytes: 1000, timeout_ms: 60_000, descriptors: ["control", "ring", "doorbell", "link"], ...more },
        });
        const attempts: readonly (readonly [object, readonly number[], string, RegExp])[] = [
          [connect(1), [], "PROTOCOL", /expected the descriptors control, ring, doorbell, link, received 0/],
          [connect(2), [controlFd, ringFd], "PROTOCOL", /received 2/],
          [connect(3, { descriptors: ["control"] }), [controlFd], "PROTOCOL", /expected/],
          [
            connect(4, { descriptors: ["ring", "control", "doorbell", "link"] }),
            [ringFd, controlFd, doorbellFd, linkFd],
            "PROTOCOL",
            /expected/,
          ],
          [connect(18), [controlFd, ringFd, doorbellFd], "PROTOCOL", /received 3/],
          [connect(5), [file, ringFd, doorbellFd, linkFd], "REFUSED", /control region is no memfd/],
          [connect(6), [controlFd, file, doorbellFd, linkFd], "REFUSED", /ring is no memfd/],
          [connect(14), [controlFd, ringFd, file, linkFd], "REFUSED", /no Unix stream socket/],
          [connect(15), [controlFd, ringFd, client.fd, linkFd], "REFUSED", /no Unix stream socket/],
          [connect(16), [controlFd, ringFd, doorbellFd, doorbellFd], "REFUSED", /link is no Unix packet socket/],
          [connect(17), [controlFd, ringFd, doorbellFd, file], "REFUSED", /link is no Unix packet socket/],
          [connect(7), [ringFd, ringFd, doorbellFd, linkFd], "REFUSED", /control region has 65536 bytes/],
          [connect(8), [controlFd, smallRing, doorbellFd, linkFd], "REFUSED", /ring has 4096 bytes instead of 65536/],
          [connect(9, { ring_bytes: 4096 }), [controlFd, controlFd, doorbellFd, linkFd], "REFUSED", /same memory/],
          [
            connect(10, { offered: { transport: "mempipe", trust: "untrusted" } }),
            [controlFd, ringFd, doorbellFd, linkFd],
            "REFUSED",
            /lacks the seal FUTURE_WRITE/,
          ],
          [connect(11, { transport: "unix" }), [controlFd, ringFd, doorbellFd, linkFd], "PROTOCOL", /another transport/],
          [connect(12, { from: "xio://not-mine" }), [controlFd, ringFd, doorbellFd, linkFd], "REFUSED", /not registered/],
        ];
        for (const [message, descriptors, code, sentence] of attempts) {
          client.message(message, descriptors);
          client.ring();
          const [answer] = await client.answers(1);
          assert.ok(
            typeof answer === "object" && answer["code"] === code && sentence.test(String(answer["message"])),
            JSON.stringify([message, answer]),
          );
        }
        client.message(connect(13), [controlFd, ringFd, doorbellFd, linkFd]);
        client.message(connect(13), [controlFd, ringFd, doorbellFd, linkFd]);
        client.ring();
        assert.deepEqual(codes(await client.answers(1)), ["PROTOCOL"], "the same request twice");
        client.close();
        good.close();
        small.close();
        closeSync(file);
      }));

    test("listeners that answer with nonsense, and initiators that vanish", () =>
      attack(runtime, async ({ socket }) => {
        const listener = new RawClient(socket);
        await listener.greet();
        listener.message({ type: "register", id: 1, name: "xio://trap" });
        listener.message({ type: "listen", id: 2, name: "xio://trap", backlog: 65_535, trust: "trusted" });
        listener.ring();
        await listener.answers(2);
        const caller = await connectNameService(native, { socket, start: "never", timeoutMs: 20_000 });
        const half = new Half("mempipe", "trusted", 1, 4096);
        const request = { to: "xio://trap", trust: "trusted", ringBytes: 4096, maxMessageBytes: 1000 } as const;
        const { controlFd, ringFd = -1 } = half.offered;
        for (
          const [descriptors, roles] of [[[], []], [[controlFd, ringFd], ["control", "ring"]], [[ringFd, controlFd], [
            "control",
            "ring",
          ]]] as const
        ) {
          const outcome = caller.connect({ ...request, timeoutMs: 20_000, prepare: () => half.offered }).then(
            () => "granted",
            (error: { code: string }) => error.code,
          );
          const offers = await listener.answers(1);
          const offer = offers.find((answer) => answer !== "end" && answer["type"] === "offer") as Readonly<Record<string, unknown>>;
          listener.message({ type: "accept", flow: offer["flow"], descriptors: [...roles] }, [...descriptors]);
          listener.ring();
          assert.equal(await outcome, "REFUSED");
          assert.deepEqual(codes(await listener.answers(2)).slice(0, 1), ["peer-dead"]);
        }
        // Offers that nobody answers, from initiators that go away: their halves go with them.
        for (let round = 0; round < 30; round++) {
          const abort = new AbortController();
          const outcome = caller.connect({ ...request, timeoutMs: 20_000, signal: abort.signal, prepare: () => half.offered });
          setTimeout(() => abort.abort(), 2);
          await assert.rejects(outcome, { code: "ABORTED" });
        }
        await caller.close();
        half.close();
        listener.close();
      }));

    test("a doorbell that rings for nothing", () =>
      attack(runtime, async ({ socket }) => {
        const client = new RawClient(socket);
        await client.greet();
        const end = Date.now() + 10_000;
        let answer = client.receive();
        while (answer === undefined && Date.now() < end) {
          client.ring();
          await new Promise((resolve) => setTimeout(resolve, 0));
          answer = client.receive();
        }
        assert.ok(typeof answer === "object" && answer.message["code"] === "PROTOCOL", "it is sent away");
        client.close();
      }));

    test("a client that sends itself over itself, rings for nothing and is gone", () =>
      attack(runtime, async ({ socket }) => {
        for (let round = 0; round < 20; round++) {
          const client = new RawClient(socket);
          await client.greet();
          client.message({ type: "names", id: 1 }, [client.fd, client.doorbell]);
          client.close();
        }
        // And one that never took its doorbell: that lies in a queue which only this client's own socket, in the broker's queue, keeps.
        for (let round = 0; round < 20; round++) {
          const client = new RawClient(socket);
          client.message(HELLO);
          await eventually("it is welcome", async () => (await figures(socket))["sessions"]! >= 2);
          client.message({ type: "names", id: 1 }, [client.fd]);
          client.close();
        }
      }));

    test("a client that takes no answers", () =>
      attack(runtime, async ({ socket }) => {
        const deaf = new RawClient(socket);
        await deaf.greet();
        let id = 0;
        await eventually("it is sent away", () => {
          for (let count = 0; count < 64; count++) deaf.message({ type: "stats", id: ++id });
          deaf.ring();
          return !deaf.message({ type: "stats", id: ++id }) && id > 1000;
        }, 20_000);
        deaf.close();
      }));

    test("ten thousand connections opened and dropped", () =>
      attack(runtime, async ({ socket, pid, descriptors }) => {
        const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
        const churn = async (count: number) => {
          for (let index = 0; index < count; index++) {
            const client = new RawClient(socket);
            if (index % 3 === 1) client.message(HELLO);
            if (index % 3 === 2) client.send("garbage");
            client.close();
            if (index % 64 === 63) await new Promise((resolve) => setTimeout(resolve, 1));
          }
          await eventually("they are gone", async () => (await figures(socket))["sessions"] === 1, 20_000);
        };
        await churn(3000);
        const [memoryBefore, descriptorsBefore] = [memory(), descriptors()];
        await churn(7000);
        await eventually(`descriptors: ${descriptorsBefore} before, ${descriptors()} now`, () => descriptors() <= descriptorsBefore);
        assert.ok(memory() < memoryBefore + 40_000, `${memoryBefore} kB before, ${memory()} kB after`);
      }));
  });
}
