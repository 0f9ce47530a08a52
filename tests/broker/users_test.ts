/**
 * Two users at one broker. This process is both: on Linux a thread has its own credentials, and the kernel notes those of the moment when a
 * socket connects or listens. Takes root, as the machines that run this have; elsewhere there is no second user to be.
 */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { connectNameService } from "../../src/naming/client.ts";
import type { Offer } from "../../src/naming/service.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import { dialName } from "../../src/xio/dial.ts";
import { Listener } from "../../src/xio/listener.ts";
import { closeGranted, eventually, inScene, native, type Scene } from "./support.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

const [SETRESUID, FCNTL] = process.arch === "arm64" ? [147, 25] : [117, 72];
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const libc = detectRuntime().open("libc.so.6", {
  syscall: { parameters: ["i32", "i32", "i32", "i32"], result: "i32" },
}) as unknown as { syscall(number: number, real: number, effective: number, saved: number): number };

/** Does the first, synchronous part of something as that user. */
function asUser<T>(uid: number, action: () => T): T {
  assert.equal(libc.syscall(SETRESUID, -1, uid, -1), 0);
  try {
    return action();
  } finally {
    assert.equal(libc.syscall(SETRESUID, -1, 0, -1), 0);
  }
}

/** A broker that lets others in, as a policy may. */
async function openBroker(scene: Scene, quotas: { readonly names?: number; readonly channels?: number } = {}) {
  const daemon = await scene.daemon({ socketMode: 0o666, quotas });
  chmodSync(dirname(scene.socket), 0o711);
  return daemon;
}

function flagsOf(fd: number): number {
  return parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "", 8);
}

const stranger = (scene: Scene) => asUser(NOBODY, () => scene.client());

describe("another user", () => {
  test("is kept out by default", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      await scene.daemon();
      assert.equal(statSync(scene.socket).mode & 0o777, 0o600);
      chmodSync(dirname(scene.socket), 0o711);
      await assert.rejects(stranger(scene), { code: "BROKER_UNREACHABLE", message: /EACCES/ });
    });
  });

  test("is untrusted, whatever both ends say", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      await openBroker(scene);
      const [server, caller] = [await scene.client(), await stranger(scene)];
      const offers: Offer[] = [];
      const registration = await server.register("xio://server");
      await registration.listen({ backlog: 1, trust: "trusted", onOffer: scene.acceptor(offers) });
      const prepared: string[] = [];
      const request = scene.request("xio://server");
      const prepare: typeof request.prepare = (transport, trust) => {
        prepared.push(trust);
        return request.prepare(transport, trust);
      };
      const grant = await caller.connect({ ...request, prepare });
      assert.deepEqual(prepared, ["trusted", "untrusted"]);
      assert.deepEqual([grant.trust, grant.peerUid, offers[0]?.trust, offers[0]?.peerUid], ["untrusted", 0, "untrusted", NOBODY]);
      assert.match((await server.flows())[0]?.reason ?? "", /different users/);
      assert.equal((await server.names())[0]?.uid, 0);
      closeGranted(grant);
      for (const offer of offers) closeGranted(offer);
    });
  });

  for (const transport of ["mempipe", "unix"] as const) {
    test(`has no descriptor of the acceptor's doorbell, whose flags it could change (${transport})`, async () => {
      if (!isRoot) return;
      await inScene(async (scene) => {
        await openBroker(scene);
        const [server, caller] = [await scene.client(), await stranger(scene)];
        const offers: Offer[] = [];
        const registration = await server.register("xio://server");
        await registration.listen({ backlog: 2, onOffer: scene.acceptor(offers) });
        let half: ReturnType<Scene["half"]> | undefined;
        const prepare = (name: typeof transport | string, trust: "trusted" | "untrusted") => {
          half?.close();
          return (half = scene.half(name as typeof transport, trust)).offered;
        };
        const grant = await caller.connect(scene.request("xio://server", { transport, prepare }));
        const [offer] = offers;
        assert.ok(offer !== undefined && half !== undefined && grant.doorbellFd !== undefined);
        // Whatever the initiator has: its own copy of what it sent, and what it was given.
        for (const fd of [half.offered.doorbellFd, grant.doorbellFd]) libc.syscall(FCNTL, fd, F_SETFL, 0);
        assert.equal(flagsOf(offer.doorbellFd) & O_NONBLOCK, O_NONBLOCK);
        // And it is a doorbell, between the two and nobody else.
        assert.equal(native.library.write(grant.doorbellFd, Uint8Array.of(1), 1), 1);
        assert.equal(native.library.read(offer.doorbellFd, new Uint8Array(8), 8), 1);
        const own = await server.connect(scene.request("xio://server", { transport }));
        assert.equal(own.doorbellFd, undefined, "one's own user could do worse, and gets none");
        for (const one of [grant, own, ...offers]) closeGranted(one);
      });
    });
  }

  test("talks over a channel of the library as anybody else", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      await openBroker(scene);
      const [server, caller] = [await scene.client(), await stranger(scene)];
      const registration = await server.register("xio://server");
      const listener = await Listener.open({ native, names: server }, registration, {}, () => registration.close());
      for (const transport of ["mempipe", "unix"] as const) {
        const left = await dialName({ native, names: caller }, "xio://server", undefined, { transport });
        const right = await listener.accept();
        assert.deepEqual([left.peer.uid, right.peer.uid], [0, NOBODY]);
        for (let round = 0; round < 3; round++) {
          // Both sleep: each is woken through the doorbell.
          const [asked, answered] = [right.receive({ timeoutMs: 5000 }), left.receive({ timeoutMs: 5000 })];
          await new Promise((resolve) => setTimeout(resolve, 10));
          await left.send("question");
          assert.equal(new TextDecoder().decode(await asked), "question");
          await new Promise((resolve) => setTimeout(resolve, 10));
          await right.send("answer");
          assert.equal(new TextDecoder().decode(await answered), "answer");
        }
        for (const to of ["pipe", "tcp", "shmem-pipe", transport] as const) {
          await left.reconfigure(to, { timeoutMs: 5000 });
          await left.send(to);
          assert.equal(new TextDecoder().decode(await right.receive({ timeoutMs: 5000 })), to);
          await right.send("back");
          assert.equal(new TextDecoder().decode(await left.receive({ timeoutMs: 5000 })), "back");
        }
        await assert.rejects(left.reconfigure("vmsplice-coop", { timeoutMs: 5000 }), { code: "UNSUPPORTED_TRANSPORT" });
        await left.close();
        assert.equal((await right.closed).code, "PEER_CLOSED");
        await right.close();
      }
      await listener.close();
    });
  });

  test("may not end or replace the broker, nor take names", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      const daemon = await openBroker(scene);
      const [server, caller] = [await scene.client(), await stranger(scene)];
      await server.register("xio://server", { share: true });
      await assert.rejects(caller.register("xio://server", { share: true }), { code: "NAME_TAKEN" });
      await assert.rejects(caller.shutdown(), { code: "REFUSED", message: /only the broker's own user and root/ });
      assert.equal((await caller.stats())["sessions"], 2, "still there");
      await caller.register("xio://stranger");
      assert.equal(daemon.stats()["users"], 2);
    });
  });

  test("cannot use up what belongs to others", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      await openBroker(scene, { names: 3, channels: 1 });
      const [server, caller] = [await scene.client(), await stranger(scene)];
      for (const name of ["xio://s/1", "xio://s/2", "xio://s/3"]) await caller.register(name);
      await assert.rejects(caller.register("xio://s/4"), { code: "QUOTA", message: /user 65534/ });
      await server.register("xio://server");
      const first = caller.connect(scene.request("xio://later", { timeoutMs: 20_000 }));
      await eventually("it waits", async () => (await server.stats())["waiting"] === 1);
      await assert.rejects(caller.connect(scene.request("xio://later")), { code: "QUOTA", message: /ends of channels/ });
      const own = server.connect(scene.request("xio://later", { timeoutMs: 20_000 }));
      await eventually("it waits too", async () => (await server.stats())["waiting"] === 2);
      await Promise.all([caller.close(), server.close()]);
      await assert.rejects(first, { code: "CLOSED" });
      await assert.rejects(own, { code: "CLOSED" });
    });
  });

  test("is no broker for this one", async () => {
    if (!isRoot) return;
    await inScene(async (scene) => {
      chmodSync(dirname(scene.socket), 0o777);
      const path = new TextEncoder().encode(scene.socket);
      const fd = asUser(NOBODY, () => native.library.listen(path, path.byteLength, 0o666, 16));
      assert.ok(fd >= 0);
      try {
        await assert.rejects(connectNameService(native, { socket: scene.socket, start: "never", timeoutMs: 5000 }), {
          code: "BROKER_UNTRUSTED",
          message: /belongs to user 65534, neither to you nor to root/,
        });
      } finally {
        native.library.close(fd);
      }
    });
  });
});
