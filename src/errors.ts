/**
 * Errors of the whole library: one class, a stable `code`, a sentence with the cause and a remedy.
 * Outcomes of the hot path (nothing to read, no space) are values, not errors.
 */

/** What went wrong, for programs: these strings do not change. */
export type ErrorCode =
  | "UNSUPPORTED_PLATFORM"
  | "LIBRARY_MISSING"
  | "LIBRARY_STALE"
  | "PERMISSION"
  | "BAD_NAME"
  | "NAME_TAKEN"
  | "NAME_UNKNOWN"
  | "NOT_LISTENING"
  | "BACKLOG_FULL"
  | "REFUSED"
  | "QUOTA"
  | "TIMEOUT"
  | "ABORTED"
  | "BROKER_UNREACHABLE"
  | "BROKER_UNTRUSTED"
  | "PROTOCOL"
  | "VERSION"
  | "CLOSED"
  | "ENDED"
  | "PEER_CLOSED"
  | "PEER_DEAD"
  | "PEER_FAULT"
  | "PEER_RESET"
  | "UNREACHABLE"
  | "TOO_LARGE"
  | "ENOSPACE"
  | "SPENT_BUFFER"
  | "BAD_ARGUMENT"
  | "WRONG_THREAD"
  | "FORKED"
  | "TRANSPORT_UNAVAILABLE"
  | "UNSUPPORTED_TRANSPORT"
  | "SUPERSEDED"
  | "SYSTEM";

/** Any failure FABLE reports. `code` is stable and meant for programs, `message` for people, `remedy` says what to do. */
export class FableError extends Error {
  override readonly name = "FableError";
  readonly code: ErrorCode;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** True if `error` is a {@link FableError}, with that code if one is given. */
export function isFableError(error: unknown, code?: ErrorCode): error is FableError {
  return error instanceof FableError && (code === undefined || error.code === code);
}
