/**
 * The command line as people and scripts meet it: as a process, in both runtimes. Exit codes, the one sentence on stderr, --json, signals, and that
 * nothing stays behind. `fable cat` has a file of its own.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { TRANSPORTS } from "../../src/cli/words.ts";
import { json, run as runIn, type RunOptions, SENTENCE, start as startIn, text } from "./cli.ts";
import { command, ROOT, type RuntimeName, RUNTIMES, until, World } from "./harness.ts";

const COMMANDS = ["demo", "broker", "ls", "flows", "reconfigure", "cat", "doctor", "bench"];
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
        ["reconfigure"],
        ["reconfigure", "abcdef-1"],
        ["reconfigure", "abcdef-1", "--transport", "pigeon"],
        ["reconfigure", "abcdef-1", "--transport", "tcp", "--timeout", "0"],
        ["reconfigure", "abcdef-1", "--transport", "tcp", "--ring", "5000"],
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
      await until(
        async () =>
          (json(await run(runtime, ["flows", "--json"])) as readonly { readonly names: readonly string[] }[]).some((flow) =>
            flow.names.includes(name)
          ),
        "no flow",
      );
      const [flow] = (json(await run(runtime, ["flows", "--json"])) as readonly Record<string, unknown>[]).filter((entry) =>
        (entry["names"] as readonly string[]).includes(name)
      );
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
      const report = json(result) as {
        readonly ok: boolean;
        readonly checks: readonly { readonly name: string; readonly status: string; readonly detail: string; readonly remedy?: string }[];
      };
      assert.deepEqual([result.code, report.ok], [0, true], JSON.stringify(report.checks.filter(({ status }) => status === "fails")));
      const names = report.checks.map(({ name }) => name);
      for (
        const name of [
          "library",
          "membarrier",
          "memfd seals",
          "pidfd",
          "descriptors",
          "cache line",
          "event loop doorbell",
          "starting a broker",
          "broker of this user",
        ]
      ) assert.ok(names.includes(name), name);
      for (const transport of TRANSPORTS) {
        const check = report.checks.find(({ name }) => name === `channel over ${transport}`);
        assert.match(check?.detail ?? "", /^(moved there from (mempipe|unix) and back under \d+ messages|skipped: )/, transport);
        assert.equal(check?.status, check?.detail.startsWith("skipped") === true ? "warning" : "ok", transport);
      }
      for (const { name, status, remedy } of report.checks) assert.ok(status === "ok" || remedy !== undefined, `${name} has no remedy`);
    });

    test(`without a library it says so and fails (${runtime})`, async () => {
      const result = await run(runtime, ["doctor", "--json"], { environment: { FABLE_LIBRARY: "/nonexistent/libfable.so" } });
      const report = json(result) as {
        readonly ok: boolean;
        readonly checks: readonly { readonly name: string; readonly status: string; readonly remedy?: string }[];
      };
      assert.deepEqual([result.code, report.ok], [1, false]);
      const library = report.checks.find(({ name }) => name === "library");
      assert.equal(library?.status, "fails");
      assert.match(library?.remedy ?? "", /npm run build/);
    });
  }

  test("with too few descriptors it says so and fails", async () => {
    const [file, list] = command("bun", "src/cli/main.ts", ["doctor", "--json"]);
    const child = spawn("sh", ["-c", `ulimit -n 90; exec "$0" "$@"`, file, ...list], {
      env: { ...process.env, ...world.environment },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => void (out += chunk));
    const code = await new Promise((resolve) => child.on("close", resolve));
    const report = JSON.parse(out) as {
      readonly checks: readonly { readonly name: string; readonly status: string; readonly remedy?: string }[];
    };
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
    const report = json(
      await run("bun", ["demo", "--requests", "10", "--transport", "unix", "--file", file, "--json"], { timeoutMs: 60_000 }),
    ) as Record<string, unknown>;
    assert.deepEqual([report["transport"], (report["file"] as Record<string, unknown>)["size_bytes"]], ["unix", 12]);
    const { moves, skipped } = report["walk"] as Record<string, unknown>;
    assert.deepEqual([moves, skipped], [TRANSPORTS.length, []], "it goes everywhere and back");
  });
});

function leftovers(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("fable-demo-"));
}
