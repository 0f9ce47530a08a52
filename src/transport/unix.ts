/** Unix stream sockets: messages pass through the kernel, with the same records and the same doorbell as the memory pipes. */
import { TRANSPORT_UNIX } from "../native/generated.ts";
import type { Transport } from "./transport.ts";

export const unix: Transport = {
  name: "unix",
  code: TRANSPORT_UNIX,
  first: true,
  sharedMemory: false,
  anyOrder: false,
  pumped: true,
  keepsBack: false,
  waiting: "kernel",
  trust: "n/a",
  description: "Unix stream socket; two copies through the kernel, no shared memory",
};
