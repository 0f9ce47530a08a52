/** Every combination the suite is run for, and what its parts share. */
import { channelPair, type Handle, type PairOptions, type TransportName, type Trust } from "../../mod.ts";
import { patterned, randomFrom } from "../transport/fake_ring.ts";

export { patterned, randomFrom };

export interface Combination {
  readonly transport: TransportName;
  readonly trust: Trust;
}

/** Every transport that is built; vmsplice-coop never goes to an end that is not trusted. */
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
] as const satisfies readonly TransportName[];

export const combinations: readonly Combination[] = TRANSPORTS.flatMap((transport) => [
  { transport, trust: "trusted" as const },
  ...(transport === "vmsplice-coop" ? [] : [{ transport, trust: "untrusted" as const }]),
]);

/** Paths that only a move leads to have at least this much memory, if they go through the kernel. */
const KERNEL_BYTES = 256 * 1024;

/** How large the rings really are if `ringBytes` is asked for. */
export function arenaBytes({ transport }: Combination, ringBytes: number): number {
  const kernel = transport === "tcp" || transport === "tcp-nodelay" || transport === "pipe" || transport === "vmsplice-coop";
  return kernel ? Math.max(ringBytes, KERNEL_BYTES) : ringBytes;
}

/** Whether messages longer than a record are lent in several pieces; a heap is filled in stretches, and they lie in private memory. */
export function lendsPieces({ transport }: Combination): boolean {
  return transport !== "shmem-pipe";
}

/** Whether messages are read where they were written. */
export function sharesMemory({ transport }: Combination): boolean {
  return transport.startsWith("mempipe") || transport === "shmem-pipe";
}

/** Whether what was read may be given back in any order. */
export function lendsInAnyOrder({ transport }: Combination): boolean {
  return transport === "shmem-pipe";
}

/** Makes a channel of the combination under test; both ends are closed when `use` is done. */
export type WithPair = (options: PairOptions, use: (left: Handle, right: Handle) => Promise<void> | void) => Promise<void>;

export function withPairOf(combination: Combination): WithPair {
  return async (options, use) => {
    const [left, right] = channelPair({ ...combination, ...options });
    try {
      await use(left, right);
    } finally {
      await Promise.all([left.close({ drainDeadlineMs: 0 }), right.close({ drainDeadlineMs: 0 })]);
    }
  };
}

/** Sizes from 0 to `most`, each order of magnitude equally often. */
export function anySize(random: (below: number) => number, most: number): number {
  return Math.min(most, Math.floor(2 ** (random(1000) / 1000 * Math.log2(most + 1))) - 1 + random(2));
}

/** Sends messages of `size` bytes, numbered from `first`, until there is no room anywhere on the way; the number after the last one. */
export function stuff(handle: Handle, size: number, first = 0): number {
  let number = first;
  for (;;) {
    while (handle.trySend(patterned(number, size))) number++;
    // A kernel transport may have taken something into its socket meanwhile.
    handle.flush();
    if (!handle.trySend(patterned(number, size))) return number;
    number++;
  }
}

/** The next turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits until `condition` holds; the test's own deadline ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
