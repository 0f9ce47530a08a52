/** Bun.listen and Bun.connect as a {@link SocketEnd}. */
import type { SocketEnd } from "./socket.ts";

interface BunSocket {
  write(bytes: Uint8Array): number;
  end(): void;
}

interface Handlers {
  open(socket: BunSocket): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  close(socket: BunSocket): void;
}

interface BunRuntime {
  listen(options: { readonly unix: string; readonly socket: Handlers }): { stop(): void };
  connect(options: { readonly unix: string; readonly socket: Handlers }): Promise<BunSocket>;
}

const bun = (globalThis as unknown as { readonly Bun: BunRuntime }).Bun;

class BunEnd implements SocketEnd {
  readonly opened: Promise<void>;
  readonly handlers: Handlers;
  #socket: BunSocket | undefined;
  readonly #chunks: Uint8Array[] = [];
  #closed = false;
  #reader: ((chunk: Uint8Array | undefined) => void) | undefined;
  #drained: (() => void) | undefined;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    this.handlers = {
      open: (socket) => {
        this.#socket = socket;
        resolve();
      },
      data: (_socket, chunk) => this.#arrived(chunk),
      drain: () => this.#drained?.(),
      close: () => {
        this.#closed = true;
        this.#reader?.(undefined);
      },
    };
  }

  #arrived(chunk: Uint8Array): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader === undefined) this.#chunks.push(chunk);
    else reader(chunk);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    const written = this.#socket!.write(bytes);
    return written === bytes.length ? undefined : this.#writeRest(bytes.subarray(Math.max(written, 0)));
  }

  async #writeRest(rest: Uint8Array): Promise<void> {
    while (rest.length > 0) {
      if (this.#closed) throw new Error("the socket was closed");
      await new Promise<void>((resolve) => this.#drained = resolve);
      rest = rest.subarray(Math.max(this.#socket!.write(rest), 0));
    }
  }

  read(): Promise<Uint8Array | undefined> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined || this.#closed) return Promise.resolve(chunk);
    return new Promise((resolve) => this.#reader = resolve);
  }

  close(): void {
    this.#socket?.end();
  }
}

export async function acceptSocket(path: string): Promise<SocketEnd> {
  const end = new BunEnd();
  const listener = bun.listen({ unix: path, socket: end.handlers });
  await end.opened;
  listener.stop();
  return end;
}

export async function connectSocket(path: string): Promise<SocketEnd> {
  const end = new BunEnd();
  await bun.connect({ unix: path, socket: end.handlers });
  await end.opened;
  return end;
}
