/** Corners of the two halves of a handle: what must not hang, must not be lost, and must be refused by name. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CHANNEL_OPTIONS_HANDLE, PEER_CONTROL_FD, PEER_PID_FD, RECORD_MESSAGE, TABLE_FULL } from "../../src/native/generated.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Native } from "../../src/native/native.ts";
import { CONNECTION, type Handle } from "../../src/xio/handle.ts";
import { channelPair, pairOn, type PairOptions } from "../../src/xio/pair.ts";

const ASLEEP_MS = 60;
const DEADLINE_MS = 5_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The answer, or a failure that says what hangs. */
async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => timer = setTimeout(() => reject(new Error(`still waiting for ${what}`)), DEADLINE_MS));
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function withPair(options: PairOptions, act: (left: Handle, right: Handle) => Promise<void>): Promise<void> {
  const [left, right] = channelPair(options);
  try {
    await act(left, right);
  } finally {
    await Promise.all([left.close({ drainDeadlineMs: 0 }), right.close({ drainDeadlineMs: 0 })]);
  }
}

function fill(handle: Handle, message: Uint8Array): number {
  let sent = 0;
  while (handle.trySend(message)) sent++;
  handle.flush();
  return sent;
}

async function code(action: () => unknown): Promise<unknown> {
  try {
    await action();
    return "taken";
  } catch (error) {
    return (error as { readonly code?: unknown }).code ?? error;
  }
}

describe("a kernel transport goes on", () => {
  test("when held buffers come back while the reader sleeps", () =>
    withPair({ transport: "unix", ringBytes: 4096 }, async (left, right) => {
      // What the reader has received makes room here, so more follows until its memory is full as well.
      let sent = 0;
      const held = [];
      for (let quiet = 0; quiet < 5; await pause(1)) {
        sent += fill(left, new Uint8Array(500));
        const lent = right.getReadBuf();
        held.push(...lent);
        quiet = lent.length === 0 ? quiet + 1 : 0;
      }
      assert.ok(held.length < sent, "the reader's memory is full, the rest is in the socket");
      const readable = right.waitReadable();
      await pause(ASLEEP_MS);
      for (const buffer of held) buffer.release();
      assert.equal(await soon(readable, "what lies in the socket"), true);
    }));

  for (const ending of ["in vain", "successfully"]) {
    test(`after somebody waited for room ${ending}`, () =>
      withPair({ transport: "unix" }, async (left, right) => {
        const sent = fill(left, new Uint8Array(1000));
        const waiting = left.waitWritable({ timeoutMs: ending === "in vain" ? 20 : DEADLINE_MS });
        let got = 0;
        if (ending === "in vain") assert.equal(await code(() => waiting), "TIMEOUT");
        else {
          await pause(20);
          while (right.tryReceive() !== undefined) got++;
          await waiting;
        }
        for (; got < sent; got++) await soon(right.receive(), `message ${got} of ${sent}`);
      }));
  }

  test("without a timer once nobody is left to send to", () =>
    withPair({ transport: "unix" }, async (left, right) => {
      const sent = fill(left, new Uint8Array(1000));
      assert.ok(sent > 0);
      right.send("unread, so that the channel stays");
      await left.closeWrite();
      await right.close({ drainDeadlineMs: 0 });
      await soon(left.closed, "the end");
      const { channel } = left[CONNECTION];
      const { library } = channel.native;
      let pumped = 0;
      const counting = { ...library, pump: (handle: number) => (pumped++, library.pump(handle)) };
      Object.assign(channel.native, { library: counting });
      await pause(ASLEEP_MS);
      Object.assign(channel.native, { library });
      assert.ok(pumped <= 1, `pumped ${pumped} times`);
    }));
});

describe("a message longer than a record", () => {
  const long = new Uint8Array(100_000);

  test("over the limit is refused", () =>
    withPair({ maxMessageBytes: 50_000 }, async (left, right) => {
      assert.equal(await code(() => left.send(long)), "TOO_LARGE");
      left.send("short");
      assert.equal((await soon(right.receive(), "a message"))?.length, 5);
    }));

  test("after the half-close is refused", () =>
    withPair({}, async (left) => {
      await left.closeWrite();
      assert.equal(await soon(code(() => left.send(long)), "an answer"), "CLOSED");
    }));

  test("after the end is refused", () =>
    withPair({}, async (left, right) => {
      await right.close();
      await soon(left.closed, "the end");
      assert.equal(await soon(code(() => left.send(long)), "an answer"), "PEER_CLOSED");
    }));

  test("under way when its sender closes is discarded, and no fault", () =>
    withPair({}, async (left, right) => {
      left.send("before");
      const sending = code(() => left.send(new Uint8Array(1 << 20)));
      await pause(1);
      await left.close({ drainDeadlineMs: 5 });
      assert.equal(await sending, "CLOSED");
      assert.equal((await soon(right.receive(), "a message"))?.length, 6);
      assert.equal(await soon(right.receive(), "the end"), undefined);
      assert.equal((await soon(right.closed, "the reason")).code, "PEER_CLOSED");
    }));

  test("counts as delivered once received", () =>
    withPair({}, async (left, right) => {
      const sent = left.send(long);
      assert.equal((await soon(right.receive(), "the message"))?.length, long.length);
      await sent;
      const reason = await soon(left.close({ drainDeadlineMs: DEADLINE_MS * 2 }), "the close");
      assert.equal(reason.delivered, 1);
    }));
});

describe("sending", () => {
  test("with an aborted signal rejects with ABORTED, also for want of room", () =>
    withPair({}, async (left) => {
      fill(left, new Uint8Array(1000));
      assert.equal(await code(() => left.send(new Uint8Array(1000), { signal: AbortSignal.abort() })), "ABORTED");
      assert.equal(await code(() => left.send(new Uint8Array(100_000), { signal: AbortSignal.abort() })), "ABORTED");
    }));

  test("says what ended the channel as soon as it is refused", () =>
    withPair({}, async (left, right) => {
      void right.close({ drainDeadlineMs: 0 });
      await pause(5);
      assert.equal(await code(() => fill(left, new Uint8Array(1000))), "PEER_CLOSED");
    }));

  test("what waits for room when the deadline of close() passes is rejected, not taken", () =>
    withPair({}, async (left, right) => {
      const sent = fill(left, new Uint8Array(1000));
      const waiting = code(() => left.send(new Uint8Array(1000)));
      const closing = left.close({ drainDeadlineMs: 30 });
      await pause(35);
      let got = 0;
      while (right.tryReceive() !== undefined) got++;
      assert.equal(await soon(waiting, "the send"), "CLOSED");
      await closing;
      assert.equal(got, sent);
    }));

  test("half-closing ends waits for room", () =>
    withPair({}, async (left) => {
      fill(left, new Uint8Array(1000));
      const waiting = left.waitWritable();
      await pause(ASLEEP_MS);
      await left.closeWrite();
      assert.equal(await soon(waiting, "the end of the wait"), false);
    }));
});

describe("write buffers", () => {
  test("of impossible sizes are refused", () =>
    withPair({}, async (left, right) => {
      for (const size of [-100, Number.NaN, 10.5]) assert.equal(await code(() => left.getWriteBuf(size)), "BAD_ARGUMENT");
      left.send("intact");
      assert.equal((await soon(right.receive(), "a message"))?.length, 6);
    }));

  test("of others that find no room together leave nothing open", () =>
    withPair({ ringBytes: 4096 }, async (left, right) => {
      const [source] = channelPair({ ringBytes: 65536 });
      const long = source.getWriteBuf(10_000);
      const short = source.getWriteBuf(100);
      assert.equal(left.commit([...long, ...short]), false);
      await soon(Promise.resolve(left.send("goes on")), "the send");
      assert.equal((await soon(right.receive(), "a message"))?.length, 7);
      await source.close({ drainDeadlineMs: 0 });
    }));

  test("of others of which one is too large leave nothing open", () =>
    withPair({ maxMessageBytes: 1000 }, async (left, right) => {
      const [source] = channelPair();
      const buffers = [...source.getWriteBuf(100), ...source.getWriteBuf(2000)];
      assert.equal(await code(() => left.commit(buffers)), "TOO_LARGE");
      left.send("goes on");
      assert.equal((await soon(right.receive(), "a message"))?.length, 7);
      await source.close({ drainDeadlineMs: 0 });
    }));
});

describe("a cursor", () => {
  test("commits what it reserved, once, and nothing else", () =>
    withPair({}, async (left, right) => {
      const writer = left.writer();
      assert.equal(await code(() => writer.commit(0)), "SPENT_BUFFER");
      assert.ok(writer.reserve(16) >= 0);
      for (const size of [17, -1, Number.NaN]) assert.equal(await code(() => writer.commit(size)), "BAD_ARGUMENT");
      writer.commit(16);
      assert.equal(await code(() => writer.commit(16)), "SPENT_BUFFER");
      assert.ok(writer.reserve(24) >= 0);
      left.send("between");
      assert.equal(await code(() => writer.commit(24)), "SPENT_BUFFER");
      assert.ok(writer.reserve(32) >= 0);
      assert.equal(await left.waitWritable(), true);
      writer.commit(32);
      left.flush();
      for (const size of [16, 7, 32]) assert.equal((await soon(right.receive(), "a message"))?.length, size);
      assert.equal(right.tryReceive(), undefined);
    }));

  test("keeps its message when the peer goes", () =>
    withPair({}, async (left, right) => {
      left.send("first");
      left.send("second");
      left.flush();
      const reader = right.reader();
      const text = (): string => new TextDecoder().decode(reader.bytes.slice(reader.offset, reader.offset + reader.length));
      assert.ok(reader.next());
      await left.close({ drainDeadlineMs: 0 });
      assert.equal((await soon(right.closed, "the end")).code, "PEER_CLOSED");
      assert.deepEqual([text(), reader.message], ["first", 1]);
      assert.ok(reader.next());
      assert.deepEqual([text(), reader.message], ["second", 2]);
      assert.equal(reader.next(), false);
    }));
});

test("waiting for room that only this program can give back does not keep it busy", () =>
  withPair({}, async (left, right) => {
    const { native } = left[CONNECTION].channel;
    const { library } = native;
    const open = left.getWriteBuf(26_000);
    fill(left, new Uint8Array(1000));
    const sending = left.send(new Uint8Array(1000));
    const waiting = left.waitWritable();
    await pause(ASLEEP_MS);
    let polls = 0;
    Object.assign(native, {
      library: { ...library, poll: (...words: Parameters<typeof library.poll>) => (polls++, library.poll(...words)) },
    });
    await pause(ASLEEP_MS);
    Object.assign(native, { library });
    assert.ok(polls < 2 * ASLEEP_MS, `looked ${polls} times`);
    left.release(open);
    // The buffer's place in the ring comes back with what was sent behind it.
    assert.equal((await soon(right.receive(), "a message"))?.length, 1000);
    while (right.tryReceive() !== undefined);
    await soon(Promise.resolve(sending), "the send");
    assert.equal(await soon(waiting, "room"), true);
  }));

test("a record with much slack is a message like any other", () =>
  withPair({ ringBytes: 1 << 20 }, async (left, right) => {
    const { writer } = left[CONNECTION].channel;
    const at = writer.place(8);
    writer.length = 1 << 19;
    writer.advance();
    writer.put(at - 8, RECORD_MESSAGE, 8, 1 << 19);
    left.send("after");
    left.flush();
    assert.equal((await soon(right.receive(), "a message"))?.length, 8);
    assert.equal((await soon(right.receive(), "a message"))?.length, 5);
  }));

/** The native core with one call replaced. */
function withCall(native: Native, replaced: Partial<Native["library"]>): Native {
  return { ...native, library: { ...native.library, ...replaced } };
}

describe("a pair that cannot be made leaves nothing behind", () => {
  const native = loadNative();
  for (const failing of ["channel_new", "channel_attach", "dup"] as const) {
    for (const after of [1, 2, 3]) {
      test(`${failing} fails after ${after} calls`, async () => {
        const open = new Set<number>();
        let calls = 0;
        const { library } = native;
        const fails = (): boolean => calls++ === after;
        const broken = withCall(native, {
          channel_new(words) {
            if (failing === "channel_new" && fails()) return TABLE_FULL;
            const status = library.channel_new(words);
            open.add(words[CHANNEL_OPTIONS_HANDLE]);
            return status;
          },
          channel_attach(words) {
            if (failing !== "channel_attach" || !fails()) return library.channel_attach(words);
            for (const fd of words.subarray(PEER_CONTROL_FD, PEER_PID_FD + 1)) if ((fd | 0) >= 0) library.close(fd | 0);
            return TABLE_FULL;
          },
          dup: (fd) => failing === "dup" && fails() ? TABLE_FULL : library.dup(fd),
          channel_close(handle) {
            open.delete(handle);
            return library.channel_close(handle);
          },
        });
        try {
          const handles = pairOn(broken, {});
          await Promise.all(handles.map((handle) => handle.close({ drainDeadlineMs: 0 })));
        } catch (error) {
          assert.equal((error as { readonly code?: unknown }).code, "QUOTA");
        }
        assert.equal(open.size, 0);
      });
    }
  }
});
