/**
 * What tests over several processes share: private broker sockets, programs in either runtime that talk to the test in lines of JSON, deadlines
 * on everything, and a look at what was left behind. Used by tests/process, tests/hostile and tests/soak.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export type RuntimeName = "bun" | "deno";
export const RUNTIMES: readonly RuntimeName[] = ["bun", "deno"];
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The command line that runs a TypeScript file in a runtime, with the permissions the library needs and those a test program needs. */
export function command(runtime: RuntimeName, file: string, args: readonly string[] = []): readonly [string, readonly string[]] {
  const path = file.startsWith("/") ? file : join(ROOT, file);
  const executable = join(ROOT, "node_modules", ".bin", runtime);
  return runtime === "bun"
    ? [executable, [path, ...args]]
    : [executable, ["run", "--quiet", "--no-check", "--allow-all", "--v8-flags=--expose-gc", path, ...args]];
}

/** A value of a line a program printed. */
export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

/** A program under test. Everything it prints on stdout is a JSON line with an `event`; its stderr is kept for the failure message. */
export class Program {
  readonly child: ChildProcess;
  readonly lines: Line[] = [];
  stderr = "";
  /** Set once the process is reaped. */
  exit: { readonly code: number | null; readonly signal: string | null } | undefined;
  #partial = "";
  #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(file: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...environment } });
    this.child.stdout?.setEncoding("utf8");
    this.child.stderr?.setEncoding("utf8");
    this.child.stdout?.on("data", (text: string) => this.#take(text));
    this.child.stderr?.on("data", (text: string) => (this.stderr += text));
    this.child.on("error", (error) => (this.stderr += String(error)));
    // The other side may be gone: what could not be said to it does not matter.
    this.child.stdin?.on("error", () => {});
    this.child.on("close", (code, signal) => {
      this.exit = { code, signal };
      this.#wake();
    });
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error(`the program did not start: ${this.stderr}`);
    return pid;
  }

  /** The next line not yet taken with this event; lines of other events before it are skipped. */
  async next(event: string, timeoutMs = 15_000): Promise<Line> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      while (this.#taken < this.lines.length) {
        const line = this.lines[this.#taken++];
        if (line?.event === event) return line;
        if (line?.event === "error") throw new Error(`the program failed: ${JSON.stringify(line)}\n${this.stderr}`);
      }
      if (this.exit !== undefined) {
        throw new Error(`exited (${JSON.stringify(this.exit)}) without "${event}": ${JSON.stringify(this.lines)}\n${this.stderr}`);
      }
      await this.#change(end, `"${event}"; so far ${JSON.stringify(this.lines.slice(-5))}`);
    }
  }

  /** One line of JSON to its stdin. */
  tell(value: unknown): void {
    this.child.stdin?.write(`${JSON.stringify(value)}\n`);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (this.exit === undefined) this.child.kill(signal);
  }

  async exited(timeoutMs = 15_000): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    const end = Date.now() + timeoutMs;
    while (this.exit === undefined) await this.#change(end, `its end; stderr: ${this.stderr}`);
    return this.exit;
  }

  /** Ends it, however it is doing. */
  async stop(): Promise<void> {
    this.kill();
    await this.exited();
  }

  #take(text: string): void {
    const parts = (this.#partial + text).split("\n");
    this.#partial = parts.pop() ?? "";
    for (const part of parts) {
      try {
        this.lines.push(JSON.parse(part) as Line);
      } catch {
        this.stderr += `${part}\n`;
      }
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  async #change(end: number, what: string): Promise<void> {
    const left = end - Date.now();
    if (left <= 0) throw new Error(`pid ${this.child.pid}: timed out waiting for ${what}\n${this.stderr}`);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      new Promise<void>((resolve) => this.#waiting.push(resolve)),
      new Promise<void>((resolve) => (timer = setTimeout(resolve, left))),
    ]);
    clearTimeout(timer);
  }
}

/** A private folder with a private broker socket; everything started in it ends with it. */
export class World {
  readonly folder: string;
  readonly socket: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly programs: Program[] = [];
  readonly #sharedBefore: ReadonlySet<string>;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "fable-test-"));
    this.socket = join(this.folder, "broker.sock");
    this.environment = { FABLE_SOCKET: this.socket, XDG_RUNTIME_DIR: this.folder, NO_COLOR: "1" };
    this.#sharedBefore = new Set(sharedMemoryFiles());
  }

  run(runtime: RuntimeName, file: string, args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}): Program {
    const [executable, list] = command(runtime, file, args);
    const program = new Program(executable, list, { ...this.environment, ...environment });
    this.programs.push(program);
    return program;
  }

  /** The broker of this world as a child, so that the test can kill it and reap it. Ready when its socket is there. */
  async broker(runtime: RuntimeName = "bun", ...args: readonly string[]): Promise<Program> {
    const program = this.run(runtime, "src/cli/main.ts", ["broker", "--socket", this.socket, "--json", ...args]);
    const end = Date.now() + 15_000;
    while (!program.lines.some((line) => line.event === "listening")) {
      if (program.exit !== undefined || Date.now() > end) throw new Error(`the broker did not start: ${program.stderr}`);
      await sleep(5);
    }
    return program;
  }

  /** Ends every program; then nothing may be left. Throws what it found. */
  async close(): Promise<void> {
    const pids = this.programs.map((program) => program.child.pid ?? 0);
    for (const program of this.programs) program.kill("SIGTERM");
    const end = Date.now() + 3_000;
    while (this.programs.some((program) => program.exit === undefined) && Date.now() < end) await sleep(10);
    await Promise.all(this.programs.map((program) => program.stop()));
    await this.endDetached();
    const left = [
      ...sharedMemoryFiles().filter((name) => !this.#sharedBefore.has(name)).map((name) => `/dev/shm/${name}`),
      ...zombies(pids),
    ];
    rmSync(this.folder, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  }

  /** A broker that a client started on demand is nobody's child: found by its command line naming this world's socket, or its open socket. */
  async endDetached(): Promise<void> {
    for (const pid of processesOf(this.folder)) {
      try {
        process.kill(pid, "SIGTERM");
      } catch {
        // gone meanwhile
      }
    }
    const end = Date.now() + 3_000;
    while (processesOf(this.folder).length > 0) {
      if (Date.now() > end) {
        for (const pid of processesOf(this.folder)) process.kill(pid, "SIGKILL");
        return;
      }
      await sleep(10);
    }
  }

  /** What the runtime folder holds, for tests that say what may stay. */
  files(): readonly string[] {
    return existsSync(this.folder) ? readdirSync(this.folder).sort() : [];
  }
}

/** Processes, not of ours to wait for, whose environment names the folder. */
function processesOf(folder: string): readonly number[] {
  return readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)).map(Number).filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(folder) && state(pid) !== "Z";
    } catch {
      return false;
    }
  });
}

export function state(pid: number): string | undefined {
  try {
    return /\)\s(\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

export function zombies(pids: readonly number[]): readonly string[] {
  return pids.filter((pid) => state(pid) === "Z").map((pid) => `zombie ${pid}`);
}

export function sharedMemoryFiles(): readonly string[] {
  return existsSync("/dev/shm") ? readdirSync("/dev/shm") : [];
}

export interface Usage {
  readonly descriptors: number;
  /** Regions still mapped or held open, by their memfd names. */
  readonly regions: number;
  readonly residentBytes: number;
  /** User and system time in clock ticks (1/100 s). */
  readonly ticks: number;
  readonly threads: number;
}

/** What a live process holds. */
export function usage(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  return {
    // Deno opens the files of its caches when it pleases.
    descriptors: descriptors(pid).filter((line) => !line.includes("/deno/")).length,
    regions: maps.filter((line) => line.includes("/memfd:fable")).length,
    residentBytes: Number(fields[21]) * 4096,
    ticks: Number(fields[11]) + Number(fields[12]),
    threads: Number(fields[17]),
  };
}

/** Descriptors that a process holds beyond `before`, after it had time to close what it is about to close. */
export async function grownDescriptors(pid: number, before: number): Promise<number> {
  for (let tries = 0; tries < 60 && usage(pid).descriptors > before; tries++) await sleep(50);
  return usage(pid).descriptors - before;
}

/** CPU time of all threads of a process so far, in nanoseconds. */
export function cpuNs(pid: number): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // The thread ended meanwhile.
    }
  }
  return sum;
}

/** Where each descriptor of a process points, for the message of a leak. */
export function descriptors(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return `${fd} → ${readlinkSync(`/proc/${pid}/fd/${fd}`)}`;
    } catch {
      return `${fd} → ?`;
    }
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Small fast generator with a seed (mulberry32): failures repeat. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** 1 B … `max` bytes, each power of two as likely as the next. */
export function logUniform(random: () => number, max: number): number {
  return Math.max(1, Math.min(max, Math.floor(2 ** (random() * (Math.log2(max) + 1e-9)))));
}

/** Waits until `condition` holds, or throws. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`timed out: ${what}`);
    await sleep(5);
  }
}
