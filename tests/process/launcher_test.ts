/** `fable` as people start it: npx, bunx, deno task, a link from elsewhere; in either runtime, from any folder of the checkout. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { root } from "../../scripts/lib/checkout.ts";
import { VERSION } from "../../src/version.ts";

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const BIN = join(root, "node_modules/.bin");

function start(
  command: string,
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      { cwd, env: { ...process.env, NO_COLOR: "1", ...environment }, timeout: 60_000, encoding: "utf8" },
      (error, stdout, stderr) => {
        resolve({ exitCode: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
      },
    );
  });
}

async function inScratch(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "launcher "));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the launcher", () => {
  test("npx, bunx and deno task find it from any folder of the checkout", async () => {
    const folder = join(root, "src/native");
    assert.equal((await start("npx", ["fable", "--version"], folder)).stdout, `${VERSION}\n`);
    assert.equal((await start(join(BIN, "bunx"), ["fable", "--version"], folder)).stdout, `${VERSION}\n`);
    assert.equal((await start(join(BIN, "deno"), ["task", "-q", "fable", "--version"], folder)).stdout, `${VERSION}\n`);
  });

  test("runs in the runtime that FABLE_RUNTIME names", async () => {
    for (const runtime of ["bun", "deno", join(BIN, "bun"), join(BIN, "deno")]) {
      assert.equal((await start(join(root, "bin/fable"), ["--version"], root, { FABLE_RUNTIME: runtime })).stdout, `${VERSION}\n`, runtime);
    }
  });

  test("says so if there is no such runtime", async () => {
    const { exitCode, stderr } = await start(join(root, "bin/fable"), ["--version"], root, { FABLE_RUNTIME: "nosuchruntime" });
    assert.equal(exitCode, 1);
    assert.match(stderr, /^fable: no runtime found named nosuchruntime\..*FABLE_RUNTIME\.\n$/);
  });

  test("is found through links, relative ones too, and keeps the folder it was called from", () =>
    inScratch(async (folder) => {
      symlinkSync(join(root, "bin/fable"), join(folder, "one"));
      symlinkSync("one", join(folder, "two"));
      assert.equal((await start("./two", ["--version"], folder)).stdout, `${VERSION}\n`);
      assert.equal((await start("/bin/sh", [join(folder, "two"), "--version"], "/")).stdout, `${VERSION}\n`);
    }));

  test("a part of the program is read only by the commands that need it", () => {
    const imports = (part: string): string[] =>
      [...readFileSync(join(root, "dist", part), "utf8").matchAll(/(?:from|import)\s*"(\.\/[^"]+|node:[a-z_/]+)"/g)].map(([, name]) =>
        name ?? ""
      );
    const seen = new Set<string>();
    const follow = (part: string): void => {
      for (const name of imports(part)) {
        if (seen.has(name)) continue;
        seen.add(name);
        if (name.startsWith("./")) follow(name.slice(2));
      }
    };
    follow("fable.js");
    const cat = /import\("\.\/(cat-[A-Z0-9]+\.js)"\)/.exec(readFileSync(join(root, "dist/fable.js"), "utf8"))?.[1];
    assert.ok(cat !== undefined, "cat is no part of its own");
    follow(cat);
    assert.ok(seen.has("node:fs") && seen.size > 5, [...seen].join(" "));
    // Each of these takes Bun some 10 ms to load.
    for (const slow of ["node:crypto", "node:tty", "node:net", "node:stream"]) assert.ok(!seen.has(slow), `fable cat loads ${slow}`);
  });

  test("says what to do when nothing was built", () =>
    inScratch(async (folder) => {
      mkdirSync(join(folder, "bin"));
      copyFileSync(join(root, "bin/fable"), join(folder, "bin/fable"));
      const { exitCode, stderr } = await start(join(folder, "bin/fable"), ["ls"], folder);
      assert.equal(exitCode, 1);
      assert.match(stderr, /dist\/fable\.js is missing\. Run npm run build/);
    }));
});
