/** A handle that nobody can use any more is closed when it is collected; one that somebody waits on, or uses through a cursor, is in use. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handle } from "../../src/xio/handle.ts";
import { channelPair } from "../../src/xio/pair.ts";
import { collect, HANDLES } from "./garbage.ts";

/** Uses the left end in a way that keeps no reference to it in the program. */
function started<T>(use: (left: Handle) => T): { readonly right: Handle; readonly used: T } {
  const [left, right] = channelPair({ ringBytes: 4096 });
  return { right, used: use(left) };
}

async function sendTo(right: Handle): Promise<void> {
  right.send("hello");
  right.flush();
  await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("a handle is not collected while somebody", () => {
  test("waits for a message", async () => {
    const waits = Array.from({ length: HANDLES }, () => started((left) => left.receive()));
    await collect();
    for (const { right } of waits) await sendTo(right);
    for (const { used } of waits) assert.equal((await used)?.length, 5);
    await Promise.all(waits.map(({ right }) => right.close({ drainDeadlineMs: 0 })));
  });

  test("waits for it to be readable", async () => {
    const waits = Array.from({ length: HANDLES }, () => started((left) => left.waitReadable()));
    await collect();
    for (const { right } of waits) await sendTo(right);
    for (const { used } of waits) assert.equal(await used, true);
    await Promise.all(waits.map(({ right }) => right.close({ drainDeadlineMs: 0 })));
  });

  test("waits for room", async () => {
    const message = new Uint8Array(1000);
    const waits = Array.from({ length: HANDLES }, () =>
      started((left) => {
        while (left.trySend(message));
        return left.send(message);
      }));
    const rooms = Array.from({ length: HANDLES }, () =>
      started((left) => {
        while (left.trySend(message));
        return left.waitWritable();
      }));
    await collect();
    for (const { right, used } of waits) {
      assert.equal((await right.receive())?.length, 1000);
      while (right.tryReceive() !== undefined);
      await used;
    }
    for (const { right, used } of rooms) {
      while (right.tryReceive() !== undefined);
      assert.equal(await used, true);
    }
    await Promise.all([...waits, ...rooms].map(({ right }) => right.close({ drainDeadlineMs: 0 })));
  });

  test("reads or writes through a cursor", async () => {
    const cursors = Array.from({ length: HANDLES }, () => started((left) => [left.reader(), left.writer()] as const));
    await collect();
    for (const { right } of cursors) await sendTo(right);
    for (const { right, used: [reader, writer] } of cursors) {
      assert.equal(await reader.wait({ timeoutMs: 1000 }), true);
      assert.ok(writer.reserve(8) >= 0);
      await right.close({ drainDeadlineMs: 0 });
    }
  });
});
