/** A FABLE channel as most programs use it: `send` and `for await`, defaults everywhere but for rings that hold sixteen messages. */
import { loadNative } from "../../../src/native/load.ts";
import { directConnect, directListen } from "../../../src/xio/direct.ts";
import type { Handle } from "../../../src/xio/handle.ts";
import { Message, type Opening, type PeerEnd, wordOf } from "./end.ts";

const MIN_RING_BYTES = 65_536;
const MESSAGES_PER_RING = 16;

export async function fable({ job, listening }: Opening): Promise<PeerEnd> {
  const native = loadNative();
  const options = { ringBytes: Math.max(MIN_RING_BYTES, job.sizeBytes * MESSAGES_PER_RING) };
  if (job.side === 0) return new FableEnd(await directConnect(native, job.path, { ...options, transport: "mempipe" }), job.sizeBytes);
  const listener = directListen(native, job.path, options);
  listening();
  const handle = await listener.accept();
  listener.close();
  return new FableEnd(handle, job.sizeBytes);
}

class FableEnd implements PeerEnd {
  readonly windowed = false;
  readonly #handle: Handle;
  readonly #message: Message;

  constructor(handle: Handle, sizeBytes: number) {
    this.#handle = handle;
    this.#message = new Message(sizeBytes);
  }

  send(word: number): Promise<void> | undefined {
    return this.#handle.send(this.#message.with(word));
  }

  onWord(callback: (word: number) => void): void {
    void (async () => {
      for await (const message of this.#handle) callback(wordOf(message));
    })();
  }

  close(): Promise<unknown> {
    return this.#handle.close();
  }
}
