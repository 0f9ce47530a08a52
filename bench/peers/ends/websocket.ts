/** WebSockets over loopback TCP: each runtime's own server and client. */
import { Message, type Opening, type PeerEnd, wordOf } from "./end.ts";

/** What both sides' sockets have in common. */
interface Sender {
  send(bytes: Uint8Array<ArrayBuffer>): unknown;
  close(): void;
}

interface BunServer {
  readonly port: number;
  upgrade(request: Request): boolean;
}

interface BunServe {
  serve(options: {
    readonly port: 0;
    readonly hostname: string;
    fetch(request: Request, server: BunServer): Response | undefined;
    readonly websocket: { open(socket: Sender): void; message(socket: Sender, message: Uint8Array): void };
  }): BunServer;
}

interface DenoServe {
  serve(
    options: { readonly port: 0; readonly hostname: string; onListen(address: { readonly port: number }): void },
    handler: (request: Request) => Response,
  ): unknown;
  upgradeWebSocket(request: Request): { readonly socket: WebSocket; readonly response: Response };
}

const HOST = "127.0.0.1";

export function webSocket(opening: Opening): Promise<PeerEnd> {
  if (opening.job.side === 0) return connected(opening);
  return "Bun" in globalThis ? bunServer(opening) : denoServer(opening);
}

class WebSocketEnd implements PeerEnd {
  readonly windowed = true;
  readonly #socket: Sender;
  readonly #message: Message;
  callback: (word: number) => void = () => {};

  constructor(socket: Sender, sizeBytes: number) {
    this.#socket = socket;
    this.#message = new Message(sizeBytes);
  }

  send(word: number): undefined {
    this.#socket.send(this.#message.with(word));
  }

  onWord(callback: (word: number) => void): void {
    this.callback = callback;
  }

  close(): void {
    this.#socket.close();
  }
}

function listenTo(socket: WebSocket, end: WebSocketEnd): void {
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => end.callback(wordOf(new Uint8Array(data as ArrayBuffer)));
}

async function connected({ job }: Opening): Promise<PeerEnd> {
  const socket = new WebSocket(`ws://${HOST}:${job.port ?? 0}`);
  const end = new WebSocketEnd(socket, job.sizeBytes);
  listenTo(socket, end);
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("the WebSocket was not opened"));
  });
  return end;
}

function bunServer({ job, listening }: Opening): Promise<PeerEnd> {
  const bun = (globalThis as unknown as { readonly Bun: BunServe }).Bun;
  return new Promise((resolve) => {
    let end: WebSocketEnd | undefined;
    const server = bun.serve({
      port: 0,
      hostname: HOST,
      fetch: (request, own) => own.upgrade(request) ? undefined : new Response("", { status: 400 }),
      websocket: {
        open(socket) {
          end = new WebSocketEnd(socket, job.sizeBytes);
          resolve(end);
        },
        message: (_socket, message) => end?.callback(wordOf(message)),
      },
    });
    listening(server.port);
  });
}

function denoServer({ job, listening }: Opening): Promise<PeerEnd> {
  const deno = (globalThis as unknown as { readonly Deno: DenoServe }).Deno;
  return new Promise((resolve) => {
    deno.serve({ port: 0, hostname: HOST, onListen: ({ port }) => listening(port) }, (request) => {
      const { socket, response } = deno.upgradeWebSocket(request);
      const end = new WebSocketEnd(socket, job.sizeBytes);
      listenTo(socket, end);
      socket.onopen = () => resolve(end);
      return response;
    });
  });
}
