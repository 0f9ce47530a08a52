/** Both ends of a channel in one program: for tests, for workers, for trying things out. */
import { FableError } from "../errors.ts";
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { Channel } from "../transport/channel.ts";
import type { MadeDescriptors } from "../transport/halves.ts";
import { beginningOf, transportByName } from "../transport/registry.ts";
import type { Transport, TransportName } from "../transport/transport.ts";
import { completeHandle, makeHalf } from "./establish.ts";
import { CONNECTION, type Handle } from "./handle.ts";
import { type ChannelOptions, resolveChannelOptions } from "./options.ts";

/** An offer, its acceptance, the marker; twice that is more than enough. */
const MOST_ROUNDS = 8;

/** Options of {@link channelPair}. */
export interface PairOptions extends ChannelOptions {
  /** How messages travel (default "mempipe"). */
  readonly transport?: TransportName;
}

/**
 * Makes a channel and gives both of its ends, which need no broker and no name.
 *
 * @example
 * ```ts
 * import { channelPair } from "fable";
 *
 * const [left, right] = channelPair();
 * left.send("hello");
 * console.log(new TextDecoder().decode(await right.receive())); // hello
 * await left.close();
 * await right.close();
 * ```
 */
export function channelPair(options: PairOptions = {}): [Handle, Handle] {
  return pairOn(loadNative(), options);
}

/** {@link channelPair} on a given native core. */
export function pairOn(native: Native, options: PairOptions): [Handle, Handle] {
  const settings = resolveChannelOptions(options);
  const wanted = transportByName(options.transport ?? "mempipe");
  const transport = beginningOf(wanted);
  const channels: Channel[] = [];
  try {
    const left = makeHalf(native, "initiator", transport, settings.trust, settings);
    channels.push(left);
    const right = makeHalf(native, "acceptor", transport, settings.trust, settings);
    channels.push(right);
    const { trust } = settings;
    const introduction = { peer: { name: "xio://anonymous/0", pid: 0, uid: 0 }, flow: "" };
    const forLeft = { ...duplicate(native, right.made), pidFd: undefined, trust };
    const leftHandle = completeHandle(left, forLeft, settings, introduction);
    const forRight = { ...duplicate(native, left.made), pidFd: undefined, trust };
    const rightHandle = completeHandle(right, forRight, settings, introduction);
    for (const channel of channels) {
      channel.closeMade();
      // Spinning would keep the only thread from doing what is waited for.
      channel.spins = false;
    }
    if (!wanted.first) moveAtOnce([leftHandle, rightHandle], wanted);
    return [leftHandle, rightHandle];
  } catch (error) {
    for (const channel of channels) channel.close();
    throw error;
  }
}

/** Both ends are here, so what each has to say to the other is heard without waiting. */
function moveAtOnce(handles: readonly Handle[], transport: Transport): void {
  const order = { transport, direction: "outgoing", ringBytes: 0, reason: "program" } as const;
  const connections = handles.map((handle) => handle[CONNECTION]);
  const there = (): boolean => connections.every(({ channel: { moves } }) => moves.outgoing === transport && moves.incoming === transport);
  for (const connection of connections) connection.orderNow(order);
  for (let round = 0; round < MOST_ROUNDS && !there(); round++) {
    for (const { channel } of connections) channel.listen();
  }
  if (!there()) throw new FableError("REFUSED", `The channel did not move to ${transport.name}.`);
}

/** The peer consumes what it is given; the maker closes its own. */
function duplicate(native: Native, made: MadeDescriptors): MadeDescriptors {
  const { library } = native;
  const copies: number[] = [];
  const copy = (fd: number | undefined): number | undefined => {
    if (fd === undefined) return undefined;
    const fdCopy = check(library, library.dup(fd), "duplicate a descriptor");
    copies.push(fdCopy);
    return fdCopy;
  };
  try {
    return {
      controlFd: copy(made.controlFd)!,
      ringFd: copy(made.ringFd),
      doorbellFd: copy(made.doorbellFd),
      linkFd: copy(made.linkFd),
      dataFd: copy(made.dataFd),
    };
  } catch (error) {
    for (const fd of copies) library.close(fd);
    throw error;
  }
}
