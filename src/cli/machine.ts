/**
 * What /proc and /sys say about this machine, for `fable doctor`: limits, processors, NUMA nodes, virtualisation, memory. Parsers are pure and
 * take the file's text; a file that is not there is "not known", never an error.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface Limit {
  /** Infinity for unlimited. */
  readonly soft: number;
  readonly hard: number;
}

/** One line of /proc/self/limits, as "Max open files". */
export function parseLimit(text: string, title: string): Limit | undefined {
  const line = text.split("\n").find((candidate) => candidate.startsWith(title));
  const match = line === undefined ? null : /^\s+(\S+)\s+(\S+)/.exec(line.slice(title.length));
  if (match === null) return undefined;
  return { soft: limitValue(match[1] ?? ""), hard: limitValue(match[2] ?? "") };
}

function limitValue(text: string): number {
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

/** `0-3,8` → [0, 1, 2, 3, 8], the kernel's notation for sets of CPUs and nodes. */
export function parseCpuList(text: string): readonly number[] {
  const found: number[] = [];
  for (const part of text.trim().split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) continue;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    for (let cpu = first; cpu <= last; cpu++) found.push(cpu);
  }
  return found;
}

/** A field of /proc/meminfo in bytes, or of /proc/self/status in the same notation. */
export function parseKilobytes(text: string, field: string): number | undefined {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text);
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** The chosen word of `always [madvise] never`. */
export function parseChosen(text: string): string | undefined {
  return /\[([^\]]+)\]/.exec(text)?.[1];
}

export interface Processor {
  readonly model: string;
  /** The processor says it runs under a hypervisor. */
  readonly virtualised: boolean;
}

export function parseProcessor(cpuinfo: string): Processor {
  const model = /^(?:model name|Processor|CPU part)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? "unknown";
  return { model, virtualised: /^(?:flags|Features)\s*:.*\bhypervisor\b/m.test(cpuinfo) };
}

/** Kernel release as [major, minor]. */
export function parseRelease(text: string): readonly [number, number] {
  const match = /^(\d+)\.(\d+)/.exec(text.trim());
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}

export interface MachineFacts {
  readonly release: string;
  readonly processor: Processor;
  readonly hypervisor: string | undefined;
  readonly cpusAllowed: readonly number[];
  readonly cpusOnline: readonly number[];
  readonly nodes: readonly number[];
  readonly openFiles: Limit | undefined;
  readonly lockedMemory: Limit | undefined;
  readonly memoryAvailable: number | undefined;
  readonly cgroupMemory: Limit | undefined;
  /** CPUs' worth of quota of this cgroup; undefined without one. */
  readonly cgroupCpus: number | undefined;
  readonly sharedHugePages: string | undefined;
  readonly clockSource: string | undefined;
  readonly haltPollNs: number | undefined;
}

export function readMachine(): MachineFacts {
  const limits = text("/proc/self/limits") ?? "";
  const status = text("/proc/self/status") ?? "";
  const processor = parseProcessor(text("/proc/cpuinfo") ?? "");
  const cpuMax = (text("/sys/fs/cgroup/cpu.max") ?? "").trim().split(" ");
  const memoryMax = text("/sys/fs/cgroup/memory.max")?.trim();
  const haltPoll = text("/sys/module/haltpoll/parameters/guest_halt_poll_ns");
  return {
    release: (text("/proc/sys/kernel/osrelease") ?? "").trim(),
    processor,
    hypervisor: hypervisorName(),
    cpusAllowed: parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? ""),
    cpusOnline: parseCpuList(text("/sys/devices/system/cpu/online") ?? ""),
    nodes: nodeNumbers(),
    openFiles: parseLimit(limits, "Max open files"),
    lockedMemory: parseLimit(limits, "Max locked memory"),
    memoryAvailable: parseKilobytes(text("/proc/meminfo") ?? "", "MemAvailable"),
    cgroupMemory: memoryMax === undefined || memoryMax === "max" ? undefined : { soft: Number(memoryMax), hard: Number(memoryMax) },
    cgroupCpus: cpuMax.length === 2 && cpuMax[0] !== "max" ? Number(cpuMax[0]) / Number(cpuMax[1]) : undefined,
    sharedHugePages: parseChosen(text("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ?? ""),
    clockSource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource")?.trim(),
    haltPollNs: haltPoll === undefined ? undefined : Number(haltPoll),
  };
}

function hypervisorName(): string | undefined {
  const type = text("/sys/hypervisor/type")?.trim();
  if (type !== undefined && type !== "") return type;
  const product = text("/sys/class/dmi/id/product_name")?.trim();
  return product === undefined || product === "" ? undefined : product;
}

function nodeNumbers(): readonly number[] {
  try {
    return readdirSync("/sys/devices/system/node").flatMap((entry) => /^node(\d+)$/.exec(entry)?.[1] ?? []).map(Number).sort((a, b) =>
      a - b
    );
  } catch {
    return [0];
  }
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
