/**
 * `fable reconfigure` on real channels: two programs in both runtimes, with messages under way, moved by an operator from one transport to the
 * next. Nothing is lost, both directions move, `fable flows` says where they are; what goes wrong is said in one sentence.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { TRANSPORTS } from "../../src/cli/words.ts";
import type { FlowEntry } from "../../src/naming/service.ts";
import { json, run as runIn, SENTENCE, text } from "./cli.ts";
import { type Program, type RuntimeName, sleep, until, World } from "./harness.ts";
import type { TrafficPlan } from "./traffic.ts";

const END = "tests/process/end_main.ts";
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "deno"], ["deno", "bun"]];
const PLAN: TrafficPlan = { seed: 11, maxBytes: 20_000, pauseEvery: 50, pauseMs: 1 };

interface Report {
  readonly flow: string;
  readonly transport: string;
  readonly took_ms: number;
  readonly directions: readonly { readonly from: string; readonly to: string; readonly before: Place; readonly after: Place }[];
}
interface Place {
  readonly transport: string;
  readonly epoch: number;
}
interface Pair {
  readonly writer: Program;
  readonly reader: Program;
  readonly flow: string;
}

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

const run = (args: readonly string[], runtime: RuntimeName = "bun") => runIn(world, runtime, args);

async function connected(runtimes: readonly [RuntimeName, RuntimeName]): Promise<Pair> {
  const name = `xio://moved/${++names}`;
  const [writer, reader] = [world.run(runtimes[0], END), world.run(runtimes[1], END)];
  reader.tell({ op: "listen", name });
  await reader.next("listening");
  reader.tell({ op: "accept" });
  writer.tell({ op: "connect", name });
  const [accepted] = await Promise.all([reader.next("accepted"), writer.next("connected")]);
  return { writer, reader, flow: String(accepted["flow"]) };
}

async function done({ writer, reader }: Pair): Promise<void> {
  await Promise.all([writer.stop(), reader.stop()]);
}

async function flowOf(flow: string): Promise<FlowEntry | undefined> {
  return (json(await run(["flows", "--json"])) as readonly FlowEntry[]).find((entry) => entry.flow === flow);
}

describe("an operator moves a channel", () => {
  for (const runtimes of PAIRS) {
    test(`through every transport and back while messages go over it (${runtimes.join(" to ")})`, async () => {
      const pair = await connected(runtimes);
      pair.reader.tell({ op: "receive", plan: PLAN });
      pair.writer.tell({ op: "flood", plan: PLAN });
      await pair.writer.next("flooding");
      let last = "mempipe";
      for (const [index, transport] of [...TRANSPORTS.slice(1), "mempipe"].entries()) {
        const report = json(await run(["reconfigure", pair.flow, "--transport", transport, "--json"], runtimes[0])) as Report;
        assert.deepEqual([report.flow, report.transport], [pair.flow, transport]);
        for (const { before, after } of report.directions) {
          assert.deepEqual([before, after], [{ transport: last, epoch: index }, { transport, epoch: index + 1 }]);
        }
        last = transport;
      }
      const flow = await flowOf(pair.flow);
      assert.deepEqual(flow?.directions.map(({ transport, epoch }) => [transport, epoch]), Array(2).fill(["mempipe", TRANSPORTS.length]));
      assert.equal(flow?.reason, "mempipe, because an operator ordered it");
      pair.writer.kill();
      const received = await pair.reader.next("received");
      assert.equal(received["wrong"], undefined);
      assert.ok(Number(received["messages"]) > 0);
      assert.equal(received["code"], "PEER_DEAD");
      await done(pair);
    });
  }

  test("for people: a line for each direction; by a beginning of its name; there already is no move", async () => {
    const pair = await connected(["bun", "deno"]);
    const lines = async () => text((await run(["reconfigure", pair.flow, "--transport", "tcp"])).out).trimEnd().split("\n");
    const moved = await lines();
    assert.equal(moved.length, 2);
    for (const line of moved) assert.match(line, /^xio:\S+ to xio:\S+: mempipe \(epoch 0\) → tcp \(epoch 1\)$/);
    for (const line of await lines()) assert.match(line, /^xio:\S+ to xio:\S+: tcp already \(epoch 1\)$/);
    await done(pair);
  });

  test("with more memory", async () => {
    const pair = await connected(["bun", "deno"]);
    const report = json(await run(["reconfigure", pair.flow, "--transport", "mempipe", "--ring", "1M", "--json"])) as Report;
    for (const { after } of report.directions) assert.deepEqual(after, { transport: "mempipe", epoch: 1 });
    await done(pair);
  });
});

describe("what goes wrong is one sentence", () => {
  test("no such channel", async () => {
    const result = await run(["reconfigure", "nosuch-1", "--transport", "tcp"]);
    assert.equal(result.code, 1);
    assert.match(result.errors, SENTENCE);
    assert.match(result.errors, /no channel is called "nosuch-1" \(FAILED\): fable flows/);
  });

  test("an end that is stopped does not report; once it goes on, it moves all the same", async () => {
    const pair = await connected(["bun", "deno"]);
    process.kill(pair.reader.pid, "SIGSTOP");
    const result = await run(["reconfigure", pair.flow, "--transport", "unix", "--timeout", "300"]);
    process.kill(pair.reader.pid, "SIGCONT");
    assert.equal(result.code, 1);
    assert.match(result.errors, SENTENCE);
    assert.match(result.errors, new RegExp(`\\(process ${pair.reader.pid}\\).*did not report in time.*\\(TIMEOUT\\)`));
    await until(
      async () => (await flowOf(pair.flow))?.directions.every(({ transport }) => transport === "unix") === true,
      "it did not move",
    );
    await done(pair);
  });
});

describe("a broker that dies while it has a channel moved", () => {
  test("leaves it working, and the operator's command is answered by the next", async () => {
    const pair = await connected(["bun", "deno"]);
    pair.reader.tell({ op: "receive", plan: PLAN, count: 3000 });
    pair.writer.tell({ op: "send", plan: PLAN, count: 3000 });
    process.kill(pair.reader.pid, "SIGSTOP");
    const moving = run(["reconfigure", pair.flow, "--transport", "tcp", "--timeout", "15000", "--json"]);
    await sleep(400);
    await broker.stop();
    broker = await world.broker("deno");
    process.kill(pair.reader.pid, "SIGCONT");
    const report = json(await moving) as Report;
    for (const { after } of report.directions) assert.equal(after.transport, "tcp");
    const received = await pair.reader.next("received", 30_000);
    assert.deepEqual([received["messages"], received["wrong"], received["code"]], [3000, undefined, "OPEN"]);
    await done(pair);
  });
});
