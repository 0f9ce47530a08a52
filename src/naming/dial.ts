/**
 * The way to a broker: find its socket, make sure whose it is, agree on versions, share a doorbell. If there is none, start one and keep
 * trying until the deadline.
 */
import { FableError } from "../errors.ts";
import type { Library } from "../native/library.ts";
import type { Native } from "../native/native.ts";
import { statusError } from "../native/status.ts";
import { FrameLink, type LinkEnd } from "./connection.ts";
import { type Place, utf8 } from "./place.ts";
import { decodeResponse, encode, errorFrom, LAYOUT_RANGE, PROTOCOL_RANGE, type Responses } from "./protocol.ts";
import type { Reactor } from "./reactor.ts";
import { brokerHoldsLock, startBroker, takeStartLock } from "./start.ts";

/** What a connection delivers once the broker has welcomed it. */
export interface ClientHandlers {
  frame(bytes: Uint8Array, descriptors: readonly number[]): void;
  end(reason: LinkEnd): void;
}

export interface DialOptions {
  readonly place: Place;
  /** What to start, instead of the library's own command line. */
  readonly command?: readonly string[] | undefined;
  /** From this moment on (performance.now()) start a broker if there is none; Infinity: never. */
  startAfter(): number;
  /** False ends the attempts: nobody has a use for a broker any more. */
  wanted(): boolean;
  sleep(ms: number): Promise<void>;
  /** Called when this program starts a broker. */
  starting(): void;
  /** A broker was said hello to, and is to answer; undefined once it did, or never will. */
  greeting(link: FrameLink | undefined): void;
  /** It did, just now: called before any other frame. */
  welcomed(welcomed: Welcomed): void;
  readonly handlers: ClientHandlers;
}

export interface Welcomed {
  readonly link: FrameLink;
  readonly welcome: Responses["welcome"];
}

/** A client's own messages must fit into its memory, not into a broker's patience. */
const CLIENT_LINK = { maxQueued: 65_536, maxIdleRings: 1_000_000 };
const HANDSHAKE_MS = 5000;
/** After this long without an answer, another broker is started if none holds the lock; twice as long each time. One too many leaves by itself. */
const START_PATIENCE_MS = 1000;
const LOCK_PAUSE_MS = 20;
const EMPTY = -1;
const ENOSPACE = -2;
const SYSTEM = -13;
const HUNG_UP = -18;
const ABSENT: readonly number[] = [2, /* ENOENT */ 111, /* ECONNREFUSED */ 104, /* ECONNRESET */ 11 /* EAGAIN */];

/** Connects to the broker, or starts one and connects to it. Ends when it was welcomed, or is no longer wanted. */
export async function dialBroker(native: Native, reactor: Reactor, options: DialOptions): Promise<void> {
  const start = new Starter(native, options);
  const begun = performance.now();
  let pause = 1;
  try {
    while (options.wanted()) {
      const fd = dial(native.library, options.place);
      if (fd !== undefined) {
        const { promise, resolve } = Promise.withResolvers<Greeted>();
        greet(native, reactor, fd, options, resolve);
        const greeted = await promise;
        if (greeted instanceof Error) throw greeted;
        if (greeted) return;
      }
      if (fd === undefined && performance.now() >= options.startAfter()) start.attempt();
      await options.sleep(pause);
      pause = Math.min(longestPause(performance.now() - begun), pause * 2);
    }
  } finally {
    start.release();
  }
}

/** One look for a broker that is there, for threads that block: what comes of it is told by the options' calls. Starts none. */
export function lookForBroker(native: Native, reactor: Reactor, options: DialOptions): void {
  const fd = dial(native.library, options.place);
  if (fd !== undefined) greet(native, reactor, fd, options, () => {});
}

/** A broker that is being started answers within 30 to 60 ms, and a look costs microseconds; one that is not there by then may take long. */
function longestPause(sinceMs: number): number {
  if (sinceMs < 250) return 3;
  return sinceMs < 5000 ? 25 : 250;
}

/** A connected socket of a broker that may be trusted; undefined if nobody answers there. */
function dial(library: Library, place: Place): number | undefined {
  const path = utf8(place.socket);
  const fd = library.dial(path, path.byteLength);
  if (fd < 0) {
    if (fd === EMPTY || fd === ENOSPACE || fd === HUNG_UP || (fd === SYSTEM && ABSENT.includes(library.errno()))) return undefined;
    throw new FableError("BROKER_UNREACHABLE", `no way to the broker at ${place.socket}: ${statusError(library, fd, "connect").message}`, {
      remedy: "look at the rights of the socket and its folder, or name another one in $FABLE_SOCKET",
    });
  }
  return trusted(library, fd, place) ? fd : undefined;
}

/** Only this user and root may introduce this program to others. Throws BROKER_UNTRUSTED; false if the broker is gone already. */
function trusted(library: Library, fd: number, place: Place): boolean {
  const peer = new Uint32Array(6);
  const self = new Uint32Array(6);
  if (library.peer_credentials(fd, peer) < 0 || library.self(self) < 0) {
    library.close(fd);
    return false;
  }
  const [, brokerUid = 0, , pidFd = 0xffff_ffff] = peer;
  if ((pidFd | 0) >= 0) library.close(pidFd | 0);
  if (brokerUid === 0 || brokerUid === self[1]) return true;
  library.close(fd);
  throw new FableError("BROKER_UNTRUSTED", `the broker at ${place.socket} belongs to user ${brokerUid}, neither to you nor to root`, {
    remedy: "name a broker of your own in $FABLE_SOCKET; somebody may have put this one there to read what you send",
  });
}

/** Whether it came to a welcome; what the broker refused. */
type Greeted = boolean | Error;

/** Hello and welcome. False if the broker went away in between, which one that is just leaving may do. */
function greet(native: Native, reactor: Reactor, fd: number, options: DialOptions, settle: (greeted: Greeted) => void): void {
  let welcomed = false;
  const end = (greeted: Greeted): void => {
    clearTimeout(timer);
    options.greeting(undefined);
    settle(greeted);
  };
  const link = new FrameLink(native, reactor, fd, {
    frame(bytes, descriptors) {
      if (welcomed) return options.handlers.frame(bytes, descriptors);
      let welcome: Responses["welcome"];
      try {
        welcome = takeWelcome(native.library, link, bytes, descriptors);
      } catch (error) {
        link.close();
        return end(error instanceof Error ? error : new Error(String(error)));
      }
      welcomed = true;
      end(true);
      options.welcomed({ link, welcome });
    },
    end(reason) {
      if (welcomed) options.handlers.end(reason);
      else end(false);
    },
  }, CLIENT_LINK);
  const timer = setTimeout(() => {
    link.close();
    end(false);
  }, HANDSHAKE_MS);
  options.greeting(link);
  const program = `${native.runtime.name} ${native.runtime.version}`;
  if (!link.send(encode({ type: "hello", protocol: [...PROTOCOL_RANGE], layout: [...LAYOUT_RANGE], program }), [])) {
    link.close();
    end(false);
  }
}

function takeWelcome(library: Library, link: FrameLink, bytes: Uint8Array, descriptors: readonly number[]): Responses["welcome"] {
  const decoded = decodeResponse(bytes);
  const doorbell = descriptors[0];
  const welcome = decoded.ok && decoded.message.type === "welcome" && descriptors.length === 1 ? decoded.message : undefined;
  if (welcome !== undefined && doorbell !== undefined) {
    link.useDoorbell(doorbell);
    return welcome;
  }
  for (const fd of descriptors) library.close(fd);
  if (!decoded.ok) throw decoded.error;
  if (decoded.message.type === "error") throw errorFrom(decoded.message);
  throw new FableError("PROTOCOL", `the broker answered hello with ${decoded.message.type}`, {
    remedy: "update the broker and this program to the same version",
  });
}

/** At most one broker is being started by this program, and while it holds the start lock by no other. */
class Starter {
  readonly #native: Native;
  readonly #options: DialOptions;
  #lock: number | undefined;
  #patience = START_PATIENCE_MS;
  #nextStart = -Infinity;

  constructor(native: Native, options: DialOptions) {
    this.#native = native;
    this.#options = options;
  }

  attempt(): void {
    if (performance.now() < this.#nextStart) return;
    if (this.#lock === undefined) {
      this.#lock = takeStartLock(this.#native.library, this.#options.place);
      // Whoever had the lock until now may just have finished: look for its broker once more before starting another.
      return;
    }
    // One that begins or leaves has its lock before and after its socket: it will answer soon, or be gone.
    this.#nextStart = performance.now() + LOCK_PAUSE_MS;
    if (brokerHoldsLock(this.#native.library, this.#options.place)) return;
    this.#nextStart = performance.now() + this.#patience;
    this.#patience *= 2;
    startBroker(this.#native, this.#options.place, this.#options.command);
    this.#options.starting();
  }

  release(): void {
    if (this.#lock !== undefined) this.#native.library.close(this.#lock);
    this.#lock = undefined;
  }
}
