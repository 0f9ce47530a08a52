/** `fable bench` as people and scripts meet it: what is asked for wrongly or cannot be, a full disk, Ctrl-C, comparing. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { measure, QUIETLY } from "../../bench/runner.ts";
import { compareReports } from "../../bench/runner/compare.ts";
import { readReport } from "../../bench/runner/report.ts";
import { run as runIn, SENTENCE, start as startIn, text } from "./cli.ts";
import { until, World } from "./harness.ts";

let world: World;
const folder = mkdtempSync(join(tmpdir(), "fable-bench-"));
before(() => {
  world = new World();
});
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const bench = (...args: readonly string[]) => runIn(world, "bun", ["bench", ...args]);
/** The last thing it says, which is the sentence of a failure. */
const lastLine = (errors: string): string => `${errors.trimEnd().split("\n").at(-1)}\n`;
const SHORT = ["--size", "64", "--check", "plain", "--messages", "2000", "--rounds", "3"] as const;

interface Report {
  readonly cells: readonly {
    readonly transport: string;
    readonly runs: readonly number[];
    readonly verified: boolean;
    readonly check: string;
  }[];
  readonly skipped: readonly { readonly cell: string; readonly reason: string }[];
  readonly interrupted: boolean;
}
const reportIn = (path: string): Report => JSON.parse(readFileSync(path, "utf8")) as Report;

describe("what cannot be", { skip: availableParallelism() < 2 }, () => {
  test("mistakes are one sentence and exit 2, before anything is measured", async () => {
    const mistakes: readonly (readonly string[])[] = [
      ["thr", "--size", "7"],
      ["thr", "extra"],
      ["thr", "--check", "some"],
      ["lat", "--cores", "0,4095"],
      ["thr", "--transport", "ipi"],
      ["lat", "--json", "/nonexistent/report.json"],
      ["lat", "--html", folder],
      ["thr", "--compare", "/nonexistent/old.json"],
      ["compare", "one.json"],
    ];
    for (const args of mistakes) {
      const result = await bench(...args);
      assert.deepEqual([result.code, result.out.length], [2, 0], args.join(" "));
      assert.match(result.errors, SENTENCE, args.join(" "));
    }
  });

  test("what the machine or the trust does not allow is skipped by name, and the rest measured", async () => {
    const path = join(folder, "skipped.json");
    const result = await bench("thr", "--transport", "vmsplice-coop,pipe", "--trust", "untrusted", ...SHORT, "--json", path);
    assert.equal(result.code, 0, result.errors);
    assert.match(result.errors, /skipped: thr vmsplice-coop untrusted native 64 B .*: .*not trusted/);
    const { cells, skipped } = reportIn(path);
    assert.deepEqual([cells.map(({ transport }) => transport), skipped.length], [["pipe"], 1]);
  });

  test("a runtime that is missing costs its own cells only", async () => {
    const options = { transport: ["unix"], driver: ["native", "deno"], size: [64], messages: 2000, rounds: 1, check: "plain" } as const;
    const gone = { ...QUIETLY, missingRuntime: (runtime: string) => runtime === "deno" ? "deno is missing" : undefined };
    const report = await measure("thr", options, gone);
    assert.deepEqual(report.cells.map(({ driver }) => driver), ["native"]);
    assert.deepEqual(report.failed, [{ cell: "thr unix deno 64 B by 16 cores 0,1 plain", reason: "deno is missing" }]);
  });

  test("a full disk: the table is there, one sentence, exit 1, and the other file is written", async () => {
    const path = join(folder, "page.html");
    const full = await bench("thr", "--transport", "unix", ...SHORT, "--json", "/dev/full", "--html", path);
    assert.equal(full.code, 1);
    assert.match(lastLine(full.errors), SENTENCE);
    assert.match(full.errors, /--json \/dev\/full could not be written.*no space/);
    assert.match(text(full.out), /unix +n\/a +native +64/);
    assert.match(readFileSync(path, "utf8"), /^<!doctype html>/i);
    const html = await bench("thr", "--transport", "unix", ...SHORT, "--html", "/dev/full");
    assert.equal(html.code, 1);
    assert.match(html.errors, /--html \/dev\/full could not be written/);
  });
});

describe("a run", { skip: availableParallelism() < 2 }, () => {
  test("says what it will take; --json - is nothing but JSON; exactly as many runs as asked for", async () => {
    const result = await bench("thr", "--transport", "unix,mempipe", ...SHORT, "--json", "-");
    assert.equal(result.code, 0, result.errors);
    assert.match(result.errors, /^2 cells, 6 runs of 2000 messages: about .* per cell and .* in all/);
    const report = JSON.parse(text(result.out)) as Report;
    assert.deepEqual(report.cells.map(({ transport, runs, verified, check }) => [transport, runs.length, verified, check]), [
      ["unix", 3, true, "plain"],
      ["mempipe", 3, true, "plain"],
    ]);
  });

  test("Ctrl-C keeps what is finished", async () => {
    const path = join(folder, "interrupted.json");
    const page = join(folder, "interrupted.html");
    const args = ["bench", "thr", "--transport", "unix,pipe", "--size", "64", "--check", "plain", "--seconds", "0.02", "--rounds", "1000"];
    const running = startIn(world, "bun", [...args, "--json", path, "--html", page]);
    // long enough for a few runs, wherever that is: nothing is said about how many
    await until(() => existsSync(`/proc/${running.pid}`), "the benchmark runs");
    await new Promise((resolve) => setTimeout(resolve, 4000));
    running.kill("SIGINT");
    const result = await running.finished;
    assert.equal(result.code, 1);
    assert.equal(lastLine(result.errors), "fable: interrupted; what was finished is kept (FAILED).\n");
    const report = reportIn(path);
    assert.equal(report.interrupted, true);
    assert.ok(report.cells.every(({ runs }) => runs.length > 0 && runs.length < 1000));
    assert.match(readFileSync(page, "utf8"), /<\/html>\s*$/);
  });
});

describe("comparing", { skip: availableParallelism() < 2 }, () => {
  const old = join(folder, "old.json");
  const made = (rate: number) => ({
    environment: {},
    cells: [{
      ...{ kind: "thr", transport: "unix", trust: "n/a", driver: "native", size_bytes: 64, cores: [0, 1], batch: 16, check: "full" },
      ...{ placement_before_ns: 50, placement_after_ns: 50 },
      runs: Array.from({ length: 9 }, (_, i) => rate + i),
    }],
  });

  test("slower is exit 1, with the cell's name; the same is exit 0", async () => {
    const now = join(folder, "new.json");
    writeFileSync(old, JSON.stringify(made(1000)));
    writeFileSync(now, JSON.stringify(made(800)));
    const slower = await bench("compare", old, now);
    assert.equal(slower.code, 1);
    assert.equal(slower.errors, "fable: 1 cell became slower (FAILED).\n");
    assert.match(text(slower.out), /thr unix native 64 B by 16 cores 0,1 full +-19\.\d % .* slower/);
    copyFileSync(old, now);
    const same = await bench("compare", old, now);
    assert.deepEqual([same.code, same.errors], [0, ""]);
    assert.match(text(same.out), /0 faster, 0 slower, 1 same, 0 can't tell\n$/);
  });

  test("a file that is no report is a usage error that says where", async () => {
    writeFileSync(old, JSON.stringify({ cells: [{ ...made(1).cells[0], runs: "many" }] }));
    const result = await bench("compare", old, old);
    assert.equal(result.code, 2);
    assert.match(result.errors, /is no report of fable bench: cells\.0\.runs/);
  });

  test("a transport that was made many times slower is found among real runs", async () => {
    // a factor that no noise of a busy machine reaches: what a fifth looks like is told with made-up runs, and measured by hand
    const options = { transport: ["unix", "pipe"], size: [64], seconds: 0.02, rounds: 7, check: "plain" } as const;
    const before = join(folder, "before.json");
    const after = join(folder, "after.json");
    writeFileSync(before, JSON.stringify(await measure("thr", options)));
    writeFileSync(after, JSON.stringify(await measure("thr", { ...options, planted: { transport: "pipe", burn_ns: 20_000 } })));
    const { cells } = compareReports(readReport(before).cells, readReport(after).cells);
    const planted = cells.find(({ cell }) => cell.startsWith("thr pipe"));
    assert.ok(
      planted !== undefined && (planted.verdict === "slower" || planted.why?.startsWith("the placement is another")),
      JSON.stringify(cells),
    );
  });
});
