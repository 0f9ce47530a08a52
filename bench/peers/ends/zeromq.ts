/** zeromq.js: two PAIR sockets over ipc://. One send at a time, because the package refuses a second. */
import { Message, type Opening, type PeerEnd, wordOf } from "./end.ts";

interface Pair {
  bind(address: string): Promise<void>;
  connect(address: string): void;
  send(message: Uint8Array): Promise<void>;
  receive(): Promise<readonly Uint8Array[]>;
  close(): void;
}

export async function zeroMq({ job, listening }: Opening): Promise<PeerEnd> {
  // By a name that no compiler looks up: the package is optional.
  const name: string = "zeromq";
  const { Pair: PairSocket } = await import(name) as { readonly Pair: new(options: { readonly linger: number }) => Pair };
  const socket = new PairSocket({ linger: 0 });
  if (job.side === 0) {
    socket.connect(`ipc://${job.path}`);
  } else {
    await socket.bind(`ipc://${job.path}`);
    listening();
  }
  return new ZeroMqEnd(socket, job.sizeBytes);
}

class ZeroMqEnd implements PeerEnd {
  readonly windowed = false;
  readonly #socket: Pair;
  readonly #sizeBytes: number;
  #sending: Promise<void> = Promise.resolve();

  constructor(socket: Pair, sizeBytes: number) {
    this.#socket = socket;
    this.#sizeBytes = sizeBytes;
  }

  send(word: number): Promise<void> {
    // It keeps the bytes until they have left: each message has its own.
    const message = new Message(this.#sizeBytes).with(word);
    return this.#sending = this.#sending.then(() => this.#socket.send(message));
  }

  onWord(callback: (word: number) => void): void {
    void (async () => {
      for (;;) {
        const [message] = await this.#socket.receive();
        if (message !== undefined) callback(wordOf(message));
      }
    })().catch(() => {}); // closed
  }

  close(): void {
    this.#socket.close();
  }
}
