/**
 * The checks of `fable doctor`. Each one tries the thing itself instead of guessing from a version, and says in one line what it saw and, if it did
 * not work, what to do. Judgements over numbers are pure functions, so that tests can show them bad machines.
 */
import { formatBytes, formatNanoseconds } from "./format.ts";
import type { MachineFacts } from "./machine.ts";
import { parseRelease } from "./machine.ts";

export type CheckStatus = "ok" | "warning" | "fails";

export interface CheckResult {
  readonly status: CheckStatus;
  readonly detail: string;
  readonly remedy?: string;
}

export interface Check extends CheckResult {
  readonly name: string;
  /** Without it FABLE cannot work at all. */
  readonly essential: boolean;
  readonly took_ns: number;
}

export const ok = (detail: string): CheckResult => ({ status: "ok", detail });
export const warning = (detail: string, remedy: string): CheckResult => ({ status: "warning", detail, remedy });
export const fails = (detail: string, remedy: string): CheckResult => ({ status: "fails", detail, remedy });

/** Descriptors an end keeps per channel: doorbell, the peer's pidfd, its own control region for a later broker. */
const DESCRIPTORS_PER_CHANNEL = 3;

export function judgePlatform(platform: string, arch: string): CheckResult {
  if (platform !== "linux") return fails(`${platform} on ${arch}`, "run on Linux; there is no other platform yet");
  if (arch !== "x64" && arch !== "arm64") return fails(`linux on ${arch}`, "run on x86-64 or arm64");
  return ok(`linux on ${arch}`);
}

export function judgeKernel(release: string): CheckResult {
  const [major, minor] = parseRelease(release);
  const at = (needMajor: number, needMinor: number) => major > needMajor || (major === needMajor && minor >= needMinor);
  if (!at(5, 3)) return fails(`Linux ${release}`, "use Linux 5.3 or later: pidfds and the future-write seal are missing");
  if (!at(5, 16)) return warning(`Linux ${release}`, "5.16 or later adds futex_waitv; until then several futex sleepers wake more slowly");
  return ok(`Linux ${release}`);
}

export function judgeOpenFiles(facts: MachineFacts): CheckResult {
  const limit = facts.openFiles;
  if (limit === undefined) return warning("limit not known: /proc/self/limits is unreadable", "mount /proc");
  const channels = Math.floor((limit.soft - 64) / DESCRIPTORS_PER_CHANNEL);
  const detail = `RLIMIT_NOFILE ${limitText(limit.soft)} (hard ${limitText(limit.hard)}): about ${
    Number.isFinite(channels) ? Math.max(0, channels) : "any number of"
  } channels in a process`;
  if (limit.soft < 96) return fails(detail, "raise it: ulimit -n 4096");
  if (limit.soft < 1024) return warning(detail, `raise it for more: ulimit -n ${Math.min(limit.hard, 4096)}`);
  return ok(detail);
}

export function judgeLockedMemory(facts: MachineFacts): CheckResult {
  const limit = facts.lockedMemory;
  if (limit === undefined) return warning("limit not known: /proc/self/limits is unreadable", "mount /proc");
  return ok(
    `RLIMIT_MEMLOCK ${
      Number.isFinite(limit.soft) ? formatBytes(limit.soft) : "unlimited"
    }; regions are prefaulted, not locked, so nothing depends on it`,
  );
}

export function judgeMemory(facts: MachineFacts): CheckResult {
  const available = Math.min(facts.memoryAvailable ?? Number.POSITIVE_INFINITY, facts.cgroupMemory?.soft ?? Number.POSITIVE_INFINITY);
  if (!Number.isFinite(available)) return warning("not known: /proc/meminfo is unreadable", "mount /proc");
  const detail = `${formatBytes(available)} for regions (memfds are not limited by the size of /dev/shm${
    facts.cgroupMemory === undefined ? "" : ", but by this cgroup"
  })`;
  if (available < 64 * 2 ** 20) {
    return warning(
      detail,
      "free some memory or raise the cgroup's memory.max: a channel takes 136 KiB, and the kernel may kill what faults beyond",
    );
  }
  return ok(detail);
}

export function judgeHugePages(facts: MachineFacts): CheckResult {
  const chosen = facts.sharedHugePages;
  if (chosen === undefined) return ok("the kernel has none for shared memory; rings use 4 KiB pages");
  if (chosen === "always" || chosen === "force") {
    return warning(
      `shmem_enabled is "${chosen}": each small region may take a huge page, and sealing may be refused (EBUSY)`,
      "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
    );
  }
  return ok(`shmem_enabled is "${chosen}"; rings use 4 KiB pages`);
}

export function judgeProcessors(facts: MachineFacts): CheckResult {
  const cpus = facts.cpusAllowed.length > 0 ? facts.cpusAllowed : facts.cpusOnline;
  const detail = `${facts.processor.model}: ${cpus.length} of ${facts.cpusOnline.length} CPUs, ${facts.nodes.length} NUMA node${
    facts.nodes.length === 1 ? "" : "s"
  }`;
  if (facts.cgroupCpus !== undefined && facts.cgroupCpus < 2) {
    return warning(
      `${detail}, cgroup quota of ${facts.cgroupCpus} CPUs`,
      "raise cpu.max to 2 CPUs or more: a spinning end uses up the quota of the other",
    );
  }
  if (cpus.length < 2) {
    return warning(detail, "give both ends a CPU of their own: on one CPU nothing is spun, and each wake-up is a context switch");
  }
  return ok(detail);
}

export function judgeVirtualisation(facts: MachineFacts): CheckResult {
  if (!facts.processor.virtualised && facts.hypervisor === undefined) return ok("none seen: bare metal, or a hypervisor that hides");
  const name = facts.hypervisor ?? "a hypervisor";
  const halt = facts.haltPollNs === undefined ? "" : `, guest_halt_poll_ns ${facts.haltPollNs}`;
  const detail = `guest of ${name}${halt}: the host may move CPUs, so distances between them change`;
  if (facts.haltPollNs === 0) {
    return {
      ...ok(detail),
      remedy:
        "if sleeping ends must wake faster at the price of idle CPU: echo 200000 > /sys/module/haltpoll/parameters/guest_halt_poll_ns",
    };
  }
  return ok(detail);
}

export function judgeClock(facts: MachineFacts): CheckResult {
  const source = facts.clockSource;
  if (source === undefined) return warning("clock source not known", "mount /sys");
  if (["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"].includes(source)) {
    return ok(`clock source ${source}, read without a system call`);
  }
  return warning(
    `clock source ${source} needs a system call for each reading`,
    "boot with tsc=reliable if the hardware allows it, or choose another clock source",
  );
}

/** `picoseconds`: one-way time of one cache line between two CPUs. */
export function judgeLine(picoseconds: number, cpuA: number, cpuB: number): CheckResult {
  const ns = picoseconds / 1000;
  const detail = `one cache line from CPU ${cpuA} to ${cpuB} in ${formatNanoseconds(ns)}`;
  if (ns > 2000) return warning(detail, "CPUs this far apart are probably overcommitted by the host: spinning will not help");
  return ok(detail);
}

export function judgeDoorbell(ns: number): CheckResult {
  const detail = `a ring reached this runtime's event loop in ${formatNanoseconds(ns)}`;
  if (ns > 20_000_000) return warning(detail, "the machine is overloaded: wake-ups of sleeping ends will be slow");
  return ok(detail);
}

/** Doctor's verdict: 1 if anything essential fails. */
export function exitStatus(checks: readonly Check[]): 0 | 1 {
  return checks.some((check) => check.essential && check.status === "fails") ? 1 : 0;
}

function limitText(value: number): string {
  return Number.isFinite(value) ? String(value) : "unlimited";
}
