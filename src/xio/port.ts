/**
 * Ports: one end of a channel that is opened elsewhere, in a worker of this program or in a child process that inherited a descriptor. A
 * handle belongs to the thread that opened it; what travels is the socket over which the two ends find each other.
 */
import { FableError } from "../errors.ts";
import { loadNative } from "../native/load.ts";
import { check } from "../native/status.ts";
import { answerChannel, offerChannel } from "./direct.ts";
import type { Handle } from "./handle.ts";
import type { ChannelOptions } from "./options.ts";
import type { PairOptions } from "./pair.ts";

/** The far end of a channel, before it is opened. Can be posted to a worker; opened once, by {@link openPort}. */
export interface ChannelPort {
  /** A packet socket of this process. */
  readonly fd: number;
}

/** What {@link channelPort} makes. */
export interface PortAndHandle {
  /** For the other thread. */
  readonly port: ChannelPort;
  /** This end; there as soon as the port was opened. */
  readonly handle: Promise<Handle>;
}

const SEQPACKET = 5;

/**
 * Makes a channel between this thread and another: the port goes to a worker, which opens it.
 *
 * @example
 * ```ts
 * import { channelPort } from "fable";
 *
 * const { port, handle } = channelPort();
 * const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
 * worker.postMessage(port); // there: const handle = await openPort(event.data)
 * const channel = await handle;
 * channel.send(new Uint8Array(16));
 * console.log(await channel.receive());
 * worker.terminate();
 * await channel.close();
 * ```
 */
export function channelPort(options: PairOptions = {}): PortAndHandle {
  const native = loadNative();
  const ends = new Int32Array(2);
  check(native.library, native.library.socketpair(SEQPACKET, ends), "make a port");
  const handle = offerChannel(native, ends[0], options).finally(() => native.library.close(ends[0]));
  return { port: { fd: ends[1] }, handle };
}

/**
 * Opens a port. Each port can be opened once.
 *
 * @param port what {@link channelPort} made, or the number of an inherited packet socket.
 * @throws FableError BAD_ARGUMENT; PEER_CLOSED if the maker is gone; WRONG_THREAD …
 */
export async function openPort(port: ChannelPort | number, options: ChannelOptions = {}): Promise<Handle> {
  const fd = typeof port === "number" ? port : port?.fd;
  if (!Number.isInteger(fd) || fd < 0) {
    throw new FableError("BAD_ARGUMENT", "This is no port of a channel.", { remedy: "Open what channelPort() made, unchanged." });
  }
  const native = loadNative();
  try {
    return await answerChannel(native, fd, options);
  } finally {
    native.library.close(fd);
  }
}
