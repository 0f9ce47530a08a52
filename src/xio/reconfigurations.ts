/** What a program can know about the moves of its channel from one transport to another (paper §3.1.4). */
import type { Move } from "../transport/moves.ts";
import type { TransportName } from "../transport/transport.ts";

/** One step of a direction's way from one transport to another. */
export interface Reconfiguration {
  readonly direction: "outgoing" | "incoming";
  /**
   * `pending`: offered to the peer, open write buffers should be committed soon. `moved`: messages take the new transport from here on.
   * `drained`: the peer has everything that went through the old one. `refused`: it stays as it is, or a newer order took this one's place.
   * Of the incoming direction there are only `moved` and `refused`.
   */
  readonly phase: "pending" | "moved" | "drained" | "refused";
  readonly from: TransportName;
  readonly to: TransportName;
  /** How many transports the direction has had before the one it has after this step. */
  readonly epoch: number;
  /** Who wanted it: a program at either end, an operator, the broker's policy; or the path before broke. */
  readonly reason: "program" | "operator" | "policy" | "path-lost";
  /** Outgoing: how long open write buffers may hold it up, in milliseconds. */
  readonly deadlineMs: number;
  /** Bytes that were still in the old path. */
  readonly oldBytes: number;
  /** Write buffers that were still open when the direction moved; they are copied when they are committed. */
  readonly lateBuffers: number;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
}

/** The steps of a handle's moves as they come. The last {@link RECONFIGURATIONS_KEPT} that nobody took are kept. */
export interface Reconfigurations extends AsyncIterable<Reconfiguration> {
  /** The oldest step that was not taken yet; undefined if there is none. */
  take(): Reconfiguration | undefined;
  /** How many steps wait to be taken. `xpoll` waits for this to be more than none. */
  readonly waiting: number;
}

/** How many steps wait for somebody to take them. */
export const RECONFIGURATIONS_KEPT = 64;

/** What the writing half knows about a move beside what the native side tells. */
export interface Lateness {
  readonly deadlineMs: number;
  readonly lastLate: number;
}

export class ReconfigurationLog implements Reconfigurations {
  readonly #kept: Reconfiguration[] = [];
  readonly #listeners = new Set<(event: Reconfiguration) => void>();
  readonly #watchers = new Set<() => void>();
  readonly #lateness: Lateness;
  #over = false;

  constructor(lateness: Lateness) {
    this.#lateness = lateness;
  }

  /** What the native side told becomes a step, if it is one for programs. */
  heard(move: Move): void {
    if (move.what === "ready") return;
    const outgoing = move.direction === "outgoing";
    const event: Reconfiguration = {
      direction: move.direction,
      phase: move.what,
      from: move.from.name,
      to: move.to.name,
      epoch: move.epoch,
      reason: move.reason,
      deadlineMs: outgoing ? this.#lateness.deadlineMs : 0,
      oldBytes: move.oldBytes,
      lateBuffers: outgoing && (move.what === "moved" || move.what === "drained") ? this.#lateness.lastLate : 0,
      atMs: Date.now() - move.agoMs,
    };
    this.#kept.push(event);
    if (this.#kept.length > RECONFIGURATIONS_KEPT) this.#kept.shift();
    // Not from here: this may be the middle of one of the program's own calls.
    if (this.#listeners.size !== 0) { for (const listener of [...this.#listeners]) queueMicrotask(() => listener(event)); }
    this.#wake();
  }

  /** There will be no more. */
  end(): void {
    this.#over = true;
    this.#wake();
  }

  take(): Reconfiguration | undefined {
    return this.#kept.shift();
  }

  get waiting(): number {
    return this.#kept.length;
  }

  get over(): boolean {
    return this.#over;
  }

  listen(listener: (event: Reconfiguration) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Calls `listener` each time there may be something to take, or the end. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Reconfiguration> {
    for (;;) {
      const event = this.take();
      if (event !== undefined) {
        yield event;
        continue;
      }
      if (this.#over) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = this.watch(resolve);
      try {
        await promise;
      } finally {
        stop();
      }
    }
  }

  #wake(): void {
    if (this.#watchers.size === 0) return;
    for (const watcher of [...this.#watchers]) queueMicrotask(watcher);
  }
}
