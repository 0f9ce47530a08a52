/** The name service against a broker in the same process: everything programs do with names and channels, and what is left open after it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FableError } from "../../src/errors.ts";
import { connectNameService } from "../../src/naming/client.ts";
import type { Offer } from "../../src/naming/service.ts";
import { closeGranted, eventually, inScene, native, openDescriptors } from "../broker/support.ts";

describe("names", () => {
  test("are registered, listed and given back", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const a = await scene.client();
      const b = await scene.client();
      const registration = await a.register("xio://shop/orders");
      await b.register("xio://backup");
      assert.deepEqual((await b.names()).map((entry) => [entry.name, entry.listening, entry.pid]), [
        ["xio://backup", false, process.pid],
        ["xio://shop/orders", false, process.pid],
      ]);
      await assert.rejects(b.register("xio://shop/orders"), { code: "NAME_TAKEN" });
      await assert.rejects(a.register("xio://shop/orders"), { code: "NAME_TAKEN" });
      await assert.rejects(a.register("xio://Shop"), { code: "BAD_NAME" });
      await registration.close();
      await registration.close();
      await b.register("xio://shop/orders");
      await b.close();
      await eventually("names of a closed client are free", () => daemon.stats()["names"] === 0);
      await assert.rejects(registration.listen({ backlog: 1, onOffer: () => assert.fail() }), { code: "CLOSED" });
    }));

  test("come page by page when there are many", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const a = await scene.client();
      const tail = "n".repeat(60);
      const names = Array.from({ length: 900 }, (_, index) => `xio://${tail}/${tail}/${tail}/${index}`);
      await Promise.all(names.map((name) => a.register(name)));
      assert.deepEqual((await a.names()).map((entry) => entry.name), [...names].sort());
    }));
});

describe("connecting", () => {
  for (const transport of ["mempipe", "mempipe-spin", "mempipe-futex", "unix"] as const) {
    test(`by ${transport}: both ends get the other's half`, () =>
      inScene(async (scene) => {
        const daemon = await scene.daemon();
        const [server, caller] = [await scene.client(), await scene.client()];
        const offers: Offer[] = [];
        const registration = await server.register("xio://server");
        await caller.register("xio://caller");
        await registration.listen({ backlog: 4, onOffer: scene.acceptor(offers) });
        const grant = await caller.connect(scene.request("xio://server", { transport, from: "xio://caller", maxMessageBytes: 777 }));
        const [offer] = offers;
        assert.ok(offer !== undefined && offers.length === 1);
        assert.equal(grant.transport, transport);
        assert.equal(offer.transport, transport);
        assert.deepEqual([grant.peerName, offer.peerName, grant.flow], ["xio://server", "xio://caller", offer.flow]);
        assert.deepEqual([grant.peerPid, grant.trust, offer.ringBytes, offer.maxMessageBytes], [process.pid, "trusted", 65_536, 777]);
        const kernel = transport === "unix";
        assert.deepEqual([grant.ringFd === undefined, offer.ringFd === undefined, offer.dataFd === undefined], [kernel, kernel, !kernel]);
        for (const fd of [grant.controlFd, offer.controlFd, offer.doorbellFd, offer.linkFd]) assert.ok(fd >= 0);
        assert.equal(native.library.pid_dead(grant.pidFd), 0);
        const [flow] = await caller.flows();
        assert.deepEqual(flow?.names, ["xio://caller", "xio://server"]);
        assert.equal(flow?.directions[0]?.trust, kernel ? "n/a" : "trusted");
        assert.equal(flow?.reason, `${transport} was asked for by the connecting end`);
        caller.flowClosed(grant.flow);
        server.flowClosed(grant.flow);
        await eventually("the flow is gone", () => daemon.stats()["flows"] === 0);
        closeGranted(grant);
        closeGranted(offer);
      }));
  }

  test("waits for a listener, unless told not to, and says what was missing", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      await assert.rejects(caller.connect(scene.request("xio://server", { wait: false })), { code: "NAME_UNKNOWN" });
      await assert.rejects(caller.connect(scene.request("xio://server", { timeoutMs: 20 })), { code: "NAME_UNKNOWN" });
      const pending = caller.connect(scene.request("xio://server"));
      const registration = await server.register("xio://server");
      await assert.rejects(caller.connect(scene.request("xio://server", { wait: false })), { code: "NOT_LISTENING" });
      await assert.rejects(caller.connect(scene.request("xio://server", { timeoutMs: 20 })), { code: "NOT_LISTENING" });
      const offers: Offer[] = [];
      await registration.listen({ backlog: 1, onOffer: scene.acceptor(offers) });
      closeGranted(await pending);
      for (const offer of offers) closeGranted(offer);
      await registration.unlisten();
      await assert.rejects(caller.connect(scene.request("xio://server", { wait: false })), { code: "NOT_LISTENING" });
      assert.equal(daemon.stats()["waiting"], 0);
      assert.equal(daemon.stats()["held_halves"], 0);
    }));

  test("an aborted connect frees its place at once; a late grant is closed", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      const registration = await server.register("xio://server");
      const early = new AbortController();
      early.abort(new Error("never mind"));
      await assert.rejects(caller.connect(scene.request("xio://server", { signal: early.signal })), { code: "ABORTED" });
      const waiting = new AbortController();
      const pending = caller.connect(scene.request("xio://server", { signal: waiting.signal }));
      await eventually("it waits", () => daemon.stats()["waiting"] === 1);
      waiting.abort();
      await assert.rejects(pending, { code: "ABORTED" });
      await eventually("its place is free", () => daemon.stats()["waiting"] === 0 && daemon.stats()["held_halves"] === 0);
      const late = new AbortController();
      await registration.listen({
        backlog: 4,
        onOffer: (offer) => {
          // Between the offer and the grant.
          late.abort();
          closeGranted(offer);
          const { controlFd, ringFd } = scene.half(offer.transport, offer.trust, 2).offered;
          return { controlFd, ringFd: ringFd as number };
        },
      });
      await assert.rejects(caller.connect(scene.request("xio://server", { signal: late.signal })), { code: "ABORTED" });
      await eventually("nothing is left of it", () => daemon.stats()["flows"] === 0 && daemon.stats()["observers"] === 0);
    }));

  test("what the listener throws reaches the initiator", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      const registration = await server.register("xio://server");
      const outcomes: (() => never)[] = [
        () => {
          throw new FableError("BACKLOG_FULL", "sixteen wait already", { remedy: "wait" });
        },
        () => {
          throw new Error("odd");
        },
      ];
      await registration.listen({
        backlog: 1,
        onOffer: (offer) => {
          // It had begun to take the flow in: what that left open goes with the refusal.
          server.flowOpened(offer.flow, offer.controlFd);
          server.onPeerDead(offer.flow, () => assert.fail());
          closeGranted(offer);
          return (outcomes.shift() as () => never)();
        },
      });
      await assert.rejects(caller.connect(scene.request("xio://server")), {
        code: "BACKLOG_FULL",
        message: "sixteen wait already",
        remedy: "wait",
      });
      await assert.rejects(caller.connect(scene.request("xio://server")), { code: "REFUSED", message: "odd" });
    }));

  test("a stricter listener has the initiator make another half", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      const registration = await server.register("xio://server");
      const offers: Offer[] = [];
      await registration.listen({ backlog: 1, trust: "untrusted", onOffer: scene.acceptor(offers) });
      const prepared: string[] = [];
      const request = scene.request("xio://server");
      const grant = await caller.connect({
        ...request,
        prepare: (transport, trust) => {
          prepared.push(`${transport} ${trust}`);
          return request.prepare(transport, trust);
        },
      });
      assert.deepEqual(prepared, ["mempipe trusted", "mempipe untrusted"]);
      assert.deepEqual([grant.trust, offers[0]?.trust, offers.length], ["untrusted", "untrusted", 1]);
      closeGranted(grant);
      for (const offer of offers) closeGranted(offer);
    }));

  test("many at once, more than the backlog", () =>
    inScene(async (scene) => {
      const daemon = await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      const registration = await server.register("xio://server");
      const offers: Offer[] = [];
      await registration.listen({ backlog: 2, onOffer: scene.acceptor(offers) });
      const grants = await Promise.all(
        Array.from({ length: 60 }, () => caller.connect(scene.request("xio://server", { ringBytes: 4096 }))),
      );
      assert.equal(new Set(grants.map((grant) => grant.flow)).size, 60);
      assert.equal((await caller.flows()).length, 60);
      for (const one of [...grants, ...offers]) closeGranted(one);
      for (const grant of grants) {
        caller.flowClosed(grant.flow);
        server.flowClosed(grant.flow);
      }
      await eventually("all are gone", () => daemon.stats()["flows"] === 0 && daemon.stats()["observers"] === 0);
    }));

  test("a name without a broker, and a service that is closed", () =>
    inScene(async (scene) => {
      const before = openDescriptors();
      await assert.rejects(connectNameService(native, { socket: scene.socket, start: "never", timeoutMs: 30 }), {
        code: "BROKER_UNREACHABLE",
        message: /no broker answers at/,
      });
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 10);
      await assert.rejects(connectNameService(native, { socket: scene.socket, start: "never", signal: abort.signal }), { code: "ABORTED" });
      assert.equal(openDescriptors(), before);
      await scene.daemon();
      const client = await scene.client();
      const pending = client.connect(scene.request("xio://nobody"));
      const closed = client.close();
      await assert.rejects(pending, { code: "CLOSED" });
      await closed;
      await assert.rejects(client.names(), { code: "CLOSED" });
      await assert.rejects(client.register("xio://a"), { code: "CLOSED" });
      client.flowClosed("abc123-1");
      client.setRef(true);
    }));
});

describe("figures", () => {
  test("of a flow are those its ends count", () =>
    inScene(async (scene) => {
      await scene.daemon();
      const [server, caller] = [await scene.client(), await scene.client()];
      const registration = await server.register("xio://server");
      const offers: Offer[] = [];
      await registration.listen({ backlog: 1, onOffer: scene.acceptor(offers) });
      const half = scene.half();
      const grant = await caller.connect(scene.request("xio://server", { prepare: () => half.offered }));
      const { library } = native;
      const peer = new Uint32Array(12);
      new Int32Array(peer.buffer).set([48, half.handle, 1, grant.controlFd, grant.ringFd ?? -1, -1, -1, grant.pidFd, 0, 0, -1]);
      assert.equal(library.channel_attach(peer), 0);
      for (let count = 0; count < 5; count++) assert.equal(library.send(half.handle, new Uint8Array(10), 10), 0);
      const [flow] = await caller.flows({ windowMs: 20 });
      assert.deepEqual(flow?.directions.map((direction) => [direction.from, direction.messages, direction.bytes]), [
        [flow?.names[0], 5, 50],
        ["xio://server", 0, 0],
      ]);
      for (const offer of offers) closeGranted(offer);
    }));
});
