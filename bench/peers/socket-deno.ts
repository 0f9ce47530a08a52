/** Deno.listen and Deno.connect as a {@link SocketEnd}. */
import type { SocketEnd } from "./socket.ts";

interface Connection {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

interface DenoRuntime {
  listen(options: { readonly transport: "unix"; readonly path: string }): { accept(): Promise<Connection>; close(): void };
  connect(options: { readonly transport: "unix"; readonly path: string }): Promise<Connection>;
}

const deno = (globalThis as unknown as { readonly Deno: DenoRuntime }).Deno;
const CHUNK_BYTES = 256 * 1024;

class DenoEnd implements SocketEnd {
  readonly #connection: Connection;
  readonly #buffer = new Uint8Array(CHUNK_BYTES);
  #underWay = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#underWay++;
    let written = await this.#connection.write(bytes);
    // the rest would come after a later write
    if (written < bytes.length && this.#underWay > 1) throw new Error("the kernel took a part of a write while others were under way");
    while (written < bytes.length) written += await this.#connection.write(bytes.subarray(written));
    this.#underWay--;
  }

  async read(): Promise<Uint8Array | undefined> {
    const count = await this.#connection.read(this.#buffer);
    return count === null ? undefined : this.#buffer.subarray(0, count);
  }

  close(): void {
    this.#connection.close();
  }
}

export async function acceptSocket(path: string): Promise<SocketEnd> {
  const listener = deno.listen({ transport: "unix", path });
  const connection = await listener.accept();
  listener.close();
  return new DenoEnd(connection);
}

export async function connectSocket(path: string): Promise<SocketEnd> {
  return new DenoEnd(await deno.connect({ transport: "unix", path }));
}
