/**
 * The two programs that `fable demo` starts, one in each runtime. They know each other by name only, and report to the demo in lines of JSON.
 *
 *     sender     connects to xio://demo/receiver: the file, then requests, then the file again while the channel walks
 *     receiver   listens there: writes the file, then answers, then writes it again
 *
 * The last part's programs are in demo-hog.ts.
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { transportByName } from "../transport/registry.ts";
import { connect, listen } from "../xio/context.ts";
import type { Handle } from "../xio/handle.ts";
import { answerer, asker } from "./demo-hog.ts";
import { Silences, Walk } from "./demo-walk.ts";
import { quantile } from "./format.ts";
import { nowNs, say } from "./lines.ts";
import { UsageError } from "./usage.ts";

export const RECEIVER = "xio://demo/receiver";

export interface DemoEndOptions {
  readonly file?: string;
  readonly requests?: number;
  readonly transport?: string;
}

const RING_BYTES = 1 << 20;
const CHUNK_BYTES = RING_BYTES / 4;
const REQUEST_BYTES = 64;
const WAIT_MS = 15_000;
/** A progress line for each so many bytes. */
const STEP_BYTES = 8 << 20;

export async function demoEnd(role: string, options: DemoEndOptions): Promise<void> {
  const { file = "", requests = 0 } = options;
  if (role === "sender") await sender(file, requests, options.transport);
  else if (role === "receiver") await receiver(file, requests);
  else if (role === "asker") await asker();
  else if (role === "answerer") await answerer();
  else throw new UsageError(`"${role}" is no part of the demo`);
}

async function sender(file: string, requests: number, transport: string | undefined): Promise<void> {
  const handle = await connect(RECEIVER, {
    ringBytes: RING_BYTES,
    timeoutMs: WAIT_MS,
    ...(transport === undefined ? {} : { transport: transportByName(transport).name }),
  });
  say("connected", { transport: handle.transport, trust: handle.trust, flow: handle.flow });
  const fd = openSync(file, "r");
  try {
    await sendFile(handle, fd);
    say("hashed", { sha256: hashOf(fd) });
    await askMany(handle, requests);
    await sendFile(handle, fd, new Walk(handle));
  } finally {
    closeSync(fd);
  }
  const { code } = await handle.close();
  const { messagesSent, messagesDelivered, messagesReceived } = handle.stats();
  say("done", { sent: messagesSent, delivered: messagesDelivered, received: messagesReceived, reason: code });
}

/**
 * The size first, then the file in pieces that the read call puts where the peer will find them. With a `walk`, the channel moves meanwhile,
 * both of its directions.
 */
async function sendFile(handle: Handle, fd: number, walk?: Walk): Promise<void> {
  const size = fstatSync(fd).size;
  const start = nowNs();
  await handle.send(new Uint8Array(new BigUint64Array([BigInt(size)]).buffer));
  let messages = 1;
  let told = 0;
  for (let sent = 0; sent < size;) {
    const [buffer] = handle.getWriteBuf(CHUNK_BYTES);
    if (buffer === undefined) {
      await handle.waitWritable({ timeoutMs: WAIT_MS });
      continue;
    }
    const count = readSync(fd, buffer.bytes, 0, Math.min(CHUNK_BYTES, size - sent), sent);
    if (count === 0) throw new Error("the file became shorter while it was sent");
    handle.commit(buffer, count);
    handle.flush();
    sent += count;
    messages++;
    walk?.advance(sent / size);
    if (sent - told >= STEP_BYTES) say("progress", { bytes: told = sent });
  }
  const taken = await handle.receive({ timeoutMs: WAIT_MS });
  if (taken === undefined) throw new Error("the receiver went away");
  const ns = nowNs() - start;
  // Not before: the other direction leaves its path when everything in it was read.
  await walk?.finish();
  if (walk === undefined) say("sent", { bytes: size, messages, ns });
  else say("walked", { bytes: size, messages, ns, moves: walk.moves, of: walk.length, skipped: walk.skipped, epochs: handle.epochs });
}

/** Requests one at a time, each answer compared, each round trip timed. */
async function askMany(handle: Handle, requests: number): Promise<void> {
  const times = new Float64Array(requests);
  const request = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(request.buffer);
  const writer = handle.writer();
  const reader = handle.reader();
  const start = nowNs();
  let told = start;
  for (let n = 0; n < requests; n++) {
    const begin = nowNs();
    view.setUint32(0, n, true);
    let at = writer.reserve(REQUEST_BYTES);
    while (at < 0 && await writer.wait({ timeoutMs: WAIT_MS })) at = writer.reserve(REQUEST_BYTES);
    writer.bytes.set(request, at);
    writer.commit(REQUEST_BYTES);
    writer.flush();
    while (!reader.next()) if (!await reader.wait({ timeoutMs: WAIT_MS })) throw new Error("the receiver went away");
    if (reader.length !== REQUEST_BYTES || reader.view.getUint32(reader.offset, true) !== (n ^ 0x5a5a5a5a) >>> 0) {
      throw new Error(`the answer to request ${n} is wrong`);
    }
    const end = nowNs();
    times[n] = end - begin;
    if (end - told > 200e6) {
      told = end;
      say("progress", { requests: n });
    }
  }
  const ns = nowNs() - start;
  times.sort();
  say("asked", { requests, ns, p50_ns: quantile(times, 0.5), p99_ns: quantile(times, 0.99), p999_ns: quantile(times, 0.999) });
}

async function receiver(file: string, requests: number): Promise<void> {
  const listener = await listen(RECEIVER, { ringBytes: RING_BYTES, timeoutMs: WAIT_MS });
  say("listening");
  const handle = await listener.accept({ timeoutMs: WAIT_MS });
  const fd = openSync(file, "w+");
  try {
    await receiveFile(handle, fd);
    say("hashed", { sha256: hashOf(fd) });
    await answerMany(handle, requests);
    ftruncateSync(fd);
    const silences = new Silences(handle);
    await receiveFile(handle, fd, silences);
    say("hashed-again", { sha256: hashOf(fd), route: silences.route, silences_ns: silences.ns, epochs: handle.epochs });
  } finally {
    closeSync(fd);
  }
  await handle.closed;
  const { code } = await handle.close();
  await listener.close();
  const { messagesReceived, messagesSent } = handle.stats();
  say("done", { received: messagesReceived, sent: messagesSent, reason: code });
}

async function receiveFile(handle: Handle, fd: number, silences?: Silences): Promise<void> {
  const first = await handle.receive({ timeoutMs: WAIT_MS });
  if (first?.byteLength !== 8) throw new Error("the sender did not say how much it sends");
  const size = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  let messages = 1;
  let got = 0;
  while (got < size) {
    const buffers = handle.getReadBuf();
    if (buffers.length === 0 && !await handle.waitReadable({ timeoutMs: WAIT_MS })) throw new Error("the sender went away");
    if (buffers.length !== 0) silences?.note(nowNs());
    for (const buffer of buffers) {
      for (let done = 0; done < buffer.size;) done += writeSync(fd, buffer.bytes, done, buffer.size - done, got + done);
      got += buffer.size;
      if (buffer.last) messages++;
      buffer.release();
    }
  }
  await handle.send("taken");
  handle.flush();
  say("written", { bytes: got, messages });
}

async function answerMany(handle: Handle, requests: number): Promise<void> {
  const reader = handle.reader();
  const writer = handle.writer();
  for (let n = 0; n < requests; n++) {
    while (!reader.next()) if (!await reader.wait({ timeoutMs: WAIT_MS })) throw new Error("the sender went away");
    let at = writer.reserve(REQUEST_BYTES);
    while (at < 0 && await writer.wait({ timeoutMs: WAIT_MS })) at = writer.reserve(REQUEST_BYTES);
    writer.bytes.set(reader.bytes.subarray(reader.offset, reader.offset + REQUEST_BYTES), at);
    writer.view.setUint32(at, (reader.view.getUint32(reader.offset, true) ^ 0x5a5a5a5a) >>> 0, true);
    writer.commit(REQUEST_BYTES);
    writer.flush();
  }
}

/** The whole file, read again from the beginning. */
function hashOf(fd: number): string {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0;;) {
    const count = readSync(fd, chunk, 0, CHUNK_BYTES, at);
    if (count === 0) return hash.digest("hex");
    hash.update(chunk.subarray(0, count));
    at += count;
  }
}
