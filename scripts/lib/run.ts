/** Starts a program, shows or keeps what it prints, and never leaves it behind. */
import { spawn } from "node:child_process";
import process from "node:process";
import { root } from "./checkout.ts";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Keep the output instead of showing it. */
  readonly quiet?: boolean;
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Null if a signal ended it. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  /** stdout and stderr, in the order they came. */
  readonly output: string;
  readonly seconds: number;
}

export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const started = performance.now();
  const child = spawn(command, [...args], {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const show = (chunk: Uint8Array, to: NodeJS.WriteStream) => {
    output += new TextDecoder().decode(chunk);
    if (options.quiet !== true) to.write(chunk);
  };
  child.stdout.on("data", (chunk: Uint8Array) => show(chunk, process.stdout));
  child.stderr.on("data", (chunk: Uint8Array) => show(chunk, process.stderr));
  let timedOut = false;
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    // Not "close": a process that the child left behind may hold its stdout open.
    child.on("exit", (exitCode) => {
      clearTimeout(timer);
      setImmediate(() => resolve({ exitCode, timedOut, output, seconds: (performance.now() - started) / 1000 }));
    });
  });
}
