/** The machine and the versions a report was made with: enough to tell why two reports differ. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import process from "node:process";
import { parseCpuList } from "../../src/cli/machine.ts";
import { VERSION } from "../../src/version.ts";
import { root } from "./checkout.ts";
import { start } from "./programs.ts";

export interface Environment {
  readonly date: string;
  readonly fable: string;
  /** Short hash of the checkout, with "+" if files differ from it. */
  readonly revision: string;
  readonly kernel: string;
  readonly architecture: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memory_bytes: number;
  readonly caches: readonly string[];
  readonly numa_nodes: number;
  readonly virtualization: string;
  readonly governor: string;
  readonly mitigations: Readonly<Record<string, string>>;
  readonly bun: string;
  readonly deno: string;
  readonly node: string;
  readonly zig: string;
  /** Load average of the last minute: other work spoils a measurement. */
  readonly load_before: number;
}

/** The cores that this process may use. */
export function allowedCores(): readonly number[] {
  const listed = /^Cpus_allowed_list:\s*(\S+)/m.exec(read("/proc/self/status"))?.[1];
  const cores = parseCpuList(listed ?? "");
  return cores.length > 0 ? cores : Array.from({ length: availableParallelism() }, (_, core) => core);
}

export async function describeEnvironment(): Promise<Environment> {
  return {
    date: new Date().toISOString(),
    fable: VERSION,
    revision: await revision(),
    kernel: release(),
    architecture: process.arch,
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: availableParallelism(),
    memory_bytes: totalmem(),
    caches: caches(),
    numa_nodes: folder("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name)).length || 1,
    virtualization: virtualization(),
    governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") || "unknown",
    mitigations: mitigations(),
    bun: await version(["node_modules/.bin/bun", "--version"]),
    deno: (await version(["node_modules/.bin/deno", "--version"])).split(" ")[1] ?? "",
    node: (await version(["node", "--version"])).replace(/^v/, ""),
    zig: await version(["node_modules/.bin/zig", "version"]),
    load_before: loadavg()[0] ?? 0,
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function folder(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

function caches(): readonly string[] {
  const base = "/sys/devices/system/cpu/cpu0/cache";
  return folder(base).filter((name) => name.startsWith("index")).sort().map((name) => {
    const of = (file: string): string => read(`${base}/${name}/${file}`);
    return `L${of("level")} ${of("type").toLowerCase()} ${of("size")} shared by CPUs ${of("shared_cpu_list")}`;
  });
}

function virtualization(): string {
  const flags = /^flags\s*:.*\bhypervisor\b/m.test(read("/proc/cpuinfo"));
  const vendor = read("/sys/class/dmi/id/sys_vendor") || read("/sys/hypervisor/type");
  return flags ? `virtual machine${vendor === "" ? "" : ` (${vendor})`}` : "none seen";
}

function mitigations(): Readonly<Record<string, string>> {
  const base = "/sys/devices/system/cpu/vulnerabilities";
  return Object.fromEntries(
    folder(base).sort().map((name) => [name, read(`${base}/${name}`)] as const).filter(([, state]) => state !== "Not affected"),
  );
}

async function version(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  return (await start([program.includes("/") ? `${root}/${program}` : program, ...args], 20_000).output.catch(() => "not installed")).split(
    "\n",
  )[0]!.trim();
}

export async function revision(): Promise<string> {
  const git = (args: readonly string[]): Promise<string> => start(["git", "-C", root, ...args], 20_000).output.catch(() => "");
  const hash = (await git(["rev-parse", "--short", "HEAD"])).trim();
  const dirty = (await git(["status", "--porcelain", "--untracked-files=no"])).trim() !== "";
  return hash === "" ? "unknown" : `${hash}${dirty ? "+" : ""}`;
}
