/** Counts of a channel, as numbers: exact up to 2^53. */

import type { Library } from "../native/library.ts";
import { check } from "../native/status.ts";

/** Words of 64 bits in `fable_stats`. */
export const STATS_FIELDS = 12;

/** Counts of one end, and of what the peer says about its side. */
export interface Figures {
  readonly messagesSent: number;
  readonly bytesSent: number;
  readonly messagesReceived: number;
  readonly bytesReceived: number;
  /** Of the messages sent: how many the peer has given back. */
  readonly messagesDelivered: number;
  readonly bytesDelivered: number;
  /** Wake-ups given, sleeps taken. */
  readonly rings: number;
  readonly sleeps: number;
  readonly blockedNs: number;
  readonly waitedNs: number;
}

/** Order of `fable_stats`: messages_sent bytes_sent messages_delivered bytes_delivered rings sleeps blocked_ns waited_ns, then write_epoch write_transport switches switch_reason. */
export function figuresOf(own: BigUint64Array, peer: BigUint64Array): Figures {
  const messagesSent = Number(own[0]);
  const bytesSent = Number(own[1]);
  return {
    messagesSent,
    bytesSent,
    messagesReceived: Number(own[2]),
    bytesReceived: Number(own[3]),
    // A peer may say what it likes, but not that it got more than was sent.
    messagesDelivered: Math.min(Number(peer[2]), messagesSent),
    bytesDelivered: Math.min(Number(peer[3]), bytesSent),
    rings: Number(own[4]),
    sleeps: Number(own[5]),
    blockedNs: Number(own[6]),
    waitedNs: Number(own[7]),
  };
}

/** A channel's figures: its own, and through the `observer` mapping the peer's. */
export function readFigures(library: Library, handle: number, observer: number | undefined): Figures {
  const own = new BigUint64Array(STATS_FIELDS);
  const peer = new BigUint64Array(STATS_FIELDS);
  check(library, library.channel_stats(handle, own), "read a channel's figures");
  if (observer !== undefined) check(library, library.control_stats(observer, peer), "read the peer's figures");
  return figuresOf(own, peer);
}
