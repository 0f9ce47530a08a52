/** Runs a small program of a test to its end, in either runtime, with exactly the permissions asked for. */
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export type RuntimeName = "bun" | "deno";

/** The runtime that runs this test. */
export const here: RuntimeName = process.versions["bun"] === undefined ? "deno" : "bun";

export interface Outcome {
  /** Null if a signal ended it, as the deadline does. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Permission flags in Deno. */
  readonly permissions?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export function runProgram(runtime: RuntimeName, file: string, args: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  const denoWords = ["run", "--quiet", "--no-prompt", "--no-check", ...(options.permissions ?? ["--allow-ffi"])];
  const words = [...(runtime === "deno" ? denoWords : []), join(ROOT, file), ...args];
  const env = { ...process.env, NO_COLOR: "1", ...options.environment };
  return new Promise((resolve) => {
    execFile(
      join(ROOT, "node_modules/.bin", runtime),
      words,
      { env, timeout: options.timeoutMs ?? 20_000, killSignal: "SIGKILL", encoding: "utf8" },
      (error, stdout, stderr) =>
        resolve({ exitCode: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr }),
    );
  });
}
