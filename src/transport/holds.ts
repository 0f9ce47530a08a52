/**
 * Which stretches of a read window the application holds. They may come back in any order; the writer of a ring gets space back in the
 * ring's order, so a stretch waits for those before it.
 */

/** A stretch lent to the application. */
export interface Hold {
  /** Where it begins in the arena. */
  readonly at: number;
  bytes: number;
  messages: number;
  payloadBytes: number;
  released: boolean;
  readonly ledger: HoldLedger;
}

export class HoldLedger {
  /** Stretches not yet given back, and their bytes. */
  pieces = 0;
  bytes = 0;
  #queue: Hold[] = [];

  add(at: number, bytes: number, messages: number, payloadBytes: number): Hold {
    const hold: Hold = { at, bytes, messages, payloadBytes, released: false, ledger: this };
    this.#queue.push(hold);
    this.pieces++;
    this.bytes += bytes;
    return hold;
  }

  /** What is in the stretches not yet given back. */
  get lent(): { readonly messages: number; readonly payloadBytes: number } {
    let messages = 0;
    let payloadBytes = 0;
    for (const hold of this.#queue) {
      messages += hold.messages;
      payloadBytes += hold.payloadBytes;
    }
    return { messages, payloadBytes };
  }

  /** Ends a hold; what can be given to the writer now, as one sum, if anything. */
  release(hold: Hold): Hold | undefined {
    hold.released = true;
    const queue = this.#queue;
    if (queue[0] !== hold) return undefined;
    let taken = 1;
    for (; taken < queue.length && queue[taken].released; taken++) {
      const next = queue[taken];
      hold.bytes += next.bytes;
      hold.messages += next.messages;
      hold.payloadBytes += next.payloadBytes;
    }
    if (taken === 1) queue.shift();
    else queue.splice(0, taken);
    this.pieces -= taken;
    this.bytes -= hold.bytes;
    return hold;
  }

  /** A hold that was released went back by itself, before older ones. */
  drop(hold: Hold): void {
    this.#queue.splice(this.#queue.indexOf(hold), 1);
    this.pieces--;
    this.bytes -= hold.bytes;
  }
}
