/**
 * What runs inside the machine of `npm run test:numa`, which has two nodes: a real broker, a real channel between two processes, and a reader whose
 * thread is moved from node to node. Pages are counted by move_pages(2) of the C library, not by FABLE. One line per check.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { FlowEntry } from "../../src/naming/service.ts";
import { confine } from "../../src/native/affinity.ts";
import { loadNative } from "../../src/native/load.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import { json, run } from "../process/cli.ts";
import { type Program, sleep, World } from "../process/harness.ts";

const TALKER = "tests/process/talker_main.ts";
const PAGE = 4096;
const WITHIN_MS = 2000;
const GIVE_UP_MS = 30_000;
const SYS_MOVE_PAGES = 279n;

const { library } = loadNative();
const libc = detectRuntime().open("libc.so.6", {
  syscall: { parameters: ["u64", "u64", "u64", "buffer", "u64", "buffer", "u64"], result: "i32" },
}) as unknown as {
  syscall(number: bigint, pid: bigint, count: bigint, pages: Uint8Array, nodes: bigint, status: Uint8Array, flags: bigint): number;
};

function check(passed: boolean, what: string): void {
  console.log(`NUMA ${passed ? "ok" : "not ok"}: ${what}`);
}

/** For each ring that a process has mapped and used, as the writer uses the one it writes: its pages by node. */
function rings(pid: number): readonly (readonly number[])[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").filter((line) => line.includes("/memfd:fable-ring"));
  return lines.map((line) => {
    const [from = 0n, to = 0n] = (line.split(" ")[0] ?? "").split("-").map((text) => BigInt(`0x${text}`));
    const pages = BigUint64Array.from({ length: Number(to - from) / PAGE }, (_, index) => from + BigInt(index * PAGE));
    const status = new Int32Array(pages.length);
    const bytes = (array: BigUint64Array | Int32Array) => new Uint8Array(array.buffer as ArrayBuffer);
    const rc = libc.syscall(SYS_MOVE_PAGES, BigInt(pid), BigInt(pages.length), bytes(pages), 0n, bytes(status), 0n);
    if (rc !== 0) throw new Error(`move_pages answers ${rc}`);
    return [0, 1].map((node) => status.filter((one) => one === node).length);
  }).filter((nodes) => nodes.some((pages) => pages > 0));
}

/** Whole rings on each node; undefined while one lies on both. */
function whole(pid: number): readonly [number, number] | undefined {
  const found = rings(pid);
  if (found.some(([a = 0, b = 0]) => a > 0 && b > 0)) return undefined;
  return [found.filter(([a = 0]) => a > 0).length, found.filter(([, b = 0]) => b > 0).length];
}

function pin(program: Program, cpu: number): void {
  if (!confine(library, program.pid, [cpu])) throw new Error(`CPU ${cpu} cannot be set`);
}

/** Moves the reader's thread, and waits until all of the ring it reads lies there, and nothing of the one before is left. */
async function move(writer: Program, reader: Program, cpu: number, wanted: readonly [number, number]): Promise<void> {
  const from = performance.now();
  pin(reader, cpu);
  let seen: readonly [number, number] | undefined;
  do {
    await sleep(20);
    seen = whole(writer.pid);
  } while (String(seen) !== String(wanted) && performance.now() - from < GIVE_UP_MS);
  const tookMs = Math.round(performance.now() - from);
  const there = String(seen) === String(wanted);
  const pages = rings(writer.pid).map(([a, b]) => `${a} on node 0 and ${b} on node 1`).join("; ");
  check(
    there && tookMs <= WITHIN_MS,
    `the reader went to CPU ${cpu}, the pages of the ring it reads followed within ${tookMs} ms (${pages})`,
  );
}

async function reasonOf(world: World): Promise<string> {
  return String((json(await run(world, "bun", ["flows", "--json"])) as readonly FlowEntry[])[0]?.reason);
}

async function main(): Promise<void> {
  const online = readFileSync("/sys/devices/system/node/online", "utf8").trim();
  check(
    online === "0-1",
    `this machine has the nodes ${online}, its kernel is Linux ${readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()}`,
  );
  const world = new World();
  const policy = join(world.folder, "policy.json");
  // What else the policy would do is not of interest here.
  writeFileSync(policy, `{ "transports": ["mempipe"], "max_ring_bytes": 65536 }`);
  const broker = await world.broker("bun", "--policy", policy);
  const [writer, reader] = [world.run("bun", TALKER), world.run("bun", TALKER)];
  await Promise.all([writer.next("ready", 60_000), reader.next("ready", 60_000)]);
  pin(broker, 3);
  pin(writer, 0);
  pin(reader, 1);
  reader.tell({ op: "start", role: "drain", name: "xio://numa", sizeBytes: 1024 });
  await reader.next("listening", 60_000);
  writer.tell({ op: "start", role: "stream", name: "xio://numa", sizeBytes: 1024, transport: "mempipe" });
  await Promise.all([writer.next("open", 60_000), reader.next("open", 60_000)]);
  await sleep(3000);
  check(String(whole(writer.pid)) === "1,0", `the ring lies on node 0, where both ends run`);
  await move(writer, reader, 2, [0, 1]);
  const reason = await reasonOf(world);
  check(/mempipe with memory on node 1, because its reader runs on node 1 now/.test(reason), `fable flows says why: ${reason}`);
  await sleep(3000);
  await move(writer, reader, 1, [1, 0]);
  writer.tell({ op: "stop" });
  const [sent, received] = [await writer.next("closed", 60_000), await reader.next("closed", 60_000)];
  check(
    sent["messages"] === received["messages"] && Number(sent["messages"]) > 0,
    `nothing was lost: ${sent["messages"]} messages were sent, ${received["messages"]} received, each the next one`,
  );
  const moved = broker.lines.filter((line) => line.event === "moved").length;
  check(moved === 2, `the broker's log has ${moved} moves`);
  await world.close();
}

try {
  await main();
} catch (error) {
  check(false, `it runs to its end: ${String(error).split("\n").join(" ")}`);
}
process.exit(0);
