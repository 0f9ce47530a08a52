/**
 * One end of whatever carries messages between two processes (or threads), with one face for all of them, FABLE's included. A message has a fixed
 * size and begins with one 64-bit floating-point number, its word: framing costs a stream nothing but counting bytes.
 */

/** What a process is told on its command line. */
export interface PeerJob {
  readonly medium: Medium;
  /** 0 begins and takes the time; 1 answers. */
  readonly side: 0 | 1;
  readonly sizeBytes: number;
  /** The core of each side's main thread. */
  readonly cores: readonly [number, number];
  /** Where the two meet: a path in a folder of this run alone. */
  readonly path: string;
  /** Said by side 1 when it listens, if a path is not what it listens at. */
  readonly port?: number;
  readonly seconds: number;
  readonly runs: number;
}

export interface PeerResult {
  readonly p50_ns: number;
  /** Messages per second of each run. */
  readonly rates: readonly number[];
}

export type Medium =
  | "fable"
  | "bun-socket"
  | "deno-socket"
  | "net-socket"
  | "spawn-json"
  | "spawn-advanced"
  | "fork-advanced"
  | "websocket"
  | "worker"
  | "zeromq";

export interface PeerEnd {
  /** Sends one message; a promise if it has to wait, and then the next `send` comes after it. */
  send(word: number): Promise<void> | undefined;
  /** Calls back with the word of each message, in order. Set once, before anything can come. */
  onWord(callback: (word: number) => void): void;
  /** Takes any number of messages without saying that it is full: how many are under way is limited by acknowledgements. */
  readonly windowed: boolean;
  close(): void | Promise<unknown>;
}

/** The two sides of a medium. `listening` is called when side 0 may start. */
export interface Opening {
  readonly job: PeerJob;
  listening(port?: number): void;
}

export const WORD_BYTES = 8;

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** Promise.withResolvers, which Node 20 lacks. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((fulfil, refuse) => [resolve, reject] = [fulfil, refuse]);
  return { promise, resolve, reject };
}

/** A message of its own, to be written again and again. */
export class Message {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #word: Float64Array;

  constructor(sizeBytes: number) {
    const buffer = new ArrayBuffer(sizeBytes);
    this.bytes = new Uint8Array(buffer);
    this.#word = new Float64Array(buffer, 0, 1);
  }

  with(word: number): Uint8Array<ArrayBuffer> {
    this.#word[0] = word;
    return this.bytes;
  }
}

export function wordOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getFloat64(0, true);
}

/** Finds the words of messages in chunks of a stream. Only a word that is split between two chunks is copied. */
export class Words {
  readonly #sizeBytes: number;
  readonly #split = new Uint8Array(WORD_BYTES);
  /** Bytes of the current message that came already. */
  #have = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  push(chunk: Uint8Array, callback: (word: number) => void): void {
    const size = this.#sizeBytes;
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (at < chunk.length) {
      if (this.#have === 0 && chunk.length - at >= size) {
        callback(view.getFloat64(at, true));
        at += size;
        continue;
      }
      const part = Math.min(size - this.#have, chunk.length - at);
      if (this.#have < WORD_BYTES) this.#split.set(chunk.subarray(at, at + Math.min(part, WORD_BYTES - this.#have)), this.#have);
      this.#have += part;
      at += part;
      if (this.#have < size) continue;
      this.#have = 0;
      callback(wordOf(this.#split));
    }
  }
}
