/** What goes through pipes: the bytes themselves, the sender's pages, or only word of where in shared memory they are (paper §2.1.1, §2.1.4, §2.1.5). */
import { TRANSPORT_PIPE, TRANSPORT_SHMEM_PIPE, TRANSPORT_VMSPLICE_COOP } from "../native/generated.ts";
import type { Transport } from "./transport.ts";

export const pipe: Transport = {
  name: "pipe",
  code: TRANSPORT_PIPE,
  first: false,
  sharedMemory: false,
  anyOrder: false,
  pumped: true,
  keepsBack: false,
  waiting: "kernel",
  trust: "n/a",
  description: "pipe; two copies through the kernel",
};

export const vmspliceCoop: Transport = {
  name: "vmsplice-coop",
  code: TRANSPORT_VMSPLICE_COOP,
  first: false,
  sharedMemory: false,
  anyOrder: false,
  pumped: true,
  keepsBack: false,
  waiting: "kernel",
  trust: "trusted",
  description: "pipe that carries the sender's pages; one copy, by the reader. Between ends that trust each other only",
};

export const shmemPipe: Transport = {
  name: "shmem-pipe",
  code: TRANSPORT_SHMEM_PIPE,
  first: false,
  sharedMemory: true,
  anyOrder: true,
  pumped: true,
  keepsBack: false,
  waiting: "kernel",
  trust: "trusted",
  description: "heap in shared memory; where the messages lie goes through a pipe",
};
