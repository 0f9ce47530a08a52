/** Connecting and listening, channels and the outside world together: buffers that cross over, one set to wait for, descriptors counted. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { connect as netConnect } from "node:net";
import { describe, test } from "node:test";
import { channelPair, connect, type Handle, listen, type OutsideHandle, type OutsideName, xpoll, xpollSync } from "../../mod.ts";
import { code, hash, IPV6, pattern, pause, sockets, soon, text, until, withFolder, withoutIpv6, withServer } from "./outside_support.ts";

/** Both ends of a TCP connection, and of a channel. */
async function withAll(
  use: (near: OutsideHandle, far: OutsideHandle, left: Handle, right: Handle) => Promise<void>,
  options: { readonly bufferBytes?: number; readonly checked?: boolean } = {},
): Promise<void> {
  await using server = await listen("tcp://127.0.0.1:0", options);
  const [far, near] = await Promise.all([server.accept(), connect(server.name, options)]);
  const [left, right] = channelPair({ checked: options.checked ?? false });
  try {
    await use(near, far, left, right);
  } finally {
    await Promise.all([near, far, left, right].map((handle) => handle.close({ drainDeadlineMs: 0 })));
  }
}

async function received(handle: OutsideHandle, size: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let got = 0; got < size; got += parts.at(-1)!.length) parts.push((await soon(handle.receive(), `${size - got} bytes`))!);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe("buffers cross over", () => {
  for (const checked of [false, true]) {
    test(`from a channel into a stream, in place as far as the socket takes them${checked ? ", checked" : ""}`, () =>
      withAll(async (near, far, left, right) => {
        left.send("first ");
        const long = Promise.resolve(left.send(pattern(100_000)));
        let moved = 0;
        while (moved < 100_006) {
          const lent = right.getReadBuf();
          assert.equal(near.commit(lent), true);
          for (const buffer of lent) {
            moved += buffer.size;
            assert.ok(buffer.spent);
          }
          if (lent.length === 0) await right.waitReadable();
        }
        await long;
        const got = await received(far, 100_006);
        assert.equal(text(got.subarray(0, 6)), "first ");
        assert.equal(hash(got.subarray(6)), hash(pattern(100_000)));
        const { inPlaceBytes, translatedBytes } = near.stats();
        assert.ok(inPlaceBytes > 0 && inPlaceBytes + translatedBytes === 100_006, `${inPlaceBytes} in place, ${translatedBytes} copied`);
        assert.deepEqual(right.getReadBuf(), []);
        assert.equal((await left.close()).delivered, 2);
      }, { checked }));
  }

  test("from a channel into a stream that is full: copied, then refused whole, then whole again", () =>
    withAll(async (near, far, left, right) => {
      let moved = 0;
      const piece = pattern(10_000);
      let lent = right.getReadBuf();
      for (let refused = false; !refused;) {
        left.send(piece.subarray(0, 5000));
        left.send(piece.subarray(5000));
        left.flush();
        lent = right.getReadBuf();
        refused = !near.commit(lent);
        if (!refused) moved += lent.reduce((sum, { size }) => sum + size, 0);
      }
      assert.ok(lent.every((buffer) => !buffer.spent), "what was refused stays the program's");
      const { translatedBytes } = near.stats();
      assert.ok(translatedBytes > 0 && translatedBytes <= 10_000 * 7 + 65_536);
      const reading = received(far, moved + 10_000);
      assert.equal(await soon(near.waitWritable(), "room"), true);
      assert.equal(near.commit(lent), true);
      const got = await reading;
      for (let at = 0; at < got.length; at += 10_000) assert.equal(hash(got.subarray(at, at + 10_000)), hash(piece), `at ${at}`);
    }, { bufferBytes: 65_536 }));

  test("a shorter size cuts the message, and open buffers come first", () =>
    withAll(async (near, far, left, right) => {
      const [open] = near.getWriteBuf(10);
      left.send("0123456789");
      left.flush();
      assert.equal(near.commit(right.getReadBuf(), 4), true);
      open.bytes.set(new TextEncoder().encode("before "));
      near.commit(open, 7);
      assert.equal(text(await received(far, 11)), "before 0123");
      left.send("x");
      left.flush();
      const lent = right.getReadBuf();
      assert.equal(await code(() => near.commit(lent, 2)), "BAD_ARGUMENT");
      right.release(lent);
    }));

  test("from a stream into a channel, as messages of what arrived", () =>
    withAll(async (near, far, left, right) => {
      const bytes = pattern(1_000_000);
      const sending = Promise.resolve(far.send(bytes));
      const parts: Uint8Array[] = [];
      let got = 0;
      for (let waiting = near.getReadBuf(); got < bytes.length; waiting = near.getReadBuf()) {
        if (waiting.length === 0) await near.waitReadable();
        for (const buffer of waiting) {
          while (!left.commit(buffer)) {
            left.flush();
            parts.push((await right.receive())!);
          }
          assert.ok(buffer.spent);
          got += buffer.size;
        }
      }
      left.flush();
      await left.closeWrite();
      for await (const part of right) parts.push(part);
      await sending;
      assert.equal(hash(...parts), hash(bytes));
    }));

  test("from one stream into another, and from a channel into datagrams", () =>
    withAll(async (near, far, left, right) => {
      await far.send("over ");
      await soon(near.waitReadable(), "bytes");
      assert.equal(near.commit(near.getReadBuf()), true);
      assert.equal(text(await received(far, 5)), "over ");
      const { createSocket } = await import("node:dgram");
      const socket = createSocket("udp4");
      const datagrams: string[] = [];
      socket.on("message", (bytes) => datagrams.push(text(bytes)));
      await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
      await using udp = await connect(`udp://127.0.0.1:${socket.address().port}`);
      for (const message of ["one", "", "three"]) left.send(message);
      left.flush();
      assert.equal(udp.commit(right.getReadBuf()), true);
      await until(() => datagrams.length === 3, "all three");
      assert.deepEqual(datagrams, ["one", "", "three"]);
      assert.deepEqual([udp.stats().inPlaceBytes, udp.stats().translatedBytes], [8, 0]);
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    }));
});

describe("one set", () => {
  for (
    const [name, poll] of [["in the event loop", xpoll], [
      "blocking",
      async (...words: Parameters<typeof xpollSync>) => xpollSync(...words),
    ]] as const
  ) {
    test(`of channels and sockets, ${name}`, () =>
      withAll(async (near, far, left, right) => {
        assert.deepEqual(await poll([near, right], { timeoutMs: 5 }), []);
        assert.deepEqual(await poll([{ on: near, want: "both" }]), [{ on: near, readable: false, writable: true }]);
        far.send("x");
        far.flush();
        assert.deepEqual(await poll([right, near], { timeoutMs: 5000 }), [{ on: near, readable: true, writable: false }]);
        left.send("y");
        left.flush();
        assert.deepEqual((await poll([right, near])).map(({ on }) => on), [right, near]);
        assert.equal(text(near.tryReceive()), "x");
        right.tryReceive();
        assert.deepEqual(await poll([near, right], { timeoutMs: 1 }), []);
        await far.close();
        assert.deepEqual(await poll([near, right], { timeoutMs: 5000 }), [{ on: near, readable: true, writable: false }]);
        assert.equal(near.ended || near.tryReceive() === undefined, true);
      }));
  }

  test("wakes for each of them, and for room", () =>
    withAll(async (near, far, left, right) => {
      let waiting = xpoll([near, right], { timeoutMs: 10_000 });
      setTimeout(() => far.send("x"), 5);
      assert.deepEqual((await waiting).map(({ on }) => on), [near]);
      near.tryReceive();
      waiting = xpoll([near, right], { timeoutMs: 10_000 });
      setTimeout(() => left.send("y"), 5);
      assert.deepEqual((await waiting).map(({ on }) => on), [right]);
      for (let quiet = 0; quiet < 10; await pause(1)) quiet = near.trySend(new Uint8Array(30_000)) ? 0 : quiet + 1;
      assert.deepEqual(await xpoll([{ on: near, want: "writable" }], { timeoutMs: 5 }), []);
      const room = xpoll([{ on: near, want: "writable" }], { timeoutMs: 10_000 });
      setTimeout(async () => {
        while (await far.receive({ timeoutMs: 200 }).catch(() => undefined));
      }, 5);
      assert.deepEqual((await room).map(({ writable }) => writable), [true]);
    }, { bufferBytes: 65_536 }));
});

describe("connecting", () => {
  const failing: readonly (readonly [OutsideName, string, RegExp])[] = [
    ["tcp://127.0.0.1:1", "REFUSED", /nobody listens there \(ECONNREFUSED\)/],
    ["tcp://localhost:1", "REFUSED", /nobody listens/],
    ["tcp://255.255.255.255:80", "UNREACHABLE", /E[A-Z]+/],
    ["tcp://no-such-host.invalid:80", "NAME_UNKNOWN", /asks no name server/],
    ["tcp://127.0.0.1:0", "BAD_NAME", /port 0/],
    ["tcp://127.0.0.1", "BAD_NAME", /no port/],
    ["unix:/nonexistent/fable.sock", "NAME_UNKNOWN", /no socket of that name/],
    ["unix:/dev/null", "REFUSED", /nobody listens/],
    ["unix:@fable-nobody", "REFUSED", /nobody listens/],
  ];
  for (const [name, expected, sentence] of failing) {
    test(`to ${name} is ${expected}`, async () => {
      const before = sockets();
      await assert.rejects(connect(name), (error: { code: string; message: string; remedy: string }) => {
        assert.equal(error.code, expected);
        assert.match(error.message, sentence);
        assert.ok(error.remedy.length > 0);
        return true;
      });
      assert.ok(sockets() <= before + 1, "at most the reactor's doorbell is new");
    });
  }

  for (const scheme of ["tcp", "unix"] as const) {
    test(`over ${scheme} is given up by a deadline and by a signal`, () =>
      withFolder(async (folder) => {
        await using full = await listen(scheme === "tcp" ? "tcp://127.0.0.1:0" : `unix:${folder}/s`, { backlog: 1 });
        const waiting: OutsideHandle[] = [];
        const fill = async (): Promise<unknown> => {
          for (;;) waiting.push(await connect(full.name, { timeoutMs: 100 }));
        };
        assert.equal(await code(fill), "TIMEOUT");
        const before = sockets();
        assert.equal(await code(() => connect(full.name, { timeoutMs: 30 })), "TIMEOUT");
        assert.equal(await code(() => connect(full.name, { signal: AbortSignal.timeout(20) })), "ABORTED");
        assert.equal(await code(() => connect(full.name, { signal: AbortSignal.abort() })), "ABORTED");
        // Fewer if handles that another test forgot are collected meanwhile.
        assert.ok(sockets() <= before, `${sockets()} sockets, ${before} before`);
        await Promise.all(waiting.map((handle) => handle.close({ drainDeadlineMs: 0 })));
      }));
  }

  test("finds localhost without asking anybody, by either family", async () => {
    await using server = await listen("tcp://127.0.0.1:0");
    const port = server.name.split(":").at(-1);
    await using handle = await connect(`tcp://localhost:${port}`);
    assert.equal((await server.accept()).close() instanceof Promise, true);
    assert.equal(handle.peer.name, `tcp://localhost:${port}`);
  });

  test("from an address of one's own", () =>
    withServer((socket) => void socket.end(`${socket.remoteAddress}`), async (name) => {
      await using handle = await connect(name, { local: "tcp://127.0.0.7:0" });
      assert.equal(text(await soon(handle.receive(), "the address")), "127.0.0.7");
      assert.equal(await code(() => connect(name, { local: "unix:/x" })), "BAD_ARGUMENT");
      assert.equal(await code(() => connect(name, { local: "tcp://8.8.8.8:0" })), "UNREACHABLE");
    }));
});

describe("listening", () => {
  test("accepts what the runtime's own sockets connect", async () => {
    await using server = await listen("tcp://127.0.0.1:0");
    const client = netConnect(Number(server.name.split(":").at(-1)), "127.0.0.1");
    await using handle = await soon(server.accept(), "the connection");
    assert.equal(handle.local, server.name);
    client.end("hello");
    assert.equal(text(await soon(handle.receive(), "a greeting")), "hello");
    assert.equal(await soon(handle.receive(), "the end"), undefined);
    const answer = new Promise<string>((resolve) => client.on("data", (bytes: Uint8Array) => resolve(text(bytes))));
    await handle.send("goodbye");
    assert.equal(await soon(answer, "the answer"), "goodbye");
    client.destroy();
  });

  test(withoutIpv6("over IPv6"), { skip: !IPV6 }, async () => {
    await using server = await listen("tcp://[::1]:0");
    await using client = await connect(server.name.replace("::1", "0:0:0:0:0:0:0:1") as OutsideName);
    await using served = await server.accept();
    assert.deepEqual([client.peer.name, client.local], [server.name, served.peer.name]);
    client.send("six");
    assert.equal(text(await soon(served.receive(), "a message")), "six");
  });

  test("at a path makes a file for this user alone, and removes it", () =>
    withFolder(async (folder) => {
      const path = `${folder}/a b.sock`;
      const server = await listen(`unix:${folder}/a%20b.sock`);
      assert.equal(server.name, `unix:${folder}/a%20b.sock`);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(await code(() => listen(server.name)), "NAME_TAKEN");
      const [there, here] = await Promise.all([server.accept(), connect(server.name)]);
      assert.equal(there.peer.name, "unix:");
      there.send("hello");
      assert.equal(text(await soon(here.receive(), "a greeting")), "hello");
      await server.close();
      assert.equal(existsSync(path), false);
      here.send("goes on");
      assert.equal(text(await soon(there.receive(), "a message")), "goes on");
      await Promise.all([there.close(), here.close()]);
      await using shared = await listen(`unix:${path}`.replace(" ", "%20") as OutsideName, { mode: 0o666 });
      assert.equal(statSync(path).mode & 0o777, 0o666);
      assert.ok(shared.name);
    }));

  test("ends, and waits no longer than told", async () => {
    const before = sockets();
    const server = await listen("unix:@fable-test-ends");
    assert.equal(await code(() => server.accept({ timeoutMs: 10 })), "TIMEOUT");
    assert.equal(await code(() => server.accept({ signal: AbortSignal.timeout(10) })), "ABORTED");
    const waiting = code(() => server.accept());
    const loop = (async () => {
      for await (const handle of server) await handle.close();
    })();
    await pause(5);
    await server.close();
    assert.equal(await waiting, "CLOSED");
    await soon(loop, "the end of the loop");
    assert.equal(await code(() => server.accept()), "CLOSED");
    assert.ok(sockets() <= before + 1);
  });

  test("refuses what cannot be", async () => {
    await using server = await listen("tcp://127.0.0.1:0");
    assert.equal(await code(() => listen(server.name)), "NAME_TAKEN");
    assert.equal(await code(() => listen("udp://127.0.0.1:0")), "BAD_ARGUMENT");
    assert.equal(await code(() => listen("tcp://127.0.0.1:0", { backlog: 0 })), "BAD_ARGUMENT");
    assert.equal(await code(() => listen("unix:/x", { mode: 0o1000 })), "BAD_ARGUMENT");
    assert.equal(await code(() => listen("tcp://8.8.8.8:0")), "UNREACHABLE");
    assert.equal(await code(() => listen("unix:/nonexistent/x")), "NAME_UNKNOWN");
  });
});
