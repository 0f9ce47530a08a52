/** A listener that cannot take a connection in gives everything of it back. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { ListenOptions, NameService, Offer, Registration } from "../../src/naming/service.ts";
import { loadNative } from "../../src/native/load.ts";
import { mempipe } from "../../src/transport/mempipe.ts";
import { makeHalf } from "../../src/xio/establish.ts";
import { Listener } from "../../src/xio/listener.ts";
import { resolveChannelOptions } from "../../src/xio/options.ts";

test("an offer that finds no descriptor left is refused and leaves none open", async () => {
  const native = loadNative();
  const { library } = native;
  let asked: ListenOptions | undefined;
  const registration = {
    name: "xio://busy",
    listen: (options: ListenOptions) => Promise.resolve(void (asked = options)),
    unlisten: () => Promise.resolve(),
    close: () => Promise.resolve(),
  } as Registration;
  const names = {
    flowOpened() {
      throw new Error("no descriptor left");
    },
    flowClosed: () => {},
    onPeerDead: () => () => {},
    setRef: () => {},
  } as unknown as NameService;
  const listener = await Listener.open({ native, names }, registration, {}, () => Promise.resolve());
  const peer = makeHalf(native, "initiator", mempipe, "trusted", resolveChannelOptions({}));
  const { controlFd, ringFd, doorbellFd } = peer.made;
  const before = readdirSync("/proc/self/fd").length;
  const offer = {
    flow: "flow",
    transport: "mempipe",
    trust: "trusted",
    controlFd: library.dup(controlFd),
    ringFd: library.dup(ringFd!),
    doorbellFd: library.dup(doorbellFd!),
    dataFd: undefined,
    pidFd: -1,
    peerName: "xio://peer",
    peerPid: 1,
    peerUid: 0,
  } as unknown as Offer;
  assert.throws(() => asked!.onOffer(offer), /no descriptor left/);
  assert.equal(readdirSync("/proc/self/fd").length, before);
  await listener.close();
  peer.close();
});
