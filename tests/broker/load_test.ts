/** What others do on an end's CPU, from a made-up kernel that counts in ticks as the real one does: the estimate must not stray over a threshold. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Kernel } from "../../src/broker/kernel.ts";
import { FlowSampler } from "../../src/broker/sampler.ts";
import { type FlowFacts, loadOf } from "../../src/policy/facts.ts";
import { seeded } from "../process/harness.ts";

const TICK_MS = 10;

/** Two ends, each on its CPU; a share of CPU 1 is the second end's, `other` somebody else's. Gives the facts of each look. */
function* looks(end: number, other: number, count: number, seed: number): Generator<FlowFacts> {
  const random = seeded(seed);
  const ran = { user: 0, system: 0, other: 0, all: 0 };
  const ticks = (ms: number) => Math.floor(ms / TICK_MS);
  const kernel = new Kernel({
    read(path) {
      if (path === "/proc/stat") return `cpu0 0 0 0 0 0 0 0 0\ncpu1 ${ticks(ran.all)} 0 0 0 0 0 0 0`;
      if (path === "/proc/2/schedstat") return `${Math.round((ran.user + ran.system) * 1e6)} 0 1`;
      if (path === "/proc/2/stat") {
        return `2 (x) S ${Array(10).fill(0).join(" ")} ${ticks(ran.user)} ${ticks(ran.system)} ${Array(23).fill(0).join(" ")} 1 0`;
      }
      return path.startsWith("/proc/1/") ? `1 (x) S ${Array(36).fill(0).join(" ")} 0` : undefined;
    },
    affinity: (tid) => [tid - 1],
  });
  const sampler = new FlowSampler();
  let nowMs = 0;
  for (let look = 0; look < count; look++) {
    // Who of the two has the CPU how long before it is the other's turn, depends.
    const passedMs = 50 + 10 * random();
    const mine = Math.min(1, Math.max(0, end + 0.1 * (random() - 0.5)));
    const user = 0.4 + 0.2 * random();
    nowMs += passedMs;
    ran.user += passedMs * mine * user;
    ran.system += passedMs * mine * (1 - user);
    ran.all += passedMs * (other === 0 ? mine : Math.max(mine, mine + other));
    kernel.begin(nowMs);
    sampler.place([kernel.look(1, undefined), kernel.look(2, undefined)], kernel, passedMs / 1000);
    yield sampler.facts({
      ...{ trust: "trusted", asked: undefined, transports: ["mempipe", "mempipe"], ringBytes: 65_536, kernel },
      machine: { virtualised: false, cpus: 2, pressureShare: undefined },
      lineNs: () => undefined,
    });
  }
}

describe("load beside an end", () => {
  for (const end of [0.3, 0.5, 0.6]) {
    test(`a program that always runs is load at every look, if the end has ${end * 100} %`, () => {
      const loads = [...looks(end, 1 - end, 20_000, 1)].slice(20).map(loadOf);
      assert.equal(loads.filter((load) => load === 0).length, 0, `of ${loads.length} looks`);
    });
  }
  test("an end alone is none, however much it runs", () => {
    for (const end of [0.1, 0.5, 0.9, 1]) {
      const loads = [...looks(end, 0, 20_000, 2)].slice(20).map(loadOf);
      assert.equal(loads.filter((load) => load > 0).length, 0, `with ${end * 100} %, of ${loads.length} looks`);
    }
  });
});
