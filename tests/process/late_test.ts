/**
 * TCP keeps a small rest back until all before it is acknowledged, and an acknowledgement may come 40 ms late. No message waits for that, neither
 * of an end that waits for an answer nor of one that goes on to something else. Single rounds may be slow for other reasons; most are not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { channelPair, type Handle } from "../../mod.ts";

const LATE_MS = 35;
const SIZE_BYTES = 4096;

/** How many rounds took as long as a late acknowledgement. */
async function lateRounds(rounds: number, round: (asker: Handle, answerer: Handle) => Promise<number>): Promise<number> {
  const [asker, answerer] = channelPair();
  await asker.reconfigure("tcp");
  let late = 0;
  for (let n = 0; n < rounds; n++) if (await round(asker, answerer) > LATE_MS) late++;
  await Promise.all([asker.close(), answerer.close()]);
  return late;
}

async function burst(from: Handle, to: Handle, messages: number, sizeBytes: number): Promise<void> {
  const message = new Uint8Array(sizeBytes);
  const reading = (async () => {
    for (let n = 0; n < messages; n++) await to.receive();
  })();
  for (let n = 0; n < messages; n++) {
    const pending = from.send(message);
    if (pending !== undefined) await pending;
    if (n % 64 === 63) await undefined;
  }
  await reading;
}

test("questions after a stream are not kept back", async () => {
  const late = await lateRounds(8, async (asker, answerer) => {
    await burst(asker, answerer, 1000, SIZE_BYTES);
    let longest = 0;
    for (let n = 0; n < 10; n++) {
      const began = performance.now();
      const answered = answerer.receive().then((question) => answerer.send(question ?? new Uint8Array(0)));
      await asker.send(new Uint8Array(SIZE_BYTES));
      await asker.receive();
      await answered;
      longest = Math.max(longest, performance.now() - began);
    }
    return longest;
  });
  assert.ok(late < 4, `${late} of 8`);
});

test("the end of a burst is not kept back", async () => {
  const late = await lateRounds(50, async (writer, reader) => {
    const began = performance.now();
    await burst(writer, reader, 1000, 64);
    return performance.now() - began;
  });
  assert.ok(late < 5, `${late} of 50`);
});
