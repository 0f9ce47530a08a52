/**
 * Channels without a broker: two programs that both know the path of a Unix socket exchange their halves over it. For tests and benchmarks;
 * programs find each other by name (context.ts). The socket is a packet socket, and closed once the channel stands.
 */
import { FableError } from "../errors.ts";
import { EMPTY, HUNG_UP, READABLE } from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { Channel } from "../transport/channel.ts";
import type { PeerDescriptors } from "../transport/halves.ts";
import { beginningOf, isTransportName, transportByName } from "../transport/registry.ts";
import type { Transport, TransportName, Trust } from "../transport/transport.ts";
import type { Peer } from "./connection.ts";
import { descriptorReady } from "./descriptors.ts";
import { completeHandle, makeHalf, moveBeforeUse } from "./establish.ts";
import type { Handle } from "./handle.ts";
import { type ChannelOptions, DEFAULT_TIMEOUT_MS, resolveChannelOptions, type ResolvedChannelOptions } from "./options.ts";

/** Options of {@link directConnect}: the initiator chooses how messages travel. */
export interface DirectOptions extends ChannelOptions {
  readonly transport?: TransportName;
}

/** Accepts direct channels at one path. */
export interface DirectListener {
  accept(): Promise<Handle>;
  close(): void;
}

/** What the two ends tell each other beside their descriptors. */
interface Greeting {
  readonly transport: TransportName;
  readonly trust: Trust;
}

const GREETING_BYTES = 256;
const MAX_DESCRIPTORS = 4;
const SOCKET_MODE = 0o600;

/** Listens at a path that does not exist yet; the file stays for the caller to remove. */
export function directListen(native: Native, path: string, options: ChannelOptions = {}): DirectListener {
  const { library } = native;
  const name = new TextEncoder().encode(path);
  const fd = check(library, library.listen(name, name.length, SOCKET_MODE, 16), `listen at ${path}`);
  return {
    async accept() {
      const socket = await retried(native, fd, () => library.accept(fd), `accept at ${path}`);
      try {
        return await answerChannel(native, socket, options);
      } finally {
        library.close(socket);
      }
    },
    close: () => void library.close(fd),
  };
}

/** Connects to a path at which {@link directListen} listens. */
export async function directConnect(native: Native, path: string, options: DirectOptions = {}): Promise<Handle> {
  const { library } = native;
  const name = new TextEncoder().encode(path);
  const socket = check(library, library.dial(name, name.length), `connect to ${path}`);
  try {
    return await offerChannel(native, socket, options);
  } finally {
    library.close(socket);
  }
}

/** The initiator's side, over a packet socket that stays the caller's. */
export async function offerChannel(native: Native, socket: number, options: DirectOptions): Promise<Handle> {
  const settings = resolveChannelOptions(options);
  const wanted = transportByName(options.transport ?? "mempipe");
  const transport = beginningOf(wanted);
  const channel = makeHalf(native, "initiator", transport, settings.trust, settings);
  try {
    const { controlFd, ringFd, doorbellFd, linkFd, dataFd } = channel.made;
    send(native, socket, { transport: transport.name, trust: settings.trust }, [controlFd, doorbellFd, linkFd, ringFd ?? dataFd]);
    const { greeting, descriptors } = await receive(native, socket);
    const [theirs, ring] = descriptors;
    const half = { trust: greeting.trust, controlFd: theirs, ringFd: ring, doorbellFd: undefined, linkFd: undefined, dataFd: undefined };
    return await moveBeforeUse(complete(native, socket, channel, half, options), wanted, { timeoutMs: DEFAULT_TIMEOUT_MS });
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** The acceptor's side, over a packet socket that stays the caller's. */
export async function answerChannel(native: Native, socket: number, options: ChannelOptions): Promise<Handle> {
  const settings = resolveChannelOptions(options);
  const { greeting, descriptors } = await receive(native, socket);
  const trust = settings.trust === "untrusted" ? settings.trust : greeting.trust;
  const { channel, transport } = acceptorHalf(native, greeting, trust, settings, descriptors);
  const [controlFd, doorbellFd, linkFd, third] = descriptors;
  const { ringFd, dataFd } = transport.sharedMemory ? { ringFd: third, dataFd: undefined } : { ringFd: undefined, dataFd: third };
  const handle = complete(native, socket, channel, { trust, controlFd, doorbellFd, linkFd, ringFd, dataFd }, options);
  send(native, socket, { transport: transport.name, trust }, [channel.made.controlFd, channel.made.ringFd]);
  channel.closeMade();
  return handle;
}

/** If it cannot be made, the initiator's half is given up. */
function acceptorHalf(
  native: Native,
  greeting: Greeting,
  trust: Trust,
  settings: ResolvedChannelOptions,
  theirs: readonly number[],
): { readonly channel: Channel; readonly transport: Transport } {
  try {
    const transport = transportByName(greeting.transport);
    return { channel: makeHalf(native, "acceptor", transport, trust, settings), transport };
  } catch (error) {
    for (const fd of theirs) native.library.close(fd);
    throw error;
  }
}

function complete(native: Native, socket: number, channel: Channel, half: Omit<PeerDescriptors, "pidFd">, options: ChannelOptions): Handle {
  const { peer, pidFd } = peerOf(native, socket);
  const handle = completeHandle(channel, { ...half, pidFd }, resolveChannelOptions(options), { peer, flow: "" });
  if (half.doorbellFd === undefined) channel.closeMade();
  return handle;
}

/** Words of fable_credentials: pid uid gid pid_fd start_time. */
function peerOf(native: Native, socket: number): { readonly peer: Peer; readonly pidFd: number } {
  const words = new Uint32Array(6);
  check(native.library, native.library.peer_credentials(socket, words), "learn who the peer is");
  const [pid, uid, , pidFd] = words;
  return { peer: { name: `xio://anonymous/${pid}`, pid, uid }, pidFd: pidFd | 0 };
}

function send(native: Native, socket: number, greeting: Greeting, descriptors: readonly (number | undefined)[]): void {
  const bytes = new TextEncoder().encode(JSON.stringify(greeting));
  const fds = Int32Array.from(descriptors.filter((fd) => fd !== undefined));
  check(native.library, native.library.frame_send(socket, bytes, bytes.length, fds, fds.length), "send half of a channel");
}

async function receive(native: Native, socket: number): Promise<{ readonly greeting: Greeting; readonly descriptors: readonly number[] }> {
  const { library } = native;
  const bytes = new Uint8Array(GREETING_BYTES);
  const fds = new Int32Array(MAX_DESCRIPTORS);
  const count = new Uint32Array(1);
  const size = await retried(
    native,
    socket,
    () => library.frame_receive(socket, bytes, bytes.length, fds, fds.length, count),
    "receive half of a channel",
  );
  const descriptors = [...fds.subarray(0, count[0])];
  try {
    return { greeting: greetingIn(bytes.subarray(0, size), descriptors.length), descriptors };
  } catch (error) {
    for (const fd of descriptors) library.close(fd);
    throw error;
  }
}

/** The initiator's half has four descriptors; the acceptor's has a ring where memory is shared, and none else. */
function greetingIn(bytes: Uint8Array, descriptors: number): Greeting {
  let greeting: Partial<Greeting> | undefined;
  try {
    greeting = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Greeting>;
  } catch {
    // Said below.
  }
  const { transport, trust } = greeting ?? {};
  const known = transport !== undefined && isTransportName(transport) && (trust === "trusted" || trust === "untrusted");
  if (known && (descriptors === 4 || descriptors === (transportByName(transport).sharedMemory ? 2 : 1))) return { transport, trust };
  throw new FableError("PROTOCOL", "The other side greeted with something that is no half of a channel.", {
    remedy: "Run the same version of FABLE on both ends.",
  });
}

/** Repeats a call that answers EMPTY each time its descriptor becomes readable. */
async function retried(native: Native, fd: number, call: () => number, what: string): Promise<number> {
  for (;;) {
    const status = call();
    if (status === HUNG_UP) throw new FableError("PEER_CLOSED", `Could not ${what}: the other side is gone.`);
    if (status !== EMPTY) return check(native.library, status, what);
    await descriptorReady(native, fd, READABLE);
  }
}
