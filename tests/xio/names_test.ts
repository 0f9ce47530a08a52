/** Names, listeners and connections through a broker of their own: what programs see of it. */
import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { connect, type Handle, isFableError, listen, registerName } from "../../mod.ts";
import { World } from "../process/harness.ts";

let world: World;
let names = 0;
/** A name nobody had before. */
const fresh = (): string => `xio://test/n${++names}`;
const text = (message: Uint8Array | undefined): string => new TextDecoder().decode(message);
const coded = (code: string) => (error: unknown): boolean => isFableError(error) && error.code === code;

before(() => void (world = new World()));
after(() => world.close());

const options = (): { readonly socket: string } => ({ socket: world.socket });

async function closeAll(...handles: readonly Handle[]): Promise<void> {
  await Promise.all(handles.map((handle) => handle.close({ drainDeadlineMs: 0 })));
}

describe("connecting by name", () => {
  test("both ends know each other; messages go both ways", async () => {
    const name = fresh();
    const listener = await listen(name, options());
    const [server, client] = await Promise.all([listener.accept(), connect(name, options())]);
    assert.equal(listener.name, name);
    assert.equal(client.peer.name, name);
    assert.match(server.peer.name, /^xio:\/\/anonymous\//);
    assert.deepEqual([server.peer.pid, client.peer.pid], [process.pid, process.pid]);
    assert.equal(client.flow, server.flow);
    assert.deepEqual([client.transport, client.trust], ["mempipe", "trusted"]);
    client.send("ping");
    assert.equal(text(await server.receive()), "ping");
    server.send("pong");
    assert.equal(text(await client.receive()), "pong");
    await closeAll(server, client);
    await listener.close();
  });

  test("a context speaks for its name", async () => {
    const [here, there] = [fresh(), fresh()];
    await using from = await registerName(here, options());
    await using to = await registerName(there, options());
    await using listener = await to.listen();
    const [server, client] = await Promise.all([listener.accept(), from.connect(there)]);
    assert.equal(server.peer.name, here);
    assert.equal(client.peer.name, there);
    await closeAll(server, client);
  });

  test("transport, trust and limits are agreed: the stricter and the smaller hold", async () => {
    const name = fresh();
    const listener = await listen(name, { ...options(), trust: "untrusted", maxMessageBytes: 1000 });
    const [server, client] = await Promise.all([listener.accept(), connect(name, { ...options(), transport: "mempipe-futex" })]);
    assert.deepEqual([server.trust, client.trust], ["untrusted", "untrusted"]);
    assert.deepEqual([server.transport, client.transport], ["mempipe-futex", "mempipe-futex"]);
    assert.deepEqual([server.maxMessageBytes, client.maxMessageBytes], [1000, 1000]);
    await closeAll(server, client);
    const [kernel, peer] = await Promise.all([listener.accept(), connect(name, { ...options(), transport: "unix" })]);
    assert.deepEqual([kernel.transport, kernel.trust, peer.trust], ["unix", "n/a", "n/a"]);
    peer.send("through the kernel");
    assert.equal(text(await kernel.receive()), "through the kernel");
    await closeAll(kernel, peer);
    await listener.close();
  });

  test("connecting waits for a listener, if it may", async () => {
    const name = fresh();
    await assert.rejects(connect(name, { ...options(), wait: false }), coded("NAME_UNKNOWN"));
    const connecting = connect(name, options());
    const context = await registerName(name, options());
    await assert.rejects(context.connect(name, { wait: false }), coded("NOT_LISTENING"));
    const listener = await context.listen();
    const [server, client] = await Promise.all([listener.accept(), connecting]);
    await closeAll(server, client);
    await context.close();
  });

  test("a deadline and a signal end it", async () => {
    const name = fresh();
    await assert.rejects(connect(name, { ...options(), timeoutMs: 30 }), (error) => isFableError(error));
    await assert.rejects(connect(name, { ...options(), signal: AbortSignal.timeout(30) }), coded("ABORTED"));
  });

  test("impossible options and names are refused by name", async () => {
    await assert.rejects(registerName("tcp://example.org:80", options()), coded("BAD_NAME"));
    await assert.rejects(registerName("xio://Upper", options()), coded("BAD_NAME"));
    await assert.rejects(connect(fresh(), { ...options(), ringBytes: 5000 }), coded("BAD_ARGUMENT"));
    await assert.rejects(connect(fresh(), { ...options(), maxMessageBytes: 0 }), coded("BAD_ARGUMENT"));
    await assert.rejects(connect(fresh(), { ...options(), transport: "pigeon" as "unix" }), coded("TRANSPORT_UNAVAILABLE"));
    await assert.rejects(connect(fresh(), { ...options(), trust: "some" as "trusted" }), coded("BAD_ARGUMENT"));
  });
});

describe("listening", () => {
  test("a name has one owner and one listener", async () => {
    const name = fresh();
    const context = await registerName(name, options());
    await assert.rejects(registerName(name, options()), coded("NAME_TAKEN"));
    const listener = await context.listen();
    await assert.rejects(context.listen(), coded("NAME_TAKEN"));
    await listener.close();
    const again = await context.listen();
    await context.close();
    await assert.rejects(again.accept(), coded("CLOSED"));
    const next = await registerName(name, options());
    await next.close();
  });

  test("accept has a deadline and a signal, and loses no connection to them", async () => {
    const name = fresh();
    const listener = await listen(name, options());
    await assert.rejects(listener.accept({ timeoutMs: 10 }), coded("TIMEOUT"));
    await assert.rejects(listener.accept({ signal: AbortSignal.timeout(10) }), coded("ABORTED"));
    const client = await connect(name, options());
    const server = await listener.accept({ timeoutMs: 5000 });
    await closeAll(server, client);
    await listener.close();
  });

  test("the backlog is bounded, and counts only what was not accepted", async () => {
    const name = fresh();
    const listener = await listen(name, { ...options(), backlog: 2 });
    const clients = [await connect(name, options()), await connect(name, options())];
    await assert.rejects(connect(name, options()), coded("BACKLOG_FULL"));
    const server = await listener.accept();
    clients.push(await connect(name, options()));
    await closeAll(server, ...clients);
    await listener.close();
  });

  test("closing ends the loop and the connections nobody took; those taken go on", async () => {
    const name = fresh();
    const listener = await listen(name, options());
    const taken = connect(name, options());
    const handles: Handle[] = [];
    const loop = (async () => {
      for await (const handle of listener) {
        handles.push(handle);
        if (handles.length === 1) break;
      }
    })();
    const client = await taken;
    await loop;
    const waiting = await connect(name, options());
    await listener.close();
    assert.equal((await waiting.closed).code, "PEER_CLOSED");
    client.send("still here");
    assert.equal(text(await handles[0].receive()), "still here");
    for await (const _ of listener) assert.fail("a closed listener accepts nothing");
    await closeAll(client, waiting, ...handles);
  });
});

describe("several calls while the broker starts", () => {
  test("wait for the same connection, and none is ended by another's signal", async () => {
    const other = new World();
    try {
      const settings = { socket: other.socket };
      const name = fresh();
      const aborted = connect(name, { ...settings, signal: AbortSignal.abort() });
      const hurried = connect(name, { ...settings, timeoutMs: 1 });
      const patient = listen(name, settings);
      const connecting = connect(name, settings);
      await assert.rejects(aborted, coded("ABORTED"));
      await assert.rejects(hurried, (error) => isFableError(error));
      const listener = await patient;
      const [server, client] = await Promise.all([listener.accept(), connecting]);
      await closeAll(server, client);
      await listener.close();
    } finally {
      await other.close();
    }
  });
});
