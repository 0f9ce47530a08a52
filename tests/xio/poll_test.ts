/** xpoll over plain descriptors, alone and together with handles. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { describe, test } from "node:test";
import { channelPair, type Handle, isFableError, xpoll, xpollSync } from "../../mod.ts";
import { loadNative } from "../../src/native/load.ts";
import { check } from "../../src/native/status.ts";

/** A connected pair of sockets. */
function withSockets(use: (left: number, right: number) => Promise<void> | void): Promise<void> {
  const { library } = loadNative();
  const ends = new Int32Array(2);
  check(library, library.socketpair(1, ends), "make sockets");
  const [left, right] = ends;
  return (async () => {
    try {
      await use(left, right);
    } finally {
      for (const fd of ends) library.close(fd);
    }
  })();
}

const write = (fd: number, text: string): void => {
  const bytes = new TextEncoder().encode(text);
  const { library } = loadNative();
  assert.equal(library.write(fd, bytes, bytes.length), bytes.length);
};

const read = (fd: number): string => {
  const bytes = new Uint8Array(100);
  return new TextDecoder().decode(bytes.subarray(0, loadNative().library.read(fd, bytes, bytes.length)));
};

const readable = (on: Handle | number) => [{ on, readable: true, writable: false }];

describe("descriptors", () => {
  for (
    const [name, poll] of [["in the event loop", xpoll], [
      "blocking",
      async (...words: Parameters<typeof xpollSync>) => xpollSync(...words),
    ]] as const
  ) {
    test(`are ready when they are, ${name}`, () =>
      withSockets(async (left, right) => {
        assert.deepEqual(await poll([left, right], { timeoutMs: 5 }), []);
        assert.deepEqual(await poll([{ on: left, want: "both" }]), [{ on: left, readable: false, writable: true }]);
        write(left, "x");
        assert.deepEqual(await poll([left, right]), readable(right));
        assert.deepEqual(await poll([right]), readable(right), "ready until it is read");
        assert.equal(read(right), "x");
        assert.deepEqual(await poll([right], { timeoutMs: 1 }), []);
      }));
  }

  test("wake a wait, each time", () =>
    withSockets(async (left, right) => {
      for (let round = 0; round < 5; round++) {
        const waiting = xpoll([right], { timeoutMs: 10_000 });
        setTimeout(() => write(left, `${round}`), 2);
        assert.deepEqual(await waiting, readable(right));
        assert.equal(read(right), `${round}`);
      }
    }));

  test("that hung up count as ready for whatever was wanted", () =>
    withSockets(async (left, right) => {
      const { library } = loadNative();
      const other = library.dup(left);
      library.close(left);
      const waiting = xpoll([right], { timeoutMs: 10_000 });
      setTimeout(() => library.close(other), 2);
      assert.deepEqual(await waiting, readable(right));
    }));

  test("wait together with handles", () =>
    withSockets(async (left, right) => {
      const [one, other] = channelPair();
      let waiting = xpoll([right, other], { timeoutMs: 10_000 });
      setTimeout(() => one.send("message"), 2);
      assert.deepEqual(await waiting, readable(other));
      assert.ok(other.tryReceive());
      waiting = xpoll([right, other], { timeoutMs: 10_000 });
      setTimeout(() => write(left, "byte"), 2);
      assert.deepEqual(await waiting, readable(right));
      one.send("both");
      one.flush();
      assert.deepEqual(await xpoll([right, other]), [...readable(right), ...readable(other)]);
      assert.deepEqual(xpollSync([right, other]), [...readable(right), ...readable(other)]);
      await Promise.all([one.close({ drainDeadlineMs: 0 }), other.close({ drainDeadlineMs: 0 })]);
    }));

  test("of regular files are always ready, as in poll(2)", async () => {
    const fd = openSync(new URL(import.meta.url), "r");
    try {
      assert.deepEqual(await xpoll([fd], { timeoutMs: 1000 }), readable(fd));
      assert.deepEqual(xpollSync([fd], { timeoutMs: 1000 }), readable(fd));
    } finally {
      closeSync(fd);
    }
  });

  test("that cannot be are refused", async () => {
    for (const entry of [-1, 1.5, "0" as unknown as number, { on: {} as unknown as number }]) {
      await assert.rejects(xpoll([entry]), (error) => isFableError(error, "BAD_ARGUMENT"));
      assert.throws(() => xpollSync([entry]), (error) => isFableError(error, "BAD_ARGUMENT"));
    }
  });
});
