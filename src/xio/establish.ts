/** From descriptors to handles: what `connect`, `accept`, `channelPair` and direct channels have in common. */
import type { Native } from "../native/native.ts";
import { Channel } from "../transport/channel.ts";
import type { PeerDescriptors } from "../transport/halves.ts";
import type { Transport, Trust } from "../transport/transport.ts";
import { Connection, type Peer } from "./connection.ts";
import { Handle } from "./handle.ts";
import type { ResolvedChannelOptions } from "./options.ts";

/** This end's half, before it has a peer. */
export function makeHalf(
  native: Native,
  role: "initiator" | "acceptor",
  transport: Transport,
  trust: Trust,
  options: ResolvedChannelOptions,
): Channel {
  const { ringBytes, maxMessageBytes } = options;
  return Channel.make(native, { role, transport, trust, ringBytes, maxMessageBytes });
}

export interface Introduction {
  readonly peer: Peer;
  readonly flow: string;
  readonly released?: () => void;
}

/** Takes the peer's half in; if that fails, the channel is closed and released. */
export function completeHandle(
  channel: Channel,
  half: PeerDescriptors,
  options: ResolvedChannelOptions,
  introduction: Introduction,
): Handle {
  try {
    const { maxMessageBytes } = channel.attach(half);
    const trust = channel.transport.sharedMemory ? half.trust : "n/a";
    const { checked, maxHeldBuffers, maxQueuedSends } = options;
    return new Handle(new Connection({ ...introduction, channel, maxMessageBytes, trust, checked, maxHeldBuffers, maxQueuedSends }));
  } catch (error) {
    channel.close();
    introduction.released?.();
    throw error;
  }
}
