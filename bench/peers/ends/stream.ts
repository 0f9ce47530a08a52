/** Stream sockets: Bun's and Deno's own ({@link SocketEnd}), and node:net's in all three runtimes. One write per message. */
import { connect, createServer, type Socket } from "node:net";
import type { SocketEnd } from "../socket.ts";
import { Message, type Opening, type PeerEnd, Words } from "./end.ts";

/** Deno's writes are asynchronous: so many under way at once is its best, as long as the socket takes each whole. */
const MAX_PIPELINE = 16;
const PIPELINED_BYTES = 32_768;
/** More than any runtime queues before it says that it is full. */
const QUEUED_BYTES = 4 << 20;

export async function bunSocket({ job, listening }: Opening): Promise<PeerEnd> {
  const { acceptSocket, connectSocket } = await import("../socket-bun.ts");
  if (job.side === 0) return new StreamEnd(await connectSocket(job.path), job.sizeBytes, 1);
  const accepted = acceptSocket(job.path);
  listening();
  return new StreamEnd(await accepted, job.sizeBytes, 1);
}

export async function denoSocket({ job, listening }: Opening): Promise<PeerEnd> {
  const { acceptSocket, connectSocket } = await import("../socket-deno.ts");
  const pipeline = Math.max(1, Math.min(MAX_PIPELINE, Math.floor(PIPELINED_BYTES / job.sizeBytes)));
  if (job.side === 0) return new StreamEnd(await connectSocket(job.path), job.sizeBytes, pipeline);
  const accepted = acceptSocket(job.path);
  listening();
  return new StreamEnd(await accepted, job.sizeBytes, pipeline);
}

class StreamEnd implements PeerEnd {
  readonly windowed = false;
  readonly #socket: SocketEnd;
  readonly #words: Words;
  readonly #slots: readonly Message[];
  readonly #pending: (Promise<void> | undefined)[];
  #slot = 0;

  constructor(socket: SocketEnd, sizeBytes: number, pipeline: number) {
    this.#socket = socket;
    this.#words = new Words(sizeBytes);
    this.#slots = Array.from({ length: pipeline }, () => new Message(sizeBytes));
    this.#pending = this.#slots.map(() => undefined);
  }

  send(word: number): Promise<void> | undefined {
    const slot = this.#slot;
    this.#slot = (slot + 1) % this.#slots.length;
    const before = this.#pending[slot];
    if (before !== undefined) return this.#after(before, slot, word);
    return this.#write(slot, word);
  }

  async #after(before: Promise<void>, slot: number, word: number): Promise<void> {
    await before;
    await this.#write(slot, word);
  }

  #write(slot: number, word: number): Promise<void> | undefined {
    const written = this.#socket.write(this.#slots[slot]!.with(word));
    if (written === undefined || this.#slots.length === 1) return written;
    this.#pending[slot] = written.then(() => void (this.#pending[slot] = undefined));
    return undefined;
  }

  onWord(callback: (word: number) => void): void {
    void (async () => {
      for (;;) {
        const chunk = await this.#socket.read();
        if (chunk === undefined) return;
        this.#words.push(chunk, callback);
      }
    })();
  }

  close(): void {
    this.#socket.close();
  }
}

export async function netSocket({ job, listening }: Opening): Promise<PeerEnd> {
  if (job.side === 0) {
    const socket = connect(job.path);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new NetEnd(socket, job.sizeBytes);
  }
  return await new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close();
      resolve(new NetEnd(socket, job.sizeBytes));
    });
    server.listen(job.path, () => listening());
  });
}

class NetEnd implements PeerEnd {
  readonly windowed = false;
  readonly #socket: Socket;
  readonly #sizeBytes: number;
  /** A queued message must not change: there are more of them than are ever queued. */
  readonly #slots: readonly Message[];
  #slot = 0;

  constructor(socket: Socket, sizeBytes: number) {
    this.#socket = socket;
    this.#sizeBytes = sizeBytes;
    this.#slots = Array.from({ length: Math.ceil(QUEUED_BYTES / sizeBytes) }, () => new Message(sizeBytes));
    socket.on("error", () => {});
  }

  send(word: number): Promise<void> | undefined {
    this.#slot = (this.#slot + 1) % this.#slots.length;
    if (this.#socket.write(this.#slots[this.#slot]!.with(word))) return undefined;
    return new Promise((resolve) => this.#socket.once("drain", resolve));
  }

  onWord(callback: (word: number) => void): void {
    const words = new Words(this.#sizeBytes);
    this.#socket.on("data", (chunk: Uint8Array) => words.push(chunk, callback));
  }

  close(): void {
    this.#socket.destroy();
  }
}
