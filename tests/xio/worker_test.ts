/** Channels between a program and its workers: handles belong to their thread, ports travel, a thread that ends closes what it owns. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { channelPair, channelPort, isFableError, openPort } from "../../mod.ts";
import { CONNECTION } from "../../src/xio/handle.ts";
import { anySize, patterned, randomFrom } from "../conformance/matrix.ts";

const worker = (): Worker => new Worker(new URL("./worker_program.ts", import.meta.url), { type: "module" });

describe("workers", () => {
  for (const way of ["events", "block"] as const) {
    test(`an echo through a worker that waits by ${way}`, async () => {
      const thread = worker();
      const done = new Promise((resolve) => thread.addEventListener("message", resolve, { once: true }));
      const { port, handle: opening } = channelPort();
      thread.postMessage({ port, way });
      const handle = await opening;
      const random = randomFrom(3);
      const messages = Array.from({ length: 500 }, (_, number) => patterned(number, anySize(random, 30_000)));
      const sending = (async () => {
        for (const message of messages) await handle.send(message);
        await handle.closeWrite();
      })();
      for (const message of messages) assert.deepEqual(await handle.receive(), message);
      await sending;
      assert.equal(await handle.receive(), undefined);
      await done;
      await handle.close();
      thread.terminate();
    });
  }

  test("a worker that is terminated closes its end", async () => {
    const thread = worker();
    const { port, handle: opening } = channelPort();
    thread.postMessage({ port, way: "events" });
    const handle = await opening;
    handle.send("hello");
    assert.ok(await handle.receive());
    const receiving = handle.receive();
    await new Promise((resolve) => setTimeout(resolve, 20));
    thread.terminate();
    assert.equal(await receiving, undefined);
    assert.equal((await handle.closed).code, "PEER_CLOSED");
    await handle.close();
  });

  test("a port that is none is refused; one can be opened in the thread that made it", async () => {
    await assert.rejects(openPort({ fd: -1 }), (error) => isFableError(error, "BAD_ARGUMENT"));
    await assert.rejects(openPort({} as { fd: number }), (error) => isFableError(error, "BAD_ARGUMENT"));
    const { port, handle } = channelPort();
    const [left, right] = await Promise.all([handle, openPort(port)]);
    left.send("still there");
    assert.ok(await right.receive());
    await Promise.all([left.close({ drainDeadlineMs: 0 }), right.close({ drainDeadlineMs: 0 })]);
  });

  test("a pair made here spins for nobody: its peer is this very thread", async () => {
    const pair = channelPair();
    for (const handle of pair) assert.equal(handle[CONNECTION].channel.spins, false);
    for (const handle of pair) await handle.close();
  });
});
