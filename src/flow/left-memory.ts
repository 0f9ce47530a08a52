/**
 * Memory that a direction moved away from, as long as somebody still uses it: by epoch, with how many do. Views are detached before the
 * memory is given back, so that no address outlives its mapping.
 */

interface Left {
  readonly memory: Uint8Array<ArrayBuffer>;
  users: number;
}

export class LeftMemory {
  readonly #left = new Map<number, Left>();
  readonly #giveBack: (epoch: number) => void;

  constructor(giveBack: (epoch: number) => void) {
    this.#giveBack = giveBack;
  }

  /** The memory of `epoch` is left, with so many users; without any it is given back at once. */
  add(epoch: number, memory: Uint8Array<ArrayBuffer>, users: number): void {
    this.#left.set(epoch, { memory, users: users + 1 });
    this.returned(epoch);
  }

  /** One user less. */
  returned(epoch: number): void {
    const left = this.#left.get(epoch);
    if (left === undefined || --left.users > 0) return;
    this.#left.delete(epoch);
    left.memory.buffer.transfer(0);
    this.#giveBack(epoch);
  }

  /** How many epochs have users. */
  get size(): number {
    return this.#left.size;
  }

  /** All of it goes away without being given back one by one. */
  detach(): void {
    for (const { memory } of this.#left.values()) memory.buffer.transfer(0);
    this.#left.clear();
  }
}
