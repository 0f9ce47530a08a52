/** `fable cat` in pipelines: both directions, both runtimes, files and pipes, slow readers, readers that go, peers that die. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { run as runIn, type RunOptions, SENTENCE, start as startIn, text } from "./cli.ts";
import { ROOT, type RuntimeName, sleep, until, World } from "./harness.ts";

let world: World;
before(async () => {
  world = new World();
  await world.broker();
});
after(async () => {
  await world.close();
});

const start = (runtime: RuntimeName, args: readonly string[], options?: RunOptions, keepOpen?: boolean) =>
  startIn(world, runtime, args, options, keepOpen);
const run = (runtime: RuntimeName, args: readonly string[], options?: RunOptions) => runIn(world, runtime, args, options);

describe("cat", () => {
  const pairs: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "deno"], ["deno", "bun"]];
  for (const [listener, sender] of pairs) {
    test(`a file goes from ${sender} to ${listener}, through pipes and untrusted too`, async () => {
      const file = join(ROOT, "node_modules/.bin/dprint");
      const wanted = createHash("sha256").update(readFileSync(file)).digest("hex");
      for (const extra of [[], ["--trust", "untrusted"], ["--transport", "unix", "--ring", "64K"]]) {
        const name = "xio://cli/file";
        const server = start(listener, ["cat", "--listen", name, ...extra.filter((word) => word !== "--transport" && word !== "unix")]);
        const fd = openSync(file, "r");
        const client = await run(sender, ["cat", name, ...extra], { input: fd });
        closeSync(fd);
        const served = await server.finished;
        assert.deepEqual([client.code, served.code, client.errors, served.errors], [0, 0, "", ""]);
        assert.equal(createHash("sha256").update(served.out).digest("hex"), wanted);
      }
    });

    test(`both ways at once, each half-closing in its own time (${sender}, ${listener})`, async () => {
      const name = "xio://cli/duplex";
      const server = start(listener, ["cat", "--listen", name], { input: "from the listener" });
      const client = start(sender, ["cat", name], {}, true);
      await sleep(100);
      client.stdin?.write("from the client, ");
      await sleep(100);
      client.stdin?.write("late");
      client.stdin?.end();
      const [served, asked] = await Promise.all([server.finished, client.finished]);
      assert.deepEqual([text(served.out), text(asked.out)], ["from the client, late", "from the listener"]);
      assert.deepEqual([served.code, asked.code], [0, 0]);
    });

    test(`a slow reader slows the writer down, and nothing is stored (${sender}, ${listener})`, async () => {
      const name = "xio://cli/slow";
      const size = 64 << 20;
      const file = join(world.folder, "zeros");
      writeFileSync(file, new Uint8Array(size));
      const server = start(listener, ["cat", "--listen", name]);
      server.stdout?.pause();
      const fd = openSync(file, "r");
      const client = start(sender, ["cat", name, "--stats"], { input: fd });
      await sleep(1200);
      for (const pid of [client.pid, server.pid]) assert.ok(existsSync(`/proc/${pid}`), "it ended although nobody read");
      const stored = privateBytes(server.pid);
      assert.ok(stored < size, `the listener holds ${stored} bytes`);
      server.stdout?.resume();
      const [served, sent] = await Promise.all([server.finished, client.finished]);
      closeSync(fd);
      assert.deepEqual([served.out.length, served.code, sent.code], [size, 0, 0]);
      assert.match(sent.errors, /^sent 67\.1 MB in [\d,]+ messages/);
    });

    test(`when nobody reads stdout any more, both end with 1 (${sender}, ${listener})`, async () => {
      const name = "xio://cli/pipe";
      const server = start(listener, ["cat", "--listen", name]);
      const fd = openSync("/dev/zero", "r");
      const client = start(sender, ["cat", name], { input: fd });
      await sleep(400);
      server.stdout?.destroy();
      const [served, sent] = await Promise.all([server.finished, client.finished]);
      closeSync(fd);
      assert.deepEqual([served.code, served.errors], [1, ""]);
      assert.equal(sent.code, 1);
      assert.match(sent.errors, SENTENCE);
      assert.match(sent.errors, /not delivered/);
    });

    test(`a killed peer is a failure with its name (${sender} dies)`, async () => {
      const name = "xio://cli/killed";
      const server = start(listener, ["cat", "--listen", name], {}, true);
      const client = start(sender, ["cat", name], { input: "before the end" }, true);
      await until(() => server.printed() === "before the end", "nothing came");
      client.kill("SIGKILL");
      const served = await server.finished;
      await client.finished;
      assert.equal(served.code, 1);
      assert.equal(text(served.out), "before the end");
      assert.match(served.errors, SENTENCE);
      assert.match(served.errors, /died/);
    });
  }

  test("nobody listens: --no-wait fails at once, --timeout in time", async () => {
    const now = await run("bun", ["cat", "--no-wait", "xio://cli/nobody"], { input: "" });
    assert.deepEqual([now.code, /\(NAME_UNKNOWN\)/.test(now.errors)], [1, true], now.errors);
    const later = await run("deno", ["cat", "--timeout", "0.3", "xio://cli/nobody"], { input: "" });
    assert.equal(later.code, 1);
    assert.match(later.errors, SENTENCE);
    assert.ok(later.ms < 5000, `${later.ms} ms`);
  });

  test("a name that is taken", async () => {
    const first = start("bun", ["cat", "--listen", "xio://cli/taken"], {}, true);
    await until(async () => text((await run("bun", ["ls"])).out).includes("xio://cli/taken\t"), "no name");
    const second = await run("deno", ["cat", "--listen", "xio://cli/taken"]);
    assert.deepEqual([second.code, /\(NAME_TAKEN\)/.test(second.errors)], [1, true], second.errors);
    first.kill("SIGTERM");
    await first.finished;
  });

  test("starts a broker if none runs, and its pieces are as long as the ring allows", async () => {
    const apart = new World();
    try {
      const name = "xio://cli/cold";
      const size = 5_000_000;
      const file = join(apart.folder, "five");
      writeFileSync(file, new Uint8Array(size).map((_, at) => at % 251));
      for (const extra of [[], ["--ring", "64K"]]) {
        const server = startIn(apart, "bun", ["cat", "--listen", name, ...extra]);
        const fd = openSync(file, "r");
        const client = await runIn(apart, "deno", ["cat", name, "--stats", ...extra], { input: fd });
        closeSync(fd);
        const served = await server.finished;
        assert.deepEqual([client.code, served.code, served.errors], [0, 0, ""], client.errors);
        assert.ok(Buffer.from(served.out).equals(readFileSync(file)), `${served.out.length} bytes arrived, or others`);
        const pieces = Math.ceil(size / (extra.length === 0 ? 512 * 1024 : 16 * 1024));
        assert.match(client.errors, new RegExp(`^sent 5\\.00 MB in ${pieces} messages`));
      }
    } finally {
      await apart.close();
    }
  });

  test("starts in at most 120 ms of processor time, connection to the broker included", async () => {
    let best = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 6; n++) best = Math.min(best, await processorMs(join(ROOT, "bin/fable"), ["cat", "--no-wait", "xio://cli/nobody"]));
    assert.ok(best > 0 && best <= 120, `${best} ms at best`);
  });
});

/** What a program and its children used, on all processors: other than the time it took, that does not depend on who else is busy. */
async function processorMs(file: string, args: readonly string[]): Promise<number> {
  const child = spawn("sh", ["-c", '"$0" "$@" 2>/dev/null; times', file, ...args], {
    env: { ...process.env, ...world.environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => void (out += chunk));
  await new Promise((resolve) => child.on("close", resolve));
  const [, children = ""] = out.trim().split("\n");
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + 60_000 * Number(minutes) + 1000 * Number(seconds),
    0,
  );
}

/** Memory of its own, without what is shared with the peer. */
function privateBytes(pid: number): number {
  const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}
