/**
 * What policy is told about a flow: everything here is measured or known, nothing is judged. Shares are of time, 0 to 1; what could not be found
 * out is undefined, never a guess. All of it fits into JSON, so that a decision can be written down and repeated (`fable policy explain`).
 */

/** Transport names, as everywhere; policy imports nothing, so a test holds this list against the library's. */
export const TRANSPORTS = [
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
export type Transport = typeof TRANSPORTS[number];
export type Trust = "trusted" | "untrusted";

/** For whom trust changes what happens: who reads the sender's memory in place, or copies it first. */
export const SHARED: ReadonlySet<Transport> = new Set(["mempipe", "mempipe-spin", "mempipe-futex", "shmem-pipe", "vmsplice-coop"]);

/** Bounds of the classes of the size mix: up to a line's worth, a page's, a large buffer's, and beyond. */
export const SIZE_CLASSES = [256, 8192, 131_072] as const;

/** One direction, from the figures that its writer and reader keep in their control regions. */
export interface DirectionFacts {
  readonly transport: Transport;
  readonly msgsPerS: number;
  readonly meanBytes: number;
  /** Shares of recent messages by {@link SIZE_CLASSES}, as far as samples tell them apart. */
  readonly sizeMix: readonly [number, number, number, number];
  /** The writer waited for room, the reader for messages, as far as they say. */
  readonly blockedShare: number;
  readonly waitedShare: number;
  readonly wakeUpsPerS: number;
  readonly sleepsPerS: number;
}

/** One end: the thread that has it, as the kernel shows it. */
export interface EndFacts {
  /** CPU it was last seen on. */
  readonly cpu: number | undefined;
  /** CPUs it may use. */
  readonly affinity: readonly number[] | undefined;
  /** Runnable, and something else ran. */
  readonly runDelayShare: number;
  readonly ranShare: number;
  /** What its CPU did for others than the known ends there, the host included. */
  readonly otherBusyShare: number;
  /** What the host took of its CPU. */
  readonly stealShare: number;
  /** Either was once over {@link QUIET_SHARE}, and not since under {@link LULL_SHARE}. */
  readonly crowded: boolean;
  /** NUMA node of the CPU where it last waited, by its own word, and of the memory of the ring that it reads. */
  readonly node: number | undefined;
  readonly memoryNode: number | undefined;
  readonly cgroup: string | undefined;
}

export interface PairFacts {
  /** How often both ends were seen on one core lately. */
  readonly sameCoreShare: number;
  /** Both may use one CPU only, the same. */
  readonly boundTogether: boolean;
  /** One cache line between their cores, one way; undefined if nobody measured it. */
  readonly lineNs: number | undefined;
}

/** Who made the channel travel as it does. */
export type Origin = "automatic" | "asked" | "program" | "operator" | "policy";

export interface FlowFacts {
  readonly trust: Trust;
  /** What an end asked for by name, at connect or by moving it itself; undefined if nobody did. */
  readonly asked: Transport | undefined;
  readonly directions: readonly [DirectionFacts, DirectionFacts];
  readonly ends: readonly [EndFacts, EndFacts];
  readonly pair: PairFacts;
  /** Memory of each direction. */
  readonly ringBytes: number;
  readonly machine: MachineFacts;
}

export interface MachineFacts {
  readonly virtualised: boolean;
  readonly cpus: number;
  /** Share of the last ten seconds in which somebody waited for a CPU (pressure stall information). */
  readonly pressureShare: number | undefined;
}

/** The transport of the whole flow: while its directions differ, that of the busier one. */
export function transportOf({ directions: [a, b] }: FlowFacts): Transport {
  return a.msgsPerS * (1 + a.meanBytes) >= b.msgsPerS * (1 + b.meanBytes) ? a.transport : b.transport;
}

/** How much like question and answer it is: both directions as often, and nobody blocked. 0: one streams at the other. */
export function requestShare({ directions: [a, b] }: FlowFacts): number {
  const [less, more] = a.msgsPerS < b.msgsPerS ? [a.msgsPerS, b.msgsPerS] : [b.msgsPerS, a.msgsPerS];
  if (more === 0) return 0;
  const balance = less / more;
  // Acknowledgements now and then are no answers: under a quarter it is a stream, over three quarters a conversation.
  const talks = Math.min(1, Math.max(0, (balance - 0.25) * 2));
  return talks * (1 - Math.min(1, 4 * Math.max(a.blockedShare, b.blockedShare)));
}

/** Up to here others are no load: compilers and collectors of the ends' own programs, and ticks counted for the wrong one. A hog takes half. */
export const QUIET_SHARE = 0.3;
/** Where they were load, they are until down here: the least of it rules out a spin, so an estimate about one threshold would have a channel flap. */
export const LULL_SHARE = 0.2;

/** How much others load the ends' CPUs, from 0 (they are as good as alone) to 1 (somebody always runs there). */
export function loadOf({ ends }: FlowFacts): number {
  return Math.max(...ends.map(({ otherBusyShare, stealShare, crowded }) => {
    const quiet = crowded ? LULL_SHARE : QUIET_SHARE;
    return Math.min(1, Math.max(0, (Math.max(otherBusyShare, stealShare) - quiet) / (1 - quiet)));
  }));
}

/** Whether they are load by now, who were or were not before. */
export function crowdedBy(share: number, before: boolean): boolean {
  return share > (before ? LULL_SHARE : QUIET_SHARE);
}

/** How surely the ends share a core. */
export function togetherShare({ pair }: Pick<FlowFacts, "pair">): number {
  return pair.boundTogether ? 1 : pair.sameCoreShare;
}
