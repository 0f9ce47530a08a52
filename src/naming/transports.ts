/**
 * What the broker and its clients must know of transports: their names and codes, with which a channel may begin, and for which trust means
 * something. The transports themselves are the library's (src/transport/registry.ts, which a test holds against this list).
 */
import { FableError } from "../errors.ts";
import {
  TRANSPORT_MEMPIPE,
  TRANSPORT_MEMPIPE_FUTEX,
  TRANSPORT_MEMPIPE_SPIN,
  TRANSPORT_PIPE,
  TRANSPORT_SHMEM_PIPE,
  TRANSPORT_TCP,
  TRANSPORT_TCP_NODELAY,
  TRANSPORT_UNIX,
  TRANSPORT_VMSPLICE_COOP,
} from "../native/generated.ts";
import { TRANSPORT_NAMES, type TransportName } from "../transport/transport.ts";

export { TRANSPORT_NAMES };

/** Where a channel may begin; it reaches the others by moving. */
export const FIRST_TRANSPORTS = ["mempipe", "mempipe-spin", "mempipe-futex", "unix"] as const satisfies readonly TransportName[];
export type FirstTransport = typeof FIRST_TRANSPORTS[number];

const CODES: Readonly<Record<TransportName, number>> = {
  mempipe: TRANSPORT_MEMPIPE,
  "mempipe-spin": TRANSPORT_MEMPIPE_SPIN,
  "mempipe-futex": TRANSPORT_MEMPIPE_FUTEX,
  unix: TRANSPORT_UNIX,
  tcp: TRANSPORT_TCP,
  "tcp-nodelay": TRANSPORT_TCP_NODELAY,
  pipe: TRANSPORT_PIPE,
  "vmsplice-coop": TRANSPORT_VMSPLICE_COOP,
  "shmem-pipe": TRANSPORT_SHMEM_PIPE,
};

/** Those whose messages lie in memory of the sender when they are read: everything but a private copy through the kernel. */
const LENDING: ReadonlySet<TransportName> = new Set(["mempipe", "mempipe-spin", "mempipe-futex", "vmsplice-coop", "shmem-pipe"]);

/** Undefined for a number that is nobody's: control regions say what their owners want them to. */
export function transportOfCode(code: number): TransportName | undefined {
  return TRANSPORT_NAMES.find((name) => CODES[name] === code);
}

/** Whether trust means something there: what the kernel copies is nobody's but the receiver's. */
export function dependsOnTrust(transport: TransportName): boolean {
  return LENDING.has(transport);
}

/** Throws for a transport with which no channel begins. */
export function firstTransport(transport: TransportName): FirstTransport {
  const found = FIRST_TRANSPORTS.find((name) => name === transport);
  if (found !== undefined) return found;
  throw new FableError("TRANSPORT_UNAVAILABLE", `no channel begins with ${transport}`, {
    remedy: `connect by one of ${FIRST_TRANSPORTS.join(", ")} and move the channel then`,
  });
}
