/** The processes of `fable demo`: started, heard line by line, and gone afterwards. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { CommandFailed } from "./failure.ts";
import { type FoundRuntime, programIn } from "./runtimes.ts";

/** All of it takes no longer. */
const LIMIT_MS = 120_000;

export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

/** The demo's processes, and their ends. */
export class Stage {
  readonly #folder: string;
  readonly #actors: Actor[] = [];
  readonly #deadline = Date.now() + LIMIT_MS;

  constructor(folder: string) {
    this.#folder = folder;
  }

  start(role: string, runtime: FoundRuntime, args: readonly string[]): Actor {
    const [executable = "", ...rest] = programIn(runtime, args);
    const environment = { ...process.env, FABLE_SOCKET: join(this.#folder, "broker.sock"), NO_COLOR: "1" };
    const actor = new Actor(
      `${role} (${runtime.name})`,
      spawn(executable, rest, { env: environment, stdio: ["ignore", "pipe", "pipe"] }),
      this.#deadline,
    );
    this.#actors.push(actor);
    return actor;
  }

  end(): void {
    for (const actor of this.#actors) actor.kill("SIGTERM");
  }

  /** The broker last, so that the ends can say goodbye. */
  async ended(): Promise<void> {
    for (const actor of [...this.#actors].reverse()) {
      actor.kill("SIGTERM");
      await actor.gone();
    }
  }
}

/** One process, heard line by line. */
export class Actor {
  onProgress: (line: Line) => void = () => {};
  readonly #role: string;
  readonly #child: ChildProcess;
  readonly #deadline: number;
  readonly #lines: Line[] = [];
  #errors = "";
  #partial = "";
  #ended = false;
  #wake: () => void = () => {};

  constructor(role: string, child: ChildProcess, deadline: number) {
    this.#role = role;
    this.#child = child;
    this.#deadline = deadline;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#take(text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => void (this.#errors += text));
    child.on("error", (error) => void (this.#errors += error.message));
    child.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The line that says `event`; an end or a silence instead is a failure with its cause. */
  async line(event: string): Promise<Line> {
    const found = await this.#hear(event, this.#deadline);
    if (found === undefined) throw new CommandFailed(`the ${this.#role} did not come to "${event}" within ${LIMIT_MS / 1000} s`);
    return found;
  }

  /** {@link line}, which is not found again; undefined if it does not come within `limitMs`. */
  async take(event: string, limitMs: number): Promise<Line | undefined> {
    const found = await this.#hear(event, Date.now() + limitMs);
    if (found !== undefined) this.#lines.splice(this.#lines.indexOf(found), 1);
    return found;
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(signal);
  }

  async gone(): Promise<void> {
    const timer = setTimeout(() => this.kill("SIGKILL"), 3000);
    while (!this.#ended) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    clearTimeout(timer);
  }

  async #hear(event: string, deadline: number): Promise<Line | undefined> {
    for (;;) {
      const found = this.#lines.find((line) => line.event === event);
      if (found !== undefined) return found;
      if (this.#ended) throw new CommandFailed(`the ${this.#role} failed: ${this.#errors.trim() || "it ended without a word"}`);
      const left = Math.min(deadline, this.#deadline) - Date.now();
      if (left <= 0) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, left);
      await promise;
      clearTimeout(timer);
    }
  }

  #take(text: string): void {
    const parts = (this.#partial + text).split("\n");
    this.#partial = parts.pop() ?? "";
    for (const part of parts) {
      const line = JSON.parse(part) as Line;
      if (line.event === "progress") this.onProgress(line);
      else this.#lines.push(line);
    }
    this.#wake();
  }
}
