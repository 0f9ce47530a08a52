/** The host functions and the reactor from inside a runtime: its threads, its signal handling, its way to pass buffers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BAD_HANDLE, EMPTY, READABLE, SYSTEM } from "../../src/native/generated.ts";
import { loadNative } from "../../src/native/load.ts";

const { library } = loadNative();
const encoder = new TextEncoder();
const ENOENT = 2;
const SEQPACKET = 5;

/** Sleeps in the event loop between looks: the reactor is a thread of its own. */
async function untilRung(doorbell: number): Promise<void> {
  const bytes = new Uint8Array(8);
  for (let look = 0; look < 500; look++) {
    const count = library.read(doorbell, bytes, bytes.length);
    if (count > 0) return assert.equal(count, 1);
    assert.equal(count, EMPTY);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  assert.fail("the doorbell never rang");
}

test("a watched socket rings, its token is taken, a frame brings a descriptor", async () => {
  const doorbell = new Int32Array(1);
  const loop = library.loop_new(doorbell);
  assert.ok(loop > 0);
  const pair = new Int32Array(2);
  assert.equal(library.socketpair(SEQPACKET, pair), 0);
  const [mine = -1, theirs = -1] = pair;
  assert.equal(library.loop_watch(loop, mine, 77, READABLE), 0);
  const tokens = new Uint32Array(16);
  assert.equal(library.loop_take(loop, tokens, 8), 0);

  const descriptors = new Int32Array(16);
  descriptors[0] = theirs;
  assert.equal(library.frame_send(theirs, encoder.encode("hello"), 5, descriptors, 1), 0);
  await untilRung(doorbell[0] ?? -1);
  assert.equal(library.loop_take(loop, tokens, 8), 1);
  assert.deepEqual([...tokens.subarray(0, 2)], [77, READABLE]);
  assert.equal(library.loop_take(loop, tokens, 8), 0, "one shot");

  const bytes = new Uint8Array(64);
  const count = new Uint32Array(1);
  assert.equal(library.frame_receive(mine, bytes, bytes.length, descriptors, descriptors.length, count), 5);
  assert.equal(new TextDecoder().decode(bytes.subarray(0, 5)), "hello");
  assert.equal(count[0], 1);
  const received = descriptors[0] ?? -1;
  assert.ok(received > 2 && received !== theirs);
  assert.equal(library.loop_forget(loop, mine), 1);
  for (const fd of [mine, theirs, received]) assert.equal(library.close(fd), 0);
  assert.equal(library.loop_close(loop), 0);
  assert.equal(library.loop_take(loop, tokens, 8), BAD_HANDLE);
});

test("a started program is seen to end on its pidfd", async () => {
  const doorbell = new Int32Array(1);
  const loop = library.loop_new(doorbell);
  const argv = encoder.encode("/bin/sleep\x000.2\0");
  const none = new Uint8Array(0);
  const pid = library.spawn(argv, argv.length, none, 0, none, 0);
  assert.ok(pid > 1);
  const pidFd = library.pid_open(pid);
  assert.ok(pidFd > 2);
  assert.equal(library.pid_dead(pidFd), 0);
  assert.equal(library.loop_watch(loop, pidFd, 5, READABLE), 0);
  await untilRung(doorbell[0] ?? -1);
  const tokens = new Uint32Array(2);
  assert.equal(library.loop_take(loop, tokens, 1), 1);
  assert.equal(tokens[0], 5);
  assert.equal(library.pid_dead(pidFd), 1);
  library.loop_close(loop);
  library.close(pidFd);
});

test("why a program did not start is known, for this thread", () => {
  const argv = encoder.encode("/nonexistent/program\0");
  const none = new Uint8Array(0);
  assert.equal(library.spawn(argv, argv.length, none, 0, none, 0), SYSTEM);
  assert.equal(library.errno(), ENOENT);
});

test("a socket knows this process on its other side", () => {
  const pair = new Int32Array(2);
  library.socketpair(SEQPACKET, pair);
  const [mine = -1, theirs = -1] = pair;
  const peer = new Uint32Array(6);
  const self = new Uint32Array(6);
  assert.equal(library.peer_credentials(mine, peer), 0);
  assert.equal(library.self(self), 0);
  const pidFd = (peer[3] ?? 0) | 0;
  assert.ok(pidFd > 2);
  assert.equal(library.pid_dead(pidFd), 0);
  assert.deepEqual([peer[0], peer[1], peer[2], peer[4], peer[5]], [self[0], self[1], self[2], self[4], self[5]]);
  for (const fd of [mine, theirs, pidFd]) library.close(fd);
});
