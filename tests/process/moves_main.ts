/**
 * One end of several channels at once, each on a transport of its own, told in lines of JSON on stdin to bring all of them into some state of a move,
 * in which it or the program at the other end is then killed or stopped. Every order is answered once it holds for all channels.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { createInterface } from "node:readline";
import {
  type ChannelOptions,
  connect,
  type Handle,
  isFableError,
  listen,
  type Listener,
  type ReadBuffer,
  type TransportName,
  type WriteBuffer,
  type Writer,
} from "../../mod.ts";
import { CONNECTION } from "../../src/xio/handle.ts";
import { sleep } from "./harness.ts";
import { Traffic } from "./traffic.ts";

export interface MovesOrder {
  readonly op: string;
  readonly name?: string;
  /** One for each channel, where they lead to several programs. */
  readonly names?: readonly string[];
  readonly count?: number;
  /** One for each channel: what it begins on, or goes to. */
  readonly transports?: readonly TransportName[];
  readonly direction?: "outgoing" | "incoming";
  readonly options?: ChannelOptions;
  readonly state?: "pending" | "ready" | "moved" | "drained";
}

/** Small enough that what is sent in one go lies in the kernel whole, whatever the transport. */
const PLAN = { seed: 77, maxBytes: 700, pauseEvery: 0, pauseMs: 0 };
const LONG_BYTES = 8 << 20;
const LATE_MS = 60_000;

/** One channel. This end only reads, or only writes. */
class Slot {
  readonly handle: Handle;
  readonly traffic: Traffic;
  messages = 0;
  wrong: string | undefined;
  /** Where it was ordered to go, and steps of the outgoing direction on its way there. */
  target: TransportName | undefined;
  readonly steps = new Set<string>();
  /** How its move ended. */
  outcome = "none";
  open: WriteBuffer | undefined;
  cursor: Writer | undefined;
  lent: readonly { readonly buffer: ReadBuffer; readonly bytes: Buffer }[] = [];

  constructor(handle: Handle, id: number) {
    this.handle = handle;
    this.traffic = new Traffic(PLAN);
    this.traffic.count = id * 1000;
    handle.onReconfiguration(({ direction, phase, to }) => {
      // The move to what it began on may not be told to its end yet.
      if (direction === "outgoing" && to === this.target) this.steps.add(phase);
    });
  }

  async send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.traffic.next();
      const waiting = this.handle.send(this.traffic.bytes());
      if (waiting !== undefined) await waiting;
      this.messages++;
    }
    this.handle.flush();
  }

  check(bytes: Uint8Array): void {
    this.traffic.next();
    this.wrong ??= this.traffic.check(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    this.messages++;
  }

  /** False at the end. */
  async take(): Promise<boolean> {
    const message = await this.handle.receive();
    if (message !== undefined) this.check(message);
    return message !== undefined;
  }

  /** What the program still looks at is what it was. */
  lookAgain(): void {
    for (const { buffer, bytes } of this.lent) {
      if (!bytes.equals(buffer.bytes)) this.wrong ??= "a lent buffer changed";
    }
  }
}

const slots: Slot[] = [];
let listener: Listener | undefined;

const orders: Record<string, (order: MovesOrder) => Promise<object | void>> = {
  async listen({ name = "", options = {}, count = 0 }) {
    await listener?.close();
    listener = await listen(name, { ...options, backlog: count });
  },
  async accept({ count = 0 }) {
    for (let id = 0; id < count; id++) slots.push(new Slot(await listener!.accept({ timeoutMs: 10_000 }), id));
  },
  async connect({ name = "", names, transports = [], options = {} }) {
    for (const [id, transport] of transports.entries()) {
      slots.push(new Slot(await connect(names?.[id] ?? name, { ...options, transport }), id));
    }
  },
  async send({ count = 0 }) {
    await each((slot) => slot.send(count));
  },
  /** A message that is filled and not committed. */
  async hold() {
    await each(async (slot) => {
      slot.traffic.next();
      for (;;) {
        [slot.open] = slot.handle.getWriteBuf(slot.traffic.size);
        if (slot.open !== undefined) break;
        await slot.handle.waitWritable();
      }
      slot.open.bytes.set(slot.traffic.bytes());
    });
  },
  /** The same through a cursor. */
  async place() {
    await each(async (slot) => {
      slot.traffic.next();
      const writer = slot.cursor = slot.handle.writer();
      let at = writer.reserve(slot.traffic.size);
      while (at < 0 && await writer.wait()) at = writer.reserve(slot.traffic.size);
      writer.bytes.set(slot.traffic.bytes(), at);
    });
  },
  /** The same at the arena's end, after enough messages to come there. */
  async wrap() {
    await each(async (slot) => {
      const writer = slot.handle.writer();
      for (let before = -1;; slot.messages++) {
        slot.traffic.next();
        let at = writer.reserve(slot.traffic.size);
        while (at < 0 && await writer.wait()) at = writer.reserve(slot.traffic.size);
        writer.bytes.set(slot.traffic.bytes(), at);
        if (at < before) break;
        before = at;
        writer.commit(slot.traffic.size);
        if (slot.messages % 20 === 19) {
          writer.flush();
          await sleep(0);
        }
      }
      writer.flush();
    });
    return { counts: slots.map(({ messages }) => messages) };
  },
  /** A message of which the last fragments find no room. */
  async "send-half"() {
    for (const { handle } of slots) handle.send(new Uint8Array(LONG_BYTES).fill(0xee))?.catch(() => {});
    await sleep(5);
  },
  /** What was held is committed after all. */
  async commit() {
    for (const slot of slots) {
      if (slot.open !== undefined) slot.handle.commit(slot.open);
      else if (slot.cursor !== undefined) slot.cursor.commit(slot.traffic.size);
      else continue;
      slot.messages++;
      slot.open = undefined;
      slot.cursor = undefined;
      slot.handle.flush();
    }
  },
  async move({ transports = [], direction = "outgoing" }) {
    for (const [index, slot] of slots.entries()) {
      slot.target = transports[index];
      slot.handle.reconfigure(transports[index], { direction, timeoutMs: LATE_MS }).then(
        () => slot.outcome = "moved",
        (error: unknown) => slot.outcome = codeOf(error),
      );
    }
  },
  async reach({ state = "moved" }) {
    const there = (slot: Slot): boolean => state === "ready" ? slot.handle[CONNECTION].channel.crossing : slot.steps.has(state);
    while (!slots.every(there)) await sleep(1);
  },
  async take({ count = 0 }) {
    await each(async (slot) => {
      for (let n = 0; n < count && slot.wrong === undefined; n++) await slot.take();
    });
    return { wrong: slots.find(({ wrong }) => wrong !== undefined)?.wrong };
  },
  /** Takes messages and keeps the memory they lie in. */
  async lend({ count = 0 }) {
    await each(async (slot) => {
      const lent: ReadBuffer[] = [];
      while (lent.length < count) {
        lent.push(...slot.handle.getReadBuf(count - lent.length));
        if (lent.length < count) await slot.handle.waitReadable();
      }
      for (const { bytes } of lent) slot.check(bytes);
      slot.lent = lent.map((buffer) => ({ buffer, bytes: Buffer.from(buffer.bytes) }));
    });
  },
  /** Reads to the end; says of each channel when and why it came. */
  async finish() {
    for (const [id, slot] of slots.entries()) void finished(id, slot);
  },
  /** Sends until the channel is over. */
  async flood() {
    for (const slot of slots) {
      void (async () => {
        for (;;) await slot.send(1);
      })().catch(() => {});
    }
  },
  /** Says of each channel when and why it was over. */
  async watch() {
    for (const [id, slot] of slots.entries()) {
      void slot.handle.closed.then(({ code }) => {
        const at = Date.now();
        // What waits for the move learns it, too, in its turn.
        setTimeout(() => say("over", { id, code, at, messages: slot.messages, outcome: slot.outcome }), 0);
      });
    }
  },
  async where() {
    return { epochs: slots.map(({ handle }) => handle.epochs), counts: slots.map(({ messages }) => messages) };
  },
  /** Gives everything back. */
  async close() {
    for (const slot of slots) {
      slot.lookAgain();
      for (const { buffer } of slot.lent) buffer.release();
    }
    const wrong = slots.find((slot) => slot.wrong !== undefined)?.wrong;
    await each(({ handle }) => handle.close({ drainDeadlineMs: 0 }));
    slots.length = 0;
    await listener?.close();
    listener = undefined;
    return { wrong };
  },
};

async function each(work: (slot: Slot) => Promise<unknown>): Promise<void> {
  await Promise.all(slots.map(work));
}

async function finished(id: number, slot: Slot): Promise<void> {
  let code: string;
  try {
    while (await slot.take());
    ({ code } = await slot.handle.closed);
  } catch (error) {
    code = codeOf(error);
  }
  const at = Date.now();
  slot.lookAgain();
  say("over", { id, code, at, messages: slot.messages, wrong: slot.wrong });
}

function codeOf(error: unknown): string {
  return isFableError(error) ? error.code : String(error);
}

function say(event: string, value: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...value })}\n`);
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const order = JSON.parse(line) as MovesOrder;
  orders[order.op](order).then(
    (answer) => say(`${order.op} done`, answer ?? {}),
    (error: unknown) => say("error", { message: error instanceof Error ? error.stack : String(error), code: codeOf(error) }),
  );
});
lines.on("close", () => process.exit(0));
say("ready");
