/** `npm run soak`: the long form of what `npm test` does briefly; `--help` has its options. Ends with one line and exit 0, or 1. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { revision } from "../../bench/runner/environment.ts";
import { channelPair } from "../../mod.ts";
import { count, optionsOf, text } from "../../scripts/lib/options.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { ROOT, type RuntimeName, World } from "../process/harness.ts";
import { crashRounds } from "../process/rounds.ts";
import { orderMoves, plainPlan, readMoving, writeMoving } from "../xio/switching.ts";
import { freeChoice } from "./choice.ts";
import { PAIRS } from "./combinations.ts";
import { soakKills } from "./kills.ts";
import { type Account, Ledger } from "./ledger.ts";
import { soakMessages } from "./messages.ts";
import { wander } from "./wander.ts";

const MESSAGES = 10_000_000;
const ROUNDS = 1000;
const MOVES = 10_000;
const CHOICE_MIN = 60;
const HISTORIES = 1_000_000;
/** Interleavings of each small program. */
const INTERLEAVINGS = 200_000;
const ROUND_PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "deno"], ["deno", "bun"]];
/** In use on a survivor's heap after so many rounds: what a runtime compiles and loads late is less, 4 KiB kept in each of a thousand rounds more. */
const MAX_HEAP_BYTES = 4 << 20;

const { messages, rounds, moves, kills, choice: choiceMin, histories, only, seed, json, ledger: account, minutes } = optionsOf({
  command: "npm run soak --",
  what: "The long form of what npm test does briefly; without options it takes hours. Ends with one line and exit 0, or 1.",
  options: {
    messages: count("in each of 56 combinations; 0: none", MESSAGES),
    ledger: text("FILE", "keeps what passed, so that the same command goes on where it ended", undefined),
    minutes: { value: "MINUTES", what: "of messages at most", parse: minutesIn, otherwise: Number.POSITIVE_INFINITY },
    rounds: count("of crashes; 0: none", ROUNDS),
    moves: count("at random under load, between all transports, in one process and between two; 0: none", MOVES),
    kills: count("rounds of killing in a move, at random; 0: none (default: all states, victims and pairs of transports)", undefined),
    choice: { value: "MINUTES", what: "of free choice among hogs, pauses and kills; 0: none", parse: minutesIn, otherwise: CHOICE_MIN },
    histories: count("simulated; 0: no simulation", HISTORIES),
    only: text("TEXT", "the combinations whose description contains it, and nothing else", undefined),
    seed: count("of everything random; printed with each failure", 1),
    json: text("FILE", "writes the results there", undefined),
  },
  examples: [
    "npm run soak -- --ledger soak.json --minutes 60",
    'npm run soak -- --only "bun to deno > unix" --messages 100000',
    "npm run soak -- --choice 5 --seed 7 --json soak.json",
  ],
});
const failures: string[] = [];
const results: object[] = [];
/** Combinations that had no time to pass all their messages. */
let unfinished = 0;

if (histories > 0 && only === undefined) {
  simulate("simulated histories", "--histories", String(histories), "--seed", String(seed));
  simulate("simulated interleavings", "--exhaustive", "--histories", String(INTERLEAVINGS));
}
if (messages > 0) {
  const ledger = new Ledger(account, await revision());
  unfinished = await soakMessages({ messages, seed, minutes, only }, ledger, record);
}
if (rounds > 0 && only === undefined) { for (const [survivor, victim] of ROUND_PAIRS) await soakRounds(survivor, victim); }
if (moves > 0 && only === undefined) { for (const trust of ["trusted", "untrusted"] as const) await soakMoves(trust); }
if (moves > 0 && only === undefined) { for (const runtimes of PAIRS) await soakWandering(runtimes); }
if (kills !== 0 && only === undefined) {
  await soakKills(seed, kills ?? Number.POSITIVE_INFINITY, (name, wrong) => record(name, {}, wrong));
}
if (choiceMin > 0 && only === undefined) await soakChoice();
if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
for (const failure of failures) console.log(`FAILED ${failure}`);
if (unfinished > 0) {
  console.log(
    `${unfinished} combinations have not passed ${messages} messages yet${account === undefined ? "" : ": the same command goes on"}`,
  );
}
console.log(`${results.length - failures.length} passed, ${failures.length} failed`);
process.exit(failures.length === 0 && unfinished === 0 && results.length > 0 ? 0 : 1);

function minutesIn(given: string): number {
  if (!/^\d{1,5}(\.\d{1,3})?$/.test(given)) throw new UsageError(`"${given}" is not a number of minutes`);
  return Number(given);
}

/** The native core on a simulated kernel, see docs/internals/simulation.md. */
function simulate(name: string, ...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(join(ROOT, "zig-out/bin/fable-sim"), words, { encoding: "utf8" });
  console.log(`  ${stderr.trim().replaceAll("\n", "\n  ")}`);
  record(name, {}, status === 0 ? undefined : error?.message ?? stderr.trim());
}

async function soakRounds(survivor: RuntimeName, victim: RuntimeName): Promise<void> {
  const name = `${rounds} crash rounds: ${victim} dies, ${survivor} survives`;
  const world = new World();
  try {
    await world.broker();
    const result = await crashRounds(world, survivor, victim, rounds, seed, (round, residentBytes) => {
      if (round % 100 === 99) console.log(`  ${name}: ${round + 1}, ${(residentBytes / 1e6).toFixed(1)} MB resident`);
    });
    const leaked = result.grownDescriptors !== 0 || result.grownRegions !== 0 || result.grownHeapBytes > MAX_HEAP_BYTES;
    const what =
      `grew by ${result.grownDescriptors} descriptors, ${result.grownRegions} mappings, ${result.grownHeapBytes} bytes in use on the heap`
      + ` (resident: ${result.grownBytes})`;
    console.log(`  ${name}: ${what}`);
    record(name, result, leaked ? `${what}; open: ${result.open.join(", ")}` : undefined);
  } catch (error) {
    record(name, {}, error instanceof Error ? error.message : String(error));
  } finally {
    await world.close();
  }
}

async function soakMoves(trust: "trusted" | "untrusted"): Promise<void> {
  const name = `${moves} random moves under load, ${trust}`;
  const plan = { ...plainPlan(seed, trust), epochs: moves / 2 };
  const [left, right] = channelPair({ trust, drainDeadlineMs: 5 });
  const sent: (number | undefined)[] = [undefined, undefined];
  let ordering = 2;
  const write = async (way: number): Promise<void> => {
    sent[way] = await writeMoving(way === 0 ? left : right, plan, way, () => ordering === 0);
  };
  try {
    await Promise.all([
      orderMoves(left, plan, 0).finally(() => ordering--),
      orderMoves(right, plan, 1).finally(() => ordering--),
      write(0),
      write(1),
      readMoving(right, plan, 0, () => sent[0]),
      readMoving(left, plan, 1, () => sent[1]),
    ]);
    const { outgoing, incoming } = left.epochs;
    record(name, { moved: outgoing.epoch + incoming.epoch, messages: sent, lateBuffers: left.stats().lateBuffers }, undefined);
  } catch (error) {
    record(name, {}, error instanceof Error ? error.message : String(error));
  } finally {
    await Promise.all([left.close({ drainDeadlineMs: 0 }), right.close({ drainDeadlineMs: 0 })]);
  }
}

async function soakWandering(runtimes: readonly [RuntimeName, RuntimeName]): Promise<void> {
  for (const trust of ["trusted", "untrusted"] as const) {
    const name = `${moves} random moves under load, ${runtimes.join(" and ")}, ${trust}`;
    try {
      record(name, await wander(runtimes, trust, seed, moves), undefined);
    } catch (error) {
      record(name, {}, error instanceof Error ? error.message : String(error));
    }
  }
}

async function soakChoice(): Promise<void> {
  const name = `${choiceMin} minutes of free choice`;
  try {
    const result = await freeChoice(choiceMin, seed, (line) => console.log(`  free choice: ${line}`));
    console.log(`  ${JSON.stringify(result)}`);
    record(name, result, undefined);
  } catch (error) {
    record(name, {}, error instanceof Error ? error.message : String(error));
  }
}

function record(name: string, result: object, wrong: string | undefined): void {
  results.push({ name, ...result, ok: wrong === undefined });
  if (wrong !== undefined) failures.push(`${name} (--seed ${seed}): ${wrong}`);
  const { seconds, bytes } = result as Partial<Account>;
  const speed = seconds === undefined || bytes === undefined ? "" : ` ${seconds.toFixed(1)} s, ${(bytes / seconds / 1e9).toFixed(2)} GB/s`;
  console.log(`${wrong === undefined ? "ok    " : "FAILED"} ${name}${speed}`);
}
