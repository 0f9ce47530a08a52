/**
 * `npm run build`: the native library and its TypeScript bindings, the command line as one file, and a link so that npx and bunx find it.
 * Does nothing, quickly, when nothing changed.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root, tool } from "./lib/checkout.ts";
import { run } from "./lib/run.ts";

const LAUNCHER_LINK = join(root, "node_modules/.bin/fable");
const BUNDLE = join(root, "dist/fable.js");

/** CommonJS packages in the bundle load Node's modules by require(). */
const BANNER = `import { createRequire as fableRequire } from "node:module"; const require = fableRequire(import.meta.url);`;

async function step(what: string, command: string, args: readonly string[]): Promise<void> {
  const { exitCode, output } = await run(command, args, { quiet: true });
  if (exitCode === 0) return;
  process.stderr.write(output);
  throw new Error(`${what} failed`);
}

async function buildNative(): Promise<void> {
  const bindings = join(root, "src/native/generated.ts");
  const before = existsSync(bindings) ? readFileSync(bindings, "utf8") : "";
  await step("Building the native library", tool("zig"), ["build", "install", "bindings", "tools"]);
  if (readFileSync(bindings, "utf8") !== before) console.log("src/native/generated.ts was stale and is new now: commit it.");
}

async function bundle(): Promise<void> {
  // Written beside and renamed, so that a program starting meanwhile reads the old file or the new one.
  const fresh = `${BUNDLE}.${process.pid}`;
  mkdirSync(join(root, "dist"), { recursive: true });
  const options = [
    "--bundle",
    "--format=esm",
    "--platform=node",
    "--target=esnext",
    "--external:bun:ffi",
    "--alias:jsonc-parser=jsonc-parser/lib/esm/main.js",
    `--banner:js=${BANNER}`,
  ];
  try {
    await step("Bundling the command line", tool("esbuild"), ["src/cli/main.ts", ...options, `--outfile=${fresh}`, "--log-level=warning"]);
    renameSync(fresh, BUNDLE);
  } finally {
    rmSync(fresh, { force: true });
  }
}

function linkLauncher(): void {
  if (lstatSync(LAUNCHER_LINK, { throwIfNoEntry: false }) === undefined) symlinkSync("../../bin/fable", LAUNCHER_LINK);
}

try {
  await buildNative();
  await bundle();
  linkLauncher();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
