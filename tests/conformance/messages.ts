/** Conformance: messages arrive once, in order, with their boundaries, intact, in every form of writing and reading. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY, ENDED, ENOSPACE, type Handle, isFableError } from "../../mod.ts";
import { anySize, patterned, randomFrom, type WithPair } from "./matrix.ts";

type Random = (below: number) => number;

/** Sends one message in a form chosen at random. */
async function sendAnyhow(handle: Handle, message: Uint8Array, random: Random): Promise<void> {
  switch (random(5)) {
    case 0: {
      const buffers = handle.getWriteBuf(message.length);
      if (buffers === ENOSPACE) break;
      let from = 0;
      for (const buffer of buffers) buffer.bytes.set(message.subarray(from, from += buffer.size));
      assert.ok(handle.commit(buffers, message.length));
      return;
    }
    case 1: {
      const writer = handle.writer();
      if (message.length > writer.maxBytes) break;
      let at = writer.reserve(message.length);
      while (at < 0) {
        assert.ok(await writer.wait());
        at = writer.reserve(message.length);
      }
      writer.bytes.set(message, at);
      writer.commit(message.length);
      if (random(3) === 0) writer.flush();
      return;
    }
    case 2:
      if (handle.trySend(message)) return;
      break;
    case 3: {
      const writer = handle.writer();
      if (message.length > writer.maxBytes) break;
      while (!writer.post(message)) assert.ok(await writer.wait());
      return;
    }
  }
  await handle.send(message);
}

/** Receives some messages in a form chosen at random; the end answers undefined. */
async function receiveAnyhow(handle: Handle, random: Random): Promise<readonly Uint8Array[] | undefined> {
  switch (random(6)) {
    case 0: {
      const reader = handle.reader();
      if (!await reader.wait()) return undefined;
      const messages: Uint8Array[] = [];
      while (reader.next()) messages.push(reader.bytes.slice(reader.offset, reader.offset + reader.length));
      return messages;
    }
    case 1:
      return receiveBuffers(handle, random);
    case 2: {
      const message = handle.tryReceive();
      return message === undefined ? [] : [message];
    }
    case 3:
      for await (const message of handle) return [message];
      return undefined;
    case 4: {
      const into = new Uint8Array(70_000);
      const size = handle.reader().take(into);
      return size < 0 ? [] : [into.slice(0, size)];
    }
  }
  const message = await handle.receive();
  return message === undefined ? undefined : [message];
}

async function receiveBuffers(handle: Handle, random: Random): Promise<readonly Uint8Array[] | undefined> {
  if (!await handle.waitReadable()) return undefined;
  const buffers = handle.getReadBuf(1 + random(8));
  if (buffers === ENDED) return undefined;
  const messages: Uint8Array[] = [];
  let pieces: number[] = [];
  for (const buffer of buffers) {
    pieces.push(...buffer.bytes);
    if (buffer.last) {
      messages.push(new Uint8Array(pieces));
      pieces = [];
    }
  }
  assert.equal(pieces.length, 0, "whole messages only");
  handle.release([...buffers].sort(() => random(3) - 1));
  return messages;
}

export function messageTests(withPair: WithPair): void {
  test("every form of writing, every form of reading, both ways at once", async () => {
    await withPair({}, async (left, right) => {
      const total = 1200;
      const send = async (handle: Handle, random: Random): Promise<void> => {
        for (let number = 0; number < total; number++) await sendAnyhow(handle, patterned(number, anySize(random, 60_000)), random);
        await handle.closeWrite();
      };
      const receive = async (handle: Handle, random: Random, sizes: Random): Promise<void> => {
        let number = 0;
        for (;;) {
          const messages = await receiveAnyhow(handle, random);
          if (messages === undefined) break;
          for (const message of messages) {
            assert.deepEqual(message, patterned(number, message.length), `message ${number}`);
            number++;
          }
        }
        void sizes;
        assert.equal(number, total);
        assert.ok(handle.ended);
        assert.equal(handle.getReadBuf(), ENDED);
      };
      await Promise.all([
        send(left, randomFrom(1)),
        send(right, randomFrom(2)),
        receive(left, randomFrom(3), randomFrom(2)),
        receive(right, randomFrom(4), randomFrom(1)),
      ]);
    });
  });

  test("boundaries: sizes at every limit, the empty message too", async () => {
    await withPair({ ringBytes: 8192 }, async (left, right) => {
      const sizes = [0, 1, 7, 8, 9, 48, 55, 56, 57, 63, 64, 65, 1023, 1024, 2047, 2048, 2049, 4096, 8192, 8193, 20_000, 0];
      const sending = (async () => {
        for (const [number, size] of sizes.entries()) await left.send(patterned(number, size));
      })();
      for (const [number, size] of sizes.entries()) assert.deepEqual(await right.receive(), patterned(number, size), `${size} bytes`);
      await sending;
    });
  });

  test("a message of 3 MiB crosses a ring of 4 KiB", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const message = patterned(5, 3 << 20);
      const sent = left.send(message);
      assert.deepEqual(await right.receive(), message);
      await sent;
      right.send("and back");
      assert.equal(new TextDecoder().decode(await left.receive()), "and back");
    });
  });

  test("too long is refused before anything is sent; both ends' limits count", async () => {
    await withPair({ maxMessageBytes: 1000 }, async (left, right) => {
      const long = new Uint8Array(1001);
      for (
        const attempt of [() => left.send(long), () => left.trySend(long), () => left.getWriteBuf(1001), () => left.writer().reserve(1001)]
      ) {
        assert.throws(attempt, (error) => isFableError(error, "TOO_LARGE"));
      }
      await left.send(patterned(1, 1000));
      assert.deepEqual(await right.receive(), patterned(1, 1000));
    });
  });

  test("strings travel as UTF-8", async () => {
    await withPair({}, async (left, right) => {
      left.send("grüße, 世界");
      assert.equal(new TextDecoder().decode(await right.receive()), "grüße, 世界");
    });
  });

  test("received messages are private: what comes later does not change them", async () => {
    await withPair({ ringBytes: 4096 }, async (left, right) => {
      const kept: Uint8Array[] = [];
      for (let number = 0; number < 500; number++) {
        await left.send(patterned(number, 40));
        kept.push((await right.receive())!);
      }
      for (const [number, message] of kept.entries()) assert.deepEqual(message, patterned(number, 40));
    });
  });

  test("messages become visible at the end of the turn at the latest, or by flush", async () => {
    await withPair({}, async (left, right) => {
      const send = (): void => {
        for (let number = 0; number < 3; number++) left.send(patterned(number, 10));
      };
      const count = (): number => {
        let found = 0;
        while (right.tryReceive() !== undefined) found++;
        return found;
      };
      send();
      let found = count();
      assert.ok(found < 3, "a turn's messages go in batches");
      await Promise.resolve();
      found += count();
      assert.equal(found, 3);
      send();
      left.flush();
      assert.equal(count(), 3);
      assert.equal(right.getReadBuf(), EMPTY);
    });
  });

  test("a lone message is visible at once, so that nobody waits for the turn to end", async () => {
    await withPair({}, async (left, right) => {
      for (let round = 0; round < 3; round++) {
        left.send("question");
        assert.ok(right.tryReceive());
        await Promise.resolve();
      }
    });
  });

  test("streams: chunks are messages, closing is a half-close", async () => {
    await withPair({}, async (left, right) => {
      const source = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let number = 0; number < 200; number++) controller.enqueue(patterned(number, number * 3));
          controller.close();
        },
      });
      const piped = source.pipeTo(left.writable);
      let number = 0;
      for await (const chunk of right.readable) assert.deepEqual(chunk, patterned(number, number++ * 3));
      await piped;
      assert.equal(number, 200);
    });
  });

  test("counts: sent, delivered and received agree on both sides", async () => {
    await withPair({}, async (left, right) => {
      let bytes = 0;
      for (let number = 0; number < 300; number++) {
        const message = patterned(number, number % 90);
        bytes += message.length;
        await left.send(message);
        await right.receive();
      }
      const sent = left.stats();
      const received = right.stats();
      assert.deepEqual([sent.messagesSent, sent.bytesSent], [300, bytes]);
      assert.deepEqual([sent.messagesDelivered, sent.bytesDelivered], [300, bytes]);
      assert.deepEqual([received.messagesReceived, received.bytesReceived], [300, bytes]);
    });
  });
}
