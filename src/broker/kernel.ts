/**
 * What the kernel shows of the threads that have ends of channels: where they ran, how long, how long they waited for a CPU, which CPUs they may
 * use, and what else those CPUs do. Files are read through what the broker was given; parsers are pure and take anything.
 */
import { parseCpuList, type Topology, topologyOf } from "../policy/numa.ts";

export interface KernelIo {
  /** A small file of /proc or /sys; undefined if it is not there. */
  read(path: string): string | undefined;
  /** CPUs that a thread may use; undefined if it is gone. */
  affinity(tid: number): readonly number[] | undefined;
}

/** One look at a thread. Times in nanoseconds since it began. */
export interface ThreadTimes {
  readonly ranNs: number;
  readonly waitedNs: number;
}

/** /proc/PID/schedstat: time on a CPU, time runnable without one, and how often. */
export function parseSchedstat(text: string | undefined): ThreadTimes | undefined {
  const match = /^(\d+) (\d+) \d+/.exec(text ?? "");
  return match === null ? undefined : { ranNs: Number(match[1]), waitedNs: Number(match[2]) };
}

/** The fields of /proc/PID/stat behind the name, which may contain anything: the first is the third. */
function statFields(text: string | undefined): readonly string[] {
  return text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
}

/** The CPU of /proc/PID/stat: its 39th field. */
export function parseLastCpu(text: string | undefined): number | undefined {
  const field = statFields(text)[36];
  const cpu = field === undefined ? NaN : Number(field);
  return Number.isInteger(cpu) && cpu >= 0 ? cpu : undefined;
}

/** When it started, of /proc/PID/stat: its 22nd field. With the pid it names one process, also after that pid was given to another. */
export function parseStart(text: string | undefined): string | undefined {
  const start = statFields(text)[19];
  return start !== undefined && /^\d+$/.test(start) ? start : undefined;
}

/** What all threads of a process have run, of /proc/PID/stat: its 14th and 15th fields, in ticks. */
export function parseProcessTicks(text: string | undefined): number | undefined {
  const [user = NaN, system = NaN] = statFields(text).slice(11, 13).map(Number);
  const ticks = user + system;
  return Number.isFinite(ticks) && ticks >= 0 ? ticks : undefined;
}

/** One CPU since the machine started, in ticks. */
export interface CpuTicks {
  readonly busy: number;
  readonly steal: number;
}

/** The lines of /proc/stat that are of one CPU each. What comes after them grows with the machine's interrupts and is not looked at. */
export function parseCpuTicks(text: string | undefined): ReadonlyMap<number, CpuTicks> {
  const found = new Map<number, CpuTicks>();
  for (const match of (text ?? "").matchAll(/^cpu(\d+) (.+)$/gm)) {
    const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = (match[2] ?? "").split(" ").map(Number);
    found.set(Number(match[1]), { busy: user + nice + system + irq + soft + steal, steal });
  }
  return found;
}

/** The share of the last ten seconds in which somebody waited, of /proc/pressure/cpu. */
export function parsePressure(text: string | undefined): number | undefined {
  const match = /^some avg10=([\d.]+)/m.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) / 100;
}

/** The unified group of /proc/PID/cgroup. */
export function parseCgroup(text: string | undefined): string | undefined {
  return /^0::(.+)$/m.exec(text ?? "")?.[1];
}

/** What is known of a thread between two looks. */
export interface ThreadSight {
  readonly cpu: number | undefined;
  readonly affinity: readonly number[] | undefined;
  /** Shares of the time since the look before; undefined at the first. */
  readonly ran: number | undefined;
  readonly delayed: number | undefined;
  /** The whole process, compilers and collectors included: what it runs is nobody else's load. May be over 1. */
  readonly processRan: number | undefined;
  readonly cgroup: string | undefined;
}

interface Known {
  times: ThreadTimes | undefined;
  ticks: number | undefined;
  atMs: number;
  sight: ThreadSight;
  cgroup: string | undefined;
}

/** A clock tick of the kernel's statistics. */
const TICKS_PER_S = 100;
const PRESSURE_EVERY_MS = 2000;

/** Looks at threads, each at most once per round, whoever asks. */
export class Kernel {
  readonly #io: KernelIo;
  readonly #known = new Map<number, Known>();
  readonly #round = new Map<number, ThreadSight>();
  #ticks: ReadonlyMap<number, CpuTicks> = new Map();
  #busy = new Map<number, { readonly busy: number; readonly steal: number }>();
  #ticksAtMs = -Infinity;
  #nowMs = 0;
  #pressure: number | undefined;
  #pressureAtMs = -Infinity;
  readonly topology: Topology;

  constructor(io: KernelIo) {
    this.#io = io;
    this.topology = topologyIn(io);
  }

  /** CPUs of the last look at the machine. */
  get cpus(): readonly number[] {
    return [...this.#ticks.keys()];
  }

  get pressure(): number | undefined {
    return this.#pressure;
  }

  nodeOf(cpu: number | undefined): number | undefined {
    return cpu === undefined ? undefined : this.topology.nodeOfCpu.get(cpu);
  }

  /** A new round: what the CPUs did since the last. */
  begin(nowMs: number): void {
    this.#round.clear();
    const ticks = parseCpuTicks(this.#io.read("/proc/stat"));
    const elapsed = ((nowMs - this.#ticksAtMs) / 1000) * TICKS_PER_S;
    this.#busy = new Map();
    if (elapsed > 0 && Number.isFinite(elapsed)) {
      for (const [cpu, now] of ticks) {
        const before = this.#ticks.get(cpu);
        if (before === undefined) continue;
        this.#busy.set(cpu, { busy: (now.busy - before.busy) / elapsed, steal: (now.steal - before.steal) / elapsed });
      }
    }
    this.#ticks = ticks;
    this.#ticksAtMs = nowMs;
    this.#nowMs = nowMs;
    if (nowMs - this.#pressureAtMs < PRESSURE_EVERY_MS) return;
    this.#pressureAtMs = nowMs;
    this.#pressure = parsePressure(this.#io.read("/proc/pressure/cpu"));
  }

  /** The main thread of that process: where JavaScript runs. */
  look(pid: number, placeHint: number | undefined): ThreadSight {
    const seen = this.#round.get(pid);
    if (seen !== undefined) return seen;
    const known = this.#known.get(pid);
    const times = parseSchedstat(this.#io.read(`/proc/${pid}/schedstat`));
    const elapsedNs = (this.#nowMs - (known?.atMs ?? this.#nowMs)) * 1e6;
    const share = (now: number | undefined, before: number | undefined) =>
      now === undefined || before === undefined || elapsedNs <= 0 ? undefined : Math.min(1, Math.max(0, (now - before) / elapsedNs));
    const stat = this.#io.read(`/proc/${pid}/stat`);
    const ticks = parseProcessTicks(stat);
    const elapsedTicks = elapsedNs * TICKS_PER_S / 1e9;
    const cgroup = known?.cgroup ?? parseCgroup(this.#io.read(`/proc/${pid}/cgroup`));
    const sight: ThreadSight = {
      cpu: parseLastCpu(stat) ?? placeHint,
      affinity: this.#io.affinity(pid),
      ran: share(times?.ranNs, known?.times?.ranNs),
      delayed: share(times?.waitedNs, known?.times?.waitedNs),
      processRan: ticks === undefined || known?.ticks === undefined || elapsedTicks <= 0 ? undefined : (ticks - known.ticks) / elapsedTicks,
      cgroup,
    };
    this.#known.set(pid, { times, ticks, atMs: this.#nowMs, sight, cgroup });
    this.#round.set(pid, sight);
    return sight;
  }

  /**
   * What the CPUs that a thread may use do for others than the processes known here: their mean. All of it is counted in whole ticks, and what one
   * look counts too much the next one counts too little: that evens out, unless somebody cuts it off, so these may lie beyond 0 and 1.
   */
  otherBusy(affinity: readonly number[] | undefined, cpu: number | undefined): { readonly busy: number; readonly steal: number } {
    const cpus = affinity ?? (cpu === undefined ? [] : [cpu]);
    let [busy, steal, counted] = [0, 0, 0];
    for (const one of cpus) {
      const seen = this.#busy.get(one);
      if (seen === undefined) continue;
      busy += seen.busy;
      steal = Math.max(steal, seen.steal);
      counted += 1;
    }
    if (counted === 0) return { busy: 0, steal: 0 };
    for (const { sight: { cpu: at, ran = 0, processRan } } of this.#known.values()) {
      if (at !== undefined && cpus.includes(at)) busy -= processRan ?? ran;
    }
    return { busy: busy / counted, steal };
  }

  /** How busy one CPU was, with whatever. */
  busyOf(cpu: number): number {
    return Math.min(1, this.#busy.get(cpu)?.busy ?? 0);
  }

  forget(pid: number): void {
    this.#known.delete(pid);
  }
}

/** Machines that show no nodes have none. */
function topologyIn(io: Pick<KernelIo, "read">): Topology {
  const folder = "/sys/devices/system/node";
  return topologyOf(
    parseCpuList(io.read(`${folder}/online`) ?? "").map((node) => ({
      node,
      cpus: io.read(`${folder}/node${node}/cpulist`) ?? "",
      distances: io.read(`${folder}/node${node}/distance`) ?? "",
    })),
  );
}
