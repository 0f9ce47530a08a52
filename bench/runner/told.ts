/** Programs that are told what to do in lines of JSON on stdin and answer each with one on stdout; and the broker they all use. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { commandOf, root, type RuntimeName } from "./checkout.ts";

export class Told<Order extends object, Answer> {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(runtime: RuntimeName, program: string, environment: Readonly<Record<string, string>>) {
    const [file = "", ...words] = commandOf(runtime, join(root, program), []);
    this.#child = spawn(file, words, { env: { ...process.env, ...environment }, stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async tell(order: Order): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error(`a program ended when it was told ${JSON.stringify(order)}`);
    return JSON.parse(value as string) as Answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

/** The other side of {@link Told}: obeys until stdin ends. */
export async function obeyLines<Order, Answer>(obey: (order: Order) => Promise<Answer>): Promise<never> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line) as Order))}\n`);
  }
  process.exit(0);
}

/** A folder for a broker's socket, and what programs need to find it or to start it. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "fable-bench-"));
  readonly socket = join(this.folder, "broker.sock");
  /** What starts a broker here. */
  readonly command: readonly string[] = [join(root, "bin/fable")];
  readonly environment = { FABLE_SOCKET: this.socket, FABLE_BROKER_COMMAND: JSON.stringify(this.command) };

  /** The broker's process, as its command line says; undefined if there is none. */
  get broker(): number | undefined {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
    return pids.find((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes("broker") && words.includes(this.socket);
      } catch {
        return false;
      }
    });
  }

  /** Waits until the broker, which has no clients any more, left; ends it if it does not. */
  async close(): Promise<void> {
    for (let turn = 0; turn < 100 && this.broker !== undefined; turn++) await sleep(50);
    const { broker } = this;
    if (broker !== undefined) process.kill(broker, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
