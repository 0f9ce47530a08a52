/** Starts measuring programs, reads their one JSON object, and never leaves one behind. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

import { NOT_POSSIBLE } from "../drivers/job.ts";
import { NotPossible } from "./rounds.ts";

/** A program that ended badly, with what it said. */
export class ProgramFailed extends Error {
  override readonly name = "ProgramFailed";
}

const running = new Set<ChildProcess>();
let cleaning = false;

/** Ends every program that is still running; for Ctrl-C. */
export function endPrograms(): void {
  for (const child of running) child.kill("SIGKILL");
}

export interface Program {
  /** Resolves with the first line of stdout. */
  readonly firstLine: Promise<string>;
  /** Resolves with all of stdout when it ended well. */
  readonly output: Promise<string>;
  kill(): void;
}

export function start(command: readonly string[], timeoutMs: number, env: Readonly<Record<string, string>> = {}): Program {
  if (!cleaning) {
    cleaning = true;
    process.on("exit", endPrograms);
  }
  const [executable = "", ...args] = command;
  const child = spawn(executable, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  running.add(child);
  let stdout = "";
  let stderr = "";
  let timedOut = false;
  const line = Promise.withResolvers<string>();
  const output = Promise.withResolvers<string>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const end = stdout.indexOf("\n");
    if (end >= 0) line.resolve(stdout.slice(0, end));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  const failed = (why: string): void => {
    const error = new ProgramFailed(`${command.slice(0, 3).join(" ")} …: ${why}${stderr === "" ? "" : `\n${stderr.trim()}`}`);
    line.reject(error);
    output.reject(error);
  };
  child.on("error", (error) => failed(error.message));
  child.on("close", (code, signal) => {
    clearTimeout(timer);
    running.delete(child);
    if (timedOut) failed(`did not end within ${timeoutMs / 1000} s`);
    else if (code === 0) output.resolve(stdout);
    else if (code === NOT_POSSIBLE) {
      const reason = new NotPossible((stderr.split("\n")[0] ?? "").replace(/^fable-bench: /, ""));
      line.reject(reason);
      output.reject(reason);
    } else failed(signal === null ? `exit code ${code}` : `ended by ${signal}`);
    line.resolve(stdout);
  });
  // whoever waits for one of the two need not look at the other
  line.promise.catch(() => {});
  output.promise.catch(() => {});
  return { firstLine: line.promise, output: output.promise, kill: () => void child.kill("SIGKILL") };
}

/** Runs a program that prints one JSON object. */
export async function runJson<T>(command: readonly string[], timeoutMs: number): Promise<T> {
  return JSON.parse(await start(command, timeoutMs).output) as T;
}
