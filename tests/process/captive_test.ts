/**
 * Orders of the broker reach programs whose threads never come back to their event loop, at both ends: an operator's word and the policy's, in
 * main threads and in workers, whether messages are under way or not; and a broker that takes another's place finds them again.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect } from "../../mod.ts";
import { confine } from "../../src/native/affinity.ts";
import { loadNative } from "../../src/native/load.ts";
import { json, run } from "./cli.ts";
import { type Program, type RuntimeName, until, World } from "./harness.ts";

const CAPTIVE = "tests/process/captive_main.ts";
const { library } = loadNative();

let world: World;
let broker: Program;
let names = 0;
before(async () => {
  world = new World();
  broker = await world.broker();
});
after(async () => {
  await world.close();
});

interface End {
  readonly runtime: RuntimeName;
  readonly role: "ask" | "answer" | "silent";
  readonly way: "wait" | "xpoll" | "spin";
}
interface Pair {
  readonly ends: readonly [Program, Program];
  readonly flow: string;
}

/** Two ends that talk already; the second one asks. */
async function captured(ends: readonly [End, End], where: "main" | "worker", transport = ""): Promise<Pair> {
  const name = `xio://captive/${++names}`;
  const begin = ({ runtime, role, way }: End): Program => world.run(runtime, CAPTIVE, [role, way, name, transport, where]);
  const answerer = begin(ends[0]);
  const asker = begin(ends[1]);
  const [open] = await Promise.all([answerer.next("open"), asker.next("open")]);
  return { ends: [answerer, asker], flow: String(open["flow"]) };
}

const movedTo = (program: Program, transport: string): readonly unknown[] =>
  program.lines.filter((line) => line.event === "moved" && line["to"] === transport).map((line) => line["direction"]).sort();

async function bothTold({ ends }: Pair, transport: string): Promise<void> {
  for (const end of ends) {
    await until(() => movedTo(end, transport).length === 2, `both directions of an end went to ${transport}`);
    assert.deepEqual(movedTo(end, transport), ["incoming", "outgoing"]);
    assert.equal(end.lines.some((line) => line.event === "error"), false, JSON.stringify(end.lines));
  }
}

async function order({ flow }: Pair, transport: string): Promise<void> {
  const report = json(await run(world, "bun", ["reconfigure", flow, "--transport", transport, "--timeout", "3000", "--json"])) as {
    readonly directions: readonly { readonly after: { readonly transport: string } }[];
  };
  assert.deepEqual(report.directions.map(({ after }) => after.transport), [transport, transport]);
}

async function done({ ends }: Pair): Promise<void> {
  for (const end of ends) await end.stop();
}

describe("an operator's order reaches two ends that never come to their event loops", () => {
  test("in main threads, blocking while messages are under way", async () => {
    const pair = await captured([{ runtime: "bun", role: "answer", way: "wait" }, { runtime: "deno", role: "ask", way: "xpoll" }], "main");
    for (const transport of ["mempipe-futex", "unix"]) {
      await order(pair, transport);
      await bothTold(pair, transport);
    }
    await done(pair);
  });

  test("in workers", async () => {
    const pair = await captured(
      [{ runtime: "deno", role: "answer", way: "wait" }, { runtime: "bun", role: "ask", way: "xpoll" }],
      "worker",
    );
    await order(pair, "shmem-pipe");
    await bothTold(pair, "shmem-pipe");
    await done(pair);
  });

  test("that look in a loop and never wait", async () => {
    const pair = await captured([{ runtime: "bun", role: "answer", way: "spin" }, { runtime: "deno", role: "ask", way: "spin" }], "main");
    await order(pair, "tcp");
    await bothTold(pair, "tcp");
    await done(pair);
  });

  test("that wait for each other, and nobody says anything", async () => {
    const pair = await captured(
      [{ runtime: "deno", role: "answer", way: "wait" }, { runtime: "bun", role: "silent", way: "xpoll" }],
      "main",
    );
    for (const transport of ["mempipe-futex", "pipe"]) await order(pair, transport);
    await done(pair);
  });
});

test("an end in its event loop moves one that waits for it, and nobody says anything", async () => {
  const name = `xio://captive/${++names}`;
  const answerer = world.run("deno", CAPTIVE, ["answer", "wait", name]);
  await answerer.next("listening");
  const handle = await connect(name, { socket: world.socket });
  await answerer.next("open");
  for (const transport of ["unix", "mempipe-futex", "mempipe"] as const) {
    await handle.reconfigure(transport, { timeoutMs: 3000 });
    const { incoming, outgoing } = handle.epochs;
    assert.deepEqual([incoming.transport, outgoing.transport], [transport, transport]);
  }
  await handle.close();
  await answerer.stop();
});

test("the policy heals a spin on one core between two ends that block", async () => {
  const pair = await captured(
    [{ runtime: "bun", role: "answer", way: "wait" }, { runtime: "deno", role: "ask", way: "wait" }],
    "main",
    "mempipe-spin",
  );
  for (const { pid } of pair.ends) assert.equal(confine(library, pid, [0]), true);
  const moved = await broker.next("moved", 20_000);
  assert.deepEqual([moved["flow"], moved["transport"]], [pair.flow, "mempipe-futex"]);
  await bothTold(pair, "mempipe-futex");
  await done(pair);
});

test("a broker that takes the place of one that died learns of a channel between two ends that block, and moves it", async () => {
  const pair = await captured([{ runtime: "bun", role: "answer", way: "wait" }, { runtime: "deno", role: "silent", way: "xpoll" }], "main");
  await broker.stop();
  broker = await world.broker();
  const restored = async (): Promise<boolean> => {
    const flows = json(await run(world, "bun", ["flows", "--json"])) as readonly { readonly flow: string }[];
    return flows.some(({ flow }) => flow === pair.flow);
  };
  await until(restored, "the next broker knows the channel");
  await order(pair, "unix");
  await done(pair);
});
