/** What the kernel says about threads and CPUs, as the broker understands it; a made-up /proc. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Kernel,
  parseCgroup,
  parseCpuTicks,
  parseLastCpu,
  parsePressure,
  parseProcessTicks,
  parseSchedstat,
} from "../../src/broker/kernel.ts";

describe("lines of /proc", () => {
  test("schedstat, stat with any name, pressure, cgroup", () => {
    assert.deepEqual(parseSchedstat("1200 300 7\n"), { ranNs: 1200, waitedNs: 300 });
    const stat = `77 (a ) name (x) S ${Array.from({ length: 49 }, (_, index) => index + 4).join(" ")}`;
    assert.equal(parseLastCpu(stat), 39, "the 39th field");
    assert.equal(parseProcessTicks(stat), 14 + 15);
    assert.equal(parseProcessTicks("7 (x) S"), undefined);
    assert.equal(parsePressure("some avg10=12.50 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00"), 0.125);
    assert.equal(parseCgroup("1:name=x:/old\n0::/user.slice/a\n"), "/user.slice/a");
    const ticks = parseCpuTicks("cpu  9 9 9 9\ncpu0 10 1 5 100 7 2 3 4 0 0\ncpu12 1 0 0 9 0 0 0 0 0 0\nintr 5 0 0\n");
    assert.deepEqual([...ticks], [[0, { busy: 25, steal: 4 }], [12, { busy: 1, steal: 0 }]]);
  });
  test("what is not there or nonsense is not known", () => {
    for (const text of [undefined, "", "x", "1 (a) S 1"]) {
      assert.deepEqual([parseSchedstat(text), parseLastCpu(text), parsePressure(text), parseCgroup(text)], Array(4).fill(undefined));
      assert.equal(parseCpuTicks(text).size, 0);
    }
  });
});

describe("a look", () => {
  const files = new Map<string, string>();
  const thread = (pid: number, ranMs: number, waitedMs: number, cpu: number) => {
    files.set(`/proc/${pid}/schedstat`, `${ranMs * 1e6} ${waitedMs * 1e6} 1`);
    files.set(`/proc/${pid}/stat`, `${pid} (x) S ${Array(10).fill(0).join(" ")} ${ranMs / 10} ${Array(24).fill(0).join(" ")} ${cpu} 0`);
  };
  const cpus = (...busy: readonly number[]) =>
    files.set("/proc/stat", busy.map((ticks, cpu) => `cpu${cpu} ${ticks} 0 0 0 0 0 0 0`).join("\n"));
  const affinities = new Map<number, readonly number[]>();
  let reads = 0;
  const make = () =>
    new Kernel({
      read: (path) => (reads++, files.get(path)),
      affinity: (tid) => affinities.get(tid),
    });

  test("gives shares of the time between two looks, and what others do on the CPUs that a thread may use", () => {
    const kernel = make();
    affinities.set(1, [0]);
    affinities.set(2, [0, 1]);
    cpus(100, 100);
    thread(1, 0, 0, 0);
    thread(2, 0, 0, 1);
    kernel.begin(1000);
    assert.deepEqual([kernel.look(1, undefined).ran, kernel.look(2, undefined).delayed], [undefined, undefined]);
    // A second later: CPU 0 was busy all the time, the first thread had a quarter of it and waited for the rest. CPU 1 only had the second.
    cpus(200, 150);
    thread(1, 250, 750, 0);
    thread(2, 500, 0, 1);
    kernel.begin(2000);
    const [one, two] = [kernel.look(1, undefined), kernel.look(2, undefined)];
    assert.deepEqual([one.ran, one.delayed, one.cpu, two.ran, two.delayed, two.cpu], [0.25, 0.75, 0, 0.5, 0, 1]);
    assert.deepEqual(kernel.otherBusy(one.affinity, one.cpu), { busy: 0.75, steal: 0 });
    assert.deepEqual(kernel.otherBusy(two.affinity, two.cpu), { busy: 0.375, steal: 0 }, "of both CPUs");
  });
  test("is taken once in a round, whoever asks", () => {
    const kernel = make();
    kernel.begin(0);
    kernel.look(1, undefined);
    const before = reads;
    kernel.look(1, undefined);
    assert.equal(reads, before);
  });
  test("of a thread that is gone says nothing, but where it was said to be", () => {
    const kernel = make();
    kernel.begin(0);
    const sight = kernel.look(99, 3);
    assert.deepEqual([sight.cpu, sight.ran, sight.affinity], [3, undefined, undefined]);
    assert.deepEqual(kernel.otherBusy(undefined, undefined), { busy: 0, steal: 0 });
  });
});
