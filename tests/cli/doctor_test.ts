/** The doctor's judgement, shown machines that this one is not; and its parsers of what the kernel writes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Check,
  type CheckResult,
  exitStatus,
  judgeClock,
  judgeDoorbell,
  judgeHugePages,
  judgeKernel,
  judgeLine,
  judgeLockedMemory,
  judgeMemory,
  judgeOpenFiles,
  judgePlatform,
  judgeProcessors,
  judgeVirtualisation,
} from "../../src/cli/doctor-checks.ts";
import {
  type MachineFacts,
  parseChosen,
  parseCpuList,
  parseKilobytes,
  parseLimit,
  parseProcessor,
  parseRelease,
} from "../../src/cli/machine.ts";

const GOOD: MachineFacts = {
  release: "6.18.0",
  processor: { model: "Some CPU", virtualised: false },
  hypervisor: undefined,
  cpusAllowed: [0, 1, 2, 3],
  cpusOnline: [0, 1, 2, 3],
  nodes: [0],
  openFiles: { soft: 20_000, hard: 20_000 },
  lockedMemory: { soft: 8 << 20, hard: 8 << 20 },
  memoryAvailable: 8e9,
  cgroupMemory: undefined,
  cgroupCpus: undefined,
  sharedHugePages: "never",
  clockSource: "tsc",
  haltPollNs: undefined,
};

describe("judgement", () => {
  test("a good machine is good", () => {
    for (
      const judge of [judgeOpenFiles, judgeLockedMemory, judgeMemory, judgeHugePages, judgeProcessors, judgeVirtualisation, judgeClock]
    ) {
      assert.equal(judge(GOOD).status, "ok", judge.name);
    }
    assert.equal(judgePlatform("linux", "arm64").status, "ok");
    assert.equal(judgeLine(47_000, 0, 1).detail, "one cache line from CPU 0 to 1 in 47 ns");
    assert.equal(judgeDoorbell(300_000).status, "ok");
  });

  const bad: readonly (readonly [string, CheckResult, CheckResult["status"], RegExp])[] = [
    ["another platform", judgePlatform("darwin", "arm64"), "fails", /Linux/],
    ["another processor", judgePlatform("linux", "riscv64"), "fails", /x86-64 or arm64/],
    ["an old kernel", judgeKernel("4.19.0-27-amd64"), "fails", /5\.3/],
    ["a middle-aged kernel", judgeKernel("5.10.0"), "warning", /5\.16/],
    ["hardly any descriptors", judgeOpenFiles({ ...GOOD, openFiles: { soft: 64, hard: 64 } }), "fails", /ulimit -n/],
    ["few descriptors", judgeOpenFiles({ ...GOOD, openFiles: { soft: 256, hard: 4096 } }), "warning", /ulimit -n 4096/],
    ["no /proc", judgeOpenFiles({ ...GOOD, openFiles: undefined }), "warning", /mount \/proc/],
    ["no memory left", judgeMemory({ ...GOOD, memoryAvailable: 10 << 20 }), "warning", /memory\.max/],
    ["a tight cgroup", judgeMemory({ ...GOOD, cgroupMemory: { soft: 32 << 20, hard: 32 << 20 } }), "warning", /memory\.max/],
    ["huge pages always", judgeHugePages({ ...GOOD, sharedHugePages: "always" }), "warning", /shmem_enabled/],
    ["one CPU", judgeProcessors({ ...GOOD, cpusAllowed: [3] }), "warning", /CPU of their own/],
    ["half a CPU's quota", judgeProcessors({ ...GOOD, cgroupCpus: 0.5 }), "warning", /cpu\.max/],
    ["a slow clock", judgeClock({ ...GOOD, clockSource: "hpet" }), "warning", /tsc/],
    ["distant CPUs", judgeLine(9_000_000, 0, 1), "warning", /overcommitted/],
    ["a tired event loop", judgeDoorbell(90_000_000), "warning", /overloaded/],
  ];
  for (const [machine, result, status, remedy] of bad) {
    test(`${machine}: ${status}, with a remedy`, () => {
      assert.equal(result.status, status);
      assert.match(result.remedy ?? "", remedy);
    });
  }

  test("a guest that halts at once is told what would help, and is well", () => {
    const result = judgeVirtualisation({ ...GOOD, processor: { model: "x", virtualised: true }, haltPollNs: 0 });
    assert.equal(result.status, "ok");
    assert.match(result.remedy ?? "", /guest_halt_poll_ns/);
  });

  test("only what is essential decides the exit status", () => {
    const check = (status: Check["status"], essential: boolean): Check => ({ name: "x", status, detail: "", essential, took_ns: 0 });
    assert.equal(exitStatus([check("ok", true), check("fails", false), check("warning", true)]), 0);
    assert.equal(exitStatus([check("ok", true), check("fails", true)]), 1);
  });
});

describe("what the kernel writes", () => {
  test("limits", () => {
    const text = "Limit                     Soft Limit           Hard Limit           Units     \n"
      + "Max open files            1024                 1048576              files     \n"
      + "Max locked memory         unlimited            unlimited            bytes     \n";
    assert.deepEqual(parseLimit(text, "Max open files"), { soft: 1024, hard: 1048576 });
    assert.deepEqual(parseLimit(text, "Max locked memory"), { soft: Infinity, hard: Infinity });
    assert.equal(parseLimit(text, "Max nothing"), undefined);
  });

  test("sets of CPUs, chosen words, sizes, releases", () => {
    assert.deepEqual(parseCpuList("0-2,8,10-11\n"), [0, 1, 2, 8, 10, 11]);
    assert.deepEqual(parseCpuList(""), []);
    assert.equal(parseChosen("always within_size [advise] never deny force\n"), "advise");
    assert.equal(parseKilobytes("MemTotal: 5 kB\nMemAvailable:   12 kB\n", "MemAvailable"), 12_288);
    assert.deepEqual(parseRelease("6.18.44-fc\n"), [6, 18]);
  });

  test("processors", () => {
    assert.deepEqual(parseProcessor("model name\t: AMD EPYC\nflags\t\t: fpu hypervisor lm\n"), { model: "AMD EPYC", virtualised: true });
    assert.deepEqual(parseProcessor("CPU part\t: 0xd0c\nFeatures\t: fp asimd\n"), { model: "0xd0c", virtualised: false });
  });
});
