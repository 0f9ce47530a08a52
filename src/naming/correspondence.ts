/**
 * Requests and their replies over whichever connection there is at the moment. Each request has one identity and gets one reply; whoever gives
 * up tells the broker, and a reply that comes too late is taken care of, descriptors included. Knows nothing of names and channels.
 */
import { FableError } from "../errors.ts";
import { Alarm } from "./alarm.ts";
import type { Link } from "./connection.ts";
import type { Place } from "./place.ts";
import { encode, errorFrom, type Request, type Response } from "./protocol.ts";

/** The connection ended before the reply came. */
export const LOST: unique symbol = Symbol("lost");

export interface Reply {
  readonly message: Response;
  /** The receiver's. */
  readonly descriptors: readonly number[];
}

export interface Terms {
  /** On the clock of performance.now(). */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
  /** Sees a reply that comes after its program gave up. Its descriptors are closed already. */
  readonly late?: (reply: Reply) => void;
}

export interface RefLink extends Link {
  readonly wakeFd: number;
  setRef(on: boolean): void;
  attend(): void;
}

export interface CorrespondenceOptions {
  readonly place: Pick<Place, "socket" | "log">;
  closeDescriptor(fd: number): void;
  /** Somebody waits for a connection. */
  reach(): void;
  /** `waiting` or `online` changed. */
  refChanged(): void;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
/** The broker keeps the deadline too and knows better why nothing came; this is for one that hangs. */
const BROKER_GRACE_MS = 500;

interface Entry {
  readonly deadline: number;
  /** Ends the wait with this failure. */
  readonly giveUp: ((error: FableError) => void) | undefined;
  /** Undefined once nobody waits any more. */
  settle: ((reply: Reply | typeof LOST | FableError) => void) | undefined;
  readonly late: ((reply: Reply) => void) | undefined;
}

interface Waiter {
  readonly settle: (error?: FableError) => void;
}

export class Correspondence {
  readonly #options: CorrespondenceOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #waiters = new Set<Waiter>();
  readonly #alarm = new Alarm(() => performance.now(), () => this.#expire());
  #link: RefLink | undefined;
  #lastId = 0;
  #awaited = 0;
  #started = false;
  #closed = false;

  constructor(options: CorrespondenceOptions) {
    this.#options = options;
  }

  get online(): boolean {
    return this.#link !== undefined;
  }

  /** The connection there is. */
  get link(): RefLink | undefined {
    return this.#link;
  }

  /** How many promises programs wait for. */
  get waiting(): number {
    return this.#awaited + this.#waiters.size;
  }

  /** Resolves once there is a connection. */
  reached(deadline: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.reject(aborted(signal));
    if (this.#link !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (error?: FableError) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#waiters.delete(waiter);
        this.#options.refChanged();
        if (error === undefined) resolve();
        else reject(error);
      };
      const waiter: Waiter = { settle };
      const timer = setTimeout(() => settle(this.#unreachable()), Math.max(0, deadline - performance.now()));
      const onAbort = () => settle(aborted(signal as AbortSignal));
      signal?.addEventListener("abort", onAbort);
      this.#waiters.add(waiter);
      this.#options.refChanged();
      this.#options.reach();
    });
  }

  /** Asks until there is an answer, over as many connections as it takes. Throws what the broker refuses. */
  async ask(build: (id: number) => Request, descriptors: readonly number[], terms: Terms): Promise<Reply> {
    for (;;) {
      if (this.#link === undefined) await this.reached(terms.deadline, terms.signal);
      const reply = await this.tell(build, descriptors, terms);
      if (reply === LOST) continue;
      if (reply.message.type === "error") throw errorFrom(reply.message);
      return reply;
    }
  }

  /** Asks once, over the connection there is. Refusals are replies here. */
  tell(build: (id: number) => Request, descriptors: readonly number[], terms: Terms): Promise<Reply | typeof LOST> {
    const { deadline, signal, late } = terms;
    if (this.#closed) return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      const end = () => {
        entry.settle = undefined;
        signal?.removeEventListener("abort", onAbort);
        this.#awaited -= 1;
        this.#options.refChanged();
      };
      const settle: Entry["settle"] = (reply) => {
        end();
        if (reply instanceof FableError) reject(reply);
        else resolve(reply);
      };
      const giveUp = (error: FableError) => {
        end();
        this.post({ type: "cancel", id });
        reject(error);
      };
      const onAbort = () => giveUp(aborted(signal as AbortSignal));
      signal?.addEventListener("abort", onAbort);
      const entry: Entry = { deadline: deadline + BROKER_GRACE_MS, giveUp, settle, late };
      this.#awaited += 1;
      this.#options.refChanged();
      const id = this.#dispatch(build, descriptors, entry);
      this.#alarm.set(entry.deadline);
    });
  }

  /** Asks without anybody waiting. Lost replies are not reported. */
  send(build: (id: number) => Request, descriptors: readonly number[], onReply: (reply: Reply) => void): void {
    this.#dispatch(build, descriptors, {
      deadline: Infinity,
      giveUp: undefined,
      settle: (reply) => {
        if (reply === LOST || reply instanceof FableError) return;
        for (const fd of reply.descriptors) this.#options.closeDescriptor(fd);
        onReply(reply);
      },
      late: undefined,
    });
  }

  /** Sends what has no reply. False if it cannot arrive. */
  post(message: Request, descriptors: readonly number[] = []): boolean {
    return this.#link?.send(encode(message), descriptors) ?? false;
  }

  /** A reply came. */
  answer(message: Response & { readonly id: number }, descriptors: readonly number[]): void {
    const entry = this.#entries.get(message.id);
    this.#entries.delete(message.id);
    const reply: Reply = { message, descriptors };
    if (entry?.settle !== undefined) return entry.settle(reply);
    for (const fd of descriptors) this.#options.closeDescriptor(fd);
    entry?.late?.(reply);
  }

  /** A reply came that cannot be read. */
  failed(id: number, error: FableError): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    entry?.settle?.(error);
  }

  connected(link: RefLink): void {
    this.#link = link;
    this.#started = false;
  }

  /** Lets those go on that waited for the connection. */
  release(): void {
    for (const waiter of [...this.#waiters]) waiter.settle();
  }

  disconnected(): void {
    this.#link = undefined;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.settle?.(LOST);
  }

  /** There will be no connection. */
  unreachable(error: unknown): void {
    const known = error instanceof FableError
      ? error
      : new FableError("BROKER_UNREACHABLE", `no way to the broker: ${String(error)}`, { cause: error });
    for (const waiter of [...this.#waiters]) waiter.settle(known);
  }

  startingBroker(): void {
    this.#started = true;
  }

  setRef(on: boolean): void {
    this.#link?.setRef(on);
  }

  close(): void {
    this.#closed = true;
    this.#alarm.stop();
    const link = this.#link;
    this.#link = undefined;
    link?.close();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.settle?.(closed());
    for (const waiter of [...this.#waiters]) waiter.settle(closed());
  }

  /** Gives up what is due; says when the next is. */
  #expire(): number | undefined {
    let next = Infinity;
    for (const entry of [...this.#entries.values()]) {
      if (entry.settle === undefined) continue;
      if (entry.deadline <= performance.now()) entry.giveUp?.(silent());
      else next = Math.min(next, entry.deadline);
    }
    return next === Infinity ? undefined : next;
  }

  #dispatch(build: (id: number) => Request, descriptors: readonly number[], entry: Entry): number {
    do this.#lastId = this.#lastId >= 0xffff_ffff ? 1 : this.#lastId + 1; while (this.#entries.has(this.#lastId));
    const id = this.#lastId;
    this.#entries.set(id, entry);
    // A frame that cannot leave is lost like one whose connection ends later.
    if (!this.post(build(id), descriptors)) {
      this.#entries.delete(id);
      queueMicrotask(() => entry.settle?.(LOST));
    }
    return id;
  }

  #unreachable(): FableError {
    const { socket, log } = this.#options.place;
    return this.#started
      ? new FableError("BROKER_UNREACHABLE", `a broker was started for ${socket}, but it did not answer in time`, { remedy: `see ${log}` })
      : new FableError("BROKER_UNREACHABLE", `no broker answers at ${socket}`, { remedy: "start one with: fable broker" });
  }
}

/** When a request that may take so long must be answered. */
export function due(timeoutMs: number | undefined): { readonly deadline: number } {
  return { deadline: performance.now() + Math.min(0x7fff_ffff, Math.max(0, timeoutMs ?? DEFAULT_TIMEOUT_MS)) };
}

/** The failure in a reply that is none of those expected. */
export function unexpected(message: Response): FableError {
  return message.type === "error"
    ? errorFrom(message)
    : new FableError("PROTOCOL", `the broker answered with an unexpected ${message.type}`);
}

function aborted(signal: AbortSignal): FableError {
  return new FableError("ABORTED", "the request was aborted", { cause: signal.reason });
}

function closed(): FableError {
  return new FableError("CLOSED", "the name service is closed", { remedy: "open a new one" });
}

function silent(): FableError {
  return new FableError("TIMEOUT", "the broker did not answer in time", { remedy: "allow more time, or look whether the broker is stuck" });
}
