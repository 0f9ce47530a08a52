/**
 * The transport contract, TypeScript side. The native core implements each mechanism; to TypeScript a transport is a name, what it can do,
 * and which descriptors travel to the peer when a channel is made. A message has the same record layout on every transport, so that reading
 * and writing code (records.ts) is one and the same.
 */

/** Every transport, in the order of their codes. */
export const TRANSPORT_NAMES = [
  "mempipe",
  "mempipe-spin",
  "mempipe-futex",
  "unix",
  "tcp",
  "tcp-nodelay",
  "pipe",
  "vmsplice-coop",
  "shmem-pipe",
] as const;
/** Transport names, everywhere the same: API, CLI, JSON, broker. */
export type TransportName = typeof TRANSPORT_NAMES[number];

/** How an end treats its peer: "trusted" lends memory in place, "untrusted" copies privately before anything looks. */
export type Trust = "trusted" | "untrusted";

export interface Transport {
  readonly name: TransportName;
  /** FABLE_TRANSPORT_* */
  readonly code: number;
  /** Whether a channel can begin with it; the others are reached by reconfiguration only. */
  readonly first: boolean;
  /** True if messages live in memory both ends map; false if they pass through the kernel. */
  readonly sharedMemory: boolean;
  /** Whether what was read goes back in any order: else the writer waits for the oldest. */
  readonly anyOrder: boolean;
  /** Whether something may wait for the kernel after publishing, so that somebody has to pump. */
  readonly pumped: boolean;
  /** Whether the kernel keeps a small rest back for want of an acknowledgement, so that somebody who sends no more has to say so. */
  readonly keepsBack: boolean;
  /** How an end waits: as it sees fit, or forced (paper §2.1.3). */
  readonly waiting: "adaptive" | "spin" | "futex" | "kernel";
  /** "n/a" for kernel transports, which always copy. */
  readonly trust: Trust | "n/a";
  /** One line for `fable doctor` and `--help`. */
  readonly description: string;
}
