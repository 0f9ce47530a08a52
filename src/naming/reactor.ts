/**
 * The native reactor for this thread's event loop: descriptors the runtimes cannot watch (pidfds, packet sockets, listening sockets) wait in
 * one native epoll thread, which queues tokens and rings one doorbell. Callbacks run in the event loop.
 */
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { DoorbellWatch } from "../runtime/runtime.ts";

export const READABLE = 1;
export const WRITABLE = 2;
export const HANG_UP = 4;

/** A descriptor that waits. Each readiness is reported once, until `again`. */
export interface Watch {
  again(events: number): void;
  /** Before the descriptor is closed. Nothing is reported afterwards. */
  stop(): void;
}

const TAKE_PAIRS = 64;

export class Reactor {
  readonly #native: Native;
  readonly #loop: number;
  readonly #doorbell: DoorbellWatch;
  readonly #callbacks = new Map<number, (events: number) => void>();
  readonly #taken = new Uint32Array(2 * TAKE_PAIRS);
  #lastToken = 0;
  #closed = false;

  constructor(native: Native) {
    this.#native = native;
    const doorbell = new Int32Array(1);
    this.#loop = check(native.library, native.library.loop_new(doorbell), "make an event queue");
    this.#doorbell = native.runtime.watchDoorbell(doorbell[0] as number, () => this.#take(), () => {});
  }

  watch(fd: number, events: number, onReady: (events: number) => void): Watch {
    const { library } = this.#native;
    const token = this.#freshToken();
    check(library, library.loop_watch(this.#loop, fd, token, events), "watch a descriptor");
    this.#callbacks.set(token, onReady);
    return {
      again: (wanted) => {
        if (this.#callbacks.has(token)) check(library, library.loop_again(this.#loop, fd, token, wanted), "watch a descriptor again");
      },
      stop: () => {
        if (this.#callbacks.delete(token) && !this.#closed) library.loop_forget(this.#loop, fd);
      },
    };
  }

  /** Keeps the process alive while true. */
  setRef(on: boolean): void {
    if (!this.#closed) this.#doorbell.setRef(on);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#callbacks.clear();
    this.#doorbell.close();
    this.#native.library.loop_close(this.#loop);
  }

  #take(): void {
    while (!this.#closed) {
      const pairs = this.#native.library.loop_take(this.#loop, this.#taken, TAKE_PAIRS);
      for (let pair = 0; pair < pairs; pair++) {
        // Copied first: a callback may come back here.
        const token = this.#taken[2 * pair] as number;
        const events = this.#taken[2 * pair + 1] as number;
        this.#callbacks.get(token)?.(events);
      }
      if (pairs < TAKE_PAIRS) return;
    }
  }

  #freshToken(): number {
    do this.#lastToken = (this.#lastToken + 1) >>> 0; while (this.#lastToken === 0 || this.#callbacks.has(this.#lastToken));
    return this.#lastToken;
  }
}
