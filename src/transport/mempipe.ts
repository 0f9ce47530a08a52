/**
 * Memory pipes: one sealed shared-memory ring per direction, a doorbell for sleepers. The three differ only in how an end waits.
 */
import { TRANSPORT_MEMPIPE, TRANSPORT_MEMPIPE_FUTEX, TRANSPORT_MEMPIPE_SPIN } from "../native/generated.ts";
import type { Transport } from "./transport.ts";

export const mempipe: Transport = {
  name: "mempipe",
  code: TRANSPORT_MEMPIPE,
  first: true,
  sharedMemory: true,
  anyOrder: false,
  pumped: false,
  keepsBack: false,
  waiting: "adaptive",
  trust: "trusted",
  description: "shared-memory ring; spins while messages are frequent, then sleeps",
};

export const mempipeSpin: Transport = {
  name: "mempipe-spin",
  code: TRANSPORT_MEMPIPE_SPIN,
  first: true,
  sharedMemory: true,
  anyOrder: false,
  pumped: false,
  keepsBack: false,
  waiting: "spin",
  trust: "trusted",
  description:
    "shared-memory ring; spins for a tenth of a second before it sleeps: the lowest latency between two cores with nothing else to do",
};

export const mempipeFutex: Transport = {
  name: "mempipe-futex",
  code: TRANSPORT_MEMPIPE_FUTEX,
  first: true,
  sharedMemory: true,
  anyOrder: false,
  pumped: false,
  keepsBack: false,
  waiting: "futex",
  trust: "trusted",
  description: "shared-memory ring; sleeps at once: the fewest cycles, and right for two ends on one core",
};
