/** Where the programs of a benchmark are: all of them in the checkout that this file belongs to. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));

export type RuntimeName = "bun" | "deno";

export const nativeTool = join(root, "zig-out/bin/fable-bench");
export const driverProgram = join(root, "bench/drivers/main.ts");

/** The command line that runs a TypeScript program of the checkout. */
export function commandOf(runtime: RuntimeName, program: string, args: readonly string[]): readonly string[] {
  const executable = join(root, "node_modules/.bin", runtime);
  const flags = runtime === "deno" ? ["run", "--quiet", "--no-check", "--allow-all"] : [];
  return [executable, ...flags, program, ...args];
}

/** One sentence if something that was to be built or installed is not there. */
export function missing(runtimes: readonly RuntimeName[] = []): string | undefined {
  if (!existsSync(nativeTool)) return `${nativeTool} is missing: run npm run build`;
  if (!existsSync(join(root, "zig-out/lib/libfable.so"))) return "the native library is missing: run npm run build";
  return runtimes.map(missingRuntime).find((sentence) => sentence !== undefined);
}

/** The same of one runtime. */
export function missingRuntime(runtime: RuntimeName): string | undefined {
  return existsSync(join(root, "node_modules/.bin", runtime)) ? undefined : `${runtime} is missing in node_modules: run npm ci`;
}
