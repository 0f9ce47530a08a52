/** Moving a flow by way of a broker in the same process: what the ends are told, what whoever asked hears, what fable flows says then. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FableError } from "../../src/errors.ts";
import type { BrokerService } from "../../src/naming/service.ts";
import type { Offer, ReconfigureOrder } from "../../src/naming/service.ts";
import { check } from "../../src/native/status.ts";
import { eventually, Half, inScene, native, type Scene } from "../broker/support.ts";

const FLOW = "test22-1";
const PIPE = 7;
const BY_OPERATOR = 2;
const BY_PROGRAM = 1;

interface Ends {
  readonly server: BrokerService;
  readonly caller: BrokerService;
  readonly flow: string;
  /** The initiator's half and the acceptor's. */
  readonly halves: readonly [Half, Half];
}

/** Two services with a flow between them whose native ends are attached to each other. */
async function connected(scene: Scene): Promise<Ends> {
  const [server, caller] = [await scene.client(), await scene.client()];
  const offers: Offer[] = [];
  const registration = await server.register("xio://server");
  const right = scene.half("mempipe", "trusted", 2);
  await registration.listen({
    backlog: 1,
    onOffer: (offer) => {
      offers.push(offer);
      server.flowOpened(offer.flow, right.offered.controlFd);
      return { controlFd: right.offered.controlFd, ringFd: right.offered.ringFd! };
    },
  });
  const left = scene.half();
  const grant = await caller.connect(scene.request("xio://server", { prepare: () => left.offered }));
  caller.flowOpened(grant.flow, left.offered.controlFd);
  const [offer] = offers;
  assert.ok(offer !== undefined);
  attach(left, [grant.controlFd, grant.ringFd ?? -1, -1, -1, grant.pidFd], -1);
  attach(right, [offer.controlFd, offer.ringFd ?? -1, offer.doorbellFd, -1, offer.pidFd], offer.linkFd);
  return { server, caller, flow: grant.flow, halves: [left, right] };
}

function attach(half: Half, descriptors: readonly number[], link: number): void {
  const words = new Uint32Array(12);
  new Int32Array(words.buffer).set([48, half.handle, 1, ...descriptors, 0, 0, link]);
  check(native.library, native.library.channel_attach(words), "attach");
}

/** Both directions to a pipe, as ends would do it. */
function move([left, right]: readonly [Half, Half], reason: number): void {
  const { library } = native;
  check(library, library.switch(left.handle, PIPE, 0, reason), "switch");
  check(library, library.ask(left.handle, PIPE, 0, reason), "ask");
  for (let turn = 0; turn < 10; turn++) {
    for (const { handle } of [right, left]) {
      library.attend(handle);
      library.refill(handle);
    }
  }
}

describe("a flow that is moved", () => {
  test("both ends are told, and flows say where it is, why and since when", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const { server, caller, flow, halves } = await connected(scene);
      const before = (await caller.flows())[0];
      assert.deepEqual(before?.directions.map(({ transport, epoch, trust }) => [transport, epoch, trust]), [
        ["mempipe", 0, "trusted"],
        ["mempipe", 0, "trusted"],
      ]);
      const told: ReconfigureOrder[] = [];
      for (const service of [server, caller]) {
        service.onReconfigure(flow, (order, settle) => {
          if (told.push(order) === 2) move(halves, BY_OPERATOR);
          settle();
        });
      }
      const operator = await scene.client();
      await operator.reconfigureFlow(flow, "pipe", 5000, { ringBytes: 65_536 });
      assert.deepEqual(told, Array(2).fill({ transport: "pipe", reason: "operator", ringBytes: 65_536 }));
      const after = (await operator.flows())[0];
      assert.deepEqual(after?.directions.map(({ transport, epoch, trust }) => [transport, epoch, trust]), [
        ["pipe", 1, "n/a"],
        ["pipe", 1, "n/a"],
      ]);
      assert.equal(after?.reason, "pipe, because an operator ordered it");
      assert.ok(Date.parse(after?.since ?? "") >= Date.parse(before?.since ?? ""));
      assert.equal(daemon.stats()["reconfigurations"], 0);
    }));

  test("by its own program says that too, as soon as somebody looks; each direction has its own reason", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const { caller, halves: [left, right] } = await connected(scene);
      const { library } = native;
      check(library, library.switch(left.handle, PIPE, 0, BY_PROGRAM), "switch");
      for (const { handle } of [right, left, right]) library.attend(handle);
      const [flow] = await caller.flows();
      assert.deepEqual(flow?.directions.map(({ transport, epoch }) => [transport, epoch]), [["pipe", 1], ["mempipe", 0]]);
      assert.equal(flow?.reason, `from ${flow?.names[0]}: pipe, because an end's own program moved it`);
      const [again] = await caller.flows();
      assert.equal(again?.since, flow?.since, "looking is no move");
    }));

  test("what an end could not do reaches whoever asked", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const { server, caller, flow } = await connected(scene);
      caller.onReconfigure(flow, (_, settle) => settle());
      server.onReconfigure(
        flow,
        (_, settle) => settle(new FableError("UNSUPPORTED_TRANSPORT", "no pipes here", { remedy: "take tcp" })),
      );
      await assert.rejects(caller.reconfigureFlow(flow, "pipe", 5000), {
        code: "UNSUPPORTED_TRANSPORT",
        message: `xio://server (process ${process.pid}): no pipes here`,
        remedy: "take tcp",
      });
    }));

  test("an end that listens for no orders, or does not come to it in time, is named", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const { server, caller, flow } = await connected(scene);
      caller.onReconfigure(flow, (_, settle) => settle());
      await assert.rejects(caller.reconfigureFlow(flow, "tcp", 5000), { code: "REFUSED", message: /xio:\/\/server .* takes no orders/ });
      const stop = server.onReconfigure(flow, () => {});
      await assert.rejects(caller.reconfigureFlow(flow, "tcp", 50), { code: "TIMEOUT", message: /^xio:\/\/server \(process/ });
      stop();
      server.onReconfigure(flow, (_, settle) => settle());
      await caller.reconfigureFlow(flow, "tcp", 5000);
      assert.equal(daemon.stats()["reconfigurations"], 0);
    }));

  test("a newer order takes the place of one that waits", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const { server, caller, flow } = await connected(scene);
      const { promise, resolve } = Promise.withResolvers<void>();
      server.onReconfigure(flow, (_, settle) => void promise.then(settle));
      caller.onReconfigure(flow, (_, settle) => settle());
      const first = caller.reconfigureFlow(flow, "tcp", 5000);
      const second = server.reconfigureFlow(flow, "unix", 5000);
      await assert.rejects(first, { code: "SUPERSEDED" });
      resolve();
      await second;
    }));

  test("nothing to move, nobody to move it", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const { server, caller, flow } = await connected(scene);
      await assert.rejects(caller.reconfigureFlow(FLOW, "tcp", 1000), { code: "NAME_UNKNOWN", message: `there is no channel ${FLOW}` });
      await server.close();
      await eventually("its session is over", () => daemon.stats()["sessions"] === 1);
      await assert.rejects(caller.reconfigureFlow(flow, "tcp", 1000), {
        code: "REFUSED",
        message: /^xio:\/\/server \(process \d+\) has no connection/,
      });
    }));
});

describe("a broker that dies", () => {
  test("after a flow moved: the next one reads from the ends where it is and why", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const { caller, flow, halves } = await connected(scene);
      move(halves, BY_OPERATOR);
      await daemon.close();
      await scene.daemon();
      await eventually("both ends have shown themselves", async () => (await caller.flows()).some((entry) => entry.flow === flow));
      const [entry] = await caller.flows();
      assert.deepEqual(entry?.directions.map(({ transport, epoch }) => [transport, epoch]), [["pipe", 1], ["pipe", 1]]);
      assert.equal(entry?.reason, "pipe, because an operator ordered it");
    }));
});

describe("a broker that dies while a flow moves", () => {
  test("harms nobody: the ends go on, and whoever asked is answered by the next", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const { server, caller, flow } = await connected(scene);
      const { promise, resolve } = Promise.withResolvers<void>();
      let told = 0;
      server.onReconfigure(flow, (_, settle) => void ((told += 1) === 1 ? promise.then(settle) : settle()));
      caller.onReconfigure(flow, (_, settle) => settle());
      const moving = caller.reconfigureFlow(flow, "tcp", 10_000);
      await eventually("the order is there", () => told === 1);
      await daemon.close();
      const next = await scene.daemon();
      await moving;
      assert.equal(told, 2, "the next broker orders it again");
      // The first order is carried out only now; the broker that gave it is gone, and the next one did not ask.
      resolve();
      await server.names();
      assert.deepEqual([next.stats()["reconfigurations"], next.stats()["sessions"]], [0, 2]);
    }));
});
