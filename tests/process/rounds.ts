/** Crash and restart, round after round, against one survivor that must not grow. A few rounds in the tests, a thousand in the soak. */
import { TRANSPORT_NAMES } from "../../src/transport/transport.ts";
import { descriptors, grownDescriptors, type Program, type RuntimeName, seeded, sleep, usage, type World } from "./harness.ts";
import type { TrafficPlan } from "./traffic.ts";

const END = "tests/process/end_main.ts";
/** Rounds before the first look: caches fill, code is compiled. */
const WARM_UP = 3;
/** Deno makes itself one pair of sockets, at a moment of its own choosing; what leaks grows with the rounds. */
const OWN_DESCRIPTORS: Readonly<Record<RuntimeName, number>> = { bun: 0, deno: 2 };
const PLAN: TrafficPlan = { seed: 99, maxBytes: 100_000, pauseEvery: 0, pauseMs: 0 };

export interface RoundsResult {
  readonly rounds: number;
  /** Beyond what the runtime takes for itself. */
  readonly grownDescriptors: number;
  readonly grownRegions: number;
  /** Of the resident memory: runtimes enlarge their heaps as they please. */
  readonly grownBytes: number;
  /** Of what is in use on the heap after all garbage was collected. */
  readonly grownHeapBytes: number;
  /** What is open at the end, for the message of a failure. */
  readonly open: readonly string[];
}

/** In each round a program connects on one to three transports, writes, and is killed at a random moment. */
export async function crashRounds(
  world: World,
  survivorRuntime: RuntimeName,
  victimRuntime: RuntimeName,
  rounds: number,
  seed: number,
  progress?: (round: number, residentBytes: number) => void,
): Promise<RoundsResult> {
  const random = seeded(seed);
  const name = `xio://rounds/${survivorRuntime}-${victimRuntime}-${seed}`;
  const survivor = world.run(survivorRuntime, END);
  survivor.tell({ op: "listen", name });
  await survivor.next("listening");
  survivor.tell({ op: "serve", plan: PLAN });
  let before = { ...usage(survivor.pid), heapBytes: 0 };
  for (let round = 0; round < rounds + WARM_UP; round++) {
    if (round === WARM_UP) before = { heapBytes: await heapBytes(survivor), ...usage(survivor.pid) };
    await crashOnce(world, survivor, victimRuntime, name, random);
    progress?.(round, usage(survivor.pid).residentBytes);
  }
  await grownDescriptors(survivor.pid, before.descriptors);
  const later = { heapBytes: await heapBytes(survivor), ...usage(survivor.pid) };
  const open = descriptors(survivor.pid);
  await survivor.stop();
  return {
    rounds,
    grownDescriptors: Math.max(0, later.descriptors - before.descriptors - OWN_DESCRIPTORS[survivorRuntime]),
    grownRegions: later.regions - before.regions,
    grownBytes: later.residentBytes - before.residentBytes,
    grownHeapBytes: later.heapBytes - before.heapBytes,
    open,
  };
}

async function heapBytes(program: Program): Promise<number> {
  program.tell({ op: "heap" });
  return Number((await program.next("heap"))["usedBytes"]);
}

async function crashOnce(world: World, survivor: Program, runtime: RuntimeName, name: string, random: () => number): Promise<void> {
  const victim = world.run(runtime, END);
  const channels = 1 + Math.floor(random() * 3);
  for (let n = 0; n < channels; n++) {
    const transport = TRANSPORT_NAMES[Math.floor(random() * TRANSPORT_NAMES.length)];
    const trust = random() < 0.5 || transport === "vmsplice-coop" ? "trusted" : "untrusted";
    victim.tell({ op: "connect", name, options: { transport, trust } });
    await victim.next("connected");
    victim.tell({ op: "flood", plan: PLAN });
    await victim.next("flooding");
  }
  await sleep(random() * 30);
  await victim.stop();
  world.programs.splice(world.programs.indexOf(victim), 1);
  for (let n = 0; n < channels; n++) {
    const served = await survivor.next("served");
    if (served["code"] !== "PEER_DEAD" || served["wrong"] !== undefined) throw new Error(`the survivor saw ${JSON.stringify(served)}`);
  }
}
