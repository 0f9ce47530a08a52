/** Options of connections, their limits and their defaults. */
import { FableError } from "../errors.ts";
import type { LoadOptions } from "../native/load.ts";
import type { TransportName, Trust } from "../transport/transport.ts";

/** How one end of a channel behaves; each end chooses for itself. */
export interface ChannelOptions {
  /** How far the peer is trusted (default "trusted"); the stricter of both ends and the policy holds. See {@link Trust}. */
  readonly trust?: Trust;
  /**
   * Size of the ring this end writes, in bytes: a power of two from 4 KiB to 64 MiB (default 64 KiB). A peer that does not trust this end takes no
   * more than its own ring, 256 KiB or the longest message has.
   */
  readonly ringBytes?: number;
  /** The longest message either way, in bytes (default 16 MiB); the smaller of both ends' holds. */
  readonly maxMessageBytes?: number;
  /** Gives each buffer memory of its own that is detached when the buffer ends. For tests: it costs a copy and 0.3 µs a buffer. */
  readonly checked?: boolean;
  /** Read buffers that may be held at once before `getReadBuf` answers ENOSPACE (default 1024). */
  readonly maxHeldBuffers?: number;
  /** Sends that may wait for room at once before `send` rejects with ENOSPACE (default 1024). */
  readonly maxQueuedSends?: number;
  /**
   * How long open write buffers may hold up a move of this end's direction to another transport, in milliseconds (default 200). Those still
   * open then are copied when they are committed.
   */
  readonly drainDeadlineMs?: number;
}

/** Options of {@link connect}. */
export interface ConnectOptions extends ChannelOptions {
  /** By hand; without, the broker chooses the fastest that is safe. One that a channel cannot begin with is moved to before this resolves. */
  readonly transport?: TransportName;
  /** Fail at once with NAME_UNKNOWN or NOT_LISTENING instead of waiting until somebody listens (default: wait). */
  readonly wait?: boolean;
  /** Deadline for everything, the listener's start included, in milliseconds (default 5000). */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Options of {@link listen}. */
export interface ListenOptions extends ChannelOptions {
  /** Connections completed but not yet accepted; further ones are refused with BACKLOG_FULL (default 64). */
  readonly backlog?: number;
}

/** Options of everything that talks to the broker. */
export interface SessionOptions {
  /** The broker's socket, instead of `$FABLE_SOCKET` or the usual places. */
  readonly socket?: string;
  /** The native library, instead of the package's own. */
  readonly library?: LoadOptions["path"];
}

/** Limits of one handle, with the defaults filled in. */
export interface HandleLimits {
  readonly checked: boolean;
  readonly maxHeldBuffers: number;
  readonly maxQueuedSends: number;
  readonly drainDeadlineMs: number;
}

/** {@link ChannelOptions} with the defaults filled in. */
export interface ResolvedChannelOptions extends HandleLimits {
  readonly trust: Trust;
  readonly ringBytes: number;
  readonly maxMessageBytes: number;
}

export const DEFAULT_RING_BYTES = 64 * 1024;
export const DEFAULT_MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
export const DEFAULT_TIMEOUT_MS = 5000;
export const DEFAULT_BACKLOG = 64;
export const DEFAULT_DRAIN_DEADLINE_MS = 1000;
const DEFAULT_MOVE_DEADLINE_MS = 200;
const MAX_MOVE_DEADLINE_MS = 3_600_000;
const MIN_RING_BYTES = 4096;
const MAX_RING_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

/** Checks options and fills in what is not given. */
export function resolveChannelOptions(options: ChannelOptions): ResolvedChannelOptions {
  const { ringBytes = DEFAULT_RING_BYTES, trust = "trusted" } = options;
  const powerOfTwo = Number.isInteger(ringBytes) && (ringBytes & ringBytes - 1) === 0;
  if (!powerOfTwo || ringBytes < MIN_RING_BYTES || ringBytes > MAX_RING_BYTES) {
    throw bad(`ringBytes is ${ringBytes}`, "Give a power of two from 4096 to 67108864.");
  }
  if (trust !== "trusted" && trust !== "untrusted") throw bad(`trust is "${String(trust)}"`, 'Give "trusted" or "untrusted".');
  return {
    trust,
    ringBytes,
    maxMessageBytes: count("maxMessageBytes", options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
    checked: options.checked ?? false,
    maxHeldBuffers: count("maxHeldBuffers", options.maxHeldBuffers ?? 1024, 1 << 20),
    maxQueuedSends: count("maxQueuedSends", options.maxQueuedSends ?? 1024, 1 << 20),
    drainDeadlineMs: count("drainDeadlineMs", options.drainDeadlineMs ?? DEFAULT_MOVE_DEADLINE_MS, MAX_MOVE_DEADLINE_MS, 0),
  };
}

function count(name: string, value: number, most: number, least = 1): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw bad(`${name} is ${value}`, `Give a whole number from ${least} to ${most}.`);
}

function bad(what: string, remedy: string): FableError {
  return new FableError("BAD_ARGUMENT", `The option ${what}, which cannot be.`, { remedy });
}
