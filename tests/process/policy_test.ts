/**
 * The policy on real processes: a spin that shares its core is healed without a message lost; an operator's word and an operator's file hold.
 * How fast that goes on a quiet machine, `bench/policy/reaction.ts` measures.
 */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Hog } from "../../src/cli/hog.ts";
import type { FlowEntry } from "../../src/naming/service.ts";
import { affinityOf, allowedCpus, confine } from "../../src/native/affinity.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Explanation } from "../../src/policy/explain.ts";
import { type Finished, json, run, SENTENCE, text } from "./cli.ts";
import { type Program, type RuntimeName, RUNTIMES, sleep, until, World } from "./harness.ts";

const { library } = loadNative();
const TALKER = "tests/process/talker_main.ts";

function pin(program: Program, cpu: number): void {
  assert.equal(confine(library, program.pid, [cpu]), true);
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    await work(world);
  } finally {
    await world.close();
  }
}

interface Talk {
  readonly asker: Program;
  readonly answerer: Program;
  readonly flow: string;
}

async function talk(world: World, runtimes: readonly [RuntimeName, RuntimeName], transport?: string): Promise<Talk> {
  const [asker, answerer] = [world.run(runtimes[0], TALKER), world.run(runtimes[1], TALKER)];
  answerer.tell({ op: "start", role: "answer", name: "xio://talk", sizeBytes: 64 });
  await answerer.next("listening");
  asker.tell({ op: "start", role: "ask", name: "xio://talk", sizeBytes: 64, ...(transport === undefined ? {} : { transport }) });
  const [open] = await Promise.all([asker.next("open"), answerer.next("open")]);
  return { asker, answerer, flow: String(open["flow"]) };
}

/** Both ends saw every message once and in order: they check, and would have ended with an error. */
async function hangUp({ asker, answerer }: Talk): Promise<void> {
  asker.tell({ op: "stop" });
  const [asked, answered] = [await asker.next("closed", 30_000), await answerer.next("closed", 30_000)];
  assert.ok(Number(asked["messages"]) > 0);
  assert.equal(asked["messages"], answered["messages"]);
}

/** By hand: neither runtime's fetch speaks to Unix sockets in the same way. */
function got(path: string, url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath: path, path: url }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text)).on("end", () => resolve(body));
    }).on("error", reject).end();
  });
}

const moves = (program: Program) => program.lines.filter((line) => line.event === "moved").map((line) => line["to"]);

async function flowOf(world: World, flow: string): Promise<FlowEntry | undefined> {
  let shown: Finished | undefined;
  // On a machine as busy as this test makes it, a short visit may find the broker asleep.
  await until(async () => (shown = await run(world, "bun", ["flows", "--json"])).code === 0, "the broker answers");
  return shown === undefined ? undefined : (json(shown) as readonly FlowEntry[]).find((entry) => entry.flow === flow);
}

describe("both ends on one core, spinning", () => {
  for (const [index, runtime] of RUNTIMES.entries()) {
    const other = RUNTIMES[1 - index] ?? "bun";
    test(`are moved to where they sleep (${runtime} asks ${other})`, () =>
      inWorld(async (world) => {
        const broker = await world.broker(runtime);
        const both = await talk(world, [runtime, other], "mempipe-spin");
        for (const program of [both.asker, both.answerer]) pin(program, 0);
        await until(() => moves(both.asker).length > 0 && moves(both.answerer).length > 0, "both directions moved", 20_000);
        assert.deepEqual([moves(both.asker)[0], moves(both.answerer)[0]], ["mempipe-futex", "mempipe-futex"]);
        const line = await broker.next("moved");
        assert.deepEqual([line["flow"], line["transport"]], [both.flow, "mempipe-futex"]);
        const entry = await flowOf(world, both.flow);
        assert.match(entry?.reason ?? "", /^mempipe-futex, because .* it is better than mempipe-spin: .* a message$/);
        assert.equal(entry?.directions[0]?.placement, "one core (CPU 0)");
        await sleep(500);
        assert.equal(moves(both.asker).length, 1, "and stay there");
        await hangUp(both);
      }));
  }
});

test("a spin whose core somebody else wants is moved to where it sleeps, and is not moved about when that is over", () =>
  inWorld(async (world) => {
    await world.broker();
    const both = await talk(world, ["bun", "bun"], "mempipe-spin");
    pin(both.asker, 0);
    pin(both.answerer, 1);
    // Until they were pinned both may have been on one CPU: then they were moved for that, and spin again a little later.
    await sleep(300);
    await until(() => (moves(both.asker).at(-1) ?? "mempipe-spin") === "mempipe-spin", "it spins on two CPUs", 20_000);
    const before = moves(both.asker).length;
    const hog = new Hog(1);
    try {
      // A move may still come of how they were placed before: what counts is where the flow stays.
      const asleep = () => moves(both.asker).length > before && moves(both.asker).at(-1) === "mempipe-futex";
      await until(async () => asleep() && (await sleep(1000), asleep()), "it sleeps and stays there", 20_000);
    } finally {
      await hog.stop();
    }
    await sleep(1000);
    // Whatever else runs here may have come and gone once, too.
    assert.ok(moves(both.asker).length <= before + 4, moves(both.asker).join());
    await hangUp(both);
  }));

describe("by hand", () => {
  test("nothing moves while the policy is manual, and it says so; then it does", () =>
    inWorld(async (world) => {
      await world.broker();
      assert.deepEqual(json(await run(world, "bun", ["policy", "manual", "--json"])), { mode: "manual", flow: null });
      const both = await talk(world, ["bun", "bun"], "mempipe-spin");
      for (const program of [both.asker, both.answerer]) pin(program, 0);
      await sleep(1000);
      assert.deepEqual(moves(both.asker), []);
      const explained = json(await run(world, "bun", ["policy", "explain", both.flow.slice(0, 6), "--json"])) as Explanation;
      assert.deepEqual([explained.mode, explained.held], ["manual", "the policy is manual"]);
      assert.deepEqual([explained.asked, explained.choice.transport], ["mempipe-spin", "mempipe-futex"]);
      assert.equal(explained.candidates.length, 9);
      assert.deepEqual(explained.facts.ends.map((end) => end.affinity), [[0], [0]]);
      assert.equal(explained.facts.bound_together, true);
      await run(world, "bun", ["policy", "auto", both.flow]);
      await until(() => moves(both.asker).length > 0, "it moves", 20_000);
      assert.match(text((await run(world, "bun", ["policy", "explain", both.flow])).out), /best: mempipe-futex is the best/);
      await hangUp(both);
    }));

  test("what an operator moved stays where it was put", () =>
    inWorld(async (world) => {
      await world.broker();
      const both = await talk(world, ["bun", "bun"]);
      await run(world, "bun", ["reconfigure", both.flow, "--transport", "tcp"]);
      await sleep(1000);
      assert.deepEqual(moves(both.asker), ["tcp"]);
      const explained = json(await run(world, "bun", ["policy", "explain", both.flow, "--json"])) as Explanation;
      assert.match(explained.held ?? "", /an operator moved it/);
      assert.notEqual(explained.choice.transport, "tcp", "though it knows better");
      await run(world, "bun", ["policy", "auto", both.flow]);
      await until(() => moves(both.asker).length > 1, "it is taken back", 20_000);
      await hangUp(both);
    }));
});

test("figures for Prometheus at a socket, one line for each direction, and the moves that were made", () =>
  inWorld(async (world) => {
    const path = join(world.folder, "metrics.sock");
    await world.broker("deno", "--metrics-socket", path);
    const both = await talk(world, ["bun", "bun"], "mempipe-spin");
    for (const program of [both.asker, both.answerer]) pin(program, 0);
    await until(() => moves(both.asker).length > 0, "it moves", 20_000);
    const figures = await got(path, "/metrics");
    const lines = figures.split("\n").filter((line) => line.startsWith("fable_flow_messages_total{"));
    assert.equal(lines.length, 2);
    for (const line of lines) {
      assert.match(
        line,
        /^fable_flow_messages_total\{flow="[^"]+",from="xio:[^"]+",to="xio:[^"]+",transport="[a-z-]+",trust="trusted"\} \d+$/,
      );
    }
    await until(async () => /^fable_broker_policy_moves_total [1-9]/m.test(await got(path, "/metrics")), "the move is counted", 10_000);
    assert.match(await got(path, "/else"), /Only \/metrics/);
    await hangUp(both);
  }));

describe("a policy file", () => {
  test("beside the socket holds for a broker that a program starts by itself", () =>
    inWorld(async (world) => {
      writeFileSync(join(world.folder, "broker.policy.json"), `{ "connections": [{ "pin": "unix" }] }`);
      const both = await talk(world, ["bun", "bun"]);
      assert.equal((await flowOf(world, both.flow))?.reason, "unix, because a rule of the policy file pins it");
      await hangUp(both);
    }));

  test("that is wrong: every mistake with its line, and no broker", () =>
    inWorld(async (world) => {
      const path = join(world.folder, "rules.json");
      writeFileSync(path, `{\n  "mode": "slow",\n  "connections": [{ "pin": "warp" }]\n}`);
      const result = await run(world, "bun", ["broker", "--policy", path]);
      assert.equal(result.code, 1);
      const [first = "", second = "", sentence = ""] = result.errors.split("\n");
      assert.match(first, /rules\.json:2: mode: "slow" is none of/);
      assert.match(second, /rules\.json:3: connections\[0\]\.pin: "warp" is no transport/);
      assert.match(`${sentence}\n`, SENTENCE);
    }));

  test("pins channels, and moves them when it changes; a broken one changes nothing; who is not allowed does not get in", () =>
    inWorld(async (world) => {
      const path = join(world.folder, "rules.json");
      const pinned = (transport: string) => `{ "connections": [{ "to": "xio://talk", "pin": "${transport}" }, { "allow": false }] }`;
      writeFileSync(path, pinned("tcp"));
      const broker = await world.broker("bun", "--policy", path);
      const both = await talk(world, ["bun", "deno"]);
      await until(() => moves(both.asker).includes("tcp"), "it goes to tcp", 20_000);
      writeFileSync(path, "{ nonsense");
      assert.match(String((await broker.next("policy-refused"))["problems"]), /rules\.json:1: /);
      writeFileSync(path, pinned("unix"));
      await broker.next("policy-loaded");
      await until(() => moves(both.asker).at(-1) === "unix" && moves(both.answerer).at(-1) === "unix", "it goes to unix", 20_000);
      assert.deepEqual(moves(both.asker), ["tcp", "unix"]);
      const refused = await run(world, "bun", ["cat", "xio://elsewhere", "--timeout", "5"]);
      assert.match(refused.errors, /the policy file does not let programs without a name connect to xio:\/\/elsewhere \(REFUSED\)/);
      await hangUp(both);
    }));
});

test("CPUs that a broker took are given back by the one after it, if it is killed", () =>
  inWorld(async (world) => {
    const rules = (affinity: boolean) =>
      writeFileSync(join(world.folder, "broker.policy.json"), JSON.stringify({ affinity, transports: ["mempipe-futex"] }));
    rules(true);
    const broker = await world.broker();
    const both = await talk(world, ["bun", "deno"], "mempipe-futex");
    const affinities = () => [both.asker, both.answerer].map((program) => affinityOf(library, program.pid));
    await until(() => affinities().every((cpus) => cpus?.length === 1), "both ends are brought together", 20_000);
    broker.kill("SIGSTOP");
    rules(false);
    broker.kill("SIGKILL");
    const all = allowedCpus(library);
    await world.broker();
    await until(() => affinities().every((cpus) => cpus?.length === all.length), "they have their CPUs again", 20_000);
    assert.equal(existsSync(join(world.folder, "broker.loans.json")), false);
    await hangUp(both);
  }));

test("a calibration is a table that the broker takes while it runs", () =>
  inWorld(async (world) => {
    const broker = await world.broker("bun");
    const first = await run(world, "bun", ["calibrate", "--seconds", "1", "--transport", "mempipe,unix", "--json"], {
      timeoutMs: 60_000,
    });
    assert.equal(first.code, 0, first.errors);
    const table = JSON.parse(text(first.out)) as {
      readonly measured: boolean;
      readonly made_at: string;
      readonly rows: readonly unknown[];
    };
    assert.ok(table.measured);
    assert.equal(table.rows.length, 3 * 8, "mempipe of either trust, unix; two patterns, two placements, with and without a hog");
    assert.equal((await broker.next("calibration-loaded"))["made_at"], table.made_at);
    const again = json(await run(world, "bun", ["calibrate", "--json"])) as typeof table;
    assert.deepEqual([again.measured, again.made_at], [false, table.made_at], "it is not measured twice");
  }));
