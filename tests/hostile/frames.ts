/**
 * Frames that are nearly right, thousands a second, at a broker in a process of its own. It may answer or hang up; it may not die, stop serving others,
 * or keep what it was thrown.
 */
import { connectNameService } from "../../src/naming/client.ts";
import { LAYOUT_RANGE, PROTOCOL_RANGE } from "../../src/naming/protocol.ts";
import { loadNative } from "../../src/native/load.ts";
import type { RawClient } from "../broker/raw.ts";
import { descriptors as descriptorsOf, grownDescriptors, sleep, usage, World } from "../process/harness.ts";

const HELLO = { type: "hello", protocol: [...PROTOCOL_RANGE], layout: [...LAYOUT_RANGE], program: "fuzz" };
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
  { type: "accept", flow: "abcdef-1", descriptors: ["control", "ring"] },
  { type: "refuse", flow: "abcdef-1", code: "REFUSED", message: "no" },
  { type: "names", id: 7 },
  { type: "flows", id: 8, window_ms: 0 },
  { type: "flow-closed", flow: "abcdef-1" },
  { type: "restore", id: 9, flow: "abcdef-1", ticket: "AAAA.BBBB", descriptors: ["control"] },
  { type: "reconfigure", id: 11, flow: "abcdef-1", transport: "tcp", ring_bytes: 65536, timeout_ms: 100 },
  { type: "reconfigured", flow: "abcdef-1", order: 1, outcome: "done", message: "" },
  { type: "stats", id: 10 },
];
const FRAMES_PER_CLIENT = 40;
const FRAMES_PER_PROCESS = 20_000;
const PROGRAM = "tests/hostile/frames_main.ts";

/** Gives how many frames were sent, by one process after the other. Throws if the broker did not stand it. */
export async function fuzzBroker(frames: number, seed: number): Promise<number> {
  const world = new World();
  try {
    const broker = await world.broker();
    let sent = await barrageBy(world, Math.min(frames, 2000), seed);
    await settle(world.socket);
    const before = usage(broker.pid);
    while (sent < frames) {
      sent += await barrageBy(world, Math.min(FRAMES_PER_PROCESS, frames - sent), seed + sent);
      await settle(world.socket);
    }
    const grown = await grownDescriptors(broker.pid, before.descriptors);
    if (grown > 0) throw new Error(`the broker keeps ${grown} descriptors more than before: ${descriptorsOf(broker.pid).join(", ")}`);
    if (broker.exit !== undefined) throw new Error(`the broker ended: ${broker.stderr}`);
    return sent;
  } finally {
    await world.close();
  }
}

/** What a process leaves unsaid and unread goes when it goes. */
async function barrageBy(world: World, frames: number, seed: number): Promise<number> {
  const program = world.run("bun", PROGRAM, [world.socket, String(frames), String(seed)]);
  await program.next("sent", 120_000);
  await program.exited();
  return frames;
}

/** One client after the other, each with some frames. */
export async function barrage(connect: () => RawClient, frames: number, random: () => number): Promise<void> {
  for (let sent = 0; sent < frames;) {
    const client = connect();
    if (random() < 0.9) client.send(JSON.stringify(HELLO));
    for (let n = 0; n < FRAMES_PER_CLIENT; n++, sent++) {
      if (!client.send(mutate(random), descriptors(client, random))) await sleep(0);
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

function mutate(random: () => number): Uint8Array | string {
  const base = structuredClone(REQUESTS[Math.floor(random() * REQUESTS.length)] ?? HELLO) as Record<string, unknown>;
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
