/** The two halves of a channel: what an end is made with, what it gives to its peer, and what it takes from it. */
import type { Transport, Trust } from "./transport.ts";

export interface ChannelSettings {
  readonly role: "initiator" | "acceptor";
  readonly transport: Transport;
  readonly trust: Trust;
  /** Size of the ring this end writes: a power of two. */
  readonly ringBytes: number;
  readonly maxMessageBytes: number;
}

/** Descriptors made for the peer. They stay the maker's, who passes them on and then closes them. */
export interface MadeDescriptors {
  readonly controlFd: number;
  readonly ringFd: number | undefined;
  /** Initiator only. */
  readonly doorbellFd: number | undefined;
  /** Initiator only. */
  readonly linkFd: number | undefined;
  /** Initiator of a kernel transport only. */
  readonly dataFd: number | undefined;
}

/** The peer's half, consumed by `Channel.attach` in every outcome. */
export interface PeerDescriptors {
  /** Effective: never laxer than in {@link ChannelSettings}. */
  readonly trust: Trust;
  readonly controlFd: number;
  readonly ringFd: number | undefined;
  readonly doorbellFd: number | undefined;
  readonly linkFd: number | undefined;
  readonly dataFd: number | undefined;
  readonly pidFd: number | undefined;
}
