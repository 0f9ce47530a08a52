/** Byte streams of the outside world, against servers that the runtime itself makes. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { connect, ENDED, ENOSPACE, type OutsideName } from "../../mod.ts";
import { code, hash, pattern, pause, sockets, soon, text, until, withFolder, withServer } from "./outside_support.ts";

/** Sends everything back, and ends when the other side does. */
const echo = (socket: Socket): void => {
  socket.pipe(socket);
};

for (const scheme of ["tcp", "unix"] as const) {
  const withEcho = (use: (name: OutsideName) => Promise<void>, serve = echo): Promise<void> =>
    scheme === "tcp" ? withServer(serve, use) : withFolder((folder) => withServer(serve, use, { path: `${folder}/s.sock` }));

  describe(`${scheme}: streams`, () => {
    test("carry bytes both ways, and end", () =>
      withEcho(async (name) => {
        await using handle = await connect(name);
        assert.deepEqual([handle.peer.name, handle.transport, handle.datagrams, handle.ended], [name, scheme, false, false]);
        handle.send("hello ");
        handle.send("there");
        assert.equal(text(await soon(handle.receive(), "the echo")), "hello there", "gathered in a turn");
        await handle.closeWrite();
        assert.equal(await soon(handle.receive(), "the end"), undefined);
        assert.equal(handle.ended, true);
        const { code, sent, delivered, received } = await soon(handle.closed, "the reason");
        assert.deepEqual({ code, sent, delivered, received }, { code: "ENDED", sent: 11, delivered: 11, received: 11 });
        assert.equal(handle.getReadBuf(), ENDED);
      }));

    test("carry much, whole and in order", () =>
      withEcho(async (name) => {
        const bytes = pattern(20_000_003);
        await using handle = await connect(name);
        const parts: Uint8Array[] = [];
        const reading = (async () => {
          for await (const part of handle) parts.push(part);
        })();
        let sent = 0;
        for (const size of [1, 17, 1000, 16_383, 16_384, 65_536, 300_000, 10_000_000]) {
          await handle.send(bytes.subarray(sent, sent + size));
          sent += size;
        }
        while (sent < bytes.length) sent += await handle.send(bytes.subarray(sent, sent + 4099)) ?? 4099;
        await handle.closeWrite();
        await soon(reading, "the end");
        assert.equal(hash(...parts), hash(bytes));
        assert.ok(parts.every((part) => part.length <= 65_536));
      }));

    test("lend buffers both ways", () =>
      withEcho(async (name) => {
        await using handle = await connect(name, { checked: true });
        const [first] = handle.getWriteBuf(100);
        const [second] = handle.getWriteBuf(100);
        const [third] = handle.getWriteBuf(100);
        second.bytes.set(new TextEncoder().encode("second"));
        assert.equal(handle.commit(second, 6), true);
        third.release();
        await pause(5);
        assert.deepEqual(handle.getReadBuf(), [], "the first keeps its place");
        first.bytes.set(new TextEncoder().encode("first "));
        assert.equal(handle.commit(first, 6), true);
        assert.throws(() => first.bytes, { code: "SPENT_BUFFER" });
        assert.equal(await soon(handle.waitReadable(), "the echo"), true);
        const lent = handle.getReadBuf();
        assert.deepEqual(lent.map((buffer) => [text(buffer.bytes), buffer.message, buffer.last, buffer.handle === handle]), [
          ["first second", 1, true, true],
        ]);
        const view = lent[0].bytes;
        handle.release(lent);
        assert.equal(view.length, 0, "checked: detached");
        assert.throws(() => lent[0].bytes, { code: "SPENT_BUFFER" });
      }));

    test("as WHATWG streams", () =>
      withEcho(async (name) => {
        const bytes = pattern(3_000_000);
        await using handle = await connect(name);
        const back = new Response(handle.readable).bytes();
        await new Response(bytes).body!.pipeTo(handle.writable as WritableStream<Uint8Array>);
        assert.equal(hash(await soon(back, "the echo")), hash(bytes));
      }));

    test("stay open for sending when the other side half-closed", () => {
      let got = "";
      return withEcho(async (name) => {
        await using handle = await connect(name);
        assert.equal(text(await soon(handle.receive(), "the greeting")), "that is all");
        assert.equal(await soon(handle.receive(), "the end"), undefined);
        await handle.send("thanks");
        await handle.closeWrite();
        await until(() => got === "thanks.", "the server has it");
        assert.equal((await handle.closed).code, "ENDED");
      }, (socket) => {
        socket.end("that is all");
        socket.on("data", (part: Uint8Array) => got += text(part));
        socket.on("end", () => got += ".");
      });
    });

    test("feel how fast the other side reads", () => {
      let paused: Socket | undefined;
      let got = 0;
      return withEcho(async (name) => {
        await using handle = await connect(name, { bufferBytes: 65_536, maxQueuedSends: 2 });
        const piece = pattern(10_000);
        let taken = 0;
        for (let quiet = 0; quiet < 20; quiet = handle.trySend(piece) ? (taken++, 0) : quiet + 1) await pause(1);
        assert.ok(taken >= 6, `${taken} pieces fit at least into our own memory`);
        assert.equal(handle.getWriteBuf(60_000), ENOSPACE);
        const first = handle.send(piece) as Promise<void>;
        const second = handle.send(pattern(1_000_000)) as Promise<void>;
        assert.equal(await code(() => handle.send("x")), "ENOSPACE");
        assert.equal(await code(() => handle.waitWritable({ timeoutMs: 20 })), "TIMEOUT");
        const room = handle.waitWritable();
        paused!.resume();
        await soon(Promise.all([first, second, room]), "room");
        const total = (taken + 1) * piece.length + 1_000_000;
        await until(() => got === total, "everything arrived");
        assert.equal((await handle.close()).delivered, total);
      }, (socket) => {
        paused = socket.pause();
        socket.on("data", (part: Uint8Array) => got += part.length);
        socket.pause();
      });
    });

    test("keep what is not read in the system, and lend no more than bufferBytes", () =>
      withEcho(async (name) => {
        await using handle = await connect(name, { bufferBytes: 65_536 });
        await pause(100);
        let held = 0;
        let lent = handle.getReadBuf();
        const all = [...lent];
        while (lent !== ENOSPACE) {
          await pause(1);
          lent = handle.getReadBuf();
          all.push(...lent);
        }
        for (const buffer of all) held += buffer.size;
        assert.ok(held > 60_000 && held <= 65_536, `${held} bytes`);
        const waiting = handle.receive();
        await pause(20);
        for (const buffer of all.reverse()) buffer.release();
        assert.ok((await soon(waiting, "more"))!.length > 0);
      }, (socket) => {
        socket.write(pattern(5_000_000));
      }));

    test("closing gives descriptors back, in every way there is", () =>
      withEcho(async (name) => {
        await (await connect(name)).close();
        await pause(30);
        const before = sockets();
        for (let round = 0; round < 5; round++) {
          const handles = await Promise.all([connect(name), connect(name), connect(name), connect(name)]);
          handles[0].send("unread");
          await handles[1].send("x");
          await handles[1].receive();
          await handles[2].closeWrite();
          for await (const _ of handles[2]);
          await handles[0].close();
          await handles[1].close({ drainDeadlineMs: 0 });
          await handles[2].closed;
          await handles[3].writable.abort();
        }
        // Of the connection before, the other side may have been open still.
        await until(() => sockets() <= before, `${sockets()} sockets become ${before}`);
      }));

    test("what waits can be given up", () =>
      withEcho(async (name) => {
        await using handle = await connect(name, { bufferBytes: 65_536 });
        assert.equal(await code(() => handle.receive({ timeoutMs: 10 })), "TIMEOUT");
        assert.equal(await code(() => handle.receive({ signal: AbortSignal.timeout(10) })), "ABORTED");
        assert.equal(await code(() => handle.receive({ signal: AbortSignal.abort() })), "ABORTED");
        assert.equal(await code(() => handle.waitReadable({ timeoutMs: 10 })), "TIMEOUT");
        const controller = new AbortController();
        const begun = handle.send(new Uint8Array(20_000_000)) as Promise<void>;
        const behind = handle.send(new Uint8Array(20_000_000), { signal: controller.signal }) as Promise<void>;
        controller.abort();
        assert.equal(await code(() => behind), "ABORTED");
        const ended = code(() => begun);
        const { sent, delivered } = await handle.close({ drainDeadlineMs: 0 });
        assert.equal(await ended, "CLOSED");
        assert.ok(sent === 20_000_000 && delivered < sent, `${delivered} of ${sent}`);
        assert.equal(await handle.receive(), undefined);
        assert.throws(() => handle.trySend("x"), { code: "CLOSED" });
      }, (socket) => socket.pause()));

    test("impossible uses are refused by name", () =>
      withEcho(async (name) => {
        await using handle = await connect(name);
        assert.equal(await code(() => connect(name, { bufferBytes: 1 })), "BAD_ARGUMENT");
        assert.equal(await code(() => connect(name, { maxQueuedSends: 0 })), "BAD_ARGUMENT");
        assert.equal(await code(() => handle.getWriteBuf(-1)), "BAD_ARGUMENT");
        assert.equal(await code(() => handle.getWriteBuf(1.5)), "BAD_ARGUMENT");
        assert.equal(await code(() => handle.getWriteBuf(1 << 20)), "TOO_LARGE");
        assert.equal(await code(() => handle.trySend(new Uint8Array(1 << 20))), "TOO_LARGE");
        const [buffer] = handle.getWriteBuf(10);
        assert.equal(await code(() => handle.commit(buffer, 11)), "BAD_ARGUMENT");
        assert.equal(await code(() => handle.commit({ size: 1 } as typeof buffer)), "BAD_ARGUMENT");
        handle.release(buffer);
        assert.equal(await code(() => handle.commit(buffer)), "SPENT_BUFFER");
        await handle.closeWrite();
        assert.equal(await code(() => handle.send("x")), "CLOSED");
        assert.equal(await code(() => handle.getWriteBuf()), "CLOSED");
      }));
  });
}

describe("tcp: resets", () => {
  test("end reading and writing with their name", () =>
    withServer((socket) => {
      socket.once("data", () => socket.resetAndDestroy());
    }, async (name) => {
      const handle = await connect(name);
      const closed = handle.closed;
      await handle.send("x");
      assert.equal(await code(() => soon(handle.receive(), "the reset")), "PEER_RESET");
      assert.equal(await code(() => handle.send("y")), "PEER_RESET");
      const reason = await soon(closed, "the reason");
      assert.equal(reason.code, "PEER_RESET");
      assert.match(reason.message, /reset the connection/);
      assert.equal((await handle.close()).code, "PEER_RESET");
    }));

  test("of this side's own making tell the peer that something is missing", () => {
    let ending = "";
    return withServer((socket) => {
      socket.pause();
      socket.on("error", (error) => ending = (error as { code?: string }).code ?? "");
      socket.on("end", () => ending ||= "end");
      setTimeout(() => socket.resume(), 50);
    }, async (name) => {
      const handle = await connect(name);
      const sending = code(() => handle.send(new Uint8Array(50_000_000)));
      const reason = await handle.close({ drainDeadlineMs: 20 });
      assert.equal(await sending, "CLOSED");
      assert.ok(reason.code === "CLOSED" && reason.delivered < reason.sent);
      assert.match(reason.message, /bytes were not delivered/);
      await until(() => ending !== "", "the peer knows");
      assert.equal(ending, "ECONNRESET");
    });
  });

  test("a reader that goes away frees a writer that waits", () => {
    let reader: Socket | undefined;
    return withServer((socket) => {
      reader = socket.pause();
    }, async (name) => {
      const handle = await connect(name);
      const sending = code(() => handle.send(new Uint8Array(50_000_000)));
      await until(() => reader !== undefined, "the connection is accepted");
      await pause(20);
      reader!.destroy();
      assert.match(String(await soon(sending, "the end")), /^PEER_(RESET|CLOSED)$/);
      await handle.close();
    });
  });
});
