/** CPUs that threads may use: lists of numbers here, masks for the kernel. */
import type { Library } from "./library.ts";

/** Of a mask: enough for 8192 CPUs. */
const MASK_WORDS = 256;
/** Asked twenty times a second for each end of each channel. */
const mask = new Uint32Array(MASK_WORDS);

/** CPUs that this thread may use. */
export function allowedCpus(library: Library): readonly number[] {
  return cpusIn(library.affinity(mask, MASK_WORDS)) ?? [];
}

/** CPUs that any thread may use; undefined if it is gone. */
export function affinityOf(library: Library, tid: number): readonly number[] | undefined {
  return cpusIn(library.thread_affinity(tid, mask, MASK_WORDS));
}

/** False: it is gone, somebody else's, or none of these CPUs is there. */
export function confine(library: Library, tid: number, cpus: readonly number[]): boolean {
  const words = new Uint32Array(MASK_WORDS);
  for (const cpu of cpus) words[cpu >>> 5] = (words[cpu >>> 5] ?? 0) | (1 << (cpu & 31));
  return library.thread_confine(tid, words, words.length) >= 0;
}

/** `used`: words of the mask, or a status. */
function cpusIn(used: number): readonly number[] | undefined {
  if (used < 0) return undefined;
  const cpus: number[] = [];
  for (let word = 0; word < used; word++) {
    for (let bit = 0; bit < 32; bit++) if ((((mask[word] ?? 0) >>> bit) & 1) === 1) cpus.push(word * 32 + bit);
  }
  return cpus;
}
