/** Streams over a FABLE channel: the friendly form, cursors, and large messages in place. */
import type { Native } from "../../src/native/native.ts";
import type { Reader, Writer } from "../../src/xio/cursor.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { nowNs } from "./clock.ts";
import { type Job, type StreamResult, WORD_BYTES, WORDS_PER_LINE } from "./job.ts";
import { fill, isFilled, isNumbered, type Memory, memoryOf, messageMemory } from "./payload.ts";
import { streamRuns } from "./stream.ts";

export async function writeStream(native: Native, handle: Handle, job: Job): Promise<StreamResult> {
  return streamRuns(job, {
    now: () => nowNs(native),
    announce: (messages) => control(handle, job, messages, 0),
    write: writerOf(handle, job),
    async answer() {
      const message = await handle.receive();
      if (message === undefined) throw new Error("the reader went away");
      const [endNs = 0, wrong = 1] = new Float64Array(message.buffer, message.byteOffset, 2);
      return { endNs, wrong };
    },
  });
}

export async function readStream(native: Native, handle: Handle, job: Job): Promise<void> {
  const read = readerOf(handle, job);
  for (;;) {
    const message = await handle.receive();
    if (message === undefined) throw new Error("the writer went away");
    const [messages = 0] = new Float64Array(message.buffer, message.byteOffset, 1);
    if (messages === 0) return;
    const wrong = await read(messages);
    await control(handle, job, nowNs(native), wrong);
  }
}

async function control(handle: Handle, job: Job, first: number, second: number): Promise<void> {
  const words = new Float64Array(Math.max(2, Math.ceil(job.sizeBytes / WORD_BYTES)));
  words[0] = first;
  words[1] = second;
  await handle.send(new Uint8Array(words.buffer));
}

function writerOf(handle: Handle, job: Job): (messages: number, first: number) => Promise<void> {
  if (job.workload === "friendly") return (messages, first) => sendAll(handle, job, messages, first);
  const writer = handle.writer();
  const memory = memoryOf(writer.bytes.buffer);
  const stamp = job.workload === "zero-copy" ? stampLines : fill;
  return (messages, first) => layOut(writer, memory, job, stamp, messages, first);
}

function readerOf(handle: Handle, job: Job): (messages: number) => Promise<number> {
  if (job.workload === "friendly") return (messages) => receiveAll(handle, job, messages);
  const check = job.workload === "zero-copy" ? checkLines : CHECKS[job.check];
  return (messages) => walk(handle.reader(), job, check, messages);
}

// ---- friendly ----

async function sendAll(handle: Handle, job: Job, messages: number, first: number): Promise<void> {
  const { words, bytes } = messageMemory(job.sizeBytes);
  const message = bytes.subarray(0, job.sizeBytes);
  for (let sequence = first; sequence < first + messages; sequence++) {
    words[0] = sequence;
    const pending = handle.send(message);
    if (pending !== undefined) await pending;
  }
}

async function receiveAll(handle: Handle, job: Job, messages: number): Promise<number> {
  // a private copy of each message: its first word, byte by byte, without an object per message
  const words = new Float64Array(1);
  const bytes = new Uint8Array(words.buffer);
  let wrong = 0;
  let sequence = 0;
  for await (const message of handle) {
    for (let i = 0; i < WORD_BYTES; i++) bytes[i] = message[i]!;
    if (words[0] !== sequence || message.length !== job.sizeBytes) wrong++;
    if (++sequence === messages) break;
  }
  return wrong;
}

// ---- cursors ----

type Stamp = (memory: Memory, at: number, size: number, sequence: number) => void;
type Check = (memory: Memory, at: number, size: number, sequence: number) => boolean;

const CHECKS: Readonly<Record<Job["check"], Check>> = {
  full: isFilled,
  plain: isNumbered,
  sequence: ({ words }, at, _size, sequence) => words[at / WORD_BYTES] === sequence,
};

const stampLines: Stamp = ({ words }, at, size, sequence) => {
  const end = (at + size) / WORD_BYTES;
  const step = WORDS_PER_LINE;
  for (let i = at / WORD_BYTES; i < end; i += step) words[i] = sequence;
};

const checkLines: Check = ({ words }, at, size, sequence) => {
  const end = (at + size) / WORD_BYTES;
  const step = WORDS_PER_LINE;
  let wrong = 0;
  for (let i = at / WORD_BYTES; i < end; i += step) if (words[i] !== sequence) wrong++;
  return wrong === 0;
};

async function layOut(writer: Writer, memory: Memory, job: Job, stamp: Stamp, messages: number, first: number): Promise<void> {
  const end = first + messages;
  let sequence = first;
  for (;;) {
    sequence = layOutSome(writer, memory, job, stamp, sequence, end);
    if (sequence === end) return;
    await writer.wait();
  }
}

/** As many as there is room for; the sequence of the next one. A function of its own, because V8 compiles loops in async ones badly. */
function layOutSome(writer: Writer, memory: Memory, job: Job, stamp: Stamp, first: number, end: number): number {
  const { sizeBytes, batch } = job;
  let inBatch = 0;
  let sequence = first;
  for (; sequence < end; sequence++) {
    const at = writer.reserve(sizeBytes);
    if (at < 0) break;
    stamp(memory, at, sizeBytes, sequence);
    writer.commit(sizeBytes);
    if (++inBatch === batch) {
      writer.flush();
      inBatch = 0;
    }
  }
  writer.flush();
  return sequence;
}

async function walk(reader: Reader, job: Job, check: Check, messages: number): Promise<number> {
  const tally: Tally = { sequence: 0, wrong: 0 };
  for (;;) {
    walkSome(reader, job, check, messages, tally);
    if (tally.sequence === messages) return tally.wrong;
    if (!await reader.wait()) throw new Error("the writer went away");
  }
}

interface Tally {
  sequence: number;
  wrong: number;
}

/** As many as there are. */
function walkSome(reader: Reader, job: Job, check: Check, messages: number, tally: Tally): void {
  const { sizeBytes } = job;
  let mapped = reader.bytes;
  let memory = memoryOf(mapped.buffer);
  let { sequence, wrong } = tally;
  for (; sequence < messages && reader.next(); sequence++) {
    if (reader.bytes !== mapped) {
      mapped = reader.bytes;
      memory = memoryOf(mapped.buffer);
    }
    if (reader.length !== sizeBytes || !check(memory, reader.offset, sizeBytes, sequence)) wrong++;
  }
  tally.sequence = sequence;
  tally.wrong = wrong;
}
