/** What the system says about sockets, as errors with a name and a remedy. */
import { type ErrorCode, FableError } from "../../errors.ts";
import { errnoName } from "../../native/errno.ts";
import { ENOSPACE, SYSTEM, TOO_LARGE } from "../../native/generated.ts";
import type { Library } from "../../native/library.ts";
import { statusError } from "../../native/status.ts";

interface Problem {
  readonly code: ErrorCode;
  readonly cause: string;
  readonly remedy: string;
}

const AGAIN = "Connect again.";
const problems: Readonly<Record<string, Problem>> = {
  ECONNREFUSED: { code: "REFUSED", cause: "nobody listens there", remedy: "Start the server, or check the address." },
  ECONNRESET: { code: "PEER_RESET", cause: "the other side reset the connection", remedy: `Look at why it did; ${AGAIN.toLowerCase()}` },
  EPIPE: { code: "PEER_CLOSED", cause: "the other side reads no more", remedy: AGAIN },
  ENOTCONN: { code: "PEER_CLOSED", cause: "the other side is gone", remedy: AGAIN },
  ENETUNREACH: { code: "UNREACHABLE", cause: "no route leads to that network", remedy: "Check the address and this machine's network." },
  ENETDOWN: { code: "UNREACHABLE", cause: "the network is down", remedy: "Check this machine's network." },
  EHOSTUNREACH: { code: "UNREACHABLE", cause: "no route leads to that host", remedy: "Check the address, and whether the host is up." },
  EHOSTDOWN: { code: "UNREACHABLE", cause: "that host is down", remedy: "Check whether the host is up." },
  EADDRNOTAVAIL: { code: "UNREACHABLE", cause: "this machine has no such address", remedy: "Check the address with `ip address`." },
  EAFNOSUPPORT: { code: "UNREACHABLE", cause: "this machine has no network of that family", remedy: "Use an address of the other family." },
  ETIMEDOUT: {
    code: "TIMEOUT",
    cause: "the other side does not answer",
    remedy: "Check the address, and whether something filters packets.",
  },
  EADDRINUSE: {
    code: "NAME_TAKEN",
    cause: "the address is in use, or a file of that name exists",
    remedy: "Choose another port or path; remove the socket's file if nobody listens at it.",
  },
  EACCES: {
    code: "PERMISSION",
    cause: "this user may not use that address",
    remedy: "Use a port from 1024, or check the path's permissions.",
  },
  EPERM: { code: "PERMISSION", cause: "a rule of this machine forbids it", remedy: "Check its firewall." },
  ENOENT: { code: "NAME_UNKNOWN", cause: "there is no socket of that name", remedy: "Start the server, or check the path." },
  ENOTDIR: { code: "NAME_UNKNOWN", cause: "a part of the path is no folder", remedy: "Check the path." },
  ENOTSOCK: { code: "NAME_UNKNOWN", cause: "that is no socket", remedy: "Check the path." },
  EPROTOTYPE: {
    code: "BAD_ARGUMENT",
    cause: "the socket there is of the other kind",
    remedy: "Say datagrams: true for a Unix socket of datagrams, and not for one of bytes.",
  },
  EMFILE: {
    code: "QUOTA",
    cause: "this process has no descriptor left",
    remedy: "Close handles that are no longer used, or raise ulimit -n.",
  },
  ENFILE: { code: "QUOTA", cause: "this machine has no descriptor left", remedy: "Close what is no longer used." },
};

/** The error for a negative status of a call that was to `action` ("connect to tcp://…"). */
export function outsideError(library: Library, status: number, action: string): FableError {
  if (status === TOO_LARGE) {
    return new FableError("TOO_LARGE", `Could not ${action}: no datagram can be that long there.`, { remedy: "Send it in parts." });
  }
  if (status === ENOSPACE) {
    return new FableError("BACKLOG_FULL", `Could not ${action}: too many connections wait there to be accepted.`, {
      remedy: "Try again later.",
    });
  }
  if (status !== SYSTEM) return statusError(library, status, action);
  const name = errnoName(library.errno());
  const problem = problems[name];
  if (problem === undefined) return statusError(library, status, action);
  return new FableError(problem.code, `Could not ${action}: ${problem.cause} (${name}).`, { remedy: problem.remedy });
}
