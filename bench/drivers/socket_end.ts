/**
 * What a user would pick today: the runtime's own Unix socket, with the same workloads and the same program shape as channel_end.ts.
 *
 *     socket_end.ts first|second busy|asleep|stream SOCKET_PATH '{"sizeBytes":64,…}'
 *
 * Messages have a fixed size that both ends know, so the stream needs no framing: the cheapest honest protocol. `batch` messages go into one
 * write: 1 is what a program does that writes each message, more is what a careful one does by hand.
 */
import { type Settings, settingsOf, type Side, latencyOf, throughputOf, verify } from "./settings.ts";
import { loadNative } from "../../src/native/load.ts";
import { openSocket, type Socket } from "./sockets.ts";

const WARM_UP = 0.1;
const native = loadNative();
const [as, workload, path, json = "{}"] = (globalThis as { process?: { argv: string[] } }).process?.argv.slice(2) ?? [];
const settings = settingsOf(json);
if (settings.core >= 0) native.library.pin(settings.core);
const socket = await openSocket(as as Side, path, () => console.log("listening"));
const result = workload === "stream" ? await stream(as as Side, socket, settings) : await roundTrips(as as Side, socket, settings, workload === "asleep" ? 3 : 0);
socket.close();
if (result !== undefined) console.log(JSON.stringify(result));

async function roundTrips(side: Side, end: Socket, with_: Settings, pauseMs: number): Promise<object | undefined> {
  const message = new Uint8Array(with_.sizeBytes);
  const words = new Int32Array(message.buffer);
  if (side === "second") {
    while (await end.readExactly(message)) end.write(message);
    return undefined;
  }
  const answer = new Uint8Array(with_.sizeBytes);
  const answered = new Int32Array(answer.buffer);
  const skipped = Math.ceil(with_.messages * WARM_UP);
  const times = new Float64Array(with_.messages);
  for (let i = -skipped; i < with_.messages; i++) {
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    words[0] = i;
    const began = now();
    end.write(message);
    verify(await end.readExactly(answer) && answered[0] === i, i);
    if (i >= 0) times[i] = now() - began;
  }
  return latencyOf(times);
}

async function stream(side: Side, end: Socket, with_: Settings): Promise<object | undefined> {
  const { sizeBytes, messages, batch } = with_;
  if (side === "first") {
    const chunks = [new Int32Array(batch * sizeBytes / 4), new Int32Array(batch * sizeBytes / 4)];
    for (let sent = 0, turn = 0; sent < messages; turn ^= 1) {
      const count = Math.min(batch, messages - sent);
      const words = chunks[turn];
      for (let i = 0; i < count; i++) fill(words, i * sizeBytes >> 2, sizeBytes, sent + i + 1);
      await end.writeAll(new Uint8Array(words.buffer, 0, count * sizeBytes));
      sent += count;
    }
    const answer = new Uint8Array(8);
    await end.readExactly(answer);
    return throughputOf(messages - warm(messages), sizeBytes, new Float64Array(answer.buffer)[0]);
  }
  const counted = warm(messages);
  let began = 0;
  let received = 0;
  const message = new Uint8Array(sizeBytes);
  const words = new Int32Array(message.buffer);
  await end.eachMessage(message, messages, () => {
    received++;
    if (received === counted) began = now();
    verify(check(words, sizeBytes, received), received);
  });
  const seconds = new Float64Array([(now() - began) / 1e9]);
  await end.writeAll(new Uint8Array(seconds.buffer));
  return undefined;
}

function fill(words: Int32Array, at: number, sizeBytes: number, sequence: number): void {
  for (let word = at; word < at + (sizeBytes >> 2); word += 16) words[word] = sequence;
}

function check(words: Int32Array, sizeBytes: number, sequence: number): boolean {
  let wrong = 0;
  for (let word = 0; word < sizeBytes >> 2; word += 16) wrong |= words[word] ^ sequence;
  return wrong === 0;
}

function warm(messages: number): number {
  return Math.max(1, Math.ceil(messages * WARM_UP));
}

function now(): number {
  return Number(native.library.now_ns());
}
