/**
 * Keeps a client connected to whichever broker serves its socket: looks for one when somebody needs it, starts one if that is wanted, and
 * looks again when it dies. Knows when to be in a hurry (somebody waits) and when to wait for a broker that others manage.
 */
import type { Native } from "../native/native.ts";
import type { FrameLink } from "./connection.ts";
import { dialBroker, type DialOptions, lookForBroker, type Welcomed } from "./dial.ts";
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
/** How often a thread that blocks looks for a broker that somebody else started. */
const BLOCKED_LOOK_MS = 100;

export class Lifeline {
  readonly #native: Native;
  readonly #reactor: Reactor;
  readonly #options: LifelineOptions;
  #welcome: Responses["welcome"] | undefined;
  #connecting = false;
  #online = false;
  /** Connected to, and said hello to. */
  #greeting: FrameLink | undefined;
  #lookedAt = -Infinity;
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

  /** Readable when a broker that was said hello to answers; -1: there is none. */
  get wakeFd(): number {
    return this.#greeting?.wakeFd ?? -1;
  }

  /** How long a thread may block before it attends to this again. */
  get patienceMs(): number {
    return this.#online || this.#closed || !this.#options.wanted() ? Infinity : BLOCKED_LOOK_MS;
  }

  /** For threads that block: looks for a broker, if there is none and one is wanted. To start one takes an event loop. */
  attend(): void {
    if (this.#greeting !== undefined) return this.#greeting.attend();
    const now = performance.now();
    if (this.patienceMs === Infinity || now - this.#lookedAt < BLOCKED_LOOK_MS) return;
    this.#lookedAt = now;
    try {
      lookForBroker(this.#native, this.#reactor, this.#dialOptions());
    } catch {
      // Whoever dials in the event loop is told.
    }
  }

  /** Begins to look for a broker, unless that is under way. */
  connect(): void {
    if (this.#connecting || this.#online || this.#closed) return;
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
    try {
      await dialBroker(this.#native, this.#reactor, this.#dialOptions());
      this.#connecting = false;
      this.#again();
    } catch (error) {
      this.#connecting = false;
      if (this.#closed || this.#online) return;
      this.#options.failed(error);
      // Whoever waited has been told. Names and flows go on trying, without haste.
      if (this.#options.wanted()) setTimeout(() => this.connect(), RETRY_MS).unref();
    }
  }

  #dialOptions(): DialOptions {
    const { place, start, command, wanted, starting, frame } = this.#options;
    return {
      place,
      command,
      startAfter: () => (start === "never" ? Infinity : this.#startAfter),
      wanted: () => !this.#closed && !this.#online && wanted(),
      sleep: (ms) => this.#sleep(ms),
      starting,
      greeting: (link) => this.#greeting = link,
      welcomed: (welcomed) => this.#welcomed(welcomed),
      handlers: { frame, end: () => this.#lost() },
    };
  }

  #welcomed({ link, welcome }: Welcomed): void {
    // A thread that blocks may have found one while its event loop was about to.
    if (this.#closed || this.#online) return link.close();
    this.#online = true;
    this.#welcome = welcome;
    this.#startAfter = 0;
    this.#options.connected(link);
  }

  /** The last look ended because nobody wanted a broker; somebody may since. */
  #again(): void {
    if (!this.#closed && !this.#online && this.#options.wanted()) this.connect();
  }

  #lost(): void {
    if (this.#closed) return;
    this.#online = false;
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
