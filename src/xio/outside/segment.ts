/** Segments: bytes on their way into a socket of the outside world, and why some are not taken. */
import { FableError } from "../../errors.ts";
import type { Lease } from "./arena.ts";
import type { OutsideHandle } from "./handle.ts";

/** Bytes on their way; all of a datagram. */
export interface Segment {
  readonly memory: Uint8Array;
  from: number;
  to: number;
  state: "open" | "ready" | "cancelled";
  readonly lease: Lease | undefined;
  /** Later sends may go behind it in the same memory. */
  readonly gathers: boolean;
  /** Of a send that waits, with its handle, which must not be collected meanwhile. */
  readonly waiting: Waiting | undefined;
}

interface Waiting {
  readonly handle: OutsideHandle;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A send that waits in the caller's memory. */
export function waitingSegment(handle: OutsideHandle, message: Uint8Array): { readonly segment: Segment; readonly promise: Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const waiting = { handle, resolve, reject };
  return { segment: { memory: message, from: 0, to: message.length, state: "ready", lease: undefined, gathers: false, waiting }, promise };
}

/** A segment in memory of its own, to be filled. */
export function privateSegment(size: number): Segment {
  return { memory: new Uint8Array(size), from: 0, to: size, state: "ready", lease: undefined, gathers: false, waiting: undefined };
}

/** Copies the sources' bytes, as if they were one, from the `from`-th on, until the segment is full. */
export function fill(segment: Segment, sources: readonly Uint8Array[], from: number): void {
  let skip = from;
  let to = segment.from;
  for (const source of sources) {
    const part = source.subarray(Math.min(skip, source.length)).subarray(0, segment.to - to);
    skip = Math.max(0, skip - source.length);
    segment.memory.set(part, to);
    to += part.length;
  }
}

export function tooLong(size: number, most: number, stream: boolean): FableError {
  if (stream) {
    return new FableError("TOO_LARGE", `${size} bytes at once are over bufferBytes, which is ${most}.`, {
      remedy: "Use send(), which waits, or connect with larger bufferBytes.",
    });
  }
  return new FableError("TOO_LARGE", `A datagram of ${size} bytes is over the limit of ${most}.`, {
    remedy: "Send it in parts, or, over Unix sockets, connect with larger bufferBytes.",
  });
}
