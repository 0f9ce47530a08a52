/**
 * How much one broker carries: names, live channels, its memory and processor time, what connecting costs then, and how long everything takes to be
 * back after `kill -9`.
 *
 * Half of the programs listen, half connect; they run in Bun and Deno in turn.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { count, optionsOf, text } from "../scripts/lib/options.ts";
import { parseProcessTicks } from "../src/broker/kernel.ts";
import { connectNameService } from "../src/naming/client.ts";
import { loadNative } from "../src/native/load.ts";
import { percentile } from "./drivers/clock.ts";
import { describeEnvironment } from "./runner/environment.ts";
import { Place, Told } from "./runner/told.ts";
import type { Answer, Order } from "./scale/end.ts";

const { flows, names, programs, json } = optionsOf({
  command: "bun bench/scale.ts",
  what:
    "How much one broker carries: its memory and processor time, what connecting costs, and how long everything takes to be back after kill -9.",
  options: {
    flows: count("live channels", 1000, 1),
    names: count("registered names", 10_000, 1),
    programs: count("programs that have them: half listen, half connect", 4, 2),
    json: text("FILE", "writes the figures there as well", undefined),
  },
  examples: ["npm run bench:scale", "bun bench/scale.ts --flows 100 --names 1000 --json scale.json"],
});
const pairs = programs >> 1;

const IDLE_MS = 10_000;
const GIVE_UP_MS = 30_000;
/** Clock ticks of /proc/PID/stat. */
const TICK_MS = 10;

type End = Told<Order, Answer>;

/** Memory and processor time of a process, as the kernel counts them. */
function look(pid: number): { readonly residentBytes: number; readonly cpuMs: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    residentBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024,
    cpuMs: (parseProcessTicks(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? 0) * TICK_MS,
  };
}

/** Asks until a broker answers and has everything; how long that took. */
async function untilWhole(): Promise<number> {
  const began = performance.now();
  let last = "nobody answers";
  while (performance.now() - began < GIVE_UP_MS) {
    try {
      const service = await connectNameService(loadNative(), { start: "never", socket, timeoutMs: 500 });
      try {
        const figures = await service.stats();
        const whole = (await service.flows()).filter(({ pids }) => pids.every((pid) => pid !== 0)).length;
        last = `${figures["names"]} names, ${whole} whole channels`;
        if ((figures["names"] ?? 0) >= names && whole >= flows) return performance.now() - began;
      } finally {
        await service.close();
      }
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(20);
  }
  throw new Error(`not everything came back in ${GIVE_UP_MS / 1000} s: ${last}`);
}

async function measure(ends: readonly End[]) {
  const listening = ends.slice(0, pairs);
  const calling = ends.slice(pairs);
  const all = (of: readonly End[], order: (index: number) => Order): Promise<readonly Answer[]> =>
    Promise.all(of.map((end, index) => end.tell(order(index))));

  say("registering");
  let began = performance.now();
  await all(listening, (index) => ({ op: "listen", name: `xio://scale/${index}` }));
  await all(
    ends,
    (index) => ({
      op: "register",
      prefix: `xio://scale/names/${index}`,
      count: Math.floor((names - pairs) / programs) + (index < (names - pairs) % programs ? 1 : 0),
    }),
  );
  const registerMs = performance.now() - began;
  say("connecting");
  began = performance.now();
  const connected = await all(calling, (index) => ({
    op: "connect",
    name: `xio://scale/${index}`,
    count: Math.floor(flows / pairs) + (index < flows % pairs ? 1 : 0),
  }));
  const connectMs = performance.now() - began;
  const took = connected.flatMap(({ connectMs: each = [] }) => each).sort((a, b) => a - b);

  say("idle");
  await untilWhole();
  const pid = place.broker ?? 0;
  const before = look(pid);
  await sleep(IDLE_MS);
  const after = look(pid);
  const answeredBefore = await answered(calling);

  say("kill -9");
  process.kill(pid, "SIGKILL");
  const backMs = await untilWhole();
  const answeredAfter = await answered(calling);
  const again = (await all(calling, (index) => ({ op: "connect", name: `xio://scale/${index}`, count: 50 })))
    .flatMap(({ connectMs: each = [] }) => each).sort((a, b) => a - b);
  return {
    names,
    flows,
    programs,
    registrations_per_s: names / (registerMs / 1000),
    connections_per_s: flows / (connectMs / 1000),
    connect_p50_ms: percentile(took, 0.5),
    connect_p99_ms: percentile(took, 0.99),
    broker_resident_bytes: after.residentBytes,
    broker_idle_cores: (after.cpuMs - before.cpuMs) / IDLE_MS,
    answered_before_kill: answeredBefore,
    everything_back_ms: backMs,
    answered_after_kill: answeredAfter,
    connect_after_p50_ms: percentile(again, 0.5),
    connect_after_p99_ms: percentile(again, 0.99),
    new_broker_resident_bytes: look(place.broker ?? 0).residentBytes,
  };
}

async function answered(ends: readonly End[]): Promise<number> {
  const answers = await Promise.all(ends.map((end) => end.tell({ op: "ask" })));
  return answers.reduce((sum, answer) => sum + (answer.answered ?? 0), 0);
}

function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what} …`);
}

const place = new Place();
const { socket } = place;
const ends = Array.from(
  { length: programs },
  (_, index): End => new Told(index % 2 === 0 ? "bun" : "deno", "bench/scale/end.ts", place.environment),
);
try {
  const environment = await describeEnvironment();
  const result = await measure(ends);
  say("");
  for (const [name, value] of Object.entries(result)) console.log(`${name.padEnd(28)} ${Math.round(value * 1000) / 1000}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ environment, ...result }, undefined, 2)}\n`);
} finally {
  await Promise.all(ends.map((end) => end.stop()));
  await place.close();
}
process.exit(0);
