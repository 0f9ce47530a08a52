/**
 * The runtimes' own Unix sockets behind one small face: `Bun.connect`/`Bun.listen` in Bun, `Deno.connect`/`Deno.listen` in Deno. Bun calls back
 * with data, Deno is read from; neither is made to look worse than it is: `eachMessage` handles all that arrived in one go.
 */
import type { Side } from "./settings.ts";

/** The slices of both runtimes that are used here, so that either's type check knows the other's. */
interface BunSocket {
  write(bytes: Uint8Array): number;
  end(): void;
}

interface BunHandlers {
  data(socket: BunSocket, data: Uint8Array): void;
  drain(): void;
  close(): void;
  error(): void;
  open?(socket: BunSocket): void;
}

interface BunSockets {
  connect(options: { readonly unix: string; readonly socket: BunHandlers }): Promise<BunSocket>;
  listen(options: { readonly unix: string; readonly socket: BunHandlers }): { stop(): void };
}

interface DenoConnection {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

interface DenoSockets {
  connect(options: { readonly transport: "unix"; readonly path: string }): Promise<DenoConnection>;
  listen(options: { readonly transport: "unix"; readonly path: string }): { accept(): Promise<DenoConnection>; close(): void };
}

export interface Socket {
  /** Small messages: starts writing, does not wait. */
  write(bytes: Uint8Array): void;
  writeAll(bytes: Uint8Array): Promise<void>;
  /** False at the end. */
  readExactly(into: Uint8Array): Promise<boolean>;
  /** Calls `seen` for each of `count` messages, with its bytes in `into`. */
  eachMessage(into: Uint8Array, count: number, seen: () => void): Promise<void>;
  close(): void;
}

export function openSocket(side: Side, path: string, listening: () => void): Promise<Socket> {
  return "Bun" in globalThis ? openBun(side, path, listening) : openDeno(side, path, listening);
}

/** Cuts what arrives into messages. */
class Cutter {
  #into: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #left = 0;
  #seen: () => void = () => {};
  #done: ((complete: boolean) => void) | undefined;
  #ended = false;
  readonly #kept: Uint8Array[] = [];

  expect(into: Uint8Array, count: number, seen: () => void): Promise<boolean> {
    this.#into = into;
    this.#filled = 0;
    this.#left = count;
    this.#seen = seen;
    return new Promise((resolve) => {
      this.#done = resolve;
      for (const kept of this.#kept.splice(0)) this.push(kept);
      if (this.#ended) this.end();
    });
  }

  push(data: Uint8Array): void {
    let at = 0;
    const size = this.#into.length;
    while (at < data.length && this.#left > 0) {
      const take = Math.min(size - this.#filled, data.length - at);
      this.#into.set(take === data.length ? data : data.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled < size) break;
      this.#filled = 0;
      this.#left--;
      this.#seen();
    }
    if (at < data.length) this.#kept.push(data.slice(at));
    if (this.#left === 0) this.#finish(true);
  }

  end(): void {
    this.#ended = true;
    this.#finish(false);
  }

  #finish(complete: boolean): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(complete);
  }
}

async function openBun(side: Side, path: string, listening: () => void): Promise<Socket> {
  const cutter = new Cutter();
  let drained = (): void => {};
  const handlers: BunHandlers = {
    data: (_, data) => cutter.push(data),
    drain: () => drained(),
    close: () => cutter.end(),
    error: () => cutter.end(),
  };
  const bun = (globalThis as unknown as { readonly Bun: BunSockets }).Bun;
  const socket = side === "first"
    ? await bun.connect({ unix: path, socket: handlers })
    : await new Promise<BunSocket>((resolve) => {
      const server = bun.listen({
        unix: path,
        socket: {
          ...handlers,
          open: (accepted) => {
            resolve(accepted);
            server.stop();
          },
        },
      });
      listening();
    });
  return {
    write: (bytes) => void socket.write(bytes),
    async writeAll(bytes) {
      for (let sent = 0; sent < bytes.length;) {
        const wrote = socket.write(sent === 0 ? bytes : bytes.subarray(sent));
        if (wrote < 0) throw new Error("the socket closed");
        sent += wrote;
        if (sent < bytes.length) await new Promise<void>((resolve) => drained = resolve);
      }
    },
    readExactly: (into) => cutter.expect(into, 1, () => {}),
    eachMessage: async (into, count, seen) => void await cutter.expect(into, count, seen),
    close: () => socket.end(),
  };
}

async function openDeno(side: Side, path: string, listening: () => void): Promise<Socket> {
  const deno = (globalThis as unknown as { readonly Deno: DenoSockets }).Deno;
  let connection: DenoConnection;
  if (side === "first") connection = await deno.connect({ transport: "unix", path });
  else {
    const listener = deno.listen({ transport: "unix", path });
    listening();
    connection = await listener.accept();
    listener.close();
  }
  const buffer = new Uint8Array(256 * 1024);
  const writeAll = async (bytes: Uint8Array): Promise<void> => {
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(sent === 0 ? bytes : bytes.subarray(sent));
  };
  return {
    write: (bytes) => void connection.write(bytes),
    writeAll,
    async readExactly(into) {
      for (let filled = 0; filled < into.length;) {
        const got = await connection.read(filled === 0 ? into : into.subarray(filled));
        if (got === null) return false;
        filled += got;
      }
      return true;
    },
    async eachMessage(into, count, seen) {
      const cutter = new Cutter();
      const all = cutter.expect(into, count, seen);
      for (let over = false; !over;) {
        const got = await connection.read(buffer);
        if (got === null) break;
        cutter.push(buffer.subarray(0, got));
        over = await Promise.race([all, Promise.resolve(false)]);
      }
    },
    close: () => connection.close(),
  };
}
