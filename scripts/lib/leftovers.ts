/**
 * What a test run must not leave behind: processes, shared memory, sockets, anything in the user's own runtime folder. Processes are found by
 * a variable that every process of the run inherits.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const RUN_VARIABLE = "FABLE_TEST_RUN";

/** A broker that was started on demand stays a moment after its last client. */
const GRACE_MS = 15_000;

export interface Scratch {
  /** Environment for one runner: sockets and temporary files of its own. */
  environment(runner: string): Readonly<Record<string, string>>;
  /** One sentence for each thing left behind. Ends the processes and removes the files. */
  leftovers(): Promise<readonly string[]>;
}

export function makeScratch(graceMs = GRACE_MS): Scratch {
  const folder = mkdtempSync(join(tmpdir(), "fable-test-"));
  // Tests play other users, who must get as far as into /tmp.
  chmodSync(folder, 0o755);
  const before = sharedState();
  return {
    environment(runner) {
      const runtimeFolder = join(folder, runner, "run");
      const temporary = join(folder, runner, "tmp");
      mkdirSync(runtimeFolder, { recursive: true, mode: 0o700 });
      mkdirSync(temporary);
      chmodSync(join(folder, runner), 0o755);
      chmodSync(temporary, 0o1777);
      return {
        [RUN_VARIABLE]: folder,
        XDG_RUNTIME_DIR: runtimeFolder,
        FABLE_SOCKET: join(runtimeFolder, "fable/broker.sock"),
        TMPDIR: temporary,
      };
    },
    async leftovers() {
      const strays = await strayProcesses(folder, graceMs);
      const sockets = filesOf(folder).filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true);
      const shared = [...sharedState()].filter((path) => !before.has(path));
      rmSync(folder, { recursive: true, force: true });
      return [
        ...strays.map(({ pid, command }) => `process ${pid} is still running: ${command}`),
        ...sockets.map((path) => `a socket was left at ${path}`),
        ...shared.map((path) => `${path} is new`),
      ];
    },
  };
}

/** Places outside the scratch folder that tests have no business in. */
function sharedState(): Set<string> {
  const defaultFolder = process.getuid?.() === 0 ? "/run/fable" : `/tmp/fable-${process.getuid?.()}`;
  return new Set([...filesOf("/dev/shm"), ...(existsSync(defaultFolder) ? [defaultFolder, ...filesOf(defaultFolder)] : [])]);
}

function filesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
}

interface Stray {
  readonly pid: number;
  readonly command: string;
}

async function strayProcesses(run: string, graceMs: number): Promise<readonly Stray[]> {
  const deadline = performance.now() + graceMs;
  let strays = processesOf(run);
  while (strays.length > 0 && performance.now() < deadline) {
    await sleep(100);
    strays = processesOf(run);
  }
  for (const { pid } of strays) endProcess(pid);
  return strays;
}

function processesOf(run: string): readonly Stray[] {
  const marker = `${RUN_VARIABLE}=${run}\0`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && readProc(name, "environ").includes(marker))
    .map((name) => ({ pid: Number(name), command: readProc(name, "cmdline").replaceAll("\0", " ").trim() }));
}

/** Empty for processes that ended meanwhile or belong to others. */
function readProc(pid: string, file: "environ" | "cmdline"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
