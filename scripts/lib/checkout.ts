/** Where things are in the checkout. The scripts run in Bun and in Deno alike (`npm run …`, `deno task …`). */
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** A tool that npm ci installed. */
export function tool(name: "bun" | "deno" | "dprint" | "esbuild" | "tsc" | "zig"): string {
  const path = name === "zig" ? zig() : join(root, "node_modules/.bin", name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm ci`);
  return path;
}

/** The compiler itself: the wrapper that npm links answers 0 when the compiler is killed by a signal. */
function zig(): string {
  return join(root, `node_modules/@zigc/linux-${process.arch}/bin/zig`);
}

/** Files below a folder of the checkout, as sorted paths relative to its root, without what is built or installed. */
export function filesBelow(folder: string, matches: (path: string) => boolean): readonly string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !/(^|\/)(node_modules|dist|zig-out|\.zig-cache|\.git)\//.test(path) && matches(path))
    .sort();
}
