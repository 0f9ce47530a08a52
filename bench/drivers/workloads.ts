/** The workloads of channel ends. In each, "first" begins and measures; "second" answers. */
import type { Native } from "../../src/native/native.ts";
import type { Reader, Writer } from "../../src/xio/cursor.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { latencyOf, type LatencyResult, type Settings, type Side, type ThroughputResult, throughputOf, verify } from "./settings.ts";

type Result = LatencyResult | ThroughputResult;
type Workload = (handle: Handle, settings: Settings, native: Native) => Promise<Result | undefined>;

const LINE_WORDS = 16;
const WARM_UP = 0.1;

/** Round trips too short for the clock are timed in groups of this many. */
const GROUP = 16;

/** Both ends look all the time, through cursors. */
const spin: Record<Side, Workload> = {
  first(handle, settings, native) {
    const { writer, reader } = cursors(handle);
    const groups = Math.ceil(settings.messages / GROUP);
    const skipped = Math.ceil(groups * WARM_UP);
    const times = new Float64Array(groups);
    let sequence = 0;
    for (let i = -skipped; i < groups; i++) {
      const began = now(native);
      for (let j = 0; j < GROUP; j++) {
        ++sequence;
        post(writer, settings.sizeBytes, sequence);
        while (!reader.next());
        verify(sequenceOf(reader) === (sequence | 0), sequence);
      }
      if (i >= 0) times[i] = (now(native) - began) / GROUP;
    }
    post(writer, settings.sizeBytes, -1);
    return Promise.resolve(latencyOf(times));
  },
  second(handle, settings) {
    const { writer, reader } = cursors(handle);
    for (;;) {
      while (!reader.next()) if (reader.ended) return Promise.resolve(undefined);
      const sequence = sequenceOf(reader);
      if (sequence === -1) return Promise.resolve(undefined);
      post(writer, settings.sizeBytes, sequence);
    }
  },
};

/** Both ends await in the event loop, and are busy with nothing else. */
const busy: Record<Side, Workload> = {
  first: (handle, settings, native) => roundTrips(handle, settings, native, 0),
  second: echo,
};

/** The same, with pauses that let both ends fall asleep. */
const asleep: Record<Side, Workload> = {
  first: (handle, settings, native) => roundTrips(handle, settings, native, 3),
  second: echo,
};

async function roundTrips(handle: Handle, settings: Settings, native: Native, pauseMs: number): Promise<Result> {
  const message = new Uint8Array(settings.sizeBytes);
  const words = new Int32Array(message.buffer);
  const skipped = Math.ceil(settings.messages * WARM_UP);
  const times = new Float64Array(settings.messages);
  for (let i = -skipped; i < settings.messages; i++) {
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    words[0] = i;
    const began = now(native);
    handle.send(message);
    const answer = await handle.receive();
    if (i >= 0) times[i] = now(native) - began;
    verify(answer !== undefined && answer.length === message.length && (answer[0] | answer[1] << 8 | answer[2] << 16 | answer[3] << 24) === i, i);
  }
  return latencyOf(times);
}

async function echo(handle: Handle): Promise<undefined> {
  for await (const message of handle) handle.send(message);
}

/** `send` against `for await`: what most programs write. */
const friendly: Record<Side, Workload> = {
  async first(handle, settings) {
    const message = new Uint8Array(settings.sizeBytes);
    const words = new Int32Array(message.buffer);
    for (let i = 1; i <= settings.messages; i++) {
      fill(words, 0, settings.sizeBytes, i);
      const waiting = handle.send(message);
      if (waiting !== undefined) await waiting;
    }
    await handle.closeWrite();
    return await reported(handle);
  },
  async second(handle, settings, native) {
    let sequence = 0;
    let began = 0;
    const counted = warm(settings.messages);
    for await (const message of handle) {
      sequence++;
      verify(message.length === settings.sizeBytes && checkBytes(message, sequence), sequence);
      if (sequence === counted) began = now(native);
    }
    report(handle, settings, sequence, now(native) - began);
    return undefined;
  },
};

/** Cursors, published in batches, the payload copied in and checked a word per line. */
const cursor: Record<Side, Workload> = {
  async first(handle, settings) {
    const { writer } = cursors(handle);
    const payload = new Uint8Array(settings.sizeBytes);
    const memory = writer.bytes;
    const words = new Int32Array(memory.buffer);
    const small = settings.sizeBytes <= 256;
    for (let i = 1; i <= settings.messages; i++) {
      let at = writer.reserve(settings.sizeBytes);
      while (at < 0) {
        writer.flush();
        at = writer.reserve(settings.sizeBytes);
      }
      if (!small) memory.set(payload, at);
      fill(words, at >> 2, settings.sizeBytes, i);
      writer.commit(settings.sizeBytes);
      if (i % settings.batch === 0) writer.flush();
    }
    writer.flush();
    await handle.closeWrite();
    return await reported(handle);
  },
  second(handle, settings, native) {
    const { reader } = cursors(handle);
    const words = new Int32Array(reader.bytes.buffer);
    let sequence = 0;
    let began = 0;
    const counted = warm(settings.messages);
    for (;;) {
      while (reader.next()) {
        sequence++;
        verify(reader.length === settings.sizeBytes && check(words, reader.offset >> 2, settings.sizeBytes, sequence), sequence);
        if (sequence === counted) began = now(native);
      }
      if (reader.ended) break;
    }
    report(handle, settings, sequence, now(native) - began);
    return Promise.resolve(undefined);
  },
};

export const workloads: Readonly<Record<string, Record<Side, Workload>>> = { spin, busy, asleep, friendly, cursor };

// ---- pieces ----

function cursors(handle: Handle): { readonly writer: Writer; readonly reader: Reader } {
  return { writer: handle.writer(), reader: handle.reader() };
}

function post(writer: Writer, sizeBytes: number, sequence: number): void {
  const at = writer.reserve(sizeBytes);
  if (at < 0) throw new Error("a ring with one message in flight cannot be full");
  writer.view.setInt32(at, sequence, true);
  writer.commit(sizeBytes);
  writer.flush();
}

function sequenceOf(reader: Reader): number {
  return reader.view.getInt32(reader.offset, true);
}

function now(native: Native): number {
  return Number(native.library.now_ns());
}

/** Messages before the clock starts. */
function warm(messages: number): number {
  return Math.max(1, Math.ceil(messages * WARM_UP));
}

function fill(words: Int32Array, at: number, sizeBytes: number, sequence: number): void {
  const end = at + (sizeBytes >> 2);
  for (let word = at; word < end; word += LINE_WORDS) words[word] = sequence;
}

function check(words: Int32Array, at: number, sizeBytes: number, sequence: number): boolean {
  const end = at + (sizeBytes >> 2);
  let wrong = 0;
  for (let word = at; word < end; word += LINE_WORDS) wrong |= words[word] ^ sequence;
  return wrong === 0;
}

function checkBytes(message: Uint8Array, sequence: number): boolean {
  let wrong = 0;
  for (let at = 0; at < message.length; at += LINE_WORDS * 4) {
    wrong |= (message[at] | message[at + 1] << 8 | message[at + 2] << 16 | message[at + 3] << 24) ^ sequence;
  }
  return wrong === 0;
}

/** The receiver measured; it tells the sender, who prints. */
function report(handle: Handle, settings: Settings, messages: number, elapsedNs: number): void {
  verify(messages === settings.messages, messages);
  handle.send(JSON.stringify(throughputOf(messages - warm(settings.messages), settings.sizeBytes, elapsedNs / 1e9)));
}

async function reported(handle: Handle): Promise<Result> {
  const answer = await handle.receive();
  if (answer === undefined) throw new Error("the receiver ended without a figure");
  return JSON.parse(new TextDecoder().decode(answer)) as Result;
}
