/** hyperfine as a function: one command, some runs, the seconds each took. And what to do when it or socat is not there. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { start } from "../runner/programs.ts";
import type { Command } from "./commands.ts";

const TIMEOUT_MS = 600_000;
const INSTALL_TIMEOUT_MS = 300_000;

/** What of its export is used. */
interface Export {
  readonly results: readonly { readonly times: readonly number[]; readonly exit_codes: readonly (number | null)[] }[];
}

/** Seconds of wall-clock time. The shell's own start is measured and subtracted by hyperfine. */
export async function timesOf(command: Command, runs: number, warmUps: number, folder: string): Promise<readonly number[]> {
  const file = join(folder, "hyperfine.json");
  const options = ["--style", "none", "--shell", "sh", "--warmup", `${warmUps}`, "--runs", `${runs}`, "--export-json", file];
  try {
    await start(["hyperfine", ...options, ...(command.mayFail === true ? ["--ignore-failure"] : []), command.line], TIMEOUT_MS).output;
    const { results } = JSON.parse(readFileSync(file, "utf8")) as Export;
    return results[0]?.times ?? [];
  } finally {
    rmSync(file, { force: true });
  }
}

/** Installs what Debian has, if this is root; else the sentence that says what is missing. Undefined when all is there. */
export function provide(programs: readonly string[]): string | undefined {
  const absent = () => programs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  if (absent().length === 0) return undefined;
  if (process.getuid?.() === 0) {
    spawnSync("apt-get", ["install", "-y", "--no-install-recommends", ...absent()], { stdio: "ignore", timeout: INSTALL_TIMEOUT_MS });
  }
  const missing = absent();
  return missing.length === 0
    ? undefined
    : `${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing: apt-get install ${missing.join(" ")}`;
}
