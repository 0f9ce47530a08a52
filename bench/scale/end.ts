/**
 * One of the programs of bench/scale.ts: registers names, connects, answers, counts. Told what to do in lines of JSON on stdin, answers each with one
 * on stdout.
 */
import { connect, type Context, type Handle, registerName } from "../../mod.ts";
import { obeyLines } from "../runner/told.ts";

export type Order =
  | { readonly op: "register"; readonly prefix: string; readonly count: number }
  | { readonly op: "listen"; readonly name: string }
  | { readonly op: "connect"; readonly name: string; readonly count: number }
  | { readonly op: "ask" }
  | { readonly op: "close" };

export interface Answer {
  readonly op: Order["op"];
  /** Per connection, in milliseconds. */
  readonly connectMs?: readonly number[];
  /** Channels that carried a message there and back. */
  readonly answered?: number;
}

/** Registrations under way at once. */
const AT_ONCE = 64;
/** A ring is as small as it can be: what is measured is the broker. */
const RING_BYTES = 4096;

const contexts: Context[] = [];
const handles: Handle[] = [];

async function register(prefix: string, count: number): Promise<void> {
  let next = 0;
  const some = async (): Promise<void> => {
    while (next < count) contexts.push(await registerName(`${prefix}/${next++}`, { timeoutMs: 60_000 }));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

async function serve(name: string): Promise<void> {
  const context = await registerName(name);
  contexts.push(context);
  const listener = await context.listen({ ringBytes: RING_BYTES, backlog: 256 });
  void (async () => {
    for await (const handle of listener) void echo(handle);
  })();
}

async function echo(handle: Handle): Promise<void> {
  for await (const message of handle) await handle.send(message);
}

async function dial(name: string, count: number): Promise<readonly number[]> {
  const took: number[] = [];
  for (let made = 0; made < count; made++) {
    const began = performance.now();
    handles.push(await connect(name, { ringBytes: RING_BYTES, timeoutMs: 30_000 }));
    took.push(performance.now() - began);
  }
  return took;
}

/** Every channel carries one message there and back. */
async function ask(): Promise<number> {
  let answered = 0;
  for (const handle of handles) {
    await handle.send("?");
    const message = await handle.receive({ timeoutMs: 10_000 });
    if (message?.length === 1) answered++;
  }
  return answered;
}

async function obey(order: Order): Promise<Answer> {
  switch (order.op) {
    case "register":
      await register(order.prefix, order.count);
      return { op: order.op };
    case "listen":
      await serve(order.name);
      return { op: order.op };
    case "connect":
      return { op: order.op, connectMs: await dial(order.name, order.count) };
    case "ask":
      return { op: order.op, answered: await ask() };
    case "close":
      await Promise.all(handles.map((handle) => handle.close()));
      await Promise.all(contexts.map((context) => context.close()));
      return { op: order.op };
  }
}

await obeyLines(obey);
