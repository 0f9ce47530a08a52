/** Ends that are killed: the broker says so to the other end, gives names and quotas back, and forgets the flow. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { RUNTIMES, World } from "../process/harness.ts";
import { closeGranted, eventually, inScene, type Scene } from "./support.ts";

async function inBoth(body: (scene: Scene, world: World) => Promise<void>): Promise<void> {
  await inScene(async (scene) => {
    const world = new World();
    try {
      await body(scene, world);
    } finally {
      await world.close();
    }
  });
}

const PEER = "tests/broker/peer_main.ts";

for (const runtime of RUNTIMES) {
  describe(`a peer in ${runtime}, killed`, () => {
    test("as the initiator", () =>
      inBoth(async (scene, world) => {
        const daemon = await scene.daemon();
        const server = await scene.client();
        const registration = await server.register("xio://server");
        const dead: string[] = [];
        await registration.listen({
          backlog: 4,
          onOffer: (offer) => {
            closeGranted(offer);
            server.onPeerDead(offer.flow, () => dead.push(offer.flow));
            const { controlFd, ringFd = -1 } = scene.half("mempipe", "trusted", 2, 4096).offered;
            server.flowOpened(offer.flow, controlFd);
            return { controlFd, ringFd };
          },
        });
        const peer = world.run(runtime, PEER, ["connect", "xio://server"], { FABLE_SOCKET: scene.socket });
        const { flow } = await peer.next("connected");
        assert.equal(daemon.stats()["observers"], 2);
        peer.kill("SIGKILL");
        await eventually("the listener is told", () => dead.length === 1);
        assert.deepEqual(dead, [flow]);
        await eventually("the flow is gone", () => daemon.stats()["flows"] === 0 && daemon.stats()["observers"] === 0);
        server.flowClosed(String(flow));
      }));

    test("as the listener: its name is free and its channel is over", () =>
      inBoth(async (scene, world) => {
        const daemon = await scene.daemon();
        const peer = world.run(runtime, PEER, ["listen", "xio://server"], { FABLE_SOCKET: scene.socket });
        await peer.next("listening");
        const caller = await scene.client();
        const grant = await caller.connect(scene.request("xio://server", { ringBytes: 4096 }));
        closeGranted(grant);
        let dead = 0;
        const stop = caller.onPeerDead(grant.flow, () => dead += 1);
        caller.onPeerDead(grant.flow, () => dead += 10);
        stop();
        const waiting = caller.connect(scene.request("xio://server", { ringBytes: 4096, timeoutMs: 100, wait: true }));
        closeGranted(await waiting);
        peer.kill("SIGKILL");
        await eventually("the initiator is told, by whom it still asked", () => dead === 10);
        await eventually("the name is free", async () => (await caller.names()).length === 0);
        await caller.register("xio://server");
        // Known, though nobody listened for it when it came.
        const late = await new Promise<string>((resolve) => caller.onPeerDead(grant.flow, () => resolve("told")));
        assert.equal(late, "told");
        await eventually("nothing is left", () => daemon.stats()["flows"] === 0 && daemon.stats()["observers"] === 0);
        caller.flowClosed(grant.flow);
      }));

    test("with an offer in its hands: the initiator goes on to the next listener", () =>
      inBoth(async (scene, world) => {
        await scene.daemon();
        const peer = world.run(runtime, PEER, ["listen", "xio://server"], { FABLE_SOCKET: scene.socket });
        await peer.next("listening");
        const caller = await scene.client();
        // Stopped, it takes offers but answers none.
        process.kill(peer.pid, "SIGSTOP");
        let prepared = 0;
        const request = scene.request("xio://server", { ringBytes: 4096, timeoutMs: 20_000 });
        const pending = caller.connect({
          ...request,
          prepare: (transport, trust) => {
            prepared += 1;
            return request.prepare(transport, trust);
          },
        });
        await eventually("it is offered", async () => (await caller.stats())["waiting"] === 1);
        peer.kill("SIGKILL");
        await peer.exited();
        const next = world.run(runtime, PEER, ["listen", "xio://server"], { FABLE_SOCKET: scene.socket });
        await next.next("accepted");
        closeGranted(await pending);
        assert.equal(prepared, 2, "with another half: the first may have been seen");
      }));
  });
}
