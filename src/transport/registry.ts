/** Every transport this build knows, in the order in which they are listed to people. */
import { FableError } from "../errors.ts";
import { mempipe, mempipeFutex, mempipeSpin } from "./mempipe.ts";
import { pipe, shmemPipe, vmspliceCoop } from "./pipe.ts";
import { tcp, tcpNodelay } from "./tcp.ts";
import type { Transport, TransportName } from "./transport.ts";
import { unix } from "./unix.ts";

export const transports: readonly Transport[] = [
  mempipe,
  mempipeSpin,
  mempipeFutex,
  unix,
  tcp,
  tcpNodelay,
  pipe,
  vmspliceCoop,
  shmemPipe,
];

/** The transport a program or an operator named. */
export function transportByName(name: string): Transport {
  const found = transports.find((transport) => transport.name === name);
  if (found !== undefined) return found;
  throw new FableError("TRANSPORT_UNAVAILABLE", `There is no transport "${name}".`, {
    remedy: `Choose one of ${transports.map((transport) => transport.name).join(", ")}.`,
  });
}

/** The transport of a FABLE_TRANSPORT_* code, as the native side names them. */
export function transportByCode(code: number): Transport {
  const found = transports.find((transport) => transport.code === code);
  if (found === undefined) throw new Error(`no transport has the code ${code}`);
  return found;
}

/** What a channel begins with on its way to `transport`. */
export function beginningOf(transport: Transport): Transport {
  return transport.first ? transport : mempipe;
}

/** True if `name` names a transport. */
export function isTransportName(name: string): name is TransportName {
  return transports.some((transport) => transport.name === name);
}
