/**
 * Brokers that are killed, replaced, started on demand, and leave: real processes in both runtimes, their clients in this one. Deadlines are
 * generous, because a machine under test is busy; what they bound is that it happens at all.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { startDaemon } from "../../src/broker/daemon.ts";
import { connectNameService } from "../../src/naming/client.ts";
import type { BrokerService } from "../../src/naming/service.ts";
import type { Grant, Offer } from "../../src/naming/service.ts";
import { command, Program, ROOT, type RuntimeName, RUNTIMES, World } from "../process/harness.ts";
import { closeGranted, eventually, Half, native, openDescriptors, Scene } from "./support.ts";

const BROKER = "tests/broker/broker_main.ts";

/** A world of processes and a scene of clients in this one, with one socket; everything is closed and nothing may leak. */
async function inWorld(body: (world: World, clients: Clients) => Promise<void>): Promise<void> {
  const before = openDescriptors();
  const world = new World();
  const clients = new Clients(world.socket);
  try {
    await body(world, clients);
  } finally {
    await clients.close();
    await world.close();
  }
  await eventually(`descriptors are closed (${before} before)`, () => openDescriptors() <= before);
}

class Clients {
  readonly socket: string;
  readonly #services: BrokerService[] = [];
  readonly #halves: Half[] = [];

  constructor(socket: string) {
    this.socket = socket;
  }

  /** With a command, one that starts a broker on demand. */
  async open(command?: readonly string[]): Promise<BrokerService> {
    const how = command === undefined ? { start: "never" } as const : { command };
    const service = await connectNameService(native, { socket: this.socket, timeoutMs: 20_000, ...how });
    this.#services.push(service);
    return service;
  }

  half(role: 1 | 2): Half {
    const half = new Half("mempipe", "trusted", role, 4096);
    this.#halves.push(half);
    return half;
  }

  /** A listener that accepts everything and keeps its flows. */
  async serve(service: BrokerService, name: string): Promise<Offer[]> {
    const offers: Offer[] = [];
    const registration = await service.register(name);
    await registration.listen({
      backlog: 16,
      onOffer: (offer) => {
        const { controlFd, ringFd = -1 } = this.half(2).offered;
        offers.push(offer);
        closeGranted(offer);
        service.flowOpened(offer.flow, controlFd);
        return { controlFd, ringFd };
      },
    });
    return offers;
  }

  async connect(service: BrokerService, to: string, timeoutMs = 20_000): Promise<Grant> {
    let half: Half | undefined;
    const grant = await service.connect({
      to,
      trust: "trusted",
      ringBytes: 4096,
      maxMessageBytes: 1000,
      timeoutMs,
      prepare: () => {
        half?.close();
        half = this.half(1);
        return half.offered;
      },
    });
    closeGranted(grant);
    service.flowOpened(grant.flow, half?.offered.controlFd ?? -1);
    return grant;
  }

  async close(): Promise<void> {
    for (const service of this.#services) await service.close();
    for (const half of this.#halves) half.close();
  }
}

async function startBroker(world: World, runtime: RuntimeName, ...args: readonly string[]): Promise<Program> {
  const program = world.run(runtime, BROKER, ["broker", "--socket", world.socket, ...args]);
  await program.next("listening");
  return program;
}

/** What stands for `fable` in tests that start brokers on demand. */
function fable(runtime: RuntimeName, ...extra: readonly string[]): readonly string[] {
  const [executable, args] = command(runtime, BROKER);
  return [executable, ...args, ...extra];
}

const brokersOf = (socket: string) =>
  readdirSync("/proc").filter((entry) => {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return /^\d+$/.test(entry) && words.includes(socket) && words.includes("broker");
    } catch {
      return false;
    }
  });

for (const runtime of RUNTIMES) {
  describe(`a broker in ${runtime}`, () => {
    test("killed under load: names, listeners and flows are there again, and programs notice nothing", () =>
      inWorld(async (world, clients) => {
        const first = await startBroker(world, runtime);
        const [server, caller, observer] = [await clients.open(), await clients.open(), await clients.open()];
        const offers = await clients.serve(server, "xio://server");
        await caller.register("xio://caller");
        const flows: string[] = [];
        for (let count = 0; count < 20; count++) flows.push((await clients.connect(caller, "xio://server")).flow);
        // Nothing is waited for: requests of every kind are under way while the broker dies.
        const pending = [
          clients.connect(caller, "xio://server"),
          clients.connect(caller, "xio://later"),
          server.names(),
          caller.flows(),
          caller.register("xio://late"),
        ];
        first.kill("SIGKILL");
        await first.exited();
        caller.flowClosed(flows[0] as string);
        await startBroker(world, runtime);
        await clients.serve(server, "xio://later");
        await Promise.all(pending);
        await eventually("every flow is there again", async () => {
          const listed = (await observer.flows()).map((flow) => flow.flow);
          return flows.slice(1).every((flow) => listed.includes(flow)) && !listed.includes(flows[0] as string);
        });
        const names = await observer.names();
        assert.deepEqual(names.map((entry) => [entry.name, entry.listening]), [
          ["xio://caller", false],
          ["xio://late", false],
          ["xio://later", true],
          ["xio://server", true],
        ]);
        await clients.connect(caller, "xio://server");
        assert.ok(offers.length >= 21);
      }));

    test("killed again and again: nothing leaks, and the last one knows everything", () =>
      inWorld(async (world, clients) => {
        let broker = await startBroker(world, runtime);
        const [server, caller] = [await clients.open(), await clients.open()];
        await clients.serve(server, "xio://server");
        const { flow } = await clients.connect(caller, "xio://server");
        const held = openDescriptors();
        for (let round = 0; round < 5; round++) {
          broker.kill("SIGKILL");
          await broker.exited();
          broker = await startBroker(world, runtime);
          await eventually("the flow is there again", async () => (await caller.flows()).some((entry) => entry.flow === flow));
          assert.deepEqual((await server.names()).map((entry) => entry.name), ["xio://server"]);
        }
        await eventually("no descriptor more than before", () => openDescriptors() <= held);
        assert.equal((await caller.stats())["sessions"], 2);
      }));

    test("started on demand by fifty at once is one; it leaves when nobody needs it", () =>
      inWorld(async (world, clients) => {
        const services = await Promise.all(Array.from({ length: 50 }, () => clients.open(fable(runtime, "--idle", "100"))));
        assert.equal(new Set(services.map((service) => service.broker?.instance)).size, 1);
        assert.equal(services[0]?.broker?.embedded, true);
        assert.equal((await services[0]?.stats())?.["sessions"], 50);
        assert.equal(brokersOf(world.socket).length, 1);
        const { flow } = await (async () => {
          await clients.serve(services[0] as BrokerService, "xio://a");
          return await clients.connect(services[1] as BrokerService, "xio://a");
        })();
        await Promise.all(services.slice(2).map((service) => service.close()));
        // Longer than it would stay alone: two clients and a flow keep it.
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.equal((await services[1]?.flows())?.[0]?.flow, flow);
        for (const service of services.slice(0, 2)) {
          service.flowClosed(flow);
          await service.close();
        }
        await eventually("it is gone", () => brokersOf(world.socket).length === 0, 10_000);
        assert.ok(!world.files().includes("broker.sock"));
      }));

    test("started on demand by many processes at once is one", () =>
      inWorld(async (world) => {
        const programs = Array.from({ length: 8 }, (_, index) =>
          world.run(RUNTIMES[index % 2] as RuntimeName, "tests/broker/visitor_main.ts", ["6"], {
            FABLE_BROKER_COMMAND: JSON.stringify(fable(runtime)),
          }));
        const lines = await Promise.all(programs.map((program) =>
          program.next("connected", 60_000)
        ));
        assert.equal(
          new Set(lines.flatMap((line) => line["instances"] as string[])).size,
          1,
        );
        assert.equal(brokersOf(world.socket).length, 1);
      }));
  });
}

describe("one broker after the other", () => {
  test("an embedded one that was killed is started again by those who need it", () =>
    inWorld(async (world, clients) => {
      const [server, caller] = [await clients.open(fable("bun")), await clients.open(fable("deno"))];
      await clients.serve(server, "xio://server");
      const { flow } = await clients.connect(caller, "xio://server");
      process.kill(caller.broker?.pid ?? 0, "SIGKILL");
      await eventually("flow and name are with the next", async () => {
        const [names, flows] = await Promise.all([caller.names(), caller.flows()]);
        return names.some((entry) => entry.name === "xio://server" && entry.listening) && flows.some((entry) => entry.flow === flow);
      }, 15_000);
      assert.equal(brokersOf(world.socket).length, 1);
      await clients.connect(caller, "xio://server");
    }));

  test("--replace takes over without dropping a name or a flow; without it a managed broker stays", () =>
    inWorld(async (world, clients) => {
      const first = await startBroker(world, "bun");
      const [server, caller] = [await clients.open(fable("bun")), await clients.open(fable("bun"))];
      await clients.serve(server, "xio://server");
      const { flow } = await clients.connect(caller, "xio://server");
      const refused = world.run("bun", BROKER, ["broker", "--socket", world.socket]);
      assert.match(String((await refused.next("failed"))["message"]), /^process \d+ already is the broker at /);
      const unneeded = world.run("deno", BROKER, ["broker", "--embedded", "--socket", world.socket]);
      await unneeded.next("not-needed");
      // Somebody squats while the old one leaves: names belong to tickets for a while.
      const squatter = await clients.open();
      const second = await startBroker(world, "deno", "--replace");
      const squatting = squatter.register("xio://server", { timeoutMs: 10_000 });
      assert.equal((await first.next("left"))["reason"], "replaced");
      await assert.rejects(squatting, { code: "NAME_TAKEN" });
      await eventually("flow and name are with the next", async () => (await caller.flows()).some((entry) => entry.flow === flow));
      assert.equal(caller.broker?.pid, second.pid);
      await clients.connect(caller, "xio://server");
    }));

  test("a managed broker takes over from an embedded one", () =>
    inWorld(async (world, clients) => {
      const embedded = await startBroker(world, "bun", "--embedded");
      const client = await clients.open(fable("bun"));
      await client.register("xio://a");
      await startBroker(world, "bun");
      assert.equal((await embedded.next("left"))["reason"], "replaced");
      await eventually("the name moved", async () => (await client.names()).length === 1);
      assert.equal(client.broker?.embedded, false);
    }));

  test("shut down by its own user; whoever shut it down does not start the next", () =>
    inWorld(async (world, clients) => {
      const broker = await startBroker(world, "bun");
      const client = await clients.open(fable("bun"));
      await client.shutdown();
      assert.equal((await broker.next("left"))["reason"], "shutdown");
      await assert.rejects(client.register("xio://a", { timeoutMs: 300 }), { code: "BROKER_UNREACHABLE" });
      assert.deepEqual(world.files().filter((name) => name.endsWith(".sock")), []);
    }));

  test("one that hangs is waited for no longer than was asked; what it does too late is undone", () =>
    inWorld(async (world, clients) => {
      const broker = await startBroker(world, "bun");
      const [client, observer] = [await clients.open(), await clients.open()];
      await clients.serve(client, "xio://a");
      process.kill(broker.pid, "SIGSTOP");
      const registering = client.register("xio://late", { timeoutMs: 50 });
      const connecting = clients.connect(client, "xio://a", 50);
      await assert.rejects(registering, { code: "TIMEOUT", message: "the broker did not answer in time" });
      await assert.rejects(connecting, { code: "TIMEOUT" });
      process.kill(broker.pid, "SIGCONT");
      await eventually("nothing of it is left", async () => {
        const [names, figures] = await Promise.all([observer.names(), observer.stats()]);
        return names.length === 1 && figures["waiting"] === 0 && figures["held_halves"] === 0;
      });
    }));

  test("one that leaves in good order makes no name wait", () =>
    inWorld(async (world, clients) => {
      const scene = new Scene();
      try {
        for (let round = 0; round < 2; round++) {
          const daemon = await scene.daemon();
          const client = await scene.client();
          await client.register("xio://a", { timeoutMs: 500 });
          await client.close();
          await daemon.close();
        }
      } finally {
        await scene.end();
      }
      assert.equal(clients.socket, world.socket);
    }));
});

describe("programs and their broker", () => {
  for (const runtime of RUNTIMES) {
    test(`in ${runtime}: an idle name service keeps no process, one that is held does`, () =>
      inWorld(async (world) => {
        await startBroker(world, "bun");
        const idle = world.run(runtime, "tests/broker/leaver_main.ts");
        await idle.next("exit");
        assert.deepEqual(await idle.exited(), { code: 0, signal: null });
        const held = world.run(runtime, "tests/broker/leaver_main.ts", ["held"]);
        await held.next("let-go");
        assert.deepEqual(await held.exited(), { code: 0, signal: null });
      }));
  }

  test("Deno needs --allow-ffi and nothing else, also to start one", () =>
    inWorld(async (world) => {
      const path = join(ROOT, "tests/broker/visitor_main.ts");
      const args = ["run", "--quiet", "--no-check", "--no-prompt", "--allow-ffi", path, "1"];
      const environment = { ...world.environment, FABLE_BROKER_COMMAND: JSON.stringify(fable("deno")) };
      const program = new Program(join(ROOT, "node_modules/.bin/deno"), args, environment);
      world.programs.push(program);
      const { instances } = await program.next("connected", 60_000) as unknown as { readonly instances: readonly string[] };
      assert.equal(instances.length, 1);
    }));
});

describe("what a broker needs of its folder", () => {
  const refuses = async (prepare: (folder: string) => string, code: string, sentence: RegExp) => {
    const scene = new Scene();
    try {
      const socket = prepare(scene.folder);
      await assert.rejects(
        startDaemon(native, { socket }),
        (error: Error & { readonly code?: string }) => error.code === code && sentence.test(error.message),
      );
    } finally {
      await scene.end();
    }
  };
  test("not open to others", () =>
    refuses(
      (folder) => {
        mkdirSync(join(folder, "open"));
        chmodSync(join(folder, "open"), 0o777);
        return join(folder, "open", "broker.sock");
      },
      "BROKER_UNREACHABLE",
      /cannot hold a broker's socket/,
    ));
  test("not a link", () =>
    refuses(
      (folder) => {
        mkdirSync(join(folder, "real"), { mode: 0o700 });
        symlinkSync(join(folder, "real"), join(folder, "link"));
        return join(folder, "link", "broker.sock");
      },
      "BROKER_UNREACHABLE",
      /cannot hold a broker's socket/,
    ));
  test("no file in the socket's place", () =>
    refuses(
      (folder) => {
        writeFileSync(join(folder, "broker.sock"), "precious");
        return join(folder, "broker.sock");
      },
      "BROKER_UNREACHABLE",
      /is no socket of this user/,
    ));
  test("a path that fits", () => refuses((folder) => join(folder, "x".repeat(120), "broker.sock"), "BAD_ARGUMENT", /more than 107 bytes/));
});
