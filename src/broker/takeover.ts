/**
 * The lock that makes a broker the only one of its socket, and the ways to it: nobody has it; its holder is just leaving; its holder gives
 * it up, because it was only embedded or because it was asked to. It is handed over as a descriptor, so that it is never free in between.
 */
import { FableError } from "../errors.ts";
import type { FrameLink } from "../naming/connection.ts";
import { Correspondence } from "../naming/correspondence.ts";
import { dialBroker } from "../naming/dial.ts";
import { type Place, utf8 } from "../naming/place.ts";
import { decodeResponse, type Responses } from "../naming/protocol.ts";
import { Reactor } from "../naming/reactor.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";

export interface Lock {
  readonly fd: number;
  /** Another broker gave it up: its clients are on their way, with their tickets. */
  readonly succeeds: boolean;
}

export interface Claim {
  readonly embedded: boolean;
  readonly replace: boolean;
}

const EMPTY = -1;
const PATIENCE_MS = 3000;
const PAUSE_MS = 20;
const GREETING_MS = 250;
const ANSWER_MS = 2000;

/** Undefined if an embedded broker is not needed, because another one serves. Throws REFUSED if somebody manages the one that serves. */
export async function obtainLock(native: Native, place: Place, claim: Claim): Promise<Lock | undefined> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const path = utf8(place.lock);
    const fd = native.library.lock(path, path.byteLength);
    if (fd !== EMPTY) return { fd: check(native.library, fd, `lock ${place.lock}`), succeeds: false };
    const guest = new Guest(native, place);
    try {
      const broker = await guest.greet();
      if (broker !== undefined) return claim.embedded ? undefined : { fd: await takeOver(guest, broker, place, claim), succeeds: true };
    } finally {
      guest.close();
    }
    // Somebody has the lock and does not answer: it is about to begin, or to leave.
    if (performance.now() > deadline) {
      throw new FableError("BROKER_UNREACHABLE", `another broker holds ${place.lock}, but does not answer at ${place.socket}`, {
        remedy: `end it (fuser ${place.lock} shows its process), or choose another socket`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function takeOver(guest: Guest, broker: Responses["welcome"]["broker"], place: Place, claim: Claim): Promise<number> {
  if (!broker.embedded && !claim.replace) {
    throw new FableError("REFUSED", `process ${broker.pid} already is the broker at ${place.socket}`, {
      remedy: "add --replace to take over from it without dropping a name",
    });
  }
  return await guest.replace();
}

/** A short visit to the broker that is there. */
class Guest {
  readonly #native: Native;
  readonly #place: Place;
  readonly #reactor: Reactor;
  readonly #mail: Correspondence;
  #link: FrameLink | undefined;

  constructor(native: Native, place: Place) {
    this.#native = native;
    this.#place = place;
    this.#reactor = new Reactor(native);
    const closeDescriptor = (fd: number) => void native.library.close(fd);
    this.#mail = new Correspondence({ place, closeDescriptor, reach: () => {}, refChanged: () => {} });
  }

  /** Who is there; undefined if nobody answers. */
  async greet(): Promise<Responses["welcome"]["broker"] | undefined> {
    const deadline = performance.now() + GREETING_MS;
    let broker: Responses["welcome"]["broker"] | undefined;
    await dialBroker(this.#native, this.#reactor, {
      place: this.#place,
      startAfter: () => Infinity,
      wanted: () => performance.now() < deadline,
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      starting: () => {},
      greeting: () => {},
      welcomed: ({ link, welcome }) => {
        this.#link = link;
        this.#mail.connected(link);
        broker = welcome.broker;
      },
      handlers: { frame: (bytes, descriptors) => this.#frame(bytes, descriptors), end: () => this.#mail.disconnected() },
    });
    return broker;
  }

  /** Has the broker leave. Gives its lock, a descriptor of the caller's. */
  async replace(): Promise<number> {
    const { message, descriptors } = await this.#mail.ask((id) => ({ type: "replace", id }), [], {
      deadline: performance.now() + ANSWER_MS,
    });
    const [lock] = descriptors;
    if (message.type === "released" && lock !== undefined && descriptors.length === 1) return lock;
    for (const fd of descriptors) this.#native.library.close(fd);
    throw new FableError("PROTOCOL", `the broker answered replace with ${message.type}`, { remedy: "end it and start this one again" });
  }

  close(): void {
    this.#mail.close();
    this.#link?.close();
    this.#reactor.close();
  }

  #frame(bytes: Uint8Array, descriptors: readonly number[]): void {
    const decoded = decodeResponse(bytes);
    if (decoded.ok && "id" in decoded.message && decoded.message.id > 0) return this.#mail.answer(decoded.message, descriptors);
    for (const fd of descriptors) this.#native.library.close(fd);
  }
}
