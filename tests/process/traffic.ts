/**
 * Messages that check themselves: size and content of number n follow from a seed, so both ends know what comes next without having been told. A
 * message is a stretch of one random pool, and is compared natively. Used by the process tests and the soak.
 */
import { Buffer } from "node:buffer";
import type { Handle, Reader } from "../../mod.ts";
import { logUniform, seeded, sleep } from "./harness.ts";

/** A longest message and a quarter: small enough for the cache of a core, or reading the pool would be half of a soak's work. */
const POOL_BYTES = 5 << 18;
/** Stretches begin at multiples of this, so that neighbours differ. */
const STEP_BYTES = 61;

export interface TrafficPlan {
  readonly seed: number;
  readonly maxBytes: number;
  /** Every so many messages on average, an end stops for up to `pauseMs`. 0: never. */
  readonly pauseEvery: number;
  readonly pauseMs: number;
}

/** Size and content of message after message. */
export class Traffic {
  readonly #random: () => number;
  readonly #maxBytes: number;
  readonly pool: Buffer;
  /** Of the current message. */
  size = 0;
  at = 0;
  count = 0;

  constructor(plan: TrafficPlan) {
    this.#random = seeded(plan.seed);
    this.#maxBytes = plan.maxBytes;
    this.pool = poolOf(plan.seed);
  }

  next(): void {
    this.size = logUniform(this.#random, this.#maxBytes);
    this.at = this.count * STEP_BYTES % (POOL_BYTES - this.size);
    this.count++;
  }

  /** The current message's bytes. */
  bytes(): Uint8Array {
    return this.pool.subarray(this.at, this.at + this.size);
  }

  /** Undefined if these are the current message's bytes, else what is wrong. */
  check(memory: Buffer, offset: number, length: number): string | undefined {
    if (length !== this.size) return `message ${this.count} has ${length} bytes instead of ${this.size}`;
    // With ranges, compare() takes them in another order in Deno 2.9 than in Node and Bun.
    if (memory.subarray(offset, offset + length).equals(this.pool.subarray(this.at, this.at + length))) return undefined;
    let wrong = 0;
    while (memory[offset + wrong] === this.pool[this.at + wrong]) wrong++;
    return `message ${this.count} of ${length} bytes differs at byte ${wrong}`;
  }
}

const pools = new Map<number, Buffer>();

function poolOf(seed: number): Buffer {
  let pool = pools.get(seed);
  if (pool === undefined) {
    pool = Buffer.alloc(POOL_BYTES);
    const random = seeded(seed ^ 0x5bd1e995);
    const words = new Uint32Array(pool.buffer, pool.byteOffset, POOL_BYTES / 4);
    for (let i = 0; i < words.length; i++) words[i] = random() * 4294967296;
    pools.set(seed, pool);
  }
  return pool;
}

/** Sends messages in the three forms of the API in turn. Gives how many were handed over before the channel ended, if it did. */
export async function sendTraffic(handle: Handle, plan: TrafficPlan, count: number, from?: Traffic): Promise<number> {
  const traffic = from ?? new Traffic(plan);
  const pause = pauses(plan, 1);
  const writer = handle.writer();
  for (let n = 0; n < count; n++) {
    traffic.next();
    if (n % 3 === 0 || traffic.size > writer.maxBytes) await handle.send(traffic.bytes());
    else if (n % 3 === 1) {
      let at = writer.reserve(traffic.size);
      // A channel that moves while this waits may take less in one piece.
      while (at < 0 && await writer.wait() && traffic.size <= writer.maxBytes) at = writer.reserve(traffic.size);
      if (at >= 0) {
        writer.bytes.set(traffic.bytes(), at);
        writer.commit(traffic.size);
      } else if (traffic.size > writer.maxBytes) await handle.send(traffic.bytes());
      else return n;
    } else {
      let pieces = handle.getWriteBuf(traffic.size);
      while (pieces.length === 0 && await handle.waitWritable()) pieces = handle.getWriteBuf(traffic.size);
      if (pieces.length === 0) return n;
      let from = 0;
      for (const piece of pieces) piece.bytes.set(traffic.bytes().subarray(from, from += piece.size));
      handle.commit(pieces);
    }
    const ms = pause();
    if (ms >= 0) {
      handle.flush();
      await sleep(ms);
    }
  }
  handle.flush();
  return count;
}

/** {@link sendTraffic} for a thread that blocks: the event loop never runs. */
export function sendTrafficBlocking(handle: Handle, plan: TrafficPlan, count: number): number {
  const traffic = new Traffic(plan);
  const pause = pauses(plan, 1);
  const writer = handle.writer();
  for (let n = 0; n < count; n++) {
    traffic.next();
    if (traffic.size > writer.maxBytes || n % 2 === 0) {
      // A message that finds no room waits inside; it is on its way when something can be written again.
      const waiting = handle.send(traffic.bytes());
      if (waiting !== undefined) {
        waiting.catch(() => {});
        if (!writer.waitSync()) return n;
      }
    } else {
      let at = writer.reserve(traffic.size);
      while (at < 0 && writer.waitSync()) at = writer.reserve(traffic.size);
      if (at < 0) return n;
      writer.bytes.set(traffic.bytes(), at);
      writer.commit(traffic.size);
    }
    const ms = pause();
    if (ms >= 0) {
      handle.flush();
      sleepBlocking(ms);
    }
  }
  handle.flush();
  return count;
}

export interface Received {
  readonly messages: number;
  readonly bytes: number;
  /** What was wrong with the first wrong message. */
  readonly wrong?: string;
}

/** Takes and checks messages until `count` have come or nothing more will. */
export async function receiveTraffic(handle: Handle, plan: TrafficPlan, count = Number.POSITIVE_INFINITY): Promise<Received> {
  const checker = new Checker(handle, plan);
  const pause = pauses(plan, 2);
  while (checker.messages < count) {
    if (!checker.reader.next()) {
      if (await checker.reader.wait()) continue;
      break;
    }
    if (!checker.take()) break;
    const ms = pause();
    if (ms >= 0) await sleep(ms);
  }
  return checker.received();
}

/** {@link receiveTraffic} for a thread that blocks. */
export function receiveTrafficBlocking(handle: Handle, plan: TrafficPlan, count = Number.POSITIVE_INFINITY): Received {
  const checker = new Checker(handle, plan);
  const pause = pauses(plan, 2);
  while (checker.messages < count) {
    if (!checker.reader.next()) {
      if (checker.reader.waitSync()) continue;
      break;
    }
    if (!checker.take()) break;
    const ms = pause();
    if (ms >= 0) sleepBlocking(ms);
  }
  return checker.received();
}

/** Compares what a reader stands on with what must come next. */
class Checker {
  readonly reader: Reader;
  messages = 0;
  #bytes = 0;
  #wrong: string | undefined;
  readonly #traffic: Traffic;
  #memory: Buffer = Buffer.alloc(0);

  constructor(handle: Handle, plan: TrafficPlan) {
    this.reader = handle.reader();
    this.#traffic = new Traffic(plan);
  }

  /** False if the message is wrong. */
  take(): boolean {
    const { reader } = this;
    const { bytes } = reader;
    this.#traffic.next();
    if (this.#memory.buffer !== bytes.buffer || this.#memory.byteOffset !== bytes.byteOffset || this.#memory.length !== bytes.length) {
      this.#memory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    this.#wrong = this.#traffic.check(this.#memory, reader.offset, reader.length);
    if (this.#wrong !== undefined) return false;
    this.messages++;
    this.#bytes += reader.length;
    return true;
  }

  received(): Received {
    return { messages: this.messages, bytes: this.#bytes, ...(this.#wrong === undefined ? {} : { wrong: this.#wrong }) };
  }
}

function sleepBlocking(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Says for each message whether to pause after it: milliseconds, or −1. */
function pauses(plan: TrafficPlan, side: number): () => number {
  if (plan.pauseEvery === 0) return () => -1;
  const random = seeded(plan.seed * 31 + side);
  return () => random() * plan.pauseEvery < 1 ? random() * plan.pauseMs : -1;
}
