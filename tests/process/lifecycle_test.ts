/**
 * What channels cost while nothing happens, what they leave behind, and what they keep alive: crash rounds leak nothing, a hundred idle channels use
 * no CPU, a process with only unref'd channels exits, a broker killed under load is noticed by nobody.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TRANSPORTS } from "../../src/cli/words.ts";
import { connectNameService } from "../../src/naming/client.ts";
import { loadNative } from "../../src/native/load.ts";
import { cpuNs, type RuntimeName, RUNTIMES, sleep, until, usage, World } from "./harness.ts";
import { crashRounds } from "./rounds.ts";

const END = "tests/process/end_main.ts";
const IDLE_SHARE = 0.005;
const other = (runtime: RuntimeName): RuntimeName => runtime === "bun" ? "deno" : "bun";

let world: World;
before(async () => {
  world = new World();
  await world.broker();
});
after(async () => {
  await world.close();
});

describe("crash rounds", () => {
  for (const runtime of RUNTIMES) {
    test(`twelve victims leave nothing in a ${runtime} survivor`, async () => {
      const result = await crashRounds(world, runtime, other(runtime), 12, 5);
      assert.equal(result.grownDescriptors, 0, `descriptors: ${result.open.join(", ")}`);
      assert.equal(result.grownRegions, 0);
      assert.ok(result.grownBytes < 48 << 20, `grew by ${result.grownBytes} bytes`);
      assert.ok(result.grownHeapBytes < 4 << 20, `the heap grew by ${result.grownHeapBytes} bytes`);
    });
  }
});

describe("idle", () => {
  for (const runtime of RUNTIMES) {
    test(`100 idle channels on all transports in one ${runtime} process use less than 0.5 % of a core`, async () => {
      const name = `xio://idle/${runtime}`;
      const [server, client] = [world.run(runtime, END), world.run(runtime, END)];
      server.tell({ op: "listen", name, options: { backlog: 100 } });
      await server.next("listening");
      server.tell({ op: "accept-many", count: 100 });
      client.tell({ op: "connect-many", name, count: 100, transports: TRANSPORTS });
      await Promise.all([server.next("waiting"), client.next("waiting")]);
      assert.ok(usage(server.pid).regions >= 200, "each channel maps its regions");
      await sleep(1000);
      const start = performance.now();
      const [first, second] = [cpuNs(server.pid), cpuNs(client.pid)];
      await sleep(3000);
      const elapsedNs = (performance.now() - start) * 1e6;
      for (const [program, since] of [[server, first], [client, second]] as const) {
        const share = (cpuNs(program.pid) - since) / elapsedNs;
        assert.ok(share < IDLE_SHARE, `used ${(100 * share).toFixed(2)} % of a core`);
      }
      await Promise.all([server.stop(), client.stop()]);
    });
  }
});

describe("what keeps a process alive", () => {
  for (const runtime of RUNTIMES) {
    test(`${runtime}: waiting on a channel does, on unref'd channels of all transports does not`, async () => {
      const name = `xio://alive/${runtime}`;
      const server = world.run(runtime, END);
      server.tell({ op: "listen", name });
      await server.next("listening");
      server.tell({ op: "accept-many", count: 2 * TRANSPORTS.length });
      const [staying, leaving] = [world.run(runtime, END), world.run(runtime, END)];
      for (const program of [staying, leaving]) {
        program.tell({ op: "connect-many", name, count: TRANSPORTS.length, transports: TRANSPORTS });
        await program.next("waiting");
      }
      staying.tell({ op: "let-go", count: 1 });
      leaving.tell({ op: "let-go" });
      const exit = await leaving.exited(3000);
      assert.deepEqual(exit, { code: 0, signal: null });
      await sleep(200);
      assert.equal(staying.exit, undefined, "a wait on a ref'd channel ended with the process");
      await Promise.all([server.stop(), staying.stop()]);
    });
  }
});

describe("the broker is killed under load", () => {
  for (const runtime of RUNTIMES) {
    test(`no channel notices, and the next broker has every name and flow within a second (${runtime} to ${other(runtime)})`, async () => {
      const own = new World();
      try {
        const broker = await own.broker(runtime);
        const name = "xio://load/reader";
        const [writer, reader] = [own.run(runtime, END), own.run(other(runtime), END)];
        reader.tell({ op: "listen", name });
        await reader.next("listening");
        reader.tell({ op: "accept" });
        writer.tell({ op: "connect", name });
        await Promise.all([reader.next("accepted"), writer.next("connected")]);
        const plan = { seed: 3, maxBytes: 20_000, pauseEvery: 300, pauseMs: 10 };
        const count = 100_000;
        reader.tell({ op: "receive", plan, count });
        writer.tell({ op: "send", plan, count });
        await sleep(150);
        await broker.stop();
        await sleep(150);
        await own.broker(other(runtime));
        const back = performance.now();
        await restored(own, name);
        const ms = performance.now() - back;
        assert.ok(ms <= 1000, `the new broker had everything after ${ms} ms`);
        const late = own.run(runtime, END);
        reader.tell({ op: "accept" });
        late.tell({ op: "connect", name });
        await Promise.all([late.next("connected"), reader.next("accepted")]);
        const received = await reader.next("received", 60_000);
        assert.deepEqual([received["messages"], received["wrong"], received["code"]], [count, undefined, "OPEN"]);
        assert.ok(!writer.lines.some((line) => line.event === "end"), "the writer's channel ended");
      } finally {
        await own.close();
      }
    });
  }
});

/** The name is listed and its flow is shown, as any client sees it. */
async function restored(own: World, name: string): Promise<void> {
  const service = await connectNameService(loadNative(), { socket: own.socket, start: "never" });
  try {
    service.setRef(true);
    await until(
      async () => {
        const [names, flows] = [await service.names(), await service.flows()];
        return names.some((entry) => entry.name === name && entry.listening) && flows.some((entry) => entry.names.includes(name));
      },
      "names and flows were not restored",
      5000,
    );
  } finally {
    await service.close();
  }
}
