/**
 * The two programs that `fable calibrate` starts: one answers whatever comes, the other measures. They talk as programs do that use this library,
 * with `send` and `receive` in an event loop, and pin themselves where the plan wants them. Results go to stdout in lines of JSON.
 */
import { isFableError } from "../errors.ts";
import { loadNative } from "../native/load.ts";
import { SHARED, TRANSPORTS } from "../policy/facts.ts";
import type { Pattern } from "../policy/table.ts";
import { PATTERNS } from "../policy/table.ts";
import { connect, listen } from "../xio/context.ts";
import type { Handle } from "../xio/handle.ts";
import { type Sample, samplesOf, type Stage, stages } from "./calibrate-plan.ts";
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
const WARM_UP_MS = 1500;
/** One sample, unless time is short. */
const SAMPLE_MS = 80;
const LEAST_SAMPLE_MS = 2;
const REPEATS = 3;
/** What took so many times as long as it should is not repeated. */
const PATIENCE = 2;
/** Moving and pinning take time as well. */
const MEASURING_SHARE = 0.7;

const { library } = loadNative();

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
  const plan = stages(options.cpus.split(",").map(Number), TRANSPORTS.filter((transport) => chosen.includes(transport)));
  await measureAll(options.seconds * 1000, plan);
}

async function answer(): Promise<void> {
  const listener = await listen(NAME);
  say("listening");
  const serve = async (handle: Handle) => {
    for await (const message of handle) {
      if (message[0] === PIN) library.pin(message[1] ?? 0);
      if (message[0] !== DATA) await handle.send(message);
    }
    await handle.close({ drainDeadlineMs: 0 });
  };
  await Promise.all([serve(await listener.accept()), serve(await listener.accept())]);
}

async function measureAll(budgetMs: number, plan: readonly Stage[]): Promise<void> {
  const handles = {
    trusted: await connect(NAME, { ringBytes: LARGEST_RING_BYTES }),
    untrusted: await connect(NAME, { trust: "untrusted", ringBytes: LARGEST_RING_BYTES }),
  };
  const until = performance.now() + budgetMs;
  for (const size of [64, 65_536]) for (const pattern of PATTERNS) await sample(handles.trusted, pattern, size, WARM_UP_MS / 4);
  let left = plan.reduce((sum, stage) => sum + samplesOf(stage), 0);
  const all = left;
  let place: Stage["setting"] | undefined;
  let hog: Hog | undefined;
  try {
    for (const stage of plan) {
      if (stage.setting !== place) {
        place = stage.setting;
        // Nobody is moved about while a hog is in the way.
        await hog?.stop();
        await pinBoth(handles.trusted, place.cpus);
        hog = place.hogCpu === undefined ? undefined : new Hog(place.hogCpu);
      }
      const perSampleMs = ((until - performance.now()) / left) * MEASURING_SHARE;
      await measure(handles[stage.trust], stage, Math.min(SAMPLE_MS, Math.max(LEAST_SAMPLE_MS, perSampleMs)));
      left -= samplesOf(stage);
      say("progress", { done: all - left, of: all });
    }
  } finally {
    await hog?.stop();
  }
  for (const handle of Object.values(handles)) {
    await handle.reconfigure("mempipe");
    await handle.close();
  }
  say("done");
}

async function measure(handle: Handle, stage: Stage, ms: number): Promise<void> {
  const { transport, setting: { placement, hogCpu }, ringBytes } = stage;
  try {
    await handle.reconfigure(transport, { ringBytes, timeoutMs: MOVE_TIMEOUT_MS });
  } catch (error) {
    // What this machine does not have is not in its table.
    if (!isFableError(error)) throw error;
    return say("skipped", { transport, why: error.message });
  }
  const trust = SHARED.has(transport) ? stage.trust : "n/a";
  for (const sizeBytes of stage.sizesBytes) {
    for (const pattern of PATTERNS) {
      const ns = await typical(handle, pattern, sizeBytes, ms);
      const found: Sample = { transport, trust, pattern, placement, load: hogCpu === undefined ? "idle" : "hog", sizeBytes, ns };
      say("sample", found);
    }
  }
}

/** The middle one of a few: whatever else the machine does comes and goes. */
async function typical(handle: Handle, pattern: Pattern, sizeBytes: number, ms: number): Promise<number> {
  const found: number[] = [];
  const until = performance.now() + ms * PATIENCE;
  do found.push(await sample(handle, pattern, sizeBytes, ms / REPEATS)); while (found.length < REPEATS && performance.now() < until);
  return found.sort((a, b) => a - b)[Math.floor((found.length - 1) / 2)] ?? 0;
}

/** Nanoseconds a message: of a stream until the last one is answered, of questions half of there and back. */
async function sample(handle: Handle, pattern: Pattern, sizeBytes: number, ms: number): Promise<number> {
  const message = new Uint8Array(sizeBytes);
  await ask(handle, message);
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
