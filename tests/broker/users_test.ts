/**
 * Two users at one broker. This process is both: on Linux a thread has its own credentials, and the kernel notes those of the moment when a
 * socket connects or listens. Takes root, as the machines that run this have; elsewhere there is no second user to be.
 */
import assert from "node:assert/strict";
import { chmodSync, statSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { connectNameService } from "../../src/naming/client.ts";
import type { Offer } from "../../src/naming/service.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import { closeGranted, eventually, inScene, native, type Scene } from "./support.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

const SETRESUID = process.arch === "arm64" ? 147 : 117;
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
