/**
 * A sleeping end has announced that it sleeps. Whatever else the program does with the channel meanwhile, that announcement must stand or
 * be made again: otherwise the peer does not ring, and the wait never ends.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handle } from "../../src/xio/handle.ts";
import { channelPair } from "../../src/xio/pair.ts";
import { xpollSync } from "../../src/xio/poll.ts";

const ASLEEP_MS = 60;
const DEADLINE_MS = 5_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const MEANWHILE: Readonly<Record<string, (handle: Handle) => void>> = {
  nothing: () => {},
  "a half-close": (handle) => void handle.closeWrite(),
  "a blocking wait": (handle) => void handle.reader().waitSync(1),
  "a blocking poll": (handle) => void xpollSync([handle], { timeoutMs: 1 }),
  sending: (handle) => void handle.send("unrelated"),
  statistics: (handle) => void handle.stats(),
};

describe("a message wakes a sleeping receiver after", () => {
  for (const [name, act] of Object.entries(MEANWHILE)) {
    test(name, async () => {
      const [left, right] = channelPair();
      const received = left.receive();
      await pause(ASLEEP_MS);
      act(left);
      await pause(ASLEEP_MS);
      assert.equal(right.send("hello"), undefined);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => timer = setTimeout(() => reject(new Error("the receiver sleeps on")), DEADLINE_MS));
      const message = await Promise.race([received, late]).finally(() => clearTimeout(timer));
      assert.equal(new TextDecoder().decode(message), "hello");
      await Promise.all([left.close({ drainDeadlineMs: 0 }), right.close({ drainDeadlineMs: 0 })]);
    });
  }
});
