/** What one end of anything can do, be it a channel to another FABLE program or a socket to the outside world. */
import type { Buffer, ReadBuffer, WriteBuffer } from "./buffer.ts";
import type { WaitLimits } from "./limits.ts";

/**
 * What {@link Handle} and {@link OutsideHandle} have in common, for functions that take either.
 *
 * @example
 * ```ts
 * import { channelPair, connect, type Endpoint, listen } from "fable";
 *
 * async function shout(to: Endpoint, words: string): Promise<void> {
 *   await to.send(words.toUpperCase());
 * }
 *
 * const [left, right] = channelPair();
 * await using server = await listen("tcp://127.0.0.1:0");
 * await using outside = await connect(server.name);
 * await shout(left, "hello");
 * await shout(outside, "hello");
 * console.log(await right.receive());
 * await Promise.all([left.close(), right.close()]);
 * ```
 */
export interface Endpoint extends AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable {
  readonly peer: { readonly name: string };
  send(message: Uint8Array | string, options?: { readonly signal?: AbortSignal }): Promise<void> | undefined;
  trySend(message: Uint8Array | string): boolean;
  receive(limits?: WaitLimits): Promise<Uint8Array<ArrayBuffer> | undefined>;
  tryReceive(): Uint8Array<ArrayBuffer> | undefined;
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array | string>;
  readonly ended: boolean;
  getReadBuf(max?: number): readonly ReadBuffer[];
  getWriteBuf(size?: number): readonly WriteBuffer[];
  commit(buffers: Buffer | readonly Buffer[], size?: number): boolean;
  release(buffers: Buffer | readonly Buffer[]): void;
  flush(): void;
  waitReadable(limits?: WaitLimits): Promise<boolean>;
  waitWritable(limits?: WaitLimits): Promise<boolean>;
  closeWrite(): Promise<void>;
  close(options?: { readonly drainDeadlineMs?: number }): Promise<{ readonly code: string; readonly message: string }>;
  readonly closed: Promise<{ readonly code: string; readonly message: string }>;
  ref(): this;
  unref(): this;
}
