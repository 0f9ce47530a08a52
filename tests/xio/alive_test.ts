/** What keeps a process alive: every wait on a handle, unless it is unref'd. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./alive_main.ts", import.meta.url));
const DEADLINE_MS = 5_000;

/** What the program printed before it exited by itself. */
function outputOf(way: string, transport: string): Promise<string> {
  const runtime = "Deno" in globalThis ? ["run", "--quiet", "--no-check", "--allow-all"] : [];
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [...runtime, PROGRAM, way, transport], { timeout: DEADLINE_MS }, (error, stdout) => {
      if (error === null) resolve(stdout.trim());
      else reject(new Error(`${way} ${transport}: ${child.signalCode ?? error.message}`));
    });
  });
}

describe("a process", () => {
  for (const transport of ["mempipe", "mempipe-spin", "mempipe-futex", "unix"]) {
    test(`with unref'd ${transport} channels exits`, async () => {
      assert.equal(await outputOf("unref", transport), "waiting");
    });
  }

  test("that waits for the end of a channel stays", async () => {
    assert.equal(await outputOf("closed", "mempipe"), "PEER_CLOSED");
  });
});
