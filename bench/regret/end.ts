/**
 * One of the two programs of `fable bench regret`: has two channels to the other, one that is moved by hand and one that the policy moves, and
 * carries messages over either. See bench/runner/told.ts for how it is told.
 */
import { connect, type Handle, listen, type Listener, type Trust } from "../../mod.ts";
import { loadNative } from "../../src/native/load.ts";
import { obeyLines } from "../runner/told.ts";

export type Pattern = "stream" | "request";
/** Which of the two channels. */
export type Lane = "hand" | "policy";

export type Order =
  | { readonly op: "listen"; readonly name: string; readonly trust: Trust }
  | { readonly op: "meet"; readonly lane: Lane; readonly name: string; readonly trust: Trust }
  | { readonly op: "pin"; readonly core: number }
  /** Side 0 writes or asks for so long, side 1 reads or answers. */
  | {
    readonly op: "run";
    readonly lane: Lane;
    readonly pattern: Pattern;
    readonly sizeBytes: number;
    readonly seconds: number;
    readonly side: 0 | 1;
  }
  | { readonly op: "part" };

export interface Answer {
  readonly op: Order["op"];
  readonly flow?: string;
  /** Messages, or round trips, per second; of side 0 of a request, of side 1 of a stream. */
  readonly perS?: number;
}

const MAX_MESSAGE_BYTES = 4 << 20;
/** What ends a run. */
const LAST_BYTES = 1;

const handles = new Map<Lane, Handle>();
let listener: Listener | undefined;

async function meet(lane: Lane, name: string, trust: Trust): Promise<Answer> {
  const options = { trust, maxMessageBytes: MAX_MESSAGE_BYTES };
  const handle = listener === undefined ? await connect(name, options) : await listener.accept();
  handles.set(lane, handle);
  return { op: "meet", flow: handle.flow ?? "" };
}

function laneOf(lane: Lane): Handle {
  const handle = handles.get(lane);
  if (handle === undefined) throw new Error(`there is no channel ${lane}`);
  return handle;
}

/** Time is looked at after so many messages. */
function stride(sizeBytes: number): number {
  return Math.max(1, Math.min(64, 65_536 / sizeBytes | 0));
}

async function write(handle: Handle, sizeBytes: number, seconds: number): Promise<void> {
  const message = new Uint8Array(sizeBytes).fill(7);
  const most = stride(sizeBytes);
  for (const until = performance.now() + seconds * 1000; performance.now() < until;) {
    for (let turn = 0; turn < most; turn++) {
      const pending = handle.send(message);
      if (pending !== undefined) await pending;
    }
    // Whoever never awaits never hears that the channel should move.
    await undefined;
  }
  await handle.send(new Uint8Array(LAST_BYTES));
}

async function read(handle: Handle, sizeBytes: number): Promise<number> {
  let messages = 0;
  let began = 0;
  for await (const message of handle) {
    if (message.length === LAST_BYTES) break;
    if (message.length !== sizeBytes || message[sizeBytes - 1] !== 7) throw new Error("a message is damaged");
    if (messages++ === 0) began = performance.now();
  }
  return (messages - 1) / ((performance.now() - began) / 1000);
}

async function ask(handle: Handle, sizeBytes: number, seconds: number): Promise<number> {
  const message = new Uint8Array(sizeBytes).fill(7);
  const began = performance.now();
  let asked = 0;
  for (const until = began + seconds * 1000; performance.now() < until; asked++) {
    await handle.send(message);
    const answer = await handle.receive();
    if (answer?.length !== sizeBytes) throw new Error("an answer is damaged");
  }
  const perS = asked / ((performance.now() - began) / 1000);
  await handle.send(new Uint8Array(LAST_BYTES));
  return perS;
}

async function answer(handle: Handle): Promise<void> {
  for await (const message of handle) {
    if (message.length === LAST_BYTES) return;
    await handle.send(message);
  }
}

async function run(order: Extract<Order, { op: "run" }>): Promise<Answer> {
  const { lane, pattern, sizeBytes, seconds, side } = order;
  const handle = laneOf(lane);
  const done = { op: "run" } as const;
  if (pattern === "stream") {
    if (side === 1) return { ...done, perS: await read(handle, sizeBytes) };
    await write(handle, sizeBytes, seconds);
    return done;
  }
  if (side === 0) return { ...done, perS: await ask(handle, sizeBytes, seconds) };
  await answer(handle);
  return done;
}

async function obey(order: Order): Promise<Answer> {
  switch (order.op) {
    case "listen":
      listener = await listen(order.name, { trust: order.trust, maxMessageBytes: MAX_MESSAGE_BYTES });
      return { op: order.op };
    case "meet":
      return meet(order.lane, order.name, order.trust);
    case "pin":
      loadNative().library.pin(order.core);
      return { op: order.op };
    case "run":
      return run(order);
    case "part":
      await Promise.all([...handles.values()].map((handle) => handle.close()));
      await listener?.close();
      handles.clear();
      listener = undefined;
      return { op: order.op };
  }
}

await obeyLines(obey);
