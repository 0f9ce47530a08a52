/**
 * What a thread attends to beside its channels while it does not come to its event loop: the broker's connections, over which orders come. Once per
 * thread, like the waiter. Those who block have one more descriptor to wake them; those who look without a pause look there too now and then.
 */
import type { Native } from "../native/native.ts";

/** Something that wants to be looked after. */
export interface Attended {
  /** Becomes readable when there is something to take; -1: nothing to wait for. */
  readonly wakeFd: number;
  /** How long a wait may last before it is attended to again, whatever the descriptor says. */
  readonly patienceMs: number;
  /** Takes what is there, without blocking. */
  attend(): void;
}

/** Those who never sleep look this often. */
const LOOK_MS = 5;
/** Vain looks without asking the clock: a power of two. A look takes 10 ns and more, the clock 40. */
const VAIN_LOOKS = 1024;
/** A wait has one descriptor for this: with more of them it ends as often to look at the others. */
const SEVERAL_MS = 100;

const attentions = new WeakMap<Native, Attention>();

/** The attention of this thread. */
export function attentionOf(native: Native): Attention {
  let attention = attentions.get(native);
  if (attention === undefined) attentions.set(native, attention = new Attention());
  return attention;
}

export class Attention {
  readonly #attended: Attended[] = [];
  /** Channels that move, and until when they are followed. */
  readonly #moving = new Map<() => void, number>();
  readonly #now: () => number;
  #lookedAt = -Infinity;
  #vain = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** From now on, for the life of the thread. */
  add(attended: Attended): void {
    this.#attended.push(attended);
  }

  /** A channel moves, and the thread may be blocked for another: `step` is called now and then until it is stopped, or for so long. */
  follow(step: () => void, forMs: number): () => void {
    this.#moving.set(step, this.#now() + forMs);
    return () => void this.#moving.delete(step);
  }

  /** What wakes a blocking wait beside its channels; -1: nothing. */
  get wakeFd(): number {
    for (const { wakeFd } of this.#attended) if (wakeFd >= 0) return wakeFd;
    return -1;
  }

  /** How long a blocking wait may last that has so much time, in whole milliseconds, negative: for ever. */
  timeoutMs(leftMs: number): number {
    let most = this.#moving.size > 0 ? Math.min(leftMs, LOOK_MS) : this.#attended.length > 1 ? Math.min(leftMs, SEVERAL_MS) : leftMs;
    for (const { patienceMs } of this.#attended) most = Math.min(most, patienceMs);
    return most === Infinity ? -1 : Math.ceil(most);
  }

  /** A program looked and found nothing, and may go on so for ever. Only where attending cannot be in the way of what it does. */
  vain(): void {
    if ((++this.#vain & (VAIN_LOOKS - 1)) === 0) this.due(this.#now());
  }

  /** Attends if that was some time ago: true if it did. For those who may never come to sleep, and know what time it is. */
  due(now: number): boolean {
    if (this.#attended.length === 0 || now - this.#lookedAt < LOOK_MS) return false;
    this.#lookedAt = now;
    this.attend();
    return true;
  }

  /** Takes and does what there is. */
  attend(): void {
    for (const one of this.#attended) one.attend();
    if (this.#moving.size > 0) this.#step();
  }

  #step(): void {
    const now = this.#now();
    for (const [step, until] of [...this.#moving]) {
      if (now > until) this.#moving.delete(step);
      else step();
    }
  }
}
