/**
 * Status codes of the native core as errors: a code, the cause, a remedy. The table is also docs/reference/status-codes.md (a test compares).
 * The hot path compares numbers and never comes here.
 */
import { type ErrorCode, FableError } from "../errors.ts";
import { errnoName } from "./errno.ts";
import type { Library } from "./library.ts";

export interface StatusMeaning {
  /** FABLE_<name> of include/fable.h. */
  readonly name: string;
  readonly status: number;
  /** What a caller of the TypeScript API sees. */
  readonly code: ErrorCode;
  /** Completes "Could not <do something>: ". */
  readonly cause: string;
  readonly remedy: string;
}

export const statusMeanings: readonly StatusMeaning[] = [
  { status: -1, name: "EMPTY", code: "TIMEOUT", cause: "nothing has arrived yet", remedy: "Wait until it is readable, then try again." },
  {
    status: -2,
    name: "ENOSPACE",
    code: "ENOSPACE",
    cause: "there is no room left",
    remedy: "Wait until it is writable, or ask for a larger ring.",
  },
  {
    status: -3,
    name: "ENDED",
    code: "ENDED",
    cause: "the peer ended the channel, and everything it sent was read",
    remedy: "Connect again.",
  },
  { status: -4, name: "PEER_DEAD", code: "PEER_DEAD", cause: "the peer's process died", remedy: "Connect again once it is back." },
  {
    status: -5,
    name: "PEER_FAULT",
    code: "PEER_FAULT",
    cause: "the peer broke the protocol",
    remedy: "Check the peer's version and its code; then connect again.",
  },
  {
    status: -6,
    name: "BAD_HANDLE",
    code: "CLOSED",
    cause: "the handle is closed or was never issued",
    remedy: "Use a channel only until it is closed.",
  },
  {
    status: -7,
    name: "BAD_ARGUMENT",
    code: "BAD_ARGUMENT",
    cause: "an argument is out of range",
    remedy: "See the documentation of the call for its limits.",
  },
  {
    status: -8,
    name: "WRONG_THREAD",
    code: "WRONG_THREAD",
    cause: "the channel belongs to another thread",
    remedy: "Use it in the worker that opened it.",
  },
  {
    status: -9,
    name: "FORKED",
    code: "FORKED",
    cause: "the process was forked after the library was loaded",
    remedy: "Load the library and connect in the child.",
  },
  {
    status: -10,
    name: "TOO_LARGE",
    code: "TOO_LARGE",
    cause: "the message or value is over its limit",
    remedy: "Raise max_message_bytes on both ends, or split it.",
  },
  {
    status: -11,
    name: "TIMEOUT",
    code: "TIMEOUT",
    cause: "the deadline passed",
    remedy: "Allow more time, or look at why the peer is slow.",
  },
  { status: -12, name: "CLOSED", code: "CLOSED", cause: "this end is closed", remedy: "Connect again." },
  { status: -13, name: "SYSTEM", code: "SYSTEM", cause: "the system refused", remedy: "Run fable doctor to see what this machine lacks." },
  {
    status: -14,
    name: "BAD_REGION",
    code: "PEER_FAULT",
    cause: "the peer's memory has wrong seals, size or identity",
    remedy: "Check the peer's version; then connect again.",
  },
  {
    status: -15,
    name: "UNSUPPORTED",
    code: "UNSUPPORTED_PLATFORM",
    cause: "this kernel or machine cannot do it",
    remedy: "Run fable doctor to see what works here.",
  },
  {
    status: -16,
    name: "TABLE_FULL",
    code: "QUOTA",
    cause: "no handle is left in this process",
    remedy: "Close channels that are no longer used.",
  },
  {
    status: -17,
    name: "TRUNCATED",
    code: "PROTOCOL",
    cause: "a frame was larger than allowed and is lost",
    remedy: "Check the version of the other side.",
  },
  { status: -18, name: "HUNG_UP", code: "PEER_CLOSED", cause: "the other side is gone", remedy: "Connect again." },
  {
    status: -19,
    name: "ABI_MISMATCH",
    code: "VERSION",
    cause: "the peer uses another memory layout",
    remedy: "Run the same version of FABLE on both ends.",
  },
  {
    status: -20,
    name: "MOVED",
    code: "PROTOCOL",
    cause: "what follows lies in another read arena",
    remedy: "Take that arena first.",
  },
];

const SYSTEM_STATUS = -13;
const byStatus = new Map(statusMeanings.map((meaning) => [meaning.status, meaning]));

/** The error for a negative status of a call that was to `action` ("open the channel"). */
export function statusError(library: Pick<Library, "errno">, status: number, action: string): FableError {
  const meaning = byStatus.get(status);
  if (meaning === undefined) {
    return new FableError("SYSTEM", `Could not ${action}: the native core answered ${status}.`, { remedy: "Run npm run build." });
  }
  const detail = status === SYSTEM_STATUS ? ` (${errnoName(library.errno())})` : "";
  return new FableError(meaning.code, `Could not ${action}: ${meaning.cause}${detail}.`, { remedy: meaning.remedy });
}

/** Gives a status back if it is a success, throws its error otherwise. */
export function check(library: Pick<Library, "errno">, status: number, action: string): number {
  if (status < 0) throw statusError(library, status, action);
  return status;
}
