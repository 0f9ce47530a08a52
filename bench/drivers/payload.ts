/**
 * Payloads from JavaScript: every word holds the sequence number, and what is left behind the last one its lowest byte. Functions of their own,
 * because V8 compiles loops in async functions badly.
 */
import { WORD_BYTES } from "./job.ts";

/** The same memory as words and as bytes. */
export interface Memory {
  readonly words: Float64Array;
  readonly bytes: Uint8Array;
}

export function memoryOf(buffer: ArrayBufferLike): Memory {
  return { words: new Float64Array(buffer), bytes: new Uint8Array(buffer) };
}

/** Private memory for one message, in whole words. */
export function messageMemory(size: number): Memory {
  return memoryOf(new ArrayBuffer(Math.ceil(size / WORD_BYTES) * WORD_BYTES));
}

/** What is behind the last whole word, of a message at `at` bytes. */
function tailOf(at: number, size: number): number {
  return at + size - size % WORD_BYTES;
}

export function fill({ words, bytes }: Memory, at: number, size: number, sequence: number): void {
  const first = at / WORD_BYTES;
  const end = first + Math.floor(size / WORD_BYTES);
  for (let i = first; i < end; i++) words[i] = sequence;
  for (let i = tailOf(at, size); i < at + size; i++) bytes[i] = sequence;
}

/** Whether every byte is what `fill` wrote. */
export function isFilled({ words, bytes }: Memory, at: number, size: number, sequence: number): boolean {
  const first = at / WORD_BYTES;
  const end = first + Math.floor(size / WORD_BYTES);
  let wrong = 0;
  for (let i = first; i < end; i++) if (words[i] !== sequence) wrong++;
  for (let i = tailOf(at, size); i < at + size; i++) if (bytes[i] !== (sequence & 255)) wrong++;
  return wrong === 0;
}

/** Kept where the compilers cannot see that nobody wants it. */
let folded = 0;

/** Reads every byte, without comparing more than the first word. */
export function isNumbered({ words, bytes }: Memory, at: number, size: number, sequence: number): boolean {
  const first = at / WORD_BYTES;
  const end = first + Math.floor(size / WORD_BYTES);
  let even = 0;
  let odd = 0;
  let i = first;
  // two sums: one would wait for itself
  for (; i + 1 < end; i += 2) {
    even += words[i]!;
    odd += words[i + 1]!;
  }
  if (i < end) even += words[i]!;
  for (let k = tailOf(at, size); k < at + size; k++) odd += bytes[k]!;
  folded = even + odd;
  return words[first] === sequence;
}

/** The sum of all that was read last. */
export function lastFold(): number {
  return folded;
}
