/** Conformance: buffers lent in place (paper §3.1.3): arrays, order, shortening, cancelling, single use, foreign commits, limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY, ENOSPACE, type Handle, isFableError, type ReadBuffer, type WriteBuffer } from "../../mod.ts";
import { arenaBytes, type Combination, lendsInAnyOrder, lendsPieces, patterned, sharesMemory, stuff, type WithPair } from "./matrix.ts";

/** Fills the pieces of one message with a pattern. */
function fill(buffers: readonly WriteBuffer[], number: number, size: number): void {
  const message = patterned(number, size);
  let from = 0;
  for (const buffer of buffers) buffer.bytes.set(message.subarray(from, from += buffer.size));
}

async function expectMessages(handle: Handle, messages: readonly Uint8Array[]): Promise<void> {
  for (const [index, message] of messages.entries()) {
    assert.deepEqual(await handle.receive({ timeoutMs: 5000 }), message, `message ${index}`);
  }
}

const spent = (error: unknown): boolean => isFableError(error, "SPENT_BUFFER");

export function bufferTests(withPair: WithPair, combination: Combination): void {
  const lent = lendsPieces(combination);

  test("arrays: a long message is written in pieces, and read in pieces that know their message and the last", async () => {
    await withPair({ ringBytes: 65536 }, async (left, right) => {
      let pieces = 0;
      for (let number = 1; number <= 20; number++) {
        const size = Math.floor(arenaBytes(combination, 65536) * 0.45);
        const buffers = left.getWriteBuf(size);
        assert.equal(buffers.length >= 2, lent, "more than a quarter of the ring");
        assert.equal(buffers.reduce((sum, buffer) => sum + buffer.size, 0), size);
        assert.deepEqual(buffers.map((buffer) => buffer.last), buffers.map((_, index) => index === buffers.length - 1));
        fill(buffers, number, size);
        // In any order.
        for (const buffer of [...buffers].reverse()) left.commit(buffer);
        await right.waitReadable();
        const read = right.getReadBuf();
        pieces += read.length;
        assert.deepEqual(Buffer.concat(read.map((buffer) => buffer.bytes)), Buffer.from(patterned(number, size)));
        assert.ok(read.every((buffer) => buffer.message === number));
        assert.deepEqual(read.map((buffer) => buffer.last), read.map((_, index) => index === read.length - 1));
        right.release(read);
      }
      assert.ok(!lent || pieces > 20, "most were lent in pieces");
    });
  });

  test("order is the order of getWriteBuf: a commit waits for those opened before it", async () => {
    await withPair({}, async (left, right) => {
      const [first] = left.getWriteBuf(10);
      const [second] = left.getWriteBuf(10);
      const [third] = left.getWriteBuf(10);
      for (const [number, buffer] of [first, second, third].entries()) fill([buffer], number, 10);
      left.commit(third);
      left.send(patterned(3, 10));
      left.commit(second);
      left.flush();
      await right.waitReadable({ timeoutMs: 20 }).then(() => assert.fail("something passed an open buffer"), () => {});
      left.commit(first);
      await expectMessages(right, [0, 1, 2, 3].map((number) => patterned(number, 10)));
    });
  });

  test("shorten: the rest is never seen, and a short message in a long buffer takes little of the ring", async () => {
    await withPair({ ringBytes: 8192 }, async (left, right) => {
      for (let number = 0; number < 20; number++) {
        const buffers = left.getWriteBuf(1500);
        fill(buffers, number, 1500);
        assert.ok(left.commit(buffers, number));
      }
      await expectMessages(right, Array.from({ length: 20 }, (_, number) => patterned(number, number)));
      // In the middle of the ring's order: the place stays, the message is short.
      const [open] = left.getWriteBuf(100);
      const [behind] = left.getWriteBuf(100);
      fill([open], 1, 100);
      fill([behind], 2, 100);
      left.commit(behind, 50);
      left.commit(open, 7);
      await expectMessages(right, [patterned(1, 7), patterned(2, 50)]);
    });
  });

  test("shorten: a message in pieces may end in any of them, also in the first, also empty", async () => {
    const ringBytes = arenaBytes(combination, 16384);
    const scale = ringBytes / 16384;
    await withPair({ ringBytes }, async (left, right) => {
      for (const size of [7600 * scale, 5000 * scale, 4096 * scale, 4000 * scale, 100, 1, 0]) {
        const buffers = left.getWriteBuf(7600 * scale);
        assert.equal(buffers.length > 1, lent);
        fill(buffers, 9, 7600 * scale);
        assert.ok(left.commit(buffers, size));
        assert.deepEqual(await right.receive({ timeoutMs: 5000 }), patterned(9, size), `${size} bytes`);
      }
      // Each piece by itself shortened: the message is what is left of them.
      const buffers = left.getWriteBuf(7600 * scale);
      for (const [index, buffer] of buffers.entries()) {
        buffer.bytes.fill(index + 1);
        left.commit(buffer, 10);
      }
      assert.deepEqual(await right.receive(), new Uint8Array(buffers.flatMap((_, index) => new Array(10).fill(index + 1))));
    });
  });

  test("cancel: a released write buffer leaves no trace, wherever it stood", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      for (let round = 0; round < 60; round++) {
        const buffers = Array.from({ length: 5 }, () => left.getWriteBuf(60)[0]);
        for (const [number, buffer] of buffers.entries()) fill([buffer], round + number, 60);
        const cancelled = round % 5;
        left.release(buffers[cancelled]);
        for (const [number, buffer] of buffers.entries()) if (number !== cancelled) left.commit(buffer);
        await expectMessages(
          right,
          [0, 1, 2, 3, 4].filter((number) => number !== cancelled).map((number) => patterned(round + number, 60)),
        );
      }
      // One piece cancelled is the message cancelled.
      const pieces = left.getWriteBuf(1400);
      left.release(pieces[pieces.length - 1]);
      for (const piece of pieces) assert.ok(piece.spent);
      left.send("after it");
      await expectMessages(right, [new TextEncoder().encode("after it")]);
      assert.equal(left.stats().messagesSent, 60 * 4 + 1);
    });
  });

  test("ENOSPACE for writing: a value, and room again after the reader took something", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const open: WriteBuffer[] = [];
      for (let buffers = left.getWriteBuf(100); buffers !== ENOSPACE; buffers = left.getWriteBuf(100)) open.push(...buffers);
      assert.ok(open.length > (lent ? 20 : 10));
      assert.equal(left.trySend(new Uint8Array(100)), false);
      for (const [number, buffer] of open.entries()) {
        fill([buffer], number, 100);
        left.commit(buffer);
      }
      let sent = open.length;
      for (let buffers = left.getWriteBuf(100); buffers !== ENOSPACE; buffers = left.getWriteBuf(100)) {
        fill(buffers, sent++, 100);
        left.commit(buffers);
        left.flush();
      }
      const waiting = left.waitWritable({ timeoutMs: 5000 });
      await expectMessages(right, Array.from({ length: sent }, (_, number) => patterned(number, 100)));
      assert.equal(await waiting, true);
      assert.notEqual(left.getWriteBuf(100), ENOSPACE);
    });
  });

  test("ENOSPACE for reading: too many held buffers, and none is lost", async () => {
    await withPair({ maxHeldBuffers: 10 }, async (left, right) => {
      for (let number = 0; number < 25; number++) left.send(patterned(number, 20));
      const held: ReadBuffer[] = [];
      for (;;) {
        await right.waitReadable();
        const buffers = right.getReadBuf();
        if (buffers === ENOSPACE) break;
        held.push(...buffers);
      }
      assert.equal(held.length, 10);
      assert.equal(right.getReadBuf(), ENOSPACE);
      right.release(held[9]);
      right.release(held[0]);
      for (const [number, buffer] of held.entries()) if (!buffer.spent) assert.deepEqual(buffer.bytes, patterned(number, 20));
      for (const [index, buffer] of held.entries()) if (index > 0 && index < 9) buffer.release();
      await expectMessages(right, Array.from({ length: 15 }, (_, index) => patterned(10 + index, 20)));
    });
  });

  test("ENOSPACE for reading: held memory that keeps the writer from going on", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const sent = stuff(left, 200);
      let received = 0;
      while (received < sent) {
        const held: ReadBuffer[] = [];
        while (held.length < sent - received) {
          const buffers = right.getReadBuf();
          if (buffers === ENOSPACE) break;
          held.push(...buffers);
          // EMPTY says that waiting helps; with so much held that the writer is stuck, it would not.
          if (buffers === EMPTY) await right.waitReadable({ timeoutMs: 5000 });
        }
        for (const buffer of held) assert.deepEqual(buffer.bytes, patterned(received++, 200));
        right.release(held);
      }
      assert.equal(right.getReadBuf(), EMPTY);
      assert.ok(left.trySend(patterned(0, 200)));
    });
  });

  if (sharesMemory(combination)) {
    test("memory comes back in the order of a ring, of a heap in any order", async () => {
      await withPair({ ringBytes: 16_384, maxHeldBuffers: 1000 }, async (left, right) => {
        left.send(patterned(0, 400));
        await right.waitReadable();
        const [first] = right.getReadBuf();
        let number = 1;
        const held: ReadBuffer[] = [];
        for (let bytes = 0; bytes < 65_536 && left.trySend(patterned(number, 400)); bytes += 400) {
          left.flush();
          await right.waitReadable({ timeoutMs: 5000 });
          const [buffer] = right.getReadBuf();
          assert.deepEqual(buffer.bytes, patterned(number++, 400));
          held.push(buffer);
          // Two stay out at a time, and the later ones go first.
          if (held.length === 3) right.release(held.splice(1).reverse());
        }
        assert.equal(number > 65_536 / 400, lendsInAnyOrder(combination), `${number} messages beside one that is held`);
        assert.deepEqual(first.bytes, patterned(0, 400));
        right.release([first, ...held]);
        left.send(patterned(number, 400));
        await expectMessages(right, [patterned(number, 400)]);
      });
    });
  }

  test("single use: a spent buffer throws, whatever ended it", async () => {
    await withPair({}, async (left, right) => {
      const [committed] = left.getWriteBuf(10);
      left.commit(committed);
      const [cancelled] = left.getWriteBuf(10);
      left.release(cancelled);
      await right.waitReadable();
      const [released] = right.getReadBuf();
      released.release();
      for (const buffer of [committed, cancelled, released]) {
        assert.ok(buffer.spent);
        assert.throws(() => buffer.bytes, spent);
        assert.throws(() => left.commit(buffer), spent);
        // Releasing twice is harmless, so that `using` and release go together.
        buffer.release();
      }
      {
        using scoped = left.getWriteBuf(10)[0];
        assert.equal(scoped.spent, false);
      }
      assert.throws(() => left.commit(left.getWriteBuf(10)[0], 11), (error) => isFableError(error, "BAD_ARGUMENT"));
    });
  });

  test("checked: bytes are detached when the buffer ends", async () => {
    await withPair({ checked: true }, async (left, right) => {
      for (const size of [50, 30_000]) {
        const written = left.getWriteBuf(size);
        const views = written.map((buffer) => buffer.bytes);
        fill(written, 4, size);
        left.commit(written);
        for (const view of views) assert.equal(view.byteLength, 0);
        await right.waitReadable();
        const read = right.getReadBuf();
        const seen = read.map((buffer) => buffer.bytes);
        assert.deepEqual(new Uint8Array(seen.flatMap((view) => [...view])), patterned(4, size));
        right.release(read);
        for (const view of seen) assert.equal(view.byteLength, 0);
      }
    });
  });

  test("foreign commit: buffers of another channel are copied and released at home", async () => {
    await withPair({}, async (left, right) => {
      await withPair({ ringBytes: 8192 }, async (from, to) => {
        // What was read here goes out there: small ones, and one in pieces.
        for (let number = 0; number < 3; number++) left.send(patterned(number, 100));
        const long = left.getWriteBuf(20_000);
        fill(long, 3, 20_000);
        left.commit(long);
        left.flush();
        await right.waitReadable();
        const read = right.getReadBuf();
        const small = read.filter((buffer) => buffer.message <= 3);
        assert.ok(from.commit(small));
        for (const buffer of small) assert.ok(buffer.spent);
        await expectMessages(to, [0, 1, 2].map((number) => patterned(number, 100)));
        const rest = read.filter((buffer) => buffer.message > 3);
        assert.ok(rest.length >= 1);
        assert.ok(from.commit(rest));
        await expectMessages(to, [patterned(3, 20_000)]);
        // A write buffer of the other channel: its message is cancelled there. An own read buffer: an echo.
        const [foreign] = left.getWriteBuf(64);
        fill([foreign], 8, 64);
        assert.ok(from.commit(foreign, 40));
        await expectMessages(to, [patterned(8, 40)]);
        from.send(patterned(5, 33));
        await to.waitReadable();
        assert.ok(to.commit(to.getReadBuf()));
        await expectMessages(from, [patterned(5, 33)]);
        left.send("nothing stayed behind");
        await expectMessages(right, [new TextEncoder().encode("nothing stayed behind")]);
      });
    });
  });

  test("foreign commit: without room nothing is spent and nothing is sent", async () => {
    await withPair({}, async (left, right) => {
      await withPair({ ringBytes: 4096 }, async (from, to) => {
        const fillers = stuff(from, 300);
        for (let number = 0; number < 2; number++) left.send(patterned(number, 500));
        left.flush();
        await right.waitReadable();
        const read = right.getReadBuf();
        assert.equal(from.commit(read), false);
        for (const buffer of read) assert.equal(buffer.spent, false);
        await expectMessages(to, Array.from({ length: fillers }, (_, number) => patterned(number, 300)));
        assert.ok(from.commit(read));
        await expectMessages(to, [patterned(0, 500), patterned(1, 500)]);
      });
    });
  });
}
