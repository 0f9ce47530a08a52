/** Starts a program, shows or keeps what it prints, and never leaves it behind. */
import { spawn } from "node:child_process";
import process from "node:process";
import { root } from "./checkout.ts";

const WATCH_MS = 1000;

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Keep the output instead of showing it. */
  readonly quiet?: boolean;
  readonly timeoutMs?: number;
  /** Told what the program prints, and asked every second why it should be ended. */
  readonly watchdog?: Watchdog;
}

export interface Watchdog {
  heard(text: string, nowMs: number): void;
  /** The reason, or undefined. */
  sentence(nowMs: number): string | undefined;
}

export interface RunResult {
  /** Null if a signal ended it. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  /** Why the watchdog had it ended. */
  readonly stuck?: string;
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
    const text = new TextDecoder().decode(chunk);
    output += text;
    options.watchdog?.heard(text, performance.now());
    if (options.quiet !== true) to.write(chunk);
  };
  child.stdout.on("data", (chunk: Uint8Array) => show(chunk, process.stdout));
  child.stderr.on("data", (chunk: Uint8Array) => show(chunk, process.stderr));
  let timedOut = false;
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs);
  let stuck: string | undefined;
  const watching = options.watchdog === undefined ? undefined : setInterval(() => {
    stuck ??= options.watchdog?.sentence(performance.now());
    if (stuck !== undefined) child.kill("SIGKILL");
  }, WATCH_MS);
  const stopTimers = (): void => {
    clearTimeout(timer);
    clearInterval(watching);
  };
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      stopTimers();
      reject(error);
    });
    // Not "close": a process that the child left behind may hold its stdout open.
    child.on("exit", (exitCode) => {
      stopTimers();
      const seconds = (performance.now() - started) / 1000;
      setImmediate(() => resolve({ exitCode, timedOut, output, seconds, ...(stuck === undefined ? {} : { stuck }) }));
    });
  });
}
