/** The command line's pure parts: option values, number formats, the one-sentence errors, and what goes to a terminal and what to a pipe. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CommandFailed, describeFailure, sentence } from "../../src/cli/failure.ts";
import { formatBytes, formatCount, formatNanoseconds, formatRate, quantile } from "../../src/cli/format.ts";
import { createOutput, type OutputEnvironment, plainRows } from "../../src/cli/output.ts";
import { parseCores, parseCount, parseSeconds, parseSize, parseSizes, parseWord, parseWords, UsageError } from "../../src/cli/usage.ts";
import { FableError } from "../../src/errors.ts";

describe("option values", () => {
  test("sizes are bytes, with binary units", () => {
    const cases: readonly (readonly [string, number])[] = [
      ["1", 1],
      ["4096", 4096],
      ["64K", 65536],
      ["64k", 65536],
      ["64KiB", 65536],
      ["1M", 1048576],
      ["2GiB", 2147483648],
      ["512B", 512],
    ];
    for (const [text, size] of cases) assert.equal(parseSize(text), size, text);
  });

  test("what is not a size is refused", () => {
    for (const text of ["", "K", "-1", "1.5K", "64 X", "1e3", "0", "99999999G", "0x40"]) {
      assert.throws(() => parseSize(text), UsageError, text);
    }
  });

  test("counts, seconds, words, lists, cores", () => {
    assert.equal(parseCount("17"), 17);
    assert.throws(() => parseCount("17.0"), UsageError);
    assert.throws(() => parseCount("0", 1), /out of range/);
    assert.equal(parseSeconds("0.25"), 0.25);
    for (const text of ["0", "-1", "1s", "", "1e9", "NaN"]) assert.throws(() => parseSeconds(text), UsageError, text);
    assert.equal(parseWord("b", ["a", "b"]), "b");
    assert.throws(() => parseWord("c", ["a", "b"]), /"c" is not one of a, b/);
    assert.deepEqual(parseWords("all", ["a", "b"]), ["a", "b"]);
    assert.deepEqual(parseWords("b, a,b", ["a", "b"]), ["b", "a"]);
    assert.deepEqual(parseSizes("64,4K,64"), [64, 4096]);
    assert.deepEqual(parseCores("0,1"), [0, 1]);
    assert.equal(parseCores("same"), "same");
    for (const text of ["0", "0,1,2", "a,b", ""]) assert.throws(() => parseCores(text), UsageError, text);
  });
});

describe("numbers for people", () => {
  test("three significant figures and a unit", () => {
    assert.deepEqual([0, 999, 1000, 12_345, 107_394_952, 999_499_999].map(formatBytes), [
      "0 B",
      "999 B",
      "1.00 kB",
      "12.3 kB",
      "107 MB",
      "999 MB",
    ]);
    assert.deepEqual([7, 63.4, 999.6, 1234, 25_000, 2.5e9].map(formatNanoseconds), [
      "7 ns",
      "63.4 ns",
      "1.00 µs",
      "1.23 µs",
      "25.0 µs",
      "2.50 s",
    ]);
    assert.equal(formatRate(35_600_000), "35.6 M/s");
    assert.equal(formatCount(1_234_567), "1,234,567");
    assert.equal(formatCount(999), "999");
  });

  test("quantiles of a sorted sample", () => {
    const sample = Float64Array.from({ length: 100 }, (_, index) => index + 1);
    assert.equal(quantile(sample, 0.5), 51);
    assert.equal(quantile(sample, 0.99), 100);
    assert.ok(Number.isNaN(quantile(new Float64Array(0), 0.5)));
  });
});

describe("failures", () => {
  test("a FableError is one sentence with code and remedy, exit 1", () => {
    const error = new FableError("NAME_UNKNOWN", "Nobody has registered xio://x.", { remedy: "Look with fable ls." });
    assert.deepEqual(describeFailure(error), {
      sentence: "fable: Nobody has registered xio://x (NAME_UNKNOWN): Look with fable ls.",
      exitCode: 1,
    });
  });

  test("wrong usage is exit 2, a system error keeps its code, a closed pipe is silent", () => {
    assert.equal(describeFailure(new UsageError("no")).exitCode, 2);
    assert.match(
      describeFailure(Object.assign(new Error("no such file"), { code: "ENOENT" })).sentence,
      /^fable: no such file \(ENOENT\)\.$/,
    );
    assert.deepEqual(describeFailure(Object.assign(new Error("write"), { code: "EPIPE" })), { sentence: "", exitCode: 1 });
    assert.equal(describeFailure(new CommandFailed("")).sentence, "");
    assert.equal(describeFailure("a string").exitCode, 1);
  });

  test("a message of several lines is still one line", () => {
    assert.equal(sentence("first\n  second.\n", "X", undefined), "fable: first second (X).");
  });
});

describe("output", () => {
  function capture(
    part: Partial<OutputEnvironment>,
  ): { readonly environment: OutputEnvironment; readonly out: string[]; readonly error: string[] } {
    const out: string[] = [];
    const error: string[] = [];
    const environment: OutputEnvironment = {
      json: false,
      stdoutTerminal: false,
      stderrTerminal: false,
      noColour: false,
      writeOut: (text) => void out.push(text),
      writeError: (text) => void error.push(text),
      ...part,
    };
    return { environment, out, error };
  }

  test("a pipe gets tab-separated rows, no header, no colour", async () => {
    const { environment, out } = capture({});
    const output = createOutput(environment);
    await output.table(["NAME", "PID"], [["xio://a", "1"], ["xio://b", "2"]]);
    assert.equal(out.join(""), "xio://a\t1\nxio://b\t2\n");
    assert.equal(output.colours.red("x"), "x");
  });

  test("a field cannot break a row", () => {
    assert.equal(plainRows([["a\tb\nc", "d"]]), "a b c\td\n");
  });

  test("a terminal gets a header and colours, NO_COLOR takes the colours away", async () => {
    const coloured = capture({ stdoutTerminal: true });
    await createOutput(coloured.environment).table(["NAME"], [["xio://a"]]);
    assert.ok(coloured.out.join("").includes("\x1b[1mNAME\x1b[22m"));
    const plain = capture({ stdoutTerminal: true, noColour: true });
    await createOutput(plain.environment).table(["NAME"], [["xio://a"]]);
    assert.ok(!plain.out.join("").includes("\x1b["));
    assert.match(plain.out.join(""), /^NAME\nxio:\/\/a\n$/);
  });

  test("--json gives the value and nothing else on stdout", async () => {
    const { environment, out } = capture({ json: true, stdoutTerminal: true, stderrTerminal: true });
    const output = createOutput(environment);
    output.line("for people");
    output.progress("50 %");
    await output.table(["NAME"], [["x"]]);
    output.value([{ a: 1 }]);
    assert.deepEqual(JSON.parse(out.join("")), [{ a: 1 }]);
  });

  test("progress overwrites itself and is cleared before the next line", () => {
    const { environment, error, out } = capture({ stderrTerminal: true });
    const output = createOutput(environment);
    output.progress("1 %");
    output.progress("2 %");
    output.line("done");
    assert.equal(error.join(""), "\r\x1b[K1 %\r\x1b[K2 %\r\x1b[K");
    assert.equal(out.join(""), "done\n");
  });
});
