/** The life of outside handles: kept while somebody waits, closed when forgotten, no reason for a process to go on; nothing but --allow-ffi. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect, listen, type OutsideHandle, type OutsideName } from "../../mod.ts";
import { ROOT } from "../process/harness.ts";
import { collect, HANDLES } from "./garbage.ts";
import { pause, sockets, soon, text, until } from "./outside_support.ts";

/** Uses a handle in a way that keeps no reference to it in the program. */
async function started<T>(name: OutsideName, use: (handle: OutsideHandle) => T): Promise<{ readonly used: T }> {
  return { used: use(await connect(name)) };
}

async function withPeers(use: (name: OutsideName, peers: readonly OutsideHandle[]) => Promise<void>): Promise<void> {
  await using server = await listen("unix:@fable-test-life");
  const peers: OutsideHandle[] = [];
  const accepting = (async () => {
    for await (const peer of server) peers.push(peer);
  })();
  try {
    await use(server.name, peers);
  } finally {
    await server.close();
    await accepting;
    await Promise.all(peers.map((peer) => peer.close({ drainDeadlineMs: 0 })));
  }
}

describe("an outside handle", () => {
  test("is kept while somebody waits for it", () =>
    withPeers(async (name, peers) => {
      const waits = await Promise.all(Array.from({ length: HANDLES }, () => started(name, (handle) => handle.receive())));
      const readable = await Promise.all(Array.from({ length: HANDLES }, () => started(name, (handle) => handle.waitReadable())));
      await until(() => peers.length === 2 * HANDLES, "all are accepted");
      await collect();
      for (const peer of peers) peer.send("hello");
      for (const { used } of waits) assert.equal(text(await soon(used, "a message")), "hello");
      for (const { used } of readable) assert.equal(await soon(used, "a message"), true);
    }));

  test("is closed when it is forgotten, with a warning", () =>
    withPeers(async (name, peers) => {
      const warnings: string[] = [];
      const { warn } = console;
      console.warn = (sentence: string) => void warnings.push(sentence);
      try {
        const before = sockets();
        await Promise.all(Array.from({ length: HANDLES }, () => started(name, () => undefined)));
        await until(() => peers.length === HANDLES, "all are accepted");
        await collect();
        await pause(20);
        assert.ok(sockets() - before < HANDLES * 1.5, `${sockets() - before} sockets are left`);
        assert.ok(warnings.length > HANDLES / 2 && warnings.every((sentence) => sentence.includes("unix:@fable-test-life")));
      } finally {
        console.warn = warn;
      }
    }));
});

describe("a program that only talks to the outside", () => {
  const commands = {
    bun: [join(ROOT, "node_modules/.bin/bun"), []],
    deno: [join(ROOT, "node_modules/.bin/deno"), ["run", "--quiet", "--no-check", "--no-prompt", "--allow-ffi"]],
  } as const;
  for (const [runtime, [executable, words]] of Object.entries(commands)) {
    for (const [mode, expected] of [["leave", "hello\n"], ["wait", "hello\nTIMEOUT\n"]] as const) {
      test(`needs no permission but one and ends by itself, in ${runtime} (${mode})`, async () => {
        const child = spawn(executable, [...words, join(ROOT, "tests/xio/outside_program.ts"), mode], {
          stdio: ["ignore", "pipe", "pipe"],
        });
        let said = "";
        child.stdout.setEncoding("utf8").on("data", (part: string) => said += part);
        child.stderr.setEncoding("utf8").on("data", (part: string) => said += part);
        const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
        const status = await new Promise((resolve) => child.on("close", resolve));
        clearTimeout(timer);
        assert.deepEqual([status, said], [0, expected]);
      });
    }
  }
});
