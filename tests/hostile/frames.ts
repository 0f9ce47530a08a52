/**
 * Frames that are nearly right, thousands a second, at a broker in a process of its own. It may answer or hang up; it may not die, stop serving others,
 * or keep what it was thrown.
 */
import { TRANSPORTS } from "../../src/cli/words.ts";
import { connectNameService } from "../../src/naming/client.ts";
import { LAYOUT_RANGE, PROTOCOL_RANGE } from "../../src/naming/protocol.ts";
import { loadNative } from "../../src/native/load.ts";
import type { RawClient } from "../broker/raw.ts";
import { descriptors as descriptorsOf, grownDescriptors, sleep, usage, World } from "../process/harness.ts";

const HELLO = { type: "hello", protocol: [...PROTOCOL_RANGE], layout: [...LAYOUT_RANGE], program: "fuzz" };
/** Stands for one that is there, half of the time. */
const NO_FLOW = "abcdef-1";
/** One of each kind, as a client would send it. */
const REQUESTS: readonly Readonly<Record<string, unknown>>[] = [
  HELLO,
  { type: "register", id: 1, name: "xio://fuzz/a" },
  { type: "register", id: 2, name: "xio://fuzz/b", ticket: "AAAA.BBBB" },
  { type: "unregister", id: 3, name: "xio://fuzz/a" },
  { type: "listen", id: 4, name: "xio://fuzz/a", backlog: 4, trust: "trusted" },
  { type: "unlisten", id: 5, name: "xio://fuzz/a" },
  {
    type: "connect",
    id: 6,
    to: "xio://fuzz/a",
    wait: false,
    offered: { transport: "mempipe", trust: "trusted" },
    ring_bytes: 65536,
    max_message_bytes: 1024,
    timeout_ms: 100,
    descriptors: ["control", "ring", "doorbell", "link"],
  },
  { type: "cancel", id: 6 },
  { type: "accept", flow: NO_FLOW, descriptors: ["control", "ring"] },
  { type: "refuse", flow: NO_FLOW, code: "REFUSED", message: "no" },
  { type: "names", id: 7 },
  { type: "flows", id: 8, window_ms: 0 },
  { type: "flow-closed", flow: NO_FLOW },
  { type: "restore", id: 9, flow: NO_FLOW, ticket: "AAAA.BBBB", descriptors: ["control"] },
  { type: "reconfigure", id: 11, flow: NO_FLOW, transport: "tcp", ring_bytes: 65536, timeout_ms: 100 },
  { type: "reconfigured", flow: NO_FLOW, order: 1, outcome: "done", message: "" },
  { type: "stats", id: 10 },
];
const FRAMES_PER_CLIENT = 40;
const FRAMES_PER_PROCESS = 20_000;
const PROGRAM = "tests/hostile/frames_main.ts";
const END = "tests/process/end_main.ts";
const PLAN = { seed: 3, maxBytes: 10_000, pauseEvery: 0, pauseMs: 0 };
const HONEST_MESSAGES = 300;

/** Gives how many frames were sent, by one process after the other. Throws if the broker did not stand it. */
export async function fuzzBroker(frames: number, seed: number): Promise<number> {
  const world = new World();
  try {
    const broker = await world.broker();
    const pair = await honestPair(world);
    let sent = await barrageBy(world, Math.min(frames, 2000), seed, pair.flow);
    await settle(world.socket);
    const before = usage(broker.pid);
    while (sent < frames) {
      sent += await barrageBy(world, Math.min(FRAMES_PER_PROCESS, frames - sent), seed + sent, pair.flow);
      await settle(world.socket);
    }
    const grown = await grownDescriptors(broker.pid, before.descriptors);
    if (grown > 0) throw new Error(`the broker keeps ${grown} descriptors more than before: ${descriptorsOf(broker.pid).join(", ")}`);
    await pair.works();
    if (broker.exit !== undefined) throw new Error(`the broker ended: ${broker.stderr}`);
    return sent;
  } finally {
    await world.close();
  }
}

/** What a process leaves unsaid and unread goes when it goes. */
async function barrageBy(world: World, frames: number, seed: number, flow: string): Promise<number> {
  const program = world.run("bun", PROGRAM, [world.socket, String(frames), String(seed), flow]);
  await program.next("sent", 120_000);
  await program.exited();
  return frames;
}

/** A channel whose flow the frames are about, between two programs that know nothing of it: it may be moved, and must not be harmed. */
async function honestPair(world: World): Promise<{ readonly flow: string; works(): Promise<void> }> {
  const [writer, reader] = [world.run("bun", END), world.run("deno", END)];
  reader.tell({ op: "listen", name: "xio://honest" });
  await reader.next("listening");
  reader.tell({ op: "accept" });
  writer.tell({ op: "connect", name: "xio://honest" });
  const [accepted] = await Promise.all([reader.next("accepted"), writer.next("connected")]);
  return {
    flow: String(accepted["flow"]),
    async works() {
      reader.tell({ op: "receive", plan: PLAN, count: HONEST_MESSAGES });
      writer.tell({ op: "send", plan: PLAN, count: HONEST_MESSAGES });
      const received = await reader.next("received", 60_000);
      if (received["messages"] !== HONEST_MESSAGES || received["wrong"] !== undefined) {
        throw new Error(`the honest channel suffered: ${JSON.stringify(received)}`);
      }
    },
  };
}

/** One client after the other, each with some frames. */
export async function barrage(connect: () => RawClient, frames: number, random: () => number, flow: string): Promise<void> {
  for (let sent = 0; sent < frames;) {
    const client = connect();
    if (random() < 0.9) client.send(JSON.stringify(HELLO));
    for (let n = 0; n < FRAMES_PER_CLIENT; n++, sent++) {
      if (!client.send(mutate(random, flow), descriptors(client, random))) await sleep(0);
    }
    client.close();
  }
}

/** Someone honest is served. */
async function settle(socket: string): Promise<void> {
  const service = await connectNameService(loadNative(), { socket, start: "never", timeoutMs: 10_000 });
  try {
    service.setRef(true);
    await service.names();
  } finally {
    await service.close();
  }
}

/** The client's own socket over and over: unread, it would keep its own connection alive. */
function descriptors(client: RawClient, random: () => number): readonly number[] {
  return random() < 0.1 ? Array.from({ length: Math.floor(random() * 18) }, () => client.fd) : [];
}

function mutate(random: () => number, flow: string): Uint8Array | string {
  const base = structuredClone(REQUESTS[Math.floor(random() * REQUESTS.length)] ?? HELLO) as Record<string, unknown>;
  if (base["flow"] === NO_FLOW && random() < 0.5) base["flow"] = flow;
  if (base["type"] === "reconfigure") base["transport"] = TRANSPORTS[Math.floor(random() * TRANSPORTS.length)];
  const changes = Math.floor(random() * 3);
  for (let n = 0; n < changes; n++) mutateField(base, random);
  const text = JSON.stringify(base);
  const how = random();
  if (how < 0.75) return text;
  const bytes = new TextEncoder().encode(text);
  if (how < 0.85) return bytes.subarray(0, Math.floor(random() * bytes.length));
  for (let n = 0; n < 4; n++) bytes[Math.floor(random() * bytes.length)] = random() * 256;
  return bytes;
}

function mutateField(target: Record<string, unknown>, random: () => number): void {
  const keys = Object.keys(target);
  const key = keys[Math.floor(random() * keys.length)] ?? "type";
  const values: readonly unknown[] = [
    undefined,
    null,
    -1,
    0,
    1e308,
    2 ** 32,
    "",
    "x".repeat(5000),
    "xio://",
    "xio://fuzz/a",
    [],
    {},
    [[[[]]]],
    true,
    "__proto__",
    { toString: 1 },
    "\u0000",
  ];
  target[random() < 0.1 ? "__proto__" : key] = values[Math.floor(random() * values.length)];
}
