/**
 * A thread that blocks, on the doorbell, the futex or in a spin as its transport has it, learns within 100 ms that its peer was killed: waiting for
 * messages and for room, before a move and after one that it followed while it was blocked. One victim at a time, with a survivor for each transport.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TRANSPORT_NAMES } from "../../src/transport/transport.ts";
import { command, grownDescriptors, Program, RUNTIMES, sleep, usage, World } from "./harness.ts";

const NOTICE_MS = 100;
/** On a busy machine a process may not run for so long: then once more. */
const ATTEMPTS = 3;
/** Long enough for everybody to sleep, also one that spins for a while first. */
const ASLEEP_MS = 150;
const SHIFT = 4;

let world: World;
let survivors: readonly Program[] = [];
let held: readonly { readonly descriptors: number; readonly regions: number }[] | undefined;
let round = 0;

before(async () => {
  world = new World();
  await world.broker();
  survivors = TRANSPORT_NAMES.map((_, id) => world.run(RUNTIMES[id % 2], "tests/process/end_main.ts"));
});
after(async () => {
  await world.close();
});

interface Case {
  /** What the survivors wait for. */
  readonly survivor: "reader" | "writer";
  readonly moved: boolean;
}

/** Kills the end that all survivors wait for; what is wrong. */
async function blockAndKill({ survivor, moved }: Case): Promise<readonly string[]> {
  round++;
  const names = TRANSPORT_NAMES.map((_, id) => `xio://blocked/${round}/${id}`);
  const to = TRANSPORT_NAMES.map((_, id) => TRANSPORT_NAMES[(id + SHIFT) % TRANSPORT_NAMES.length]);
  const victim = world.run(RUNTIMES[round % 2], "tests/process/moves_main.ts");
  const tell = async (order: { readonly op: string; readonly [key: string]: unknown }): Promise<void> => {
    victim.tell(order);
    await victim.next(`${order.op} done`);
  };
  for (const [id, one] of survivors.entries()) one.tell({ op: "listen", name: names[id] });
  await Promise.all(survivors.map((one) => one.next("listening")));
  for (const one of survivors) one.tell({ op: "accept" });
  await tell({ op: "connect", names, transports: TRANSPORT_NAMES });
  await Promise.all(survivors.map((one) => one.next("accepted")));
  for (const one of survivors) one.tell({ op: survivor === "reader" ? "block" : "block-writing" });
  await Promise.all(survivors.map((one) => one.next("blocking")));
  await sleep(ASLEEP_MS);
  if (survivor === "reader") await tell({ op: "send", count: 5 });
  if (moved) await tell({ op: "move", transports: to, direction: survivor === "reader" ? "outgoing" : "incoming" });
  if (moved && survivor === "reader") await tell({ op: "reach", state: "drained" });
  await sleep(ASLEEP_MS);
  const at = Date.now();
  victim.kill();
  const wrong: string[] = [];
  for (const [id, one] of survivors.entries()) {
    const line = await one.next("unblocked");
    const epochs = line["epochs"] as {
      readonly outgoing: { readonly transport: string };
      readonly incoming: { readonly transport: string };
    };
    const { transport } = survivor === "reader" ? epochs.incoming : epochs.outgoing;
    const said = [line["code"], line["messages"] ?? 0, transport].join(", ");
    const expected = ["PEER_DEAD", survivor === "reader" ? 5 : 0, moved ? to[id] : TRANSPORT_NAMES[id]].join(", ");
    if (said !== expected) wrong.push(`${TRANSPORT_NAMES[id]}: ${said} instead of ${expected}`);
    if (Number(line["at"]) - at > NOTICE_MS) wrong.push(`late: ${TRANSPORT_NAMES[id]} after ${Number(line["at"]) - at} ms`);
    one.tell({ op: "close" });
    await one.next("closed");
  }
  await victim.stop();
  return wrong;
}

async function attempts(one: Case): Promise<readonly string[]> {
  let wrong: readonly string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    wrong = await blockAndKill(one);
    if (wrong.length === 0 || !wrong.every((sentence) => sentence.startsWith("late"))) break;
  }
  return wrong;
}

describe("a thread that blocks", () => {
  for (const survivor of ["reader", "writer"] as const) {
    for (const moved of [false, true]) {
      test(`${survivor === "reader" ? "for messages" : "for room"}${moved ? ", after a move," : ""} learns of a death, on every transport`, async () => {
        assert.deepEqual(await attempts({ survivor, moved }), []);
        const now = survivors.map(({ pid }) => usage(pid));
        held ??= now;
        for (const [id, { pid }] of survivors.entries()) {
          // Deno makes itself one pair of sockets when it pleases.
          assert.ok(await grownDescriptors(pid, held[id].descriptors + 2) <= 0, "descriptors are left");
          assert.ok(usage(pid).regions <= held[id].regions, "regions are left");
        }
      });
    }
  }
});

describe("two ends that spin on one core", () => {
  for (const how of ["loop", "block"] as const) {
    test(`get on, a time slice at a message at worst (${how === "loop" ? "in the event loop" : "blocking"})`, async () => {
      const pinned = RUNTIMES.map((runtime) => {
        const [executable, words] = command(runtime, "tests/process/end_main.ts");
        const program = new Program("taskset", ["-c", "0", executable, ...words], world.environment);
        world.programs.push(program);
        return program;
      });
      const [writer, reader] = pinned as [Program, Program];
      const name = `xio://blocked/one-core/${how}`;
      // Whoever reads is often there first, and spins while the writer has the same core to run on.
      const plan = { seed: 5, maxBytes: 2000, pauseEvery: 3, pauseMs: 2 };
      reader.tell({ op: "listen", name });
      await reader.next("listening");
      reader.tell({ op: "accept" });
      writer.tell({ op: "connect", name, options: { transport: "mempipe-spin" } });
      await Promise.all([reader.next("accepted"), writer.next("connected")]);
      reader.tell({ op: "receive", plan, count: 200, how });
      writer.tell({ op: "send", plan, count: 200, how });
      const received = await reader.next("received");
      assert.deepEqual([received["messages"], received["wrong"]], [200, undefined]);
    });
  }
});
