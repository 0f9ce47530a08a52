/** Random uses of an outside stream, repeatable by their seed: whatever is sent in whatever form arrives whole and in order. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Buffer, channelPair, connect, listen, type WriteBuffer } from "../../mod.ts";
import { Arena, type Lease } from "../../src/xio/outside/arena.ts";
import { randomFrom } from "../transport/fake_ring.ts";
import { hash, pattern, pause, soon } from "./outside_support.ts";

test("pieces of an arena never overlap, and all of it comes back", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomFrom(seed);
    const arena = new Arena(4096);
    let taken: Lease[] = [];
    for (let step = 0; step < 500; step++) {
      const choice = random(10);
      const size = random(random(2) === 0 ? 64 : 2000);
      if (choice < 5) {
        const at = arena.place(size);
        assert.ok(at >= 0 || arena.room < Math.max(1, size), `seed ${seed}: ${size} bytes find no place in ${arena.room}`);
        if (at >= 0) taken.push(arena.take(at, size));
      } else if (choice === 5 && taken.length > 0) arena.extend(taken[random(taken.length)], size);
      else if (choice === 6 && taken.length > 0) {
        arena.shrink(taken[taken.length - 1], random(taken[taken.length - 1].end - taken[taken.length - 1].at));
      } else if (taken.length > 0) arena.free(taken.splice(random(taken.length), 1)[0]);
      const sorted = [...taken].sort((left, right) => left.at - right.at);
      for (const [index, { at, end }] of sorted.entries()) {
        assert.ok(at >= 0 && end <= 4096 && at < end && (sorted[index + 1]?.at ?? 4096) >= end, `seed ${seed}, step ${step}`);
      }
    }
    for (const lease of taken) arena.free(lease);
    taken = [];
    assert.equal(arena.room, 4096);
  }
});

describe("a stream", () => {
  for (let seed = 1; seed <= 8; seed++) {
    test(`carries what random uses send, seed ${seed}`, async () => {
      const random = randomFrom(seed);
      const options = { bufferBytes: 65_536, checked: seed % 2 === 0 };
      await using server = await listen(seed % 3 === 0 ? "unix:@fable-test-random" : "tcp://127.0.0.1:0");
      const [far, near] = await Promise.all([server.accept(), connect(server.name, options)]);
      const [source, lender] = channelPair({ ringBytes: 65_536 });
      const arrived: Uint8Array[] = [];
      const reading = (async () => {
        for (;;) {
          if (random(20) === 0) await pause(1);
          const part = await far.receive();
          if (part === undefined) return;
          arrived.push(part);
        }
      })();
      const expected: Uint8Array[] = [];
      const waiting: Promise<void>[] = [];
      let open: { readonly buffer: WriteBuffer; readonly place: number }[] = [];
      const finish = ({ buffer, place }: { readonly buffer: WriteBuffer; readonly place: number }): void => {
        if (random(4) === 0) return buffer.release();
        const bytes = pattern(random(buffer.size + 1), place);
        buffer.bytes.set(bytes);
        assert.ok(near.commit(buffer, bytes.length));
        expected[place] = bytes;
      };
      for (let step = 0; step < 600; step++) {
        const choice = random(8);
        const bytes = pattern(random([10, 1000, 20_000, 200_000][random(4)]), step);
        const place = expected.push(new Uint8Array(0)) - 1;
        if (choice < 3) {
          expected[place] = bytes;
          const sending = near.send(bytes);
          if (sending !== undefined) waiting.push(sending);
        } else if (choice === 3 && bytes.length <= 65_536) {
          if (near.trySend(bytes)) expected[place] = bytes;
        } else if (choice === 4) {
          const [buffer] = near.getWriteBuf(random(9000));
          if (buffer !== undefined) open.push({ buffer, place });
        } else if (choice === 5 && bytes.length <= 20_000) {
          source.send(bytes);
          source.flush();
          const lent: readonly Buffer[] = lender.getReadBuf();
          if (near.commit(lent)) expected[place] = bytes;
          else lender.release(lent);
        } else if (choice === 6 && open.length > 0) finish(open.splice(random(open.length), 1)[0]);
        else if (choice === 7) near.flush();
        if (random(10) === 0) await pause(0);
        if (random(50) === 0 && open.length === 0) await soon(Promise.all(waiting.splice(0)), "room");
      }
      for (const each of open) finish(each);
      open = [];
      await soon(Promise.all(waiting), "room");
      await near.closeWrite();
      await soon(reading, "the end");
      assert.equal(hash(...arrived), hash(...expected), `seed ${seed}`);
      await Promise.all([near, far, source, lender].map((handle) => handle.close({ drainDeadlineMs: 0 })));
    });
  }
});
