/** The test runner's own arithmetic: reports of both runtimes and of Zig, and what happens when a runner dies. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { atLeastOneFailure, closingLine, junitCounts, sum, zigCounts } from "../scripts/lib/counts.ts";
import { makeScratch } from "../scripts/lib/leftovers.ts";
import { count, flag, helpOf, readOptions, seconds, text } from "../scripts/lib/options.ts";
import { run } from "../scripts/lib/run.ts";
import { StuckTest } from "../scripts/lib/stuck.ts";

describe("junitCounts", () => {
  test("counts Bun's nested report", () => {
    const xml = `<testsuites tests="4"><testsuite name="a_test.ts"><testsuite name="group">
      <testcase name="one" classname="group" assertions="0" />
      <testcase name="two" classname="group" assertions="0"><failure type="AssertionError" /></testcase>
      <testcase name="three" classname="group"><skipped /></testcase>
      </testsuite><testcase name="alone" classname="" /></testsuite></testsuites>`;
    assert.deepEqual(junitCounts(xml), { passed: 2, failed: 1 });
  });

  test("counts Deno's flat report, without the groups themselves", () => {
    const xml = `<testsuites><testsuite name="./a_test.ts">
        <testcase name="group" classname="x"><failure message="1 test step failed.">…</failure></testcase>
        <testcase name="alone" classname="x" time="0.001">
        </testcase></testsuite><testsuite name="ext">
        <testcase name="group &gt; one" classname="y"></testcase>
        <testcase name="group &gt; deep" classname="y"></testcase>
        <testcase name="group &gt; deep &gt; two" classname="y"><failure message="no">…</failure></testcase>
        </testsuite></testsuites>`;
    assert.deepEqual(junitCounts(xml), { passed: 2, failed: 1 });
  });

  test("a group that fails by itself is a failure", () => {
    const xml = `<testcase name="group"><failure message="hook">…</failure></testcase><testcase name="group &gt; one"></testcase>`;
    assert.deepEqual(junitCounts(xml), { passed: 1, failed: 1 });
  });

  test("no report, no tests", () => {
    assert.deepEqual(junitCounts(""), { passed: 0, failed: 0 });
  });
});

describe("zigCounts", () => {
  test("reads the build summary", () => {
    assert.deepEqual(zigCounts("Build Summary: 3/3 steps succeeded; 12/12 tests passed\n"), { passed: 12, failed: 0 });
    assert.deepEqual(zigCounts("Build Summary: 1/3 steps succeeded; 1 failed; 9/12 tests passed; 2 skipped; 1 failed\n"), {
      passed: 9,
      failed: 1,
    });
  });

  test("a build that broke ran none", () => {
    assert.equal(zigCounts("error: expected ';'\nBuild Summary: 0/3 steps succeeded; 1 failed\n"), undefined);
  });
});

test("a runner that dies counts as a failure; one that failed a test is not counted twice", () => {
  assert.deepEqual(atLeastOneFailure({ passed: 3, failed: 0 }, null), { passed: 3, failed: 1 });
  assert.deepEqual(atLeastOneFailure({ passed: 3, failed: 2 }, 1), { passed: 3, failed: 2 });
  assert.deepEqual(atLeastOneFailure({ passed: 3, failed: 0 }, 0), { passed: 3, failed: 0 });
});

test("the closing line is plain", () => {
  assert.equal(closingLine(sum([{ passed: 3, failed: 0 }, { passed: 4, failed: 1 }])), "7 passed, 1 failed");
});

describe("a runner that says nothing any more", () => {
  const deno = [
    "\u001b[90mrunning 2 tests from ./tests/a_test.ts\u001b[0m\ngroup ...\n  one ... ok (3ms)\n",
    "  inner ...\n    two",
    " ...'group' has been running for over (1m0s)",
  ];

  test("is stuck in the test that has no result, however often it says that it waits", () => {
    const stuck = new StuckTest(10_000, 0);
    for (const [second, text] of deno.entries()) stuck.heard(text, second * 1000);
    assert.equal(stuck.sentence(10_999), undefined);
    stuck.heard("\n'group' has been running for over (2m0s)\n", 11_000);
    assert.equal(stuck.sentence(12_000), "nothing was heard for 10 s in tests/a_test.ts > group > inner > two");
  });

  test("is stuck in a later file when the earlier ones are done", () => {
    const stuck = new StuckTest(10_000, 0);
    stuck.heard("group ...\n  one ... FAILED (3ms)\ngroup ... FAILED (due to 1 failed step)\n", 0);
    stuck.heard("tests/b_test.ts:\n(pass) a > b [1.00ms]\n", 0);
    assert.equal(stuck.sentence(20_000), "nothing was heard for 10 s in tests/b_test.ts");
  });

  test("is ended", async () => {
    const program = "console.log('tests/c_test.ts:'); for (;;);";
    const args = "Deno" in globalThis ? ["eval", program] : ["-e", program];
    const { exitCode, stuck } = await run(process.execPath, args, {
      quiet: true,
      watchdog: new StuckTest(500, Number.POSITIVE_INFINITY),
    });
    assert.deepEqual([exitCode, stuck], [null, "nothing was heard for 1 s in tests/c_test.ts"]);
  });
});

describe("leftovers", () => {
  test("a clean run leaves nothing, not even its folder", async () => {
    const scratch = makeScratch(0);
    const { TMPDIR = "" } = scratch.environment("clean");
    assert.ok(existsSync(TMPDIR));
    assert.deepEqual(await scratch.leftovers(), []);
    assert.ok(!existsSync(TMPDIR));
  });

  test("a process and a socket are found; the process is ended", async () => {
    const scratch = makeScratch(0);
    const environment = scratch.environment("untidy");
    const stray = spawn("sleep", ["1000"], { env: { ...process.env, ...environment }, stdio: "ignore" });
    const ended = new Promise((resolve) => stray.on("exit", (_code, signal) => resolve(signal)));
    // Between fork and exec a process has no environment to be found by.
    while (readFileSync(`/proc/${stray.pid}/environ`).length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(environment["TMPDIR"] ?? "", "left.sock"), resolve));
    const sentences = await scratch.leftovers();
    assert.equal(sentences.length, 2);
    assert.match(sentences[0] ?? "", new RegExp(`^process ${stray.pid} is still running: (\\S*/)?sleep 1000$`));
    assert.match(sentences[1] ?? "", /^a socket was left at .*left\.sock$/);
    assert.equal(await ended, "SIGKILL");
    server.close();
  });
});

describe("options of programs", () => {
  const usage = {
    command: "bun program.ts",
    what: "It does something.",
    options: { rounds: count("of all", 5, 1), quick: flag("less"), only: text("TEXT", "those", ""), each: seconds("of one", 0.5) },
    examples: ["bun program.ts --quick"],
  };

  test("what is not said has its default, what is said is parsed", () => {
    assert.deepEqual(readOptions(usage, []), { rounds: 5, quick: false, only: "", each: 0.5 });
    const said = readOptions(usage, ["--rounds", "7", "--quick", "--only=a b", "--each", "1.5"]);
    assert.deepEqual(said, { rounds: 7, quick: true, only: "a b", each: 1.5 });
  });

  test("help has all of them, and examples", () => {
    assert.equal(readOptions(usage, ["--quick", "--help"]), undefined);
    const help = helpOf(usage);
    for (const part of [/--rounds N +of all \(default: 5\)/, /--only TEXT +those$/m, /bun program\.ts --quick/]) assert.match(help, part);
  });

  test("a mistake is one sentence", () => {
    const wrong = [["--nonsense"], ["stray"], ["--rounds"], ["--rounds", "x"], ["--rounds", "0"], ["--rounds", "-1"], ["--quick=1"]];
    for (const args of wrong) {
      assert.throws(() => readOptions(usage, args), { name: "UsageError", message: /^[^\n]+[^.\n]$/ }, args.join(" "));
    }
  });
});
