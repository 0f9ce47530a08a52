/** Options of handles to the outside world, and their defaults. */
import { FableError } from "../../errors.ts";
import type { OutsideName } from "../../naming/outside.ts";
import type { LoadOptions } from "../../native/load.ts";

/** How one end of a connection to the outside world behaves. */
export interface OutsideOptions {
  /** Memory of each direction, in bytes, from 64 KiB to 64 MiB (default 256 KiB): what arrived and is not released, what waits to be sent. */
  readonly bufferBytes?: number;
  /** Gives each buffer memory of its own that is detached when the buffer ends. For tests. */
  readonly checked?: boolean;
  /** Read buffers that may be held at once before `getReadBuf` answers ENOSPACE (default 1024). */
  readonly maxHeldBuffers?: number;
  /** Sends that may wait for room at once before `send` rejects with ENOSPACE (default 1024). */
  readonly maxQueuedSends?: number;
  /** TCP: sends at once what a turn gathered, without waiting to fill a packet (default true). */
  readonly noDelay?: boolean;
  /** TCP: looks now and then whether a silent peer still exists (default false). */
  readonly keepAlive?: boolean;
}

/** Options of {@link connect} to the outside world. */
export interface OutsideConnectOptions extends OutsideOptions {
  /** `unix:` only: a socket of datagrams instead of bytes (default false). */
  readonly datagrams?: boolean;
  /** The address to speak from, of the same scheme; default: the system chooses. */
  readonly local?: OutsideName;
  /** Deadline for everything, in milliseconds (default 5000). */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** The native library, instead of the package's own. */
  readonly library?: LoadOptions["path"];
}

/** Options of {@link listen} for the outside world. */
export interface OutsideListenOptions extends OutsideOptions {
  /** Connections that the system completes before they are accepted (default 64). */
  readonly backlog?: number;
  /** `unix:` only: the permissions of the socket's file (default 0o600: this user alone). */
  readonly mode?: number;
  /** The native library, instead of the package's own. */
  readonly library?: LoadOptions["path"];
}

/** {@link OutsideOptions} with the defaults filled in. */
export interface OutsideLimits {
  readonly bufferBytes: number;
  readonly checked: boolean;
  readonly maxHeldBuffers: number;
  readonly maxQueuedSends: number;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
}

const DEFAULT_BUFFER_BYTES = 256 * 1024;
const MIN_BUFFER_BYTES = 64 * 1024;
const MAX_BUFFER_BYTES = 64 * 1024 * 1024;

/** Checks options and fills in what is not given. */
export function resolveOutsideOptions(options: OutsideOptions): OutsideLimits {
  return {
    bufferBytes: whole("bufferBytes", options.bufferBytes ?? DEFAULT_BUFFER_BYTES, MIN_BUFFER_BYTES, MAX_BUFFER_BYTES),
    checked: options.checked ?? false,
    maxHeldBuffers: whole("maxHeldBuffers", options.maxHeldBuffers ?? 1024, 1, 1 << 20),
    maxQueuedSends: whole("maxQueuedSends", options.maxQueuedSends ?? 1024, 1, 1 << 20),
    noDelay: options.noDelay ?? true,
    keepAlive: options.keepAlive ?? false,
  };
}

/** A whole number within its limits. @throws FableError BAD_ARGUMENT. */
export function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new FableError("BAD_ARGUMENT", `The option ${name} is ${value}, which cannot be.`, {
    remedy: `Give a whole number from ${least} to ${most}.`,
  });
}
