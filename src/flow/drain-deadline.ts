/** How long open buffers may hold up a crossing that is ready: the clock runs from the first time that it was. */

export class DrainDeadline {
  readonly #ownMs: number;
  #limitMs = Infinity;
  #dueMs: number | undefined;

  constructor(deadlineMs: number) {
    this.#ownMs = deadlineMs;
  }

  get deadlineMs(): number {
    return Math.min(this.#ownMs, this.#limitMs);
  }

  /** For the next crossing, at most so long. */
  limit(atMostMs: number): void {
    this.#limitMs = atMostMs;
  }

  /** Milliseconds that are left; 0: the crossing waits for nobody any more. */
  leftMs(nowMs: number): number {
    this.#dueMs ??= nowMs + this.deadlineMs;
    return Math.max(0, this.#dueMs - nowMs);
  }

  /** It crossed, or there is nothing to cross. */
  clear(): void {
    this.#dueMs = undefined;
    this.#limitMs = Infinity;
  }
}
