/** Conformance: to a transport and away from it, in use: late buffers, held buffers, cursors, refusals, ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { channelPair, type Handle, isFableError, type Reconfiguration, xpoll } from "../../mod.ts";
import type { ReconfigureListener } from "../../src/naming/service.ts";
import { CONNECTION } from "../../src/xio/handle.ts";
import { obeyBroker } from "../../src/xio/obey.ts";
import { orderMoves, readMoving, type SwitchPlan, writeMoving } from "../xio/switching.ts";
import { type Combination, patterned, pause, until, type WithPair } from "./matrix.ts";

async function received(handle: Handle): Promise<Uint8Array | undefined> {
  return await handle.receive({ timeoutMs: 4000 });
}

export function movingTests(withPair: WithPair, combination: Combination): void {
  const { transport, trust } = combination;
  const other = transport === "mempipe" ? "unix" : "mempipe";

  test("to it and from it under load", async () => {
    const plan: SwitchPlan = { seed: 5, transports: [transport, other], moves: 20, maxBytes: 100_000, ringBytes: [0, 0, 16_384] };
    await withPair({ drainDeadlineMs: 3 }, async (left, right) => {
      const sent: (number | undefined)[] = [undefined, undefined];
      let ordering = true;
      const write = async (way: number): Promise<void> => {
        sent[way] = await writeMoving(way === 0 ? left : right, plan, way, () => !ordering);
      };
      await Promise.all([
        orderMoves(left, plan, 0).finally(() => ordering = false),
        write(0),
        write(1),
        readMoving(right, plan, 0, () => sent[0]),
        readMoving(left, plan, 1, () => sent[1]),
      ]);
      assert.ok(left.epochs.outgoing.epoch > 2);
    });
  });

  test("late buffers keep their memory and their place; shortened, released, and those behind them", async () => {
    await withPair({ drainDeadlineMs: 0 }, async (left, right) => {
      const steps: Reconfiguration[] = [];
      left.onReconfiguration((step) => steps.push(step));
      const [first] = left.getWriteBuf(100);
      const [second] = left.getWriteBuf(100);
      const [third] = left.getWriteBuf(100);
      const [fourth] = left.getWriteBuf(100);
      first.bytes.set(patterned(1, 100));
      third.bytes.set(patterned(3, 100));
      left.commit(third);
      const { epoch } = left.epochs.outgoing;
      await left.reconfigure(other, { direction: "outgoing" });
      assert.deepEqual(left.epochs.outgoing, { epoch: epoch + 1, transport: other });
      assert.deepEqual([first.epoch, left.getWriteBuf(10).map((buffer) => buffer.epoch)[0]], [epoch, epoch + 1]);
      // Filled before and after.
      assert.deepEqual(first.bytes, patterned(1, 100));
      second.bytes.set(patterned(2, 100));
      left.commit(second, 40);
      left.release(fourth);
      assert.ok(fourth.spent);
      assert.equal(right.tryReceive(), undefined, "they wait for the first");
      left.commit(first);
      left.flush();
      assert.deepEqual(await received(right), patterned(1, 100));
      assert.deepEqual(await received(right), patterned(2, 40));
      assert.deepEqual(await received(right), patterned(3, 100));
      assert.equal(left.stats().lateBuffers, 3);
      await until(() => steps.some(({ phase }) => phase === "moved"));
      const moved = steps.find(({ phase }) => phase === "moved")!;
      assert.deepEqual([moved.lateBuffers, moved.from, moved.to, moved.epoch, moved.reason], [3, transport, other, epoch + 1, "program"]);
      assert.throws(() => left.commit(first), (error) => isFableError(error, "SPENT_BUFFER"));
    });
  });

  test("a cursor's reservation that a move overtakes is committed all the same", async () => {
    await withPair({ drainDeadlineMs: 0 }, async (left, right) => {
      const writer = left.writer();
      const at = writer.reserve(64);
      await left.reconfigure(other, { direction: "outgoing" });
      writer.bytes.set(patterned(7, 64), at);
      writer.commit(64);
      left.send("behind it");
      assert.deepEqual(await received(right), patterned(7, 64));
      assert.equal(new TextDecoder().decode(await received(right)), "behind it");
      assert.equal(left.stats().lateBuffers, 1);
    });
  });

  test("who waits for more room than the next ring has learns that it can go on", async () => {
    await withPair({ ringBytes: 65_536, drainDeadlineMs: 0 }, async (left, right) => {
      const size = left.writer().maxBytes;
      while (left.getWriteBuf(size).map((buffer) => left.commit(buffer, 500)).length !== 0);
      const moving = left.reconfigure(other, { direction: "outgoing", ringBytes: 4096 });
      const writable = left.waitWritable({ timeoutMs: 4000 });
      const reading = (async () => {
        while ((await right.receive())?.length === 500);
      })();
      await moving;
      assert.equal(await writable, true);
      const buffers = left.getWriteBuf(size);
      assert.equal(buffers.length, 1, "a message that is longer than its ring lies in memory of its own");
      left.commit(buffers);
      left.flush();
      await reading;
    });
  });

  test("held read buffers stay what they are, and count", async () => {
    await withPair({ maxHeldBuffers: 4 }, async (left, right) => {
      for (let number = 0; number < 3; number++) left.send(patterned(number, 50));
      left.flush();
      await right.waitReadable({ timeoutMs: 4000 });
      const held = [...right.getReadBuf()];
      while (held.length < 3) {
        await right.waitReadable({ timeoutMs: 4000 });
        held.push(...right.getReadBuf());
      }
      await left.reconfigure(other, { direction: "outgoing" });
      for (let number = 3; number < 6; number++) left.send(patterned(number, 50));
      left.flush();
      await right.waitReadable({ timeoutMs: 4000 });
      held.push(...right.getReadBuf());
      assert.equal(held.length, 4);
      assert.equal(right.getReadBuf().length, 0);
      for (const [number, buffer] of held.entries()) assert.deepEqual(buffer.bytes, patterned(number, 50));
      assert.equal(held[3].epoch, held[0].epoch + 1);
      for (const buffer of held.reverse()) buffer.release();
      assert.deepEqual(await received(right), patterned(4, 50));
      assert.deepEqual(await received(right), patterned(5, 50));
      const { code, delivered } = await left.close();
      assert.deepEqual([code, delivered], ["CLOSED", 6]);
    });
  });

  test("an order is awaited in a set, aborted, replaced, and ends with the channel", async () => {
    await withPair({}, async (left, right) => {
      const polling = xpoll([{ on: left, want: "reconfiguration" }], { timeoutMs: 4000 });
      const open = left.getWriteBuf(10);
      const abort = new AbortController();
      const aborted = left.reconfigure(other, { direction: "outgoing", signal: abort.signal });
      aborted.catch(() => {});
      assert.equal((await polling)[0].reconfiguration, true);
      assert.equal(left.reconfigurations.take()?.phase, "pending");
      abort.abort();
      await assert.rejects(aborted, (error) => isFableError(error, "ABORTED"));
      left.release(open);
      await pause(5);
      assert.equal(left.epochs.outgoing.transport, transport, "taken back");
      const again = left.getWriteBuf(10);
      const first = left.reconfigure(other, { direction: "outgoing" });
      const second = left.reconfigure(transport === "tcp" ? "pipe" : "tcp", { direction: "outgoing" });
      await assert.rejects(first, (error) => isFableError(error, "SUPERSEDED"));
      left.release(again);
      await second;
      const last = left.getWriteBuf(10);
      const ending = left.reconfigure(transport, { direction: "outgoing" });
      ending.catch(() => {});
      await right.close({ drainDeadlineMs: 0 });
      await assert.rejects(ending, (error) => isFableError(error, "CLOSED"));
      left.release(last);
      await assert.rejects(left.reconfigure(transport), (error) => isFableError(error, "CLOSED"));
    });
  });

  test("a half-close in the middle of a move: everything comes, then the end", async () => {
    await withPair({}, async (left, right) => {
      for (let number = 0; number < 20; number++) left.send(patterned(number, 300));
      const moving = left.reconfigure(other, { direction: "outgoing" }).then(() => "moved", (error: { code: string }) => error.code);
      for (let number = 20; number < 40; number++) left.send(patterned(number, 300));
      await left.closeWrite();
      for (let number = 0; number < 40; number++) assert.deepEqual(await received(right), patterned(number, 300));
      assert.equal(await received(right), undefined);
      assert.ok(["moved", "CLOSED"].includes(await moving));
    });
  });

  test("orders of the broker are obeyed, by both ends at once", async () => {
    await withPair({}, async (left, right) => {
      const listeners: ReconfigureListener[] = [];
      const names = { onReconfigure: (_: string, listener: ReconfigureListener) => (listeners.push(listener), () => {}) };
      for (const handle of [left, right]) obeyBroker(names, "flow", handle[CONNECTION]);
      const obeyed = (listener: ReconfigureListener): Promise<void> => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        listener({ transport: other, reason: "operator" }, (error) => error === undefined ? resolve() : reject(error));
        return promise;
      };
      await Promise.all(listeners.map(obeyed));
      assert.deepEqual([left.transport, right.transport], [other, other]);
      const steps = Array.from({ length: left.reconfigurations.waiting }, () => left.reconfigurations.take()!);
      assert.ok(steps.some(({ reason, to }) => reason === "operator" && to === other));
    });
  });

  if (trust === "untrusted") {
    test("vmsplice-coop is refused by name to an end that is not trusted", async () => {
      await withPair({}, async (left, right) => {
        await assert.rejects(left.reconfigure("vmsplice-coop"), (error) => isFableError(error, "UNSUPPORTED_TRANSPORT"));
        assert.throws(() => channelPair({ trust, transport: "vmsplice-coop" }), (error) => isFableError(error, "UNSUPPORTED_TRANSPORT"));
        left.send("still there");
        assert.equal(new TextDecoder().decode(await received(right)), "still there");
      });
    });
  }
}
