/**
 * Keeps a client connected to whichever broker serves its socket: looks for one when somebody needs it, starts one if that is wanted, and
 * looks again when it dies. Knows when to be in a hurry (somebody waits) and when to wait for a broker that others manage.
 */
import type { Native } from "../native/native.ts";
import type { FrameLink } from "./connection.ts";
import { dialBroker } from "./dial.ts";
import type { Place } from "./place.ts";
import type { Responses } from "./protocol.ts";
import type { Reactor } from "./reactor.ts";

export interface LifelineOptions {
  readonly place: Place;
  readonly start: "on-demand" | "never";
  readonly command: readonly string[] | undefined;
  /** Somebody has a use for a broker. */
  wanted(): boolean;
  /** Somebody waits for it, and the process must not end before. */
  urgent(): boolean;
  connected(link: FrameLink): void;
  /** The connection is gone. */
  lost(): void;
  /** There will be no connection, for this reason. */
  failed(error: unknown): void;
  /** This program starts a broker. */
  starting(): void;
  frame(bytes: Uint8Array, descriptors: readonly number[]): void;
}

/** How long a broker that somebody manages has to come back before this program starts one of its own. */
const MANAGED_GRACE_MS = 300;
/** The same for one that said it is being replaced. */
const REPLACED_GRACE_MS = 3000;
const RETRY_MS = 1000;

export class Lifeline {
  readonly #native: Native;
  readonly #reactor: Reactor;
  readonly #options: LifelineOptions;
  #welcome: Responses["welcome"] | undefined;
  #connecting = false;
  #startAfter = 0;
  #closed = false;

  constructor(native: Native, reactor: Reactor, options: LifelineOptions) {
    this.#native = native;
    this.#reactor = reactor;
    this.#options = options;
  }

  /** What the last broker said about itself. */
  get welcome(): Responses["welcome"] | undefined {
    return this.#welcome;
  }

  /** Begins to look for a broker, unless that is under way. */
  connect(): void {
    if (this.#connecting || this.#closed) return;
    this.#connecting = true;
    void this.#dial();
  }

  /** The broker says that another one takes its place. */
  expectSuccessor(): void {
    this.#startAfter = performance.now() + REPLACED_GRACE_MS;
  }

  /** While true, no broker is started, until one is there. */
  leaveItDown(on: boolean): void {
    this.#startAfter = on ? Infinity : 0;
  }

  close(): void {
    this.#closed = true;
  }

  async #dial(): Promise<void> {
    const { place, start, command, wanted, starting, frame } = this.#options;
    try {
      const welcomed = await dialBroker(this.#native, this.#reactor, {
        place,
        command,
        startAfter: () => (start === "never" ? Infinity : this.#startAfter),
        wanted: () => !this.#closed && wanted(),
        sleep: (ms) => this.#sleep(ms),
        starting,
        handlers: { frame, end: () => this.#lost() },
      });
      this.#connecting = false;
      if (welcomed === undefined) return this.#again();
      if (this.#closed) return welcomed.link.close();
      this.#welcome = welcomed.welcome;
      this.#startAfter = 0;
      this.#options.connected(welcomed.link);
    } catch (error) {
      this.#connecting = false;
      if (this.#closed) return;
      this.#options.failed(error);
      // Whoever waited has been told. Names and flows go on trying, without haste.
      if (wanted()) setTimeout(() => this.connect(), RETRY_MS).unref();
    }
  }

  /** The last look ended because nobody wanted a broker; somebody may since. */
  #again(): void {
    if (!this.#closed && this.#options.wanted()) this.connect();
  }

  #lost(): void {
    if (this.#closed) return;
    const managed = this.#welcome?.broker.embedded === false;
    this.#startAfter = Math.max(this.#startAfter, performance.now() + (managed ? MANAGED_GRACE_MS : 0));
    this.#options.lost();
    // Not from a thread that blocks and learns it in a wait: it would keep the start lock until its event loop turns.
    this.#native.runtime.nextTurn(() => this.#again());
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      if (!this.#options.urgent()) timer.unref();
    });
  }
}
