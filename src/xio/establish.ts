/** From descriptors to handles: what `connect`, `accept`, `channelPair` and direct channels have in common. */
import type { Native } from "../native/native.ts";
import { Channel } from "../transport/channel.ts";
import type { PeerDescriptors } from "../transport/halves.ts";
import type { Transport, Trust } from "../transport/transport.ts";
import { Connection, type Peer } from "./connection.ts";
import { CONNECTION, Handle } from "./handle.ts";
import type { WaitLimits } from "./limits.ts";
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

/** The initiator's last step for a transport that no channel begins with: both directions go there, or there is no handle. */
export async function moveBeforeUse(handle: Handle, transport: Transport, limits: WaitLimits): Promise<Handle> {
  if (transport.first) return handle;
  try {
    // What the peer sent before it moved can only be read by whoever gets the handle.
    await handle[CONNECTION].reconfigure({ transport, direction: "both", ringBytes: 0, reason: "program", early: true }, limits);
    return handle;
  } catch (error) {
    await handle.close({ drainDeadlineMs: 0 });
    throw error;
  }
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
    const { checked, maxHeldBuffers, maxQueuedSends, drainDeadlineMs } = options;
    const limits = { checked, maxHeldBuffers, maxQueuedSends, drainDeadlineMs };
    return new Handle(new Connection({ ...introduction, channel, maxMessageBytes, trust: half.trust, ...limits }));
  } catch (error) {
    channel.close();
    introduction.released?.();
    throw error;
  }
}
