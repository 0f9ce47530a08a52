/**
 * Private memory of one direction, lent in pieces: taken in order, given back in any order, free again in the order it was taken. What is
 * lent is the bound of what a handle keeps.
 */

/** A piece that is taken. */
export interface Lease {
  readonly at: number;
  /** Just past it. */
  end: number;
  released: boolean;
}

export class Arena {
  readonly sizeBytes: number;
  /** Made on first use: an idle connection has none. */
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #leases: Lease[] = [];
  #head = 0;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  get memory(): Uint8Array<ArrayBuffer> {
    return this.#memory ??= new Uint8Array(this.sizeBytes);
  }

  /** The longest piece that could be taken now. */
  get room(): number {
    const [first] = this.#leases;
    if (first === undefined) return this.sizeBytes;
    const head = aligned(this.#head);
    return Math.max(0, this.#wrapped(first) ? first.at - head : Math.max(this.sizeBytes - head, first.at));
  }

  /** Where `size` bytes would go, a multiple of 8; -1 if there is no such place. */
  place(size: number): number {
    const [first] = this.#leases;
    const needed = Math.max(1, size);
    if (first === undefined) return needed <= this.sizeBytes ? 0 : -1;
    const head = aligned(this.#head);
    if (this.#wrapped(first)) return first.at - head >= needed ? head : -1;
    if (this.sizeBytes - head >= needed) return head;
    return first.at >= needed ? 0 : -1;
  }

  /** Takes `size` bytes at a place that {@link place} gave for as many or more. */
  take(at: number, size: number): Lease {
    // An empty piece takes room too: two pieces never begin at the same place.
    const lease = { at, end: at + Math.max(1, size), released: false };
    this.#leases.push(lease);
    this.#head = lease.end;
    return lease;
  }

  /** Takes `bytes` more directly behind a piece, if it is the last one. */
  extend(lease: Lease, bytes: number): boolean {
    const [first] = this.#leases;
    if (this.#leases.at(-1) !== lease) return false;
    const limit = first !== lease && this.#wrapped(first) ? first.at : this.sizeBytes;
    if (lease.end + bytes > limit) return false;
    this.#head = lease.end += bytes;
    return true;
  }

  /** Gives the end of a piece back, if it is the last one. */
  shrink(lease: Lease, size: number): void {
    if (this.#leases.at(-1) === lease) this.#head = lease.end = lease.at + Math.max(1, size);
  }

  free(lease: Lease): void {
    lease.released = true;
    if (this.#leases.at(-1) === lease) {
      while (this.#leases.at(-1)?.released) this.#leases.pop();
      this.#head = this.#leases.at(-1)?.end ?? 0;
      return;
    }
    let freed = 0;
    while (this.#leases[freed]?.released) freed++;
    if (freed > 0) this.#leases.splice(0, freed);
  }

  /** Whether the end of what is taken lies before its beginning. */
  #wrapped(first: Lease): boolean {
    return this.#head <= first.at;
  }
}

function aligned(at: number): number {
  return at + 7 & ~7;
}
