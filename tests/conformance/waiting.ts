/** Conformance: wake-ups, polling, and what trust means. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFableError, xpoll, xpollSync } from "../../mod.ts";
import { type Combination, patterned, pause, stuff, type WithPair } from "./matrix.ts";

/** Long enough for an end to have gone to sleep. */
const ASLEEP_MS = 5;

export function waitingTests(withPair: WithPair, combination: Combination): void {
  const sleeps = combination.transport !== "mempipe-spin";

  test("a sleeper is woken by data, both ways, every time", async () => {
    await withPair({}, async (left, right) => {
      for (let round = 0; round < 20; round++) {
        const [from, to] = round % 2 === 0 ? [left, right] : [right, left];
        const receiving = to.receive({ timeoutMs: 10_000 });
        const also = from.receive();
        await pause(ASLEEP_MS);
        from.send(patterned(round, 30));
        assert.deepEqual(await receiving, patterned(round, 30));
        await pause(1);
        to.send("back");
        assert.ok(await also);
      }
      if (!sleeps) return;
      assert.ok(left.stats().sleeps > 5, "it slept");
      assert.ok(right.stats().rings > 5, "and was woken");
    });
  });

  test("a sleeper is woken by room, every time", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      let sent = 0;
      let received = 0;
      for (let round = 0; round < 10; round++) {
        sent = stuff(left, 300, sent);
        const waiting = left.waitWritable({ timeoutMs: 10_000 });
        await pause(ASLEEP_MS);
        for (;;) {
          const message = right.tryReceive();
          if (message === undefined) break;
          assert.deepEqual(message, patterned(received++, 300));
        }
        assert.equal(await waiting, true);
      }
      while (received < sent) assert.deepEqual(await right.receive(), patterned(received++, 300));
    });
  });

  test("xpoll: handles and what is ready on them", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      assert.deepEqual(await xpoll([right, { on: left, want: "readable" }], { timeoutMs: 5 }), []);
      assert.deepEqual(xpollSync([right], { timeoutMs: 5 }), []);
      assert.deepEqual(await xpoll([{ on: left, want: "both" }]), [{ on: left, readable: false, writable: true }]);
      const polling = xpoll([left, right]);
      await pause(ASLEEP_MS);
      left.send("hello");
      assert.deepEqual(await polling, [{ on: right, readable: true, writable: false }]);
      // Ready stays ready until it is taken; nothing was taken by looking.
      assert.deepEqual(await xpoll([right]), [{ on: right, readable: true, writable: false }]);
      assert.deepEqual(xpollSync([right]), [{ on: right, readable: true, writable: false }]);
      assert.equal(new TextDecoder().decode(right.tryReceive()), "hello");
      stuff(left, 500);
      assert.deepEqual(await xpoll([{ on: left, want: "writable" }], { timeoutMs: 5 }), []);
      await assert.rejects(xpoll([left], { signal: AbortSignal.timeout(5) }), (error) => isFableError(error, "ABORTED"));
      await left.close({ drainDeadlineMs: 0 });
      while (right.tryReceive());
      assert.deepEqual(await xpoll([{ on: right, want: "both" }]), [{ on: right, readable: true, writable: true }]);
    });
  });

  test("cursors wait, in the event loop and blocking", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const writer = left.writer();
      const reader = right.reader();
      const waiting = reader.wait();
      await pause(ASLEEP_MS);
      const at = writer.reserve(16);
      writer.view.setUint32(at, 42, true);
      writer.commit(16);
      writer.flush();
      assert.equal(await waiting, true);
      assert.ok(reader.next());
      assert.equal(reader.view.getUint32(reader.offset, true), 42);
      assert.deepEqual([reader.length, reader.message], [16, 1]);
      assert.equal(reader.next(), false);
      assert.equal(reader.waitSync(5), false);
      const sent = stuff(left, 500);
      assert.equal(writer.reserve(500), -1);
      assert.equal(writer.waitSync(5), false);
      let received = 0;
      while (reader.next()) received++;
      assert.equal(writer.waitSync(1000), true);
      await left.close({ drainDeadlineMs: 0 });
      while (reader.waitSync(1000)) if (reader.next()) received++;
      assert.equal(received, sent);
      assert.ok(reader.ended);
    });
  });

  test("trust: a trusting reader looks at the writer's memory, a mistrusting one at its own", async () => {
    await withPair({}, async (left, right) => {
      const [buffer] = left.getWriteBuf(64);
      const view = buffer.bytes;
      view.fill(1);
      left.commit(buffer);
      left.flush();
      const [read] = right.getReadBuf();
      view.fill(2);
      const shared = combination.transport.startsWith("mempipe") || combination.transport === "shmem-pipe";
      const inPlace = shared && combination.trust === "trusted";
      assert.deepEqual(read.bytes, new Uint8Array(64).fill(inPlace ? 2 : 1));
      const matters = shared || combination.transport === "vmsplice-coop";
      assert.equal(right.trust, matters ? combination.trust : "n/a");
      read.release();
    });
  });
}
