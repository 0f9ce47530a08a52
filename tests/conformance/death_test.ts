/** Conformance over two processes: abrupt death, in every transport, and between the two runtimes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Handle, isFableError } from "../../mod.ts";
import { loadNative } from "../../src/native/load.ts";
import { directListen } from "../../src/xio/direct.ts";
import { type Program, RUNTIMES, World } from "../process/harness.ts";
import { anySize, type Combination, combinations, patterned, randomFrom } from "./matrix.ts";

interface Scene {
  readonly handle: Handle;
  readonly program: Program;
}

/** Starts a peer that does `job`, in the runtime whose turn it is. */
async function withPeer(combination: Combination, turn: number, job: string, use: (scene: Scene) => Promise<void>): Promise<void> {
  const world = new World();
  const path = join(world.folder, "direct.sock");
  const listener = directListen(loadNative(), path, { trust: combination.trust, ringBytes: 16_384 });
  try {
    const accepted = listener.accept();
    const program = world.run(RUNTIMES[turn % RUNTIMES.length], "tests/conformance/peer_program.ts", [
      path,
      combination.transport,
      combination.trust,
      job,
    ]);
    const handle = await accepted;
    try {
      await use({ handle, program });
    } finally {
      await handle.close({ drainDeadlineMs: 0 });
    }
  } finally {
    listener.close();
    await world.close();
  }
}

const peerDead = (error: unknown): boolean => isFableError(error, "PEER_DEAD");

for (const [index, combination] of combinations.entries()) {
  describe(`${combination.transport}, ${combination.trust}: a peer that dies`, () => {
    test("while writing: everything it committed is read, nothing torn, then PEER_DEAD", async () => {
      await withPeer(combination, index, "write", async ({ handle, program }) => {
        const random = randomFrom(11);
        let number = 0;
        const reading = (async () => {
          for await (const message of handle) {
            assert.deepEqual(message, patterned(number++, anySize(random, 20_000)));
            if (number === 200) program.kill();
          }
        })();
        await assert.rejects(reading, peerDead);
        assert.ok(number >= 200);
        assert.equal((await handle.closed).code, "PEER_DEAD");
      });
    });

    test("while it is waited for: the sleeper wakes", async () => {
      await withPeer(combination, index + 1, "hold", async ({ handle, program }) => {
        await program.next("holding");
        assert.deepEqual(await handle.receive(), patterned(0, 50));
        const receiving = handle.receive();
        const polling = handle.waitReadable();
        setTimeout(() => program.kill(), 5);
        await assert.rejects(receiving, peerDead);
        assert.equal(await polling, false);
        assert.throws(() => handle.send("more"), peerDead);
        assert.equal(handle.ended, true);
      });
    });

    test("in the middle of a long message: the whole ones before it are read, the torn one is not", async () => {
      await withPeer(combination, index, "long", async ({ handle, program }) => {
        await program.next("halfway");
        program.kill();
        assert.deepEqual(await handle.receive(), patterned(0, 50));
        await assert.rejects(handle.receive(), peerDead);
      });
    });

    test("while its reader's side is full: the writer is freed", async () => {
      await withPeer(combination, index + 1, "read", async ({ handle, program }) => {
        const sending = (async () => {
          for (;;) await handle.send(new Uint8Array(1000));
        })();
        await program.next("reading");
        setTimeout(() => program.kill(), 5);
        await assert.rejects(sending, peerDead);
        const reason = await handle.closed;
        assert.equal(reason.code, "PEER_DEAD");
        assert.ok(reason.delivered < reason.sent);
        assert.match(reason.message, /not delivered/);
      });
    });

    test("with a buffer of its lent here: the bytes stay until they are released", async () => {
      await withPeer(combination, index, "hold", async ({ handle, program }) => {
        await program.next("holding");
        await handle.waitReadable();
        const [buffer] = handle.getReadBuf();
        const view = buffer.bytes;
        program.kill();
        assert.equal((await handle.closed).code, "PEER_DEAD");
        assert.deepEqual(view, patterned(0, 50));
        buffer.release();
        await assert.rejects(handle.receive(), peerDead);
      });
    });

    test("by leaving: what it flushed is read", async () => {
      await withPeer(combination, index + 1, "exit", async ({ handle, program }) => {
        await program.exited();
        for (let number = 0; number < 20; number++) assert.deepEqual(await handle.receive(), patterned(number, 10));
        await assert.rejects(handle.receive(), peerDead);
      });
    });

    test("not at all: an echo between two processes, closed in good order", async () => {
      await withPeer(combination, index, "echo", async ({ handle, program }) => {
        const random = randomFrom(5);
        const messages = Array.from({ length: 300 }, (_, number) => patterned(number, anySize(random, 40_000)));
        const sending = (async () => {
          for (const message of messages) await handle.send(message);
        })();
        for (const message of messages) assert.deepEqual(await handle.receive(), message);
        await sending;
        const reason = await handle.close();
        assert.deepEqual([reason.code, reason.sent, reason.delivered, reason.received], ["CLOSED", 300, 300, 300]);
        assert.equal((await program.next("closed")).sent, 300);
        assert.deepEqual(await program.exited(), { code: 0, signal: null });
      });
    });
  });
}
