/**
 * One end of a channel whose load changes all the time, so that the policy has something to choose: phases of random size, rhythm and pattern, the
 * same on both ends because both know the seed. Every message is checked. Goes on until a line comes on stdin, or until the other end is gone.
 *
 *     choice_main.ts write|read|ask|answer NAME TRUST SEED [mempipe-spin]
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { connect, type Handle, isFableError, listen, type Trust } from "../../mod.ts";
import { say } from "../../src/cli/lines.ts";
import { seeded } from "../process/harness.ts";
import { receiveTraffic, sendTraffic, Traffic, type TrafficPlan } from "../process/traffic.ts";

type Role = "write" | "read" | "ask" | "answer";

interface Phase {
  readonly plan: TrafficPlan;
  readonly count: number;
}

/** Bytes of a phase, about: some seconds for the slowest transport beside a hog. */
const PHASE_BYTES = 64 << 20;
const MOST_MESSAGES = 20_000;
const SIZES_BYTES = [64, 4096, 65_536, 1 << 20];
/** Busy all the time, with a rest now and then, or mostly resting. */
const PAUSE_EVERY = [0, 500, 20];

const [role, name, trust, seed, asked] = process.argv.slice(2) as [Role, string, Trust, string, "mempipe-spin" | undefined];
let stopping = false;
process.stdin.once("data", () => stopping = true);

function* phases(): Generator<Phase> {
  const random = seeded(Number(seed));
  const any = (list: readonly number[]) => list[Math.floor(random() * list.length)] ?? 0;
  for (let number = 1;; number++) {
    const [maxBytes, pauseEvery] = [any(SIZES_BYTES), any(PAUSE_EVERY)];
    const most = pauseEvery === 20 ? MOST_MESSAGES / 20 : MOST_MESSAGES;
    const count = Math.max(10, Math.min(most, Math.floor(PHASE_BYTES / maxBytes)));
    yield { plan: { seed: Number(seed) + number, maxBytes, pauseEvery, pauseMs: 4 }, count };
  }
}

/** Asks and is answered with the same; false: the other end is gone. */
async function ask(handle: Handle, { plan, count }: Phase): Promise<boolean> {
  const traffic = new Traffic(plan);
  for (let n = 0; n < count; n++) {
    traffic.next();
    await handle.send(traffic.bytes());
    const answer = await handle.receive();
    if (answer === undefined) return false;
    check(traffic, answer);
  }
  return true;
}

async function answer(handle: Handle, { plan, count }: Phase): Promise<boolean> {
  const traffic = new Traffic(plan);
  for (let n = 0; n < count; n++) {
    const question = await handle.receive();
    if (question === undefined) return false;
    traffic.next();
    check(traffic, question);
    await handle.send(question);
  }
  return true;
}

function check(traffic: Traffic, message: Uint8Array): void {
  const wrong = traffic.check(Buffer.from(message.buffer, message.byteOffset, message.byteLength), 0, message.byteLength);
  if (wrong !== undefined) throw new Error(wrong);
}

async function read(handle: Handle, { plan, count }: Phase): Promise<boolean> {
  const { messages, wrong } = await receiveTraffic(handle, plan, count);
  if (wrong !== undefined) throw new Error(wrong);
  if (messages < count && messages > 0 && (await handle.closed).code === "PEER_CLOSED") throw new Error(`${messages} of ${count} came`);
  return messages === count;
}

const roles: Record<Role, (handle: Handle, phase: Phase) => Promise<boolean>> = {
  write: async (handle, { plan, count }) => await sendTraffic(handle, plan, count) === count,
  read,
  ask,
  answer,
};

const begins = role === "write" || role === "ask";
const options = { trust, maxMessageBytes: 2 << 20 };
const listener = begins ? undefined : await listen(name, options);
if (listener !== undefined) say("listening");
const handle = await (listener?.accept() ?? connect(name, asked === undefined ? options : { ...options, transport: asked }));
say("open", { flow: handle.flow });
let done = 0;
try {
  for (const phase of phases()) {
    if (stopping && begins) break;
    if (!await roles[role](handle, phase)) break;
    done++;
  }
} catch (error) {
  if (!isFableError(error)) throw error;
}
const moves = handle.epochs.outgoing.epoch;
if (begins && stopping) await handle.close({ drainDeadlineMs: 60_000 });
const { code } = await handle.closed;
say("ended", { phases: done, code, moves });
if (!begins) await handle.close();
await listener?.close();
process.exit(0);
