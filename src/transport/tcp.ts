/** TCP over the loopback, as the paper measured it (§2.1.1). Both sockets are made by the writer and one is handed to the reader: no port is open. */
import { TRANSPORT_TCP, TRANSPORT_TCP_NODELAY } from "../native/generated.ts";
import type { Transport } from "./transport.ts";

export const tcp: Transport = {
  name: "tcp",
  code: TRANSPORT_TCP,
  first: false,
  sharedMemory: false,
  anyOrder: false,
  pumped: true,
  keepsBack: true,
  waiting: "kernel",
  trust: "n/a",
  description: "TCP over the loopback; for comparison, and where only sockets are allowed",
};

export const tcpNodelay: Transport = {
  name: "tcp-nodelay",
  code: TRANSPORT_TCP_NODELAY,
  first: false,
  sharedMemory: false,
  anyOrder: false,
  pumped: true,
  keepsBack: false,
  waiting: "kernel",
  trust: "n/a",
  description: "TCP over the loopback with TCP_NODELAY; each batch is sent at once",
};
