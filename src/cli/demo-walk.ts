/** The part of the demo in which the channel walks through all transports while it is in use: who orders, and what the other end notices. */
import { FableError } from "../errors.ts";
import { transports } from "../transport/registry.ts";
import type { TransportName } from "../transport/transport.ts";
import type { Handle } from "../xio/handle.ts";

/** A transport that this machine or this pair of ends cannot use. */
export interface Skipped {
  readonly transport: TransportName;
  readonly why: string;
}

/** Orders one move after the other; the load does not wait for them. */
export class Walk {
  /** Both directions of each move that came to its end. */
  moves = 0;
  readonly skipped: Skipped[] = [];
  readonly #handle: Handle;
  readonly #route: readonly TransportName[];
  #next = 0;
  #under: Promise<void> | undefined;

  /** Every transport once, the one in use last. */
  constructor(handle: Handle) {
    this.#handle = handle;
    const home = handle.epochs.outgoing.transport;
    this.#route = [...transports.map(({ name }) => name).filter((name) => name !== home), home];
  }

  get length(): number {
    return this.#route.length;
  }

  /** True once the last move was ordered and has ended. */
  get over(): boolean {
    return this.#next === this.#route.length && this.#under === undefined;
  }

  /** Orders the next move if `done` of the load asks for it and none is under way. */
  advance(done: number): void {
    if (this.#under !== undefined || this.#next >= this.#route.length || done < (this.#next + 1) / (this.#route.length + 1)) return;
    this.#under = this.#move(this.#route[this.#next++]!);
  }

  /** Orders what is left, one after the other. */
  async finish(): Promise<void> {
    for (;;) {
      await this.#under;
      if (this.over) return;
      this.advance(1);
    }
  }

  async #move(transport: TransportName): Promise<void> {
    try {
      await this.#handle.reconfigure(transport);
      this.moves += 1;
    } catch (error) {
      if (!(error instanceof FableError)) throw error;
      this.skipped.push({ transport, why: error.message });
    } finally {
      this.#under = undefined;
    }
  }
}

/** The silences of a reader when its direction moved: from the last message of one path to the first of the next. */
export class Silences {
  readonly ns: number[] = [];
  readonly route: TransportName[];
  readonly #handle: Handle;
  #epoch: number;
  #last = Number.NaN;

  constructor(handle: Handle) {
    this.#handle = handle;
    const { epoch, transport } = handle.epochs.incoming;
    this.#epoch = epoch;
    this.route = [transport];
  }

  /** A message was read at `nowNs`. */
  note(nowNs: number): void {
    const { epoch, transport } = this.#handle.epochs.incoming;
    if (epoch !== this.#epoch) {
      if (!Number.isNaN(this.#last)) this.ns.push(nowNs - this.#last);
      this.route.push(transport);
      this.#epoch = epoch;
    }
    this.#last = nowNs;
  }
}
