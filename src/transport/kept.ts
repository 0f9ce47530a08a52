/**
 * What TCP keeps back: a small rest waits until all before it is acknowledged, which may take 40 ms. Who waits for something lets it go natively;
 * this is for a program that sends and goes on to something else.
 */

/** After something was sent. Letting go costs two system calls: far less than a burst, far more than a message. */
const KEEP_MS = 1;

export class Kept {
  readonly #letGo: () => unknown;
  #soon = false;

  constructor(letGo: () => unknown) {
    this.#letGo = letGo;
  }

  /** Something was sent, and more may come at once. */
  letGoSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    setTimeout(() => {
      this.#soon = false;
      this.#letGo();
    }, KEEP_MS);
  }
}
