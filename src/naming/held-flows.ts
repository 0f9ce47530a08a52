/**
 * The ends of channels that this client holds: what proves each of them to a later broker, who wants to know that its peer died, and who
 * carries out what the broker orders. Sends nothing itself.
 */
import { FableError } from "../errors.ts";
import type { ReconfigureListener, ReconfigureOrder } from "./service.ts";

export interface HeldFlowsOptions {
  /** A duplicate of a descriptor; throws when there can be none. */
  duplicate(fd: number): number;
  close(fd: number): void;
  /** Resolves after everything that is to be done in this turn. */
  turn(): Promise<void>;
}

interface HeldFlow {
  readonly ticket: string;
  /** A duplicate of the own control region's descriptor; -1 until the channel is open. */
  controlFd: number;
  /** The broker said so, perhaps before its program could listen for it. */
  dead: boolean;
}

type Listeners<T> = Map<string, Set<T>>;

export class HeldFlows {
  readonly #options: HeldFlowsOptions;
  readonly #flows = new Map<string, HeldFlow>();
  readonly #mourners: Listeners<() => void> = new Map();
  readonly #movers: Listeners<ReconfigureListener> = new Map();

  constructor(options: HeldFlowsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#flows.size;
  }

  add(flow: string, ticket: string): void {
    this.#flows.set(flow, { ticket, controlFd: -1, dead: false });
  }

  opened(flow: string, controlFd: number): void {
    const held = this.#flows.get(flow);
    if (held === undefined || held.controlFd >= 0) return;
    held.controlFd = this.#options.duplicate(controlFd);
  }

  /** Forgets a flow and what was kept of it. False if it was not known. */
  drop(flow: string): boolean {
    const held = this.#flows.get(flow);
    this.#flows.delete(flow);
    this.#mourners.delete(flow);
    this.#movers.delete(flow);
    if (held === undefined) return false;
    if (held.controlFd >= 0) this.#options.close(held.controlFd);
    return true;
  }

  /** What a broker needs to believe in each end that is open. */
  *proofs(): IterableIterator<{ readonly flow: string; readonly ticket: string; readonly controlFd: number }> {
    for (const [flow, { ticket, controlFd }] of this.#flows) if (controlFd >= 0) yield { flow, ticket, controlFd };
  }

  onPeerDead(flow: string, listener: () => void): () => void {
    const [listeners, stop] = listen(this.#mourners, flow, listener);
    if (this.#flows.get(flow)?.dead === true) queueMicrotask(() => listeners.has(listener) && listener());
    return stop;
  }

  /** The peer died. */
  mourn(flow: string): void {
    const held = this.#flows.get(flow);
    if (held !== undefined) held.dead = true;
    for (const listener of [...(this.#mourners.get(flow) ?? [])]) listener();
  }

  onReconfigure(flow: string, listener: ReconfigureListener): () => void {
    return listen(this.#movers, flow, listener)[1];
  }

  /**
   * Has the ends of a flow carry out an order, now; `settle` hears when all of them are done with it, and what one of them could not do. Both
   * ends of it may be here.
   */
  obey(flow: string, order: ReconfigureOrder, settle: (error?: unknown) => void): void {
    if (this.#movers.has(flow)) return this.#obey(flow, order, settle);
    // An order may come with the very frame that made the channel.
    void this.#options.turn().then(() => this.#obey(flow, order, settle));
  }

  #obey(flow: string, order: ReconfigureOrder, settle: (error?: unknown) => void): void {
    const listeners = [...(this.#movers.get(flow) ?? [])];
    if (listeners.length === 0) {
      const remedy = "look whether its program has closed the channel";
      return settle(new FableError("REFUSED", "this end takes no orders", { remedy }));
    }
    let left = listeners.length;
    let failure: unknown;
    const one = (error?: unknown): void => {
      failure ??= error;
      if (--left === 0) settle(failure);
    };
    for (const listener of listeners) listener(order, one);
  }

  clear(): void {
    for (const flow of [...this.#flows.keys()]) this.drop(flow);
    this.#mourners.clear();
    this.#movers.clear();
  }
}

function listen<T>(all: Listeners<T>, flow: string, listener: T): readonly [Set<T>, () => void] {
  const listeners = all.get(flow) ?? new Set<T>();
  all.set(flow, listeners.add(listener));
  const stop = () => {
    listeners.delete(listener);
    if (listeners.size === 0 && all.get(flow) === listeners) all.delete(flow);
  };
  return [listeners, stop];
}
