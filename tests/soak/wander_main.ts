/**
 * One of two ends that write, read and order moves at random, both at once, each a process of its own. What it sends it counts and says; how much comes
 * it is told on stdin when the other is through.
 *
 *     wander_main.ts listen|connect SOCKET trusted|untrusted SEED MOVES     until the direction it writes has moved so often
 */
import process from "node:process";
import type { Trust } from "../../mod.ts";
import { loadNative } from "../../src/native/load.ts";
import { directConnect, directListen } from "../../src/xio/direct.ts";
import { orderMoves, plainPlan, readMoving, writeMoving } from "../xio/switching.ts";

const [role, path, trust, seed, moves] = process.argv.slice(2) as [string, string, Trust, string, string];
const say = (event: string, rest: object = {}): void => console.log(JSON.stringify({ event, ...rest }));

const options = { trust, drainDeadlineMs: 5 };
const listener = role === "listen" ? directListen(loadNative(), path, options) : undefined;
if (listener !== undefined) say("listening");
const handle = await (listener?.accept() ?? directConnect(loadNative(), path, options));
const [out, into] = role === "listen" ? [0, 1] : [1, 0];
const plan = { ...plainPlan(Number(seed), trust), epochs: Number(moves) };
let theirs: number | undefined;
process.stdin.once("data", (text) => theirs = Number(String(text)));
let ordering = true;
const [, , received] = await Promise.all([
  orderMoves(handle, plan, out).finally(() => ordering = false),
  writeMoving(handle, plan, out, () => !ordering).then((count) => say("wrote", { count })),
  readMoving(handle, plan, into, () => theirs),
]);
const { lateBuffers } = handle.stats();
say("moved", { epochs: handle.epochs.outgoing.epoch, received, lateBuffers });
// The other end may not have taken everything yet.
await handle.close({ drainDeadlineMs: 30_000 });
listener?.close();
process.exit(0);
