/**
 * One end of a channel as a program of its own, told what to do in lines of JSON on stdin and answering the same way on stdout. What it is told last
 * may be to stop at a place where it will then be killed.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import {
  type ChannelOptions,
  connect,
  type ConnectOptions,
  type Handle,
  isFableError,
  listen,
  type Listener,
  type TransportName,
} from "../../mod.ts";
import { receiveTraffic, receiveTrafficBlocking, sendTraffic, sendTrafficBlocking, Traffic, type TrafficPlan } from "./traffic.ts";

interface Order {
  readonly op: string;
  readonly name?: string;
  readonly options?: ChannelOptions & ConnectOptions;
  /** For one channel after the other. */
  readonly transports?: readonly TransportName[];
  readonly plan?: TrafficPlan;
  readonly count?: number;
  readonly id?: number;
  /** "block": without the event loop. */
  readonly how?: "loop" | "block";
}

const handles: Handle[] = [];
let listener: Listener | undefined;

const orders: Record<string, (order: Order) => Promise<void>> = {
  async listen(order) {
    listener = await listen(order.name ?? "", order.options);
    say("listening");
  },
  async accept(order) {
    const handle = await need(listener).accept({ timeoutMs: 10_000 });
    handles.push(handle);
    watch(handle, order.id ?? handles.length - 1);
    say("accepted", { peer: handle.peer.pid, transport: handle.transport, trust: handle.trust, flow: handle.flow });
  },
  async connect(order) {
    const start = performance.now();
    const handle = await connect(order.name ?? "", order.options);
    handles.push(handle);
    watch(handle, order.id ?? handles.length - 1);
    say("connected", { ms: performance.now() - start, transport: handle.transport, trust: handle.trust, flow: handle.flow });
  },
  async send(order) {
    const send = order.how === "block" ? sendTrafficBlocking : sendTraffic;
    say("sent", { count: await send(last(order), need(order.plan), order.count ?? 0) });
  },
  /** Sends until the channel ends, counting what was handed over. */
  async flood(order) {
    const handle = last(order);
    const traffic = new Traffic(need(order.plan));
    say("flooding");
    let count = 0;
    try {
      for (;;) count += await sendTraffic(handle, need(order.plan), 1, traffic);
    } catch (error) {
      say("flooded", { count, code: codeOf(error), at: Date.now() });
    }
  },
  /** Takes messages until the end, then says what it was. */
  async receive(order) {
    const handle = last(order);
    const plan = need(order.plan);
    const receive = order.how === "block" ? receiveTrafficBlocking : receiveTraffic;
    const received = await receive(handle, plan, order.count);
    // A count that is reached, or a message that is wrong, comes before the end.
    const code = handle.ended ? (await handle.closed).code : "OPEN";
    say("received", { ...received, code, at: Date.now() });
  },
  /** Takes every connection that comes and reads it to its end, whatever that is. */
  async serve(order) {
    const plan = need(order.plan);
    for (let id = 0;; id++) {
      const handle = await need(listener).accept();
      void (async () => {
        const { wrong } = await receiveTraffic(handle, plan);
        const { code } = await handle.closed;
        await handle.close();
        say("served", { id, code, ...(wrong === undefined ? {} : { wrong }) });
      })();
    }
  },
  /** How much of the program's heap is in use once all garbage is collected. */
  async heap() {
    const { gc, Bun } = globalThis as { readonly gc?: () => void; readonly Bun?: { gc(force: boolean): void } };
    for (let n = 0; n < 3; n++) {
      // What is finalized lets go of more.
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (Bun === undefined) need(gc)();
      else Bun.gc(true);
    }
    say("heap", { usedBytes: process.memoryUsage().heapUsed });
  },
  /** Takes every connection and touches every byte that comes, whoever sends it; writes to it too. */
  async bear() {
    for (let id = 0;; id++) {
      const handle = await need(listener).accept();
      void (async () => {
        const messages = await touchAll(handle);
        const { code } = await handle.closed;
        await handle.close({ drainDeadlineMs: 0 });
        say("borne", { id, code, messages });
      })();
    }
  },
  /** Connects `count` times and waits for messages on each. */
  async "connect-many"(order) {
    const { name = "", count = 0, options, transports = [] } = order;
    for (let n = 0; n < count; n++) {
      handles.push(await connect(name, transports.length === 0 ? options : { ...options, transport: transports[n % transports.length] }));
    }
    for (const handle of handles) void handle.receive().catch(() => {});
    say("waiting", { count: handles.length });
  },
  async "accept-many"(order) {
    for (let n = 0; n < (order.count ?? 0); n++) handles.push(await need(listener).accept({ timeoutMs: 10_000 }));
    for (const handle of handles) void handle.receive().catch(() => {});
    say("waiting", { count: handles.length });
  },
  /** Waits for a message while blocking the thread: on the doorbell, the futex or in a spin, as the transport has it. */
  async block(order) {
    const reader = last(order).reader();
    say("blocking");
    let messages = 0;
    let code = "ENDED";
    try {
      for (;;) {
        while (reader.next()) messages++;
        if (!reader.waitSync(20_000)) break;
      }
      if (!reader.ended) code = "TIMEOUT";
      else code = (await last(order).closed).code;
    } catch (error) {
      code = codeOf(error);
    }
    say("unblocked", { messages, code, at: Date.now(), epochs: last(order).epochs });
  },
  /** Fills the ring and blocks for room. */
  async "block-writing"(order) {
    const writer = last(order).writer();
    let code = "";
    let told = false;
    try {
      for (;;) {
        const at = writer.reserve(1000);
        if (at >= 0) {
          writer.commit(1000);
          continue;
        }
        writer.flush();
        if (!told) say("blocking");
        told = true;
        if (!writer.waitSync(20_000)) writer.reserve(1000);
      }
    } catch (error) {
      code = codeOf(error);
    }
    say("unblocked", { code, at: Date.now(), epochs: last(order).epochs });
  },
  async hold() {
    say("holding");
    await new Promise(() => setInterval(() => {}, 1000));
  },
  /** Leaves nothing but its channels to keep it alive. */
  async "let-go"(order) {
    if (order.count !== 1) { for (const handle of handles) handle.unref(); }
    say("let-go");
    lines.off("close", leave);
    lines.close();
    process.stdin.destroy();
  },
  async close(order) {
    const reason = await last(order).close();
    handles.splice(handles.indexOf(last(order)), 1);
    say("closed", { ...reason });
  },
  async quit() {
    for (const handle of handles.splice(0)) await handle.close();
    await listener?.close();
    say("quitting");
    process.exit(0);
  },
};

let touched = 0;

async function touchAll(handle: Handle): Promise<number> {
  // A few of them fill the ring, and then what the peer says it has read is looked at.
  const answer = new Uint8Array(16_000);
  let messages = 0;
  const writing = setInterval(() => {
    try {
      handle.trySend(answer);
      handle.flush();
    } catch {
      clearInterval(writing);
    }
  }, 1);
  try {
    for (;;) {
      const buffers = handle.getReadBuf();
      if (buffers.length === 0 && !await handle.waitReadable()) return messages;
      for (const buffer of buffers) {
        for (const byte of buffer.bytes) touched ^= byte;
        if (buffer.last) messages++;
        buffer.release();
      }
    }
  } finally {
    clearInterval(writing);
  }
}

function watch(handle: Handle, id: number): void {
  void handle.closed.then((reason) => say("end", { id, code: reason.code, message: reason.message, at: Date.now() }));
}

function last(order: Order): Handle {
  return need(order.id === undefined ? handles.at(-1) : handles[order.id]);
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the order needs something that is not there");
  return value;
}

function codeOf(error: unknown): string {
  return isFableError(error) ? error.code : String(error);
}

function say(event: string, value: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...value })}\n`);
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const order = JSON.parse(line) as Order;
  const work = orders[order.op];
  if (work === undefined) return say("error", { message: `no order "${order.op}"` });
  work(order).catch((error: unknown) =>
    say("error", { message: error instanceof Error ? error.stack : String(error), code: codeOf(error) })
  );
});
/** Whoever gave the orders is gone. */
function leave(): void {
  process.exit(0);
}
lines.on("close", leave);
say("ready");
