/** The runtime's own Unix stream socket, one face for both runtimes. */

export interface SocketEnd {
  /** Writes all of `bytes`, which must not change before. Undefined if that is done already. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** The next bytes, as many as came at once; undefined at the end. Valid until the next call. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** Side 1 listens, calls `listening`, and takes one connection; side 0 connects. */
export async function openSocket(side: 0 | 1, path: string, listening: () => void): Promise<SocketEnd> {
  const module = "Bun" in globalThis ? await import("./socket-bun.ts") : await import("./socket-deno.ts");
  if (side === 0) return module.connectSocket(path);
  const accepted = module.acceptSocket(path);
  listening();
  return accepted;
}
