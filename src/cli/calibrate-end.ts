/**
 * The two programs that `fable calibrate` starts: one answers whatever comes, the other measures. They talk as programs do that use this library,
 * with `send` and `receive` in an event loop, and pin themselves where the plan wants them. Results go to stdout in lines of JSON.
 */
import { isFableError } from "../errors.ts";
import { loadNative } from "../native/load.ts";
import { SHARED, type Transport, TRANSPORTS } from "../policy/facts.ts";
import type { Pattern } from "../policy/table.ts";
import { PATTERNS } from "../policy/table.ts";
import { connect, listen } from "../xio/context.ts";
import type { Handle } from "../xio/handle.ts";
import { cellsOf, type Round, rounds, type Sample, type Stage } from "./calibrate-plan.ts";
import { Hog } from "./hog.ts";
import { say } from "./lines.ts";
import { UsageError } from "./usage.ts";

const NAME = "xio://calibrate/answer";
/** The first byte of a message: what its receiver is to do with it. */
const DATA = 0;
const QUESTION = 1;
const PIN = 2;
const LARGEST_RING_BYTES = 4_194_304;
const MOVE_TIMEOUT_MS = 20_000;
/** All figures of one cell, unless time is short. */
const CELL_MS = 80;
const LEAST_CELL_MS = 2;
/** Passes over all transports of a round, there and back: what the machine does in the meantime is spread over all of them. */
const PASSES = 5;
/** Of so many figures, the second smallest: what else happens only ever adds. Between two tables here that differs by 10 %, the middle of three by 16. */
const RANK = 1;
/** What took so many times as long as it should is not repeated. */
const PATIENCE = 2;
/** Of what counts, before anything does. */
const WARM_UP_SHARE = 0.4;
/** Questions before a figure, and the most time for them. */
const FIRST_TOUCHES = 8;
const FIRST_TOUCH_SHARE = 0.3;
/** Moving and pinning take time as well. */
const MEASURING_SHARE = 0.7;

const { library } = loadNative();
/** Said once. */
const skipped = new Set<Transport>();

export interface CalibrateEndOptions {
  readonly seconds: number;
  /** Both separated by commas. */
  readonly cpus: string;
  readonly transports: string;
}

export async function calibrateEnd(role: string, options: CalibrateEndOptions): Promise<void> {
  if (role === "answer") return await answer();
  if (role !== "measure") throw new UsageError(`"${role}" is no part of a calibration`);
  const chosen = options.transports.split(",");
  const plan = rounds(options.cpus.split(",").map(Number), TRANSPORTS.filter((transport) => chosen.includes(transport)));
  await measureAll(options.seconds * 1000, plan);
}

async function answer(): Promise<void> {
  const listener = await listen(NAME);
  say("listening");
  // One channel after the other: how a thread waits depends on all that it waits for.
  for await (const handle of listener) await serve(handle);
}

async function serve(handle: Handle): Promise<void> {
  for await (const message of handle) {
    if (message[0] === PIN) library.pin(message[1] ?? 0);
    if (message[0] !== DATA) await handle.send(message);
  }
  await handle.close({ drainDeadlineMs: 0 });
}

async function measureAll(budgetMs: number, plan: readonly Round[]): Promise<void> {
  const until = performance.now() + budgetMs;
  const all = plan.reduce((sum, round) => sum + cellsOf(round), 0);
  let done = 0;
  let place: Round["setting"] | undefined;
  let hog: Hog | undefined;
  let warm = false;
  try {
    for (const round of plan) {
      const moves = round.setting !== place;
      place = round.setting;
      // Nobody is moved about while a hog is in the way.
      if (moves) await hog?.stop();
      const handle = await connect(NAME, { trust: round.trust, ringBytes: LARGEST_RING_BYTES });
      await pinBoth(handle, place.cpus);
      if (moves) hog = place.hogCpu === undefined ? undefined : new Hog(place.hogCpu);
      const perCellMs = ((until - performance.now()) / (all - done)) * MEASURING_SHARE;
      const ms = Math.min(CELL_MS, Math.max(LEAST_CELL_MS, perCellMs));
      // Code that was not compiled yet takes seven times as long.
      if (!warm) await measure(handle, round, ms * WARM_UP_SHARE, () => {});
      warm = true;
      const samples = await measure(handle, round, ms, (share) => {
        say("progress", { done: Math.round(done + share * cellsOf(round)), of: all });
      });
      for (const one of samples) say("sample", one);
      await handle.close();
      done += cellsOf(round);
    }
  } finally {
    await hog?.stop();
  }
  say("done");
}

/** Nanoseconds found so far, and the time that took. */
interface Cell {
  readonly ns: number[];
  tookMs: number;
}

async function measure(
  handle: Handle,
  { trust, setting, stages }: Round,
  ms: number,
  progress: (share: number) => void,
): Promise<readonly Sample[]> {
  const found = new Map<string, { readonly sample: Omit<Sample, "ns">; readonly cell: Cell }>();
  const missing = new Set<Transport>();
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [index, stage] of (pass % 2 === 0 ? stages : stages.toReversed()).entries()) {
      if (missing.has(stage.transport) || !(await moved(handle, stage))) {
        missing.add(stage.transport);
        continue;
      }
      const { transport, sizesBytes } = stage;
      for (const sizeBytes of sizesBytes) {
        for (const pattern of PATTERNS) {
          const load = setting.hogCpu === undefined ? "idle" : "hog";
          const sample = {
            transport,
            trust: SHARED.has(transport) ? trust : "n/a",
            pattern,
            placement: setting.placement,
            load,
            sizeBytes,
          } as const;
          const key = `${transport} ${sizeBytes} ${pattern}`;
          const { cell } = found.get(key) ?? { cell: { ns: [], tookMs: 0 } };
          found.set(key, { sample, cell });
          await once(handle, pattern, sizeBytes, ms, cell);
        }
      }
      progress((pass + (index + 1) / stages.length) / PASSES);
    }
  }
  return [...found.values()].map(({ sample, cell }) => ({ ...sample, ns: typical(cell.ns) }));
}

/** False: this machine does not have it, and it will not be in its table. */
async function moved(handle: Handle, { transport, ringBytes }: Stage): Promise<boolean> {
  try {
    await handle.reconfigure(transport, { ringBytes, timeoutMs: MOVE_TIMEOUT_MS });
    return true;
  } catch (error) {
    if (!isFableError(error)) throw error;
    if (!skipped.has(transport)) say("skipped", { transport, why: error.message });
    skipped.add(transport);
    return false;
  }
}

/** One more figure of a cell, unless those that it has took too long already. */
async function once(handle: Handle, pattern: Pattern, sizeBytes: number, ms: number, cell: Cell): Promise<void> {
  if (cell.tookMs > ms * PATIENCE) return;
  const began = performance.now();
  cell.ns.push(await sample(handle, pattern, sizeBytes, ms / PASSES));
  cell.tookMs += performance.now() - began;
}

function typical(found: readonly number[]): number {
  return [...found].sort((a, b) => a - b)[Math.min(RANK, found.length - 1)] ?? 0;
}

/** Nanoseconds a message: of a stream until the last one is answered, of questions half of there and back. */
async function sample(handle: Handle, pattern: Pattern, sizeBytes: number, ms: number): Promise<number> {
  const message = new Uint8Array(sizeBytes);
  // A ring that was just made is touched for the first time.
  const warm = performance.now() + ms * FIRST_TOUCH_SHARE;
  for (let asked = 0; asked === 0 || (asked < FIRST_TOUCHES && performance.now() < warm); asked++) await ask(handle, message);
  const start = performance.now();
  let messages = 0;
  if (pattern === "request") {
    do {
      await ask(handle, message);
      messages += 2;
    } while (performance.now() - start < ms);
  } else {
    message[0] = DATA;
    // A clock costs as much as a short message.
    const batch = sizeBytes <= 4096 ? 32 : 1;
    do {
      for (let count = 0; count < batch; count++) {
        const taken = handle.send(message);
        if (taken !== undefined) await taken;
      }
      messages += batch;
    } while (performance.now() - start < ms);
    await ask(handle, message);
    messages += 1;
  }
  return ((performance.now() - start) * 1e6) / messages;
}

async function ask(handle: Handle, message: Uint8Array): Promise<void> {
  message[0] = QUESTION;
  await handle.send(message);
  if (await handle.receive() === undefined) throw new Error("the answering end went away");
}

async function pinBoth(handle: Handle, [own, others]: readonly [number, number]): Promise<void> {
  library.pin(own);
  const message = new Uint8Array(64);
  [message[0], message[1]] = [PIN, others];
  await handle.send(message);
  await handle.receive();
}
