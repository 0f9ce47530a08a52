/** Runs the native fuzzer, which owns the other end of a channel in the same process (zig/tools/fuzz.zig). */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../process/harness.ts";

export interface NativeFuzz {
  readonly rounds: number;
  readonly sessions: number;
  readonly window: number;
  readonly delivered: number;
  readonly fault: number;
  readonly ended: number;
  readonly dead: number;
  readonly refused: number;
  /** Of reconfigurations, at the victim: offered by it, crossed by its own hand, arenas that it moved on from, old paths emptied, refusals. */
  readonly offered: number;
  readonly crossed: number;
  readonly moved: number;
  readonly drained: number;
  readonly declined: number;
  /** Sessions that were honest to the end, everything delivered in both directions; sessions whose honest end began to lie. */
  readonly finished: number;
  readonly turned: number;
}

/** Rejects with what the fuzzer said if the victim crashed, hung or did what it must not. */
export function fuzzNative(rounds: number, seed: number, timeoutMs: number): Promise<NativeFuzz> {
  const program = join(ROOT, "zig-out", "bin", "fable-fuzz");
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["--rounds", String(rounds), "--seed", String(seed)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
    });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text));
    child.on("error", (error) => reject(new Error(`${program}: ${error.message}; run npm run build`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(JSON.parse(out) as NativeFuzz);
      else reject(new Error(`fable-fuzz ended with ${signal ?? code}: ${errors.trim()}`));
    });
  });
}
