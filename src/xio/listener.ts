/** A listener: connections that others made to a registered name, to be accepted one by one (paper §3.1.2). */
import { FableError } from "../errors.ts";
import type { Grant, Offer, OfferAnswer, Registration } from "../naming/service.ts";
import type { Channel } from "../transport/channel.ts";
import { transportByName } from "../transport/registry.ts";
import { completeHandle, makeHalf } from "./establish.ts";
import { CONNECTION, type Handle } from "./handle.ts";
import { type WaitLimits, waitUntil } from "./limits.ts";
import { obeyBroker } from "./obey.ts";
import { DEFAULT_BACKLOG, type ListenOptions, resolveChannelOptions, type ResolvedChannelOptions } from "./options.ts";
import type { Session } from "./session.ts";

/** Accepts connections to one name. */
export class Listener implements AsyncIterable<Handle>, AsyncDisposable {
  readonly #session: Session;
  readonly #registration: Registration;
  readonly #settings: ResolvedChannelOptions;
  readonly #backlog: number;
  readonly #ready: Handle[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #onClose: () => Promise<void>;
  readonly #refs: Refs;
  #closed = false;

  private constructor(session: Session, registration: Registration, options: ListenOptions, onClose: () => Promise<void>) {
    this.#session = session;
    this.#registration = registration;
    this.#settings = resolveChannelOptions(options);
    this.#backlog = options.backlog ?? DEFAULT_BACKLOG;
    this.#onClose = onClose;
    this.#refs = refsOf(session);
  }

  /** Begins to listen; `onClose` is called once when it ends. */
  static async open(session: Session, registration: Registration, options: ListenOptions, onClose: () => Promise<void>): Promise<Listener> {
    const listener = new Listener(session, registration, options, onClose);
    const { trust } = listener.#settings;
    await registration.listen({ backlog: listener.#backlog, trust, onOffer: (offer) => listener.#answer(offer) });
    return listener;
  }

  /** The name it listens at. */
  get name(): string {
    return this.#registration.name;
  }

  /**
   * The next connection, waiting for it. Waiting keeps the process alive.
   * @throws FableError TIMEOUT, ABORTED; CLOSED once the listener is closed.
   */
  async accept(limits: WaitLimits = {}): Promise<Handle> {
    const handle = await this.#next(limits);
    if (handle !== "closed") return handle;
    throw new FableError("CLOSED", `The listener of ${this.name} is closed.`, { remedy: "Listen again." });
  }

  /** Connections as they come, until the listener is closed. Leaving the loop leaves it open. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Handle> {
    for (;;) {
      const handle = await this.#next({});
      if (handle === "closed") return;
      yield handle;
    }
  }

  /** Stops listening. Connections that were not accepted are closed; accepted ones go on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of [...this.#watchers]) listener();
    const waiting = this.#ready.splice(0);
    await Promise.all([...waiting.map((handle) => handle.close({ drainDeadlineMs: 0 })), this.#registration.unlisten()]);
    await this.#onClose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #next(limits: WaitLimits): Promise<Handle | "closed"> {
    const release = this.#refs.hold();
    try {
      return await waitUntil(
        () => this.#ready.shift() ?? (this.#closed ? "closed" : undefined),
        (listener) => {
          this.#watchers.add(listener);
          return () => this.#watchers.delete(listener);
        },
        limits,
        `a connection to ${this.name}`,
      );
    } finally {
      release();
    }
  }

  #answer(offer: Offer): OfferAnswer {
    const { native, names } = this.#session;
    if (this.#closed || this.#ready.length >= this.#backlog) {
      closeOffer(this.#session, offer);
      if (this.#closed) throw new FableError("NOT_LISTENING", `Nobody listens at ${this.name} any more.`, { remedy: "Try again later." });
      throw new FableError("BACKLOG_FULL", `${this.name} has ${this.#ready.length} connections waiting to be accepted already.`, {
        remedy: "Try again later, or listen with a larger backlog.",
      });
    }
    let half: Channel | undefined;
    try {
      half = makeHalf(native, "acceptor", transportByName(offer.transport), offer.trust, this.#settings);
      names.flowOpened(offer.flow, half.made.controlFd);
    } catch (error) {
      half?.close();
      closeOffer(this.#session, offer);
      throw error;
    }
    const channel = half;
    const { controlFd, ringFd } = channel.made;
    const unsubscribe = names.onPeerDead(offer.flow, () => channel.peerDied());
    const orders = { end: () => {} };
    const handle = completeHandle(channel, offer, this.#settings, {
      peer: { name: offer.peerName, pid: offer.peerPid, uid: offer.peerUid },
      flow: offer.flow,
      released() {
        unsubscribe();
        orders.end();
        names.flowClosed(offer.flow);
      },
    });
    orders.end = obeyBroker(names, offer.flow, handle[CONNECTION]);
    // The answer is on its way when this returns.
    queueMicrotask(() => channel.closeMade());
    this.#ready.push(handle);
    for (const listener of [...this.#watchers]) listener();
    return { controlFd, ...(ringFd === undefined ? {} : { ringFd }) };
  }
}

/** Closes what came with an offer or a grant that nobody will take in. */
export function closeOffer(session: Session, offer: Grant & Partial<Pick<Offer, "linkFd" | "dataFd">>): void {
  for (const fd of [offer.controlFd, offer.ringFd, offer.doorbellFd, offer.linkFd, offer.dataFd, offer.pidFd]) {
    if (fd !== undefined && fd >= 0) session.native.library.close(fd);
  }
}

/** Counts who waits for connections, so that the broker's socket keeps the process alive exactly as long as somebody does. */
class Refs {
  readonly #session: Session;
  #count = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  hold(): () => void {
    if (this.#count++ === 0) this.#session.names.setRef(true);
    return () => {
      if (--this.#count === 0) this.#session.names.setRef(false);
    };
  }
}

const refs = new WeakMap<Session, Refs>();

function refsOf(session: Session): Refs {
  let found = refs.get(session);
  if (found === undefined) refs.set(session, found = new Refs(session));
  return found;
}
