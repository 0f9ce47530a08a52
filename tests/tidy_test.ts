/** The house rules, held against every file of the checkout; and against bad samples, so that no rule is blind. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { filesBelow, root } from "../scripts/lib/checkout.ts";
import { missingFromLock } from "../scripts/lib/lock.ts";
import { VERSION } from "../src/version.ts";
import {
  importDirection,
  importsOf,
  noAny,
  noForbiddenWords,
  noTimedTests,
  notTooLong,
  onlyAdaptersNameRuntimes,
  otherRules,
  type Rule,
  type SourceFile,
  startsWithComment,
  typeScriptRules,
} from "./tidy/rules.ts";

const FOLDERS = ["src", "tests", "bench", "examples", "scripts", "zig", "include", "bin", ".ci"];
const NOT_SOURCE = /^(bench\/results\/)|\.(md|json|html|css|svg|png|txt)$/;

function read(path: string): SourceFile {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

const sources = [
  ...FOLDERS.flatMap((folder) => filesBelow(folder, (path) => !NOT_SOURCE.test(path))),
  ...filesBelow(".", (path) => /^[^/]+\.(ts|zig)$/.test(path)),
]
  .map(read);

function complaints(files: readonly SourceFile[], rules: readonly Rule[]): readonly string[] {
  return files.flatMap((file) => rules.flatMap((rule) => rule(file)));
}

describe("house rules", () => {
  test("TypeScript files keep them", () => {
    const files = sources.filter(({ path }) => path.endsWith(".ts"));
    assert.ok(files.length > 20);
    assert.deepEqual(complaints(files, typeScriptRules), []);
  });

  test("all other sources keep them", () => {
    const files = sources.filter(({ path }) => !path.endsWith(".ts"));
    assert.ok(files.length > 5);
    assert.deepEqual(complaints(files, otherRules), []);
  });

  test("the version is the same everywhere", () => {
    const { version } = JSON.parse(read("package.json").text) as { readonly version: string };
    assert.equal(VERSION, version);
  });

  test("dependencies have exact versions, and the lock file has every platform's", () => {
    const { dependencies, devDependencies } = JSON.parse(read("package.json").text) as Record<string, Record<string, string>>;
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.deepEqual(missingFromLock(), []);
  });

  test("every npm script is a Deno task too", () => {
    const { scripts = {} } = JSON.parse(read("package.json").text) as Record<string, Record<string, string>>;
    const { tasks = {} } = JSON.parse(read("deno.json").text) as Record<string, Record<string, string>>;
    assert.deepEqual(Object.keys(scripts).filter((name) => !(name in tasks)), []);
  });
});

describe("each rule sees its violation", () => {
  const sees = (rule: Rule, path: string, text: string) => assert.equal(rule({ path, text }).length, 1, `${path}: ${text}`);
  const passes = (rule: Rule, path: string, text: string) => assert.deepEqual(rule({ path, text }), [], `${path}: ${text}`);

  test("import direction", () => {
    sees(importDirection, "src/xio/context.ts", `import { Names } from "../broker/names.ts";`);
    sees(importDirection, "src/flow/epoch.ts", `import type { Library } from "../native/library.ts";`);
    sees(importDirection, "src/policy/select.ts", `import { readFileSync } from "node:fs";`);
    sees(importDirection, "src/policy/select.ts", `import { inspect } from "node:util";`);
    sees(importDirection, "src/native/load.ts", `import {\n  a,\n  b,\n} from "../transport/transport.ts";`);
    sees(importDirection, "src/broker/broker.ts", `import { Client } from "../naming/client.ts";`);
    sees(importDirection, "src/naming/client.ts", `await import("../xio/context.ts");`);
    sees(importDirection, "src/xio/buffer.ts", `export * from "node:net";`);
    sees(importDirection, "src/xio/buffer.ts", `import "commander";`);
    sees(importDirection, "src/cli/main.ts", `import { x } from "../../tests/tidy/rules.ts";`);
    sees(importDirection, "src/xio/buffer.ts", `import { x } from "./context";`);
    sees(importDirection, "mod.ts", `export { Broker } from "./src/broker/broker.ts";`);
    passes(importDirection, "src/xio/context.ts", `import { a } from "../naming/client.ts";\nimport { b } from "../native/load.ts";`);
    passes(importDirection, "src/broker/broker.ts", `import { a } from "../naming/protocol.ts";`);
    passes(importDirection, "src/cli/main.ts", `import { a } from "commander";\nimport { b } from "../broker/broker.ts";`);
    passes(importDirection, "src/flow/epoch.ts", `// import { x } from "../broker/names.ts"`);
  });

  test("imports are found in every form", () => {
    const text =
      `import a from "a";\nimport type { B } from "b";\nexport { c } from "c";\nexport * from "d";\nimport "e";\nconst f = await import("f");\n`;
    assert.deepEqual(importsOf(text), ["a", "b", "c", "d", "e", "f"]);
  });

  test("no any", () => {
    for (const text of ["let x: any;", "x as any;", "Array<any>", "let x: any[];", "Map<string, any>", "string | any"]) {
      sees(noAny, "src/a.ts", text);
    }
    for (const text of ["// any: any", "const s = `: any`;", "any(of, these)", "{ a, any: 1 }", "company as unknown"]) {
      passes(noAny, "src/a.ts", text);
    }
  });

  test("words and length", () => {
    sees(noForbiddenWords, "src/a.ts", `// ${"TO"}${"DO"}: later`);
    sees(noForbiddenWords, "zig/a.zig", `// ${"FIX"}${"ME"}`);
    passes(noForbiddenWords, "src/a.ts", "// a list of things to do");
    sees(notTooLong, "src/a.ts", "x\n".repeat(401));
    passes(notTooLong, "src/a.ts", "x\n".repeat(400));
    passes(notTooLong, "src/native/generated.ts", "x\n".repeat(401));
  });

  test("first comment", () => {
    sees(startsWithComment, "src/a.ts", `import "b";`);
    sees(startsWithComment, "zig/a.zig", "// a comment, but not the file's\n");
    sees(startsWithComment, "bin/fable", "#!/bin/sh\nset -e\n");
    passes(startsWithComment, "src/a.ts", "/** Says it. */\n");
    passes(startsWithComment, "zig/a.zig", "//! Says it.\n");
    passes(startsWithComment, "bin/fable", "#!/bin/sh\n# Says it.\n");
    passes(startsWithComment, "include/fable.h", "/* fable.h: says it. */\n");
  });

  test("runtimes are named by their adapters only", () => {
    for (
      const text of [
        "Bun.version",
        "Deno.env.get(x)",
        "globalThis.Deno",
        `if (typeof Bun === "object") {}`,
        `import { ptr } from "bun:ffi";`,
      ]
    ) {
      sees(onlyAdaptersNameRuntimes, "src/native/load.ts", text);
      passes(onlyAdaptersNameRuntimes, "src/runtime/bun.ts", text);
    }
    passes(onlyAdaptersNameRuntimes, "src/native/load.ts", "// Deno.env\nconst hint = `deno run --allow-ffi (Deno.env)`;");
  });

  test("no timed tests, none left out", () => {
    sees(noTimedTests, "tests/a_test.ts", "const start = performance.now();");
    sees(noTimedTests, "tests/a_test.ts", "test.only(() => {});");
    passes(noTimedTests, "tests/a_test.ts", "const deadline = Date.now() + 10_000;");
    passes(noTimedTests, "bench/run.ts", "performance.now()");
    passes(noTimedTests, "tests/process/crash_test.ts", "performance.now()");
  });
});
