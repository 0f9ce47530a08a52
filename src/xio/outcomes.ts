/**
 * Outcomes of the hot path, as values: each is an empty array, so code that only loops over buffers is right without looking, and code that
 * wants to know compares by identity. None of them is an error, and none allocates.
 */

/** Nothing there now: wait (`handle.waitReadable()`, `xpoll`) and ask again. */
export const EMPTY: readonly never[] = Object.freeze([]);

/**
 * No room now. From `getReadBuf`: too many read buffers are held, release some (or copy them and release). From `getWriteBuf`: the ring is
 * full, or too many buffers are open; wait until the handle is writable and ask again.
 */
export const ENOSPACE: readonly never[] = Object.freeze([]);

/** Nothing will ever come again in this direction: the peer half-closed, closed or died. `handle.closed` says why, once it is known. */
export const ENDED: readonly never[] = Object.freeze([]);

/** Why a channel ended. */
export type ClosedCode =
  /** This end called `close`. */
  | "CLOSED"
  /** Both ends half-closed, and everything was read. */
  | "ENDED"
  /** The peer closed its end. */
  | "PEER_CLOSED"
  /** The peer's process died. */
  | "PEER_DEAD"
  /** The peer broke the protocol; the message says how. */
  | "PEER_FAULT";

/** What `handle.closed` and `handle.close()` resolve to. */
export interface ClosedReason {
  readonly code: ClosedCode;
  /** A sentence for people. */
  readonly message: string;
  /** Messages this end sent, and how many of them the peer took. The rest was not delivered. */
  readonly sent: number;
  readonly delivered: number;
  /** Messages this end took. */
  readonly received: number;
}
