/**
 * Who waits for which move. Of the orders for a direction only the newest counts, so an order ends when its direction is there, when it was
 * refused, when a newer one took its place, or with the channel.
 */

export type Way = "outgoing" | "incoming";

/** How an order ended. */
export type Outcome =
  | { readonly end: "moved" }
  | { readonly end: "replaced" }
  | { readonly end: "refused"; readonly status: number }
  | { readonly end: "over" };

/** Where a direction is to go. `K` is how the caller names transports. */
export interface Target<K> {
  readonly way: Way;
  readonly to: K;
  readonly ringBytes: number;
}

/** What is heard about a direction; other phases change nothing here. */
export interface Heard<K> {
  readonly way: Way;
  readonly what: string;
  readonly to: K;
  readonly status: number;
}

interface Waiting<K> extends Target<K> {
  /** Satisfied as soon as the writer has moved, whatever is still to be read before. */
  readonly early: boolean;
  readonly settle: (outcome: Outcome) => void;
}

export class Orders<K> {
  #waiting: Waiting<K>[] = [];

  /** Waits for the end of an order just given. Those for the same direction and another target are replaced. Answers how to stop waiting. */
  add(target: Target<K>, settle: (outcome: Outcome) => void, early = false): () => boolean {
    this.#end((other) => other.way === target.way && !sameTarget(other, target), { end: "replaced" });
    const waiting: Waiting<K> = { ...target, early, settle };
    this.#waiting.push(waiting);
    return () => this.#withdraw(waiting);
  }

  heard(event: Heard<K>): void {
    const meant = (waiting: Waiting<K>): boolean => waiting.way === event.way && waiting.to === event.to;
    if (event.what === "moved") this.#end(meant, { end: "moved" });
    else if (event.what === "refused") {
      this.#end(meant, event.status === 0 ? { end: "replaced" } : { end: "refused", status: event.status });
    }
  }

  /** The writer of the incoming direction has moved. */
  coming(): void {
    this.#end((waiting) => waiting.way === "incoming" && waiting.early, { end: "moved" });
  }

  /** Nothing moves in that direction, or in any, any more. */
  over(way?: Way): void {
    this.#end((waiting) => way === undefined || waiting.way === way, { end: "over" });
  }

  /** True if nobody waits for that target any more: the order itself may be taken back. */
  #withdraw(waiting: Waiting<K>): boolean {
    const at = this.#waiting.indexOf(waiting);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    return !this.#waiting.some((other) => other.way === waiting.way);
  }

  #end(which: (waiting: Waiting<K>) => boolean, outcome: Outcome): void {
    const ended = this.#waiting.filter(which);
    if (ended.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !ended.includes(waiting));
    for (const waiting of ended) waiting.settle(outcome);
  }
}

function sameTarget<K>(a: Target<K>, b: Target<K>): boolean {
  return a.to === b.to && a.ringBytes === b.ringBytes;
}
