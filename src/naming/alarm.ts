/**
 * One timer for many deadlines, which go off too early rather than too late: setting a timer for each request would cost more than most requests
 * do, and nearly all of them are answered long before.
 */

const MAX_TIMEOUT_MS = 0x7fff_ffff;

export class Alarm {
  readonly #now: () => number;
  readonly #ring: () => number | undefined;
  #handle: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;

  /** `ring` does what is due and says when it is due next. The alarm keeps no process alive. */
  constructor(now: () => number, ring: () => number | undefined) {
    this.#now = now;
    this.#ring = ring;
  }

  /** On the clock it was made with. Undefined: nothing is due. */
  set(at: number | undefined): void {
    if (at === undefined || at >= this.#at) return;
    clearTimeout(this.#handle);
    this.#at = at;
    const ms = Math.min(MAX_TIMEOUT_MS, Math.max(0, Math.ceil(at - this.#now())));
    this.#handle = setTimeout(() => {
      this.#at = Infinity;
      this.set(this.#ring());
    }, ms);
    this.#handle.unref();
  }

  stop(): void {
    clearTimeout(this.#handle);
    this.#at = Infinity;
  }
}
