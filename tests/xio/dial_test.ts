/** A connection that fails half-way leaves no descriptor open: by name when the flow cannot be kept, directly when the other side talks nonsense. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import type { ConnectRequest, Grant, NameService } from "../../src/naming/service.ts";
import { loadNative } from "../../src/native/load.ts";
import { mempipe } from "../../src/transport/mempipe.ts";
import { dialName } from "../../src/xio/dial.ts";
import { answerChannel, offerChannel } from "../../src/xio/direct.ts";
import { makeHalf } from "../../src/xio/establish.ts";
import { resolveChannelOptions } from "../../src/xio/options.ts";

const native = loadNative();
const { library } = native;
const PACKETS = 5;

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("a granted channel whose flow cannot be kept is given back whole", async () => {
  const closed: string[] = [];
  const peer = makeHalf(native, "acceptor", mempipe, "trusted", resolveChannelOptions({}));
  const { controlFd, ringFd } = peer.made;
  const names = {
    connect(request: ConnectRequest): Promise<Grant> {
      request.prepare("mempipe", "trusted");
      return Promise.resolve({
        flow: "abcdef-1",
        ...{ transport: "mempipe", trust: "trusted", peerName: "xio://peer", peerPid: 1, peerUid: 0 },
        controlFd: library.dup(controlFd),
        ringFd: library.dup(ringFd!),
        doorbellFd: undefined,
        pidFd: library.pid_open(process.pid),
      } as Grant);
    },
    flowOpened() {
      throw new Error("no descriptor left");
    },
    flowClosed: (flow: string) => void closed.push(flow),
  } as unknown as NameService;
  const before = openDescriptors();
  await assert.rejects(dialName({ native, names }, "xio://peer", undefined, {}), /no descriptor left/);
  assert.equal(openDescriptors(), before);
  assert.deepEqual(closed, ["abcdef-1"]);
  peer.close();
});

describe("a direct channel with somebody who greets badly", () => {
  const greetings: readonly (readonly [string, string, number])[] = [
    ["no JSON", "{", 4],
    ["no object", "null", 4],
    ["no transport there is", '{"transport":"pigeon","trust":"trusted"}', 4],
    ["no trust there is", '{"transport":"mempipe","trust":"blind"}', 4],
    ["too few descriptors", '{"transport":"mempipe","trust":"trusted"}', 3],
    ["none at all", '{"transport":"unix","trust":"trusted"}', 0],
  ];
  for (const [what, greeting, count] of greetings) {
    for (const side of ["acceptor", "initiator"] as const) {
      test(`${what}, to the ${side}`, async () => {
        const ends = new Int32Array(2);
        assert.equal(library.socketpair(PACKETS, ends), 0);
        const [ours = -1, theirs = -1] = ends;
        const before = openDescriptors();
        const bytes = new TextEncoder().encode(greeting);
        const fds = new Int32Array(count).fill(theirs);
        assert.equal(library.frame_send(theirs, bytes, bytes.length, fds, count), 0);
        const channel = side === "acceptor" ? answerChannel(native, ours, {}) : offerChannel(native, ours, {});
        await assert.rejects(channel, { code: "PROTOCOL" });
        // What the initiator had sent lies unread in the socket.
        library.close(theirs);
        library.close(ours);
        assert.equal(openDescriptors(), before - 2);
      });
    }
  }
});
