/**
 * The command line as people and scripts meet it: as a process, in both runtimes. Exit codes, the one sentence on stderr, --json, pipes, signals,
 * and that nothing stays behind.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { command, ROOT, RUNTIMES, type RuntimeName, sleep, until, World } from "./harness.ts";

const COMMANDS = ["demo", "broker", "ls", "flows", "cat", "doctor", "bench"];
/** As scripts may rely on: `fable: what (CODE): remedy.` */
const SENTENCE = /^fable: [^\n]+ \([A-Z_]+\)(: [^\n]+)?\.\n$/;

interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: Uint8Array;
  readonly errors: string;
  readonly ms: number;
}

interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** What stdin is: bytes, an open descriptor, or nothing. */
  readonly input?: Uint8Array | string | number;
  readonly timeoutMs?: number;
}

interface Running {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  readonly stdin: { write(chunk: Uint8Array | string): unknown; end(): unknown } | null;
  readonly stdout: { pause(): unknown; resume(): unknown; destroy(): unknown } | null;
  kill(signal: NodeJS.Signals): void;
}

let world: World;
before(async () => {
  world = new World();
  await world.broker();
});
after(async () => {
  await world.close();
});

function start(runtime: RuntimeName, args: readonly string[], options: RunOptions = {}, keepOpen = false): Running {
  const [file, list] = command(runtime, "src/cli/main.ts", args);
  const began = performance.now();
  const input = options.input;
  const child = spawn(file, list, {
    env: { ...process.env, ...world.environment, ...options.environment },
    stdio: [typeof input === "number" ? input : "pipe", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 20_000,
  });
  const out: Uint8Array[] = [];
  let errors = "";
  child.stdout?.on("data", (chunk: Uint8Array) => void out.push(chunk));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => void (errors += text));
  child.stdin?.on("error", () => {});
  if (typeof input !== "number" && input !== undefined) child.stdin?.write(input);
  if (!keepOpen) child.stdin?.end();
  const finished = new Promise<Finished>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out: Buffer.concat(out), errors, ms: performance.now() - began }));
  });
  return { pid: child.pid ?? 0, finished, stdin: child.stdin, stdout: child.stdout, kill: (signal) => void child.kill(signal) };
}

function run(runtime: RuntimeName, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return start(runtime, args, options).finished;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function json(result: Finished): unknown {
  assert.equal(result.errors, "");
  return JSON.parse(text(result.out));
}

describe("usage", () => {
  for (const runtime of RUNTIMES) {
    test(`every command has help with examples (${runtime})`, async () => {
      for (const name of COMMANDS) {
        const result = await run(runtime, [name, "--help"]);
        assert.equal(result.code, 0, name);
        assert.match(text(result.out), /Examples:\n {2}\$ fable /, name);
        assert.equal(result.errors, "", name);
      }
    });

    test(`mistakes are one sentence and exit 2 (${runtime})`, async () => {
      const mistakes: readonly (readonly string[])[] = [
        ["lss"],
        ["ls", "extra"],
        ["ls", "--frob"],
        ["cat"],
        ["cat", "not a name"],
        ["cat", "xio://x", "--ring", "5"],
        ["cat", "xio://x", "--transport", "pigeon"],
        ["bench", "speed"],
        ["bench", "lat", "--cores", "1"],
        ["broker", "--policy", "rules.json"],
        ["broker", "--parent", "xio://above"],
        ["broker", "--replace", "--embedded"],
        ["demo", "--requests", "none"],
        ["demo", "--file", "/nonexistent"],
      ];
      for (const args of mistakes) {
        const result = await run(runtime, args);
        assert.equal(result.code, 2, args.join(" "));
        assert.match(result.errors, SENTENCE, args.join(" "));
        assert.equal(result.out.length, 0, args.join(" "));
      }
    });
  }

  test("without a command: help, and exit 2", async () => {
    const result = await run("bun", []);
    assert.equal(result.code, 2);
    assert.match(result.errors, /Usage: fable[\s\S]*fable: no command given \(USAGE\)/);
  });

  test("the version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string };
    assert.equal(text((await run("bun", ["--version"])).out), `${version}\n`);
  });
});

describe("looking", () => {
  for (const runtime of RUNTIMES) {
    test(`ls and flows show a live channel (${runtime})`, async () => {
      const name = `xio://cli/look-${runtime}`;
      const server = start(runtime, ["cat", "--listen", name], {}, true);
      const client = start(runtime, ["cat", name], { input: "x".repeat(100) }, true);
      await until(async () => (json(await run(runtime, ["flows", "--json"])) as readonly { readonly names: readonly string[] }[]).some((flow) => flow.names.includes(name)), "no flow");
      const [flow] = (json(await run(runtime, ["flows", "--json"])) as readonly Record<string, unknown>[]).filter((entry) => (entry["names"] as readonly string[]).includes(name));
      assert.ok(flow !== undefined);
      assert.deepEqual(Object.keys(flow).sort(), ["directions", "flow", "names", "pids", "reason", "since"]);
      assert.deepEqual([...(flow["pids"] as readonly number[])].sort(), [server.pid, client.pid].sort());
      const directions = flow["directions"] as readonly Record<string, unknown>[];
      assert.equal(directions.length, 2);
      const fields = ["blocked_ns", "bytes", "epoch", "from", "messages", "msgs_per_s", "placement", "transport", "trust", "wakeups"];
      for (const direction of directions) assert.deepEqual(Object.keys(direction).sort(), fields);
      assert.equal(directions.reduce((sum, direction) => sum + Number(direction["bytes"]), 0), 100);
      const rows = text((await run(runtime, ["flows"])).out).split("\n").filter((row) => row.includes(name));
      assert.equal(rows.length, 2);
      assert.ok(rows.every((row) => row.split("\t").length === 13));
      client.stdin?.end();
      await Promise.all([server.finished, client.finished]);
    });
  }

  test("without a broker: one sentence, exit 1, at once", async () => {
    for (const name of ["ls", "flows"]) {
      const result = await run("bun", [name, "--socket", join(world.folder, "nobody.sock")]);
      assert.equal(result.code, 1);
      assert.match(result.errors, SENTENCE);
      assert.match(result.errors, /BROKER_UNREACHABLE/);
      assert.ok(result.ms < 5000, `${result.ms} ms`);
    }
  });

  test("names appear with who has them", async () => {
    const server = start("bun", ["cat", "--listen", "xio://cli/name"], {}, true);
    await until(async () => text((await run("bun", ["ls"])).out).includes("xio://cli/name\t"), "no name");
    const names = json(await run("deno", ["ls", "--json"])) as readonly Record<string, unknown>[];
    const entry = names.find((one) => one["name"] === "xio://cli/name");
    assert.deepEqual([entry?.["pid"], entry?.["listening"]], [server.pid, true]);
    server.kill("SIGTERM");
    assert.equal((await server.finished).signal, "SIGTERM");
    const left = json(await run("bun", ["ls", "--json"])) as readonly Record<string, unknown>[];
    assert.ok(!left.some((one) => one["name"] === "xio://cli/name"), "a name outlived its process");
  });
});

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
      await sleep(500);
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

  test("starts within 120 ms, connection to the broker included", async () => {
    let best = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 8; n++) {
      const began = performance.now();
      const child = spawn(join(ROOT, "bin/fable"), ["cat", "--no-wait", "xio://cli/nobody"], { env: { ...process.env, ...world.environment }, stdio: "ignore" });
      const code = await new Promise((resolve) => child.on("close", resolve));
      assert.equal(code, 1);
      best = Math.min(best, performance.now() - began);
    }
    assert.ok(best <= 120, `${best} ms at best`);
  });
});

describe("broker", () => {
  for (const runtime of RUNTIMES) {
    test(`stops at a signal, cleanly, and takes its socket along (${runtime})`, async () => {
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const own = new World();
        try {
          const broker = await own.broker(runtime);
          assert.ok(existsSync(own.socket));
          const second = await run(runtime, ["broker", "--socket", own.socket]);
          assert.equal(second.code, 1);
          assert.match(second.errors, SENTENCE);
          broker.kill(signal);
          assert.deepEqual(await broker.exited(), { code: 0, signal: null });
          assert.deepEqual(own.files().filter((file) => file.endsWith(".sock")), []);
        } finally {
          await own.close();
        }
      }
    });
  }

  test("--replace takes the names over", async () => {
    const own = new World();
    try {
      const first = await own.broker("bun");
      const server = start("bun", ["cat", "--listen", "xio://cli/kept"], { environment: own.environment }, true);
      const listed = async () => text((await run("bun", ["ls", "--socket", own.socket])).out).includes("xio://cli/kept\t");
      await until(listed, "no name");
      await own.broker("deno", "--replace");
      assert.equal((await first.exited()).code, 0);
      await until(listed, "the name was lost", 2000);
      server.kill("SIGTERM");
      await server.finished;
    } finally {
      await own.close();
    }
  });
});

describe("doctor", () => {
  for (const runtime of RUNTIMES) {
    test(`finds this machine able, and says what for (${runtime})`, async () => {
      const result = await run(runtime, ["doctor", "--json"], { timeoutMs: 60_000 });
      const report = json(result) as { readonly ok: boolean; readonly checks: readonly { readonly name: string; readonly status: string; readonly detail: string; readonly remedy?: string }[] };
      assert.deepEqual([result.code, report.ok], [0, true], JSON.stringify(report.checks.filter(({ status }) => status === "fails")));
      const names = report.checks.map(({ name }) => name);
      for (const name of ["library", "membarrier", "memfd seals", "pidfd", "descriptors", "cache line", "event loop doorbell", "starting a broker", "broker of this user"]) assert.ok(names.includes(name), name);
      for (const transport of ["mempipe", "mempipe-spin", "mempipe-futex", "unix"]) assert.ok(names.includes(`channel over ${transport}`), transport);
      for (const { name, status, remedy } of report.checks) assert.ok(status === "ok" || remedy !== undefined, `${name} has no remedy`);
    });

    test(`without a library it says so and fails (${runtime})`, async () => {
      const result = await run(runtime, ["doctor", "--json"], { environment: { FABLE_LIBRARY: "/nonexistent/libfable.so" } });
      const report = json(result) as { readonly ok: boolean; readonly checks: readonly { readonly name: string; readonly status: string; readonly remedy?: string }[] };
      assert.deepEqual([result.code, report.ok], [1, false]);
      const library = report.checks.find(({ name }) => name === "library");
      assert.equal(library?.status, "fails");
      assert.match(library?.remedy ?? "", /npm run build/);
    });
  }

  test("with too few descriptors it says so and fails", async () => {
    const [file, list] = command("bun", "src/cli/main.ts", ["doctor", "--json"]);
    const child = spawn("sh", ["-c", `ulimit -n 90; exec "$0" "$@"`, file, ...list], { env: { ...process.env, ...world.environment }, stdio: ["ignore", "pipe", "ignore"] });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => void (out += chunk));
    const code = await new Promise((resolve) => child.on("close", resolve));
    const report = JSON.parse(out) as { readonly checks: readonly { readonly name: string; readonly status: string; readonly remedy?: string }[] };
    assert.equal(code, 1);
    assert.match(report.checks.find(({ name }) => name === "descriptors")?.remedy ?? "", /ulimit -n/);
  });
});

describe("demo", () => {
  for (const runtime of RUNTIMES) {
    test(`moves a real file and a load between both runtimes, and leaves nothing (${runtime})`, async () => {
      const before = leftovers();
      const result = await run(runtime, ["demo", "--requests", "3000", "--json"], { timeoutMs: 100_000 });
      const report = json(result) as Record<string, Record<string, unknown>>;
      assert.equal(result.code, 0);
      assert.deepEqual([report["sender"], report["receiver"]], ["bun", "deno"]);
      const { file, requests, messages } = report;
      assert.ok(Number(file?.["size_bytes"]) >= 100_000_000);
      assert.deepEqual([file?.["equal"], file?.["sha256_sent"]], [true, file?.["sha256_received"]]);
      assert.deepEqual([requests?.["count"], messages?.["sent"]], [3000, messages?.["received"]]);
      assert.deepEqual(leftovers(), before);
    });
  }

  test("a file of one's own, however small, over a transport of one's own", async () => {
    const file = join(world.folder, "small");
    writeFileSync(file, "a few bytes\n");
    const report = json(await run("bun", ["demo", "--requests", "10", "--transport", "unix", "--file", file, "--json"], { timeoutMs: 60_000 })) as Record<string, unknown>;
    assert.deepEqual([report["transport"], (report["file"] as Record<string, unknown>)["size_bytes"]], ["unix", 12]);
  });
});

function leftovers(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("fable-demo-"));
}

/** Memory of its own, without what is shared with the peer. */
function privateBytes(pid: number): number {
  const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}
