/** Datagrams of the outside world: UDP against the runtime's own sockets and between handles, Unix datagrams against a bare socket. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { describe, test } from "node:test";
import { connect, ENOSPACE, type OutsideHandle, type OutsideName } from "../../mod.ts";
import { parseOutside } from "../../src/naming/outside.ts";
import { loadNative } from "../../src/native/load.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import { socketAddresses } from "../../src/xio/outside/address.ts";
import { code, hash, IPV6, pattern, pause, sockets, soon, text, until, withFolder, withoutIpv6 } from "./outside_support.ts";

/** A UDP socket of the runtime that answers each datagram. */
async function withAnswers(
  answer: (datagram: Uint8Array) => Uint8Array | undefined,
  use: (name: OutsideName) => Promise<void>,
): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (datagram, from) => {
    const bytes = answer(datagram);
    if (bytes !== undefined) socket.send(bytes, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  try {
    await use(`udp://127.0.0.1:${socket.address().port}`);
  } finally {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

/** A bare socket of Unix datagrams, as a server would have it. */
class BareSocket {
  readonly name: OutsideName;
  readonly #bytes = new Uint8Array(300_000);
  #fd: number;
  readonly #libc = detectRuntime().open("libc.so.6", {
    sendto: { parameters: ["i32", "buffer", "u64", "i32", "buffer", "u32"], result: "i32" },
  });

  constructor(name: OutsideName) {
    this.name = name;
    const address = this.#address(name);
    this.#fd = loadNative().library.net_listen(2, address, address.length, 0, 0o600);
    assert.ok(this.#fd >= 0);
  }

  send(to: OutsideName, bytes: Uint8Array): number {
    const address = this.#address(to);
    return Number(
      this.#libc.sendto(this.#fd, bytes.length === 0 ? new Uint8Array(1) : bytes, BigInt(bytes.length), 0x40, address, address.length),
    );
  }

  receive(): Uint8Array | undefined {
    const size = loadNative().library.net_receive(this.#fd, 2, this.#bytes, this.#bytes.length, new Uint32Array(1));
    return size < 0 ? undefined : this.#bytes.slice(0, size);
  }

  close(): void {
    loadNative().library.close(this.#fd);
    this.#fd = -1;
  }

  #address(name: OutsideName): Uint8Array {
    return socketAddresses(loadNative().library, parseOutside(name))[0];
  }
}

describe("udp:", () => {
  test("datagrams keep their boundaries, both ways", () =>
    withAnswers((datagram) => datagram, async (name) => {
      await using handle = await connect(name);
      assert.deepEqual([handle.peer.name, handle.transport, handle.datagrams], [name, "udp", true]);
      assert.match(handle.local, /^udp:\/\/127\.0\.0\.1:\d+$/);
      for (const size of [0, 1, 1000, 1472, 65_507]) {
        const sent = pattern(size, size + 1);
        assert.equal(handle.send(sent), undefined);
        assert.equal(hash((await soon(handle.receive(), "the answer"))!), hash(sent), `${size} bytes`);
      }
      handle.send("one");
      handle.send("two");
      await soon(handle.waitReadable(), "answers");
      await pause(20);
      const lent = handle.getReadBuf();
      assert.deepEqual(lent.map((buffer) => [text(buffer.bytes), buffer.last]), [["one", true], ["two", true]]);
      handle.release(lent);
      const { messagesSent, messagesReceived } = handle.stats();
      assert.deepEqual([messagesSent, messagesReceived], [7, 7]);
      const { code, sent, delivered, received } = await handle.close();
      assert.deepEqual({ code, sent, delivered, received }, { code: "CLOSED", sent: 7, delivered: 7, received: 7 });
    }));

  test("two handles speak to each other by fixed addresses", async () => {
    const [one, other]: OutsideName[] = [`udp://127.0.0.1:${await freePort()}`, `udp://127.0.0.1:${await freePort()}`];
    await using left = await connect(other, { local: one });
    await using right = await connect(one, { local: other });
    const [buffer] = left.getWriteBuf(100);
    left.send("second, as it was asked for later");
    buffer.bytes.set([7, 8, 9]);
    left.commit(buffer, 3);
    assert.deepEqual(await soon(right.receive(), "a datagram"), Uint8Array.of(7, 8, 9));
    assert.match(text(await soon(right.receive(), "a datagram")), /^second/);
    await left.closeWrite();
    assert.equal(await code(() => left.send("x")), "CLOSED");
    right.send("still heard");
    assert.equal(text(await soon(left.receive(), "a datagram")), "still heard");
  });

  test(withoutIpv6("over IPv6 too"), { skip: !IPV6 }, async () => {
    await using handle = await connect("udp://[::1]:9");
    assert.match(handle.local, /^udp:\/\/\[::1\]:\d+$/);
    assert.equal(handle.peer.name, "udp://[::1]:9");
  });

  test("datagrams over the limit are refused, not cut", () =>
    withAnswers(() => undefined, async (name) => {
      await using handle = await connect(name);
      assert.equal(await code(() => handle.send(new Uint8Array(65_508))), "TOO_LARGE");
      assert.equal(await code(() => handle.trySend(new Uint8Array(65_508))), "TOO_LARGE");
      assert.equal(await code(() => handle.getWriteBuf(65_508)), "TOO_LARGE");
      assert.equal(handle.trySend("fits"), true);
    }));

  test("nobody there is told to who waits, and the handle goes on", async () => {
    const port = await freePort();
    await using handle = await connect(`udp://127.0.0.1:${port}`);
    handle.send("into the void");
    assert.equal(await code(() => soon(handle.receive(), "the refusal")), "REFUSED");
    const later = createSocket("udp4");
    later.on("message", (_, from) => later.send("here I am", from.port, from.address));
    await new Promise<void>((resolve) => later.bind(port, "127.0.0.1", resolve));
    handle.send("and now");
    assert.equal(text(await soon(handle.receive(), "the answer")), "here I am");
    await new Promise<void>((resolve) => later.close(() => resolve()));
  });

  test("closing gives descriptors back", () =>
    withAnswers((datagram) => datagram, async (name) => {
      await (await connect(name)).close();
      const before = sockets();
      for (let round = 0; round < 20; round++) {
        const handle = await connect(name);
        handle.send("x");
        await handle.close();
      }
      await until(() => sockets() <= before, "they are closed");
    }));
});

describe("unix: datagrams", () => {
  const withBoth = (options: { readonly bufferBytes?: number }, use: (handle: OutsideHandle, bare: BareSocket) => Promise<void>) =>
    withFolder(async (folder) => {
      const bare = new BareSocket(`unix:${folder}/bare`);
      try {
        await using handle = await connect(bare.name, { ...options, datagrams: true });
        await use(handle, bare);
      } finally {
        bare.close();
      }
    });

  test("both ways: a handle has a name of its own", () =>
    withBoth({}, async (handle, bare) => {
      assert.match(handle.local, /^unix:@/);
      handle.send("question");
      handle.send("");
      assert.equal(text(bare.receive()), "question");
      assert.equal(text(bare.receive()), "");
      assert.equal(bare.receive(), undefined);
      assert.equal(bare.send(handle.local, new TextEncoder().encode("answer")), 6);
      assert.equal(text(await soon(handle.receive(), "the answer")), "answer");
      bare.send(handle.local, new Uint8Array(0));
      assert.deepEqual(handle.tryReceive() ?? await handle.receive(), new Uint8Array(0));
    }));

  test("one that is longer than there is memory is refused by name", () =>
    withBoth({ bufferBytes: 65_536 }, async (handle, bare) => {
      const long = pattern(100_000);
      assert.equal(bare.send(handle.local, long), long.length);
      assert.equal(await code(() => soon(handle.receive(), "the refusal")), "TOO_LARGE");
      assert.equal(await code(() => soon(handle.receive(), "the refusal")), "TOO_LARGE", "it stays where it is");
    }));

  test("one that finds no room waits until buffers come back", () =>
    withBoth({ bufferBytes: 65_536 }, async (handle, bare) => {
      assert.equal(bare.send(handle.local, pattern(40_000)), 40_000);
      assert.equal(bare.send(handle.local, pattern(40_000, 2)), 40_000);
      const lent = handle.getReadBuf();
      assert.deepEqual([lent.length, handle.getReadBuf()], [1, ENOSPACE]);
      const waiting = handle.receive();
      await pause(10);
      handle.release(lent);
      assert.equal(hash((await soon(waiting, "the second"))!), hash(pattern(40_000, 2)));
    }));

  test("wait while the receiver's queue is full, and in order", () =>
    withBoth({}, async (handle, bare) => {
      let sent = 0;
      const datagram = (number: number): Uint8Array => pattern(1000, number);
      while (sent < 100_000 && handle.trySend(datagram(sent))) sent++;
      assert.ok(sent > 10 && sent < 100_000, `${sent} were taken`);
      const waiting = Promise.resolve(handle.send(datagram(sent)));
      let got = 0;
      for (; got <= sent; await pause(0)) {
        for (let bytes = bare.receive(); bytes !== undefined; bytes = bare.receive()) assert.deepEqual(bytes, datagram(got++));
      }
      await soon(waiting, "the last");
    }));

  test("a receiver that went away is told", () =>
    withBoth({}, async (handle, bare) => {
      bare.close();
      assert.equal(await code(() => handle.send("x")), "REFUSED");
      assert.equal(await code(() => handle.send("x")), "PEER_CLOSED");
    }));

  test("the other kind of socket is refused by name", () =>
    withFolder(async (folder) => {
      const bare = new BareSocket(`unix:${folder}/bare`);
      assert.equal(await code(() => connect(bare.name)), "BAD_ARGUMENT");
      bare.close();
      assert.equal(await code(() => connect(bare.name, { datagrams: true })), "REFUSED");
      assert.equal(await code(() => connect("udp://127.0.0.1:9", { datagrams: false })), "BAD_ARGUMENT");
      assert.equal(await code(() => connect("tcp://127.0.0.1:9", { datagrams: true })), "BAD_ARGUMENT");
    }));
});
