/** Runs the command line as a process: what it printed, how it ended. For the tests beside it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import process from "node:process";
import { command, type RuntimeName, type World } from "./harness.ts";

/** As scripts may rely on: `fable: what (CODE): remedy.` */
export const SENTENCE = /^fable: [^\n]+ \([A-Z_]+\)(: [^\n]+)?\.\n$/;

export interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: Uint8Array;
  readonly errors: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** What stdin is: bytes, an open descriptor, or nothing. */
  readonly input?: Uint8Array | string | number;
  readonly timeoutMs?: number;
}

export interface Running {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  /** What it wrote to stdout so far. */
  printed(): string;
  readonly stdin: { write(chunk: Uint8Array | string): unknown; end(): unknown } | null;
  readonly stdout: { pause(): unknown; resume(): unknown; destroy(): unknown } | null;
  kill(signal: NodeJS.Signals): void;
}

export function start(world: World, runtime: RuntimeName, args: readonly string[], options: RunOptions = {}, keepOpen = false): Running {
  const [file, list] = command(runtime, "src/cli/main.ts", args);
  const began = performance.now();
  const input = options.input;
  const child = spawn(file, list, {
    env: { ...process.env, ...world.environment, ...options.environment },
    stdio: [typeof input === "number" ? input : "pipe", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 20_000,
  });
  const out: Uint8Array[] = [];
  let errors = "";
  child.stdout?.on("data", (chunk: Uint8Array) => void out.push(chunk));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => void (errors += text));
  child.stdin?.on("error", () => {});
  if (typeof input !== "number" && input !== undefined) child.stdin?.write(input);
  if (!keepOpen) child.stdin?.end();
  const finished = new Promise<Finished>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out: Buffer.concat(out), errors, ms: performance.now() - began }));
  });
  return {
    pid: child.pid ?? 0,
    finished,
    printed: () => text(Buffer.concat(out)),
    stdin: child.stdin,
    stdout: child.stdout,
    kill: (signal) => void child.kill(signal),
  };
}

export function run(world: World, runtime: RuntimeName, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return start(world, runtime, args, options).finished;
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function json(result: Finished): unknown {
  assert.equal(result.errors, "");
  return JSON.parse(text(result.out));
}
