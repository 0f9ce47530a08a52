/** Conformance: backpressure, half-close, drain, closing, deadlines and signals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ENDED, isFableError } from "../../mod.ts";
import { patterned, pause, stuff, turn, until, type WithPair } from "./matrix.ts";

export function endingTests(withPair: WithPair): void {
  test("backpressure: send waits while the ring is full, keeps order, and a queue that is too long is refused", async () => {
    await withPair({ ringBytes: 4096, maxQueuedSends: 50 }, async (left, right) => {
      let sent = stuff(left, 100);
      const waiting = left.send(patterned(sent++, 100))!;
      const more = Array.from({ length: 49 }, () => left.send(patterned(sent++, 100)));
      assert.equal(left.trySend(patterned(0, 1)), false, "nothing passes those that wait");
      await assert.rejects(async () => await left.send(patterned(0, 1)), (error) => isFableError(error, "ENOSPACE"));
      let settled = false;
      void waiting.then(() => settled = true);
      await pause(5);
      assert.equal(settled, false);
      for (let number = 0; number < sent; number++) assert.deepEqual(await right.receive({ timeoutMs: 5000 }), patterned(number, 100));
      await Promise.all([waiting, ...more]);
    });
  });

  test("a waiting send can be aborted and leaves no trace", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const sent = stuff(left, 100);
      const abort = new AbortController();
      const aborted = left.send(patterned(0, 100), { signal: abort.signal });
      const kept = left.send("kept");
      abort.abort();
      await assert.rejects(async () => await aborted, (error) => isFableError(error, "ABORTED"));
      for (let number = 0; number < sent; number++) await right.receive();
      assert.equal(new TextDecoder().decode(await right.receive()), "kept");
      await kept;
    });
  });

  test("half-close: the end comes after everything, the other direction goes on", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const closing = (async () => {
        for (let number = 0; number < 200; number++) void left.send(patterned(number, 70));
        await left.closeWrite();
      })();
      let count = 0;
      for await (const message of right) assert.deepEqual(message, patterned(count++, 70));
      await closing;
      assert.equal(count, 200);
      assert.equal(right.getReadBuf(), ENDED);
      assert.equal(await right.receive(), undefined);
      assert.throws(() => left.send("more"), (error) => isFableError(error, "CLOSED"));
      assert.throws(() => left.getWriteBuf(), (error) => isFableError(error, "CLOSED"));
      right.send("still here");
      assert.equal(new TextDecoder().decode(await left.receive()), "still here");
      await right.closeWrite();
      assert.equal(await left.receive(), undefined);
      assert.equal((await left.closed).code, "ENDED");
      assert.equal((await right.closed).code, "ENDED");
    });
  });

  test("half-close waits for open buffers and queued sends", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const [open] = left.getWriteBuf(10);
      let done = false;
      const closed = left.closeWrite().then(() => done = true);
      await turn();
      assert.equal(done, false);
      left.commit(open);
      await closed;
      assert.equal((await right.receive())?.length, 10);
      assert.equal(await right.receive(), undefined);
    });
  });

  test("close drains: what was sent arrives, the answer says so", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      for (let number = 0; number < 300; number++) void left.send(patterned(number, 60));
      const closing = left.close({ drainDeadlineMs: 10_000 });
      let count = 0;
      for await (const message of right) assert.deepEqual(message, patterned(count++, 60));
      assert.equal(count, 300);
      const reason = await closing;
      assert.deepEqual([reason.code, reason.sent, reason.delivered], ["CLOSED", 300, 300]);
      assert.equal((await right.closed).code, "PEER_CLOSED");
      assert.equal(await left.closed, reason);
      assert.equal(await left.close(), reason, "closing again is the same close");
    });
  });

  test("close has a deadline and reports what was not delivered; open buffers are cancelled", async () => {
    await withPair({}, async (left, right) => {
      for (let number = 0; number < 10; number++) left.send(patterned(number, 60));
      const [open] = left.getWriteBuf(10);
      const reason = await left.close({ drainDeadlineMs: 20 });
      assert.deepEqual([reason.code, reason.sent, reason.delivered], ["CLOSED", 10, 0]);
      assert.match(reason.message, /10 messages were not delivered/);
      assert.ok(open.spent);
      assert.throws(() => open.bytes, (error) => isFableError(error, "SPENT_BUFFER"));
      assert.throws(() => left.send("more"), (error) => isFableError(error, "CLOSED"));
      assert.equal(await left.receive(), undefined);
      // Committed is committed: it can still be read, also after its writer is gone.
      let count = 0;
      for await (const message of right) assert.deepEqual(message, patterned(count++, 60));
      assert.equal(count, 10);
    });
  });

  test("a peer that closes: reading ends, writing is refused, waiting sends are rejected", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      stuff(left, 200);
      const waiting = left.send(new Uint8Array(200))!;
      const receiving = left.receive();
      right.send("good-bye");
      await right.close({ drainDeadlineMs: 0 });
      await assert.rejects(waiting, (error) => isFableError(error, "PEER_CLOSED"));
      assert.equal(new TextDecoder().decode(await receiving), "good-bye");
      assert.equal(await left.receive(), undefined);
      const reason = await left.closed;
      assert.equal(reason.code, "PEER_CLOSED");
      assert.ok(reason.delivered < reason.sent);
      assert.throws(() => left.send("more"), (error) => isFableError(error, "PEER_CLOSED"));
      assert.throws(() => left.writer().reserve(8), (error) => isFableError(error, "PEER_CLOSED"));
    });
  });

  test("a peer that closes is noticed by an end that waits for nothing", async () => {
    await withPair({}, async (left, right) => {
      let code: string | undefined;
      void left.closed.then((reason) => code = reason.code);
      await pause(5);
      await right.close();
      await until(() => code !== undefined);
      assert.equal(code, "PEER_CLOSED");
    });
  });

  test("receive: deadline, signal, several at once in order", async () => {
    await withPair({}, async (left, right) => {
      await assert.rejects(right.receive({ timeoutMs: 5 }), (error) => isFableError(error, "TIMEOUT"));
      const abort = new AbortController();
      const aborted = right.receive({ signal: abort.signal });
      const first = right.receive();
      const second = right.receive({ timeoutMs: 5000 });
      abort.abort();
      await assert.rejects(aborted, (error) => isFableError(error, "ABORTED"));
      await assert.rejects(right.receive({ signal: AbortSignal.abort() }), (error) => isFableError(error, "ABORTED"));
      left.send("1");
      left.send("2");
      assert.deepEqual((await Promise.all([first, second])).map((message) => new TextDecoder().decode(message)), ["1", "2"]);
    });
  });

  test("await using closes", async () => {
    await withPair({}, async (left, right) => {
      {
        await using scoped = left;
        scoped.send("last words");
        assert.ok(await right.receive());
      }
      assert.equal((await left.closed).code, "CLOSED");
      assert.equal(await right.receive(), undefined);
    });
  });
}
