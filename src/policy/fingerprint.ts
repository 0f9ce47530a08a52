/** Which machine and kernel a calibration is of, from the kernel's words. Pure: reading is handed in. */
import { parseCpuList } from "./numa.ts";
import type { Fingerprint } from "./table.ts";

/** What `read` is asked for; undefined where there is no such file. */
export type ReadText = (path: string) => string | undefined;

export function fingerprintOf(read: ReadText): Fingerprint {
  const cpuinfo = read("/proc/cpuinfo") ?? "";
  return {
    processor: /^(?:model name|Processor|CPU part)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? "unknown",
    cpus: Math.max(1, parseCpuList(read("/sys/devices/system/cpu/online") ?? "0").length),
    kernel: (read("/proc/sys/kernel/osrelease") ?? "unknown").trim(),
    hypervisor: hypervisorOf(cpuinfo, read),
  };
}

/** Null on bare metal, as far as the processor admits. */
function hypervisorOf(cpuinfo: string, read: ReadText): string | null {
  if (!/^(?:flags|Features)\s*:.*\bhypervisor\b/m.test(cpuinfo)) return null;
  for (const path of ["/sys/hypervisor/type", "/sys/class/dmi/id/product_name"]) {
    const name = read(path)?.trim();
    if (name !== undefined && name !== "") return name;
  }
  return "unknown";
}
