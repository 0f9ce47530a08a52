/**
 * `npm run build`: the native library and its TypeScript bindings, the command line in parts that are loaded when they are needed, and a link
 * so that npx and bunx find it. Does nothing, quickly, when nothing changed.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root, tool } from "./lib/checkout.ts";
import { run } from "./lib/run.ts";

const LAUNCHER_LINK = join(root, "node_modules/.bin/fable");
const DIST = join(root, "dist");
const ENTRY = "fable.js";
/** Parts that no build made for so long are needed by no program that started before its own was replaced. */
const OLD_MS = 3_600_000;

/** CommonJS packages in the bundle load Node's modules by require(). Bun need not look for TypeScript in what is marked as its own. */
const BANNER = `// @bun\nimport { createRequire as fableRequire } from "node:module"; const require = fableRequire(import.meta.url);`;

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

/**
 * One part per command, and what they share: `fable cat` starts in half the time if it need not read the others, nor the modules they import.
 * Parts are named by their contents. All are made beside and renamed, the entry last, so that a program starting meanwhile reads old or new.
 */
async function bundle(): Promise<void> {
  const fresh = join(DIST, `.fresh-${process.pid}`);
  const options = [
    "--bundle",
    "--splitting",
    "--minify",
    "--format=esm",
    "--platform=node",
    "--target=esnext",
    "--external:bun:ffi",
    "--alias:jsonc-parser=jsonc-parser/lib/esm/main.js",
    `--banner:js=${BANNER}`,
  ];
  try {
    mkdirSync(fresh, { recursive: true });
    const entry = `${ENTRY.slice(0, -".js".length)}=src/cli/main.ts`;
    await step("Bundling the command line", tool("esbuild"), [entry, ...options, `--outdir=${fresh}`, "--log-level=warning"]);
    const parts = readdirSync(fresh).filter((name) => name !== ENTRY);
    for (const name of [...parts, ENTRY]) renameSync(join(fresh, name), join(DIST, name));
    removeOldParts();
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function removeOldParts(): void {
  const oldest = Date.now() - OLD_MS;
  for (const name of readdirSync(DIST)) {
    const path = join(DIST, name);
    if ((statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? oldest) < oldest) rmSync(path, { recursive: true, force: true });
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
