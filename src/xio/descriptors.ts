/** Plain file descriptors in the event loop: one native reactor per thread, which keeps the process alive exactly while somebody waits. */
import { Reactor, type Watch } from "../naming/reactor.ts";
import type { Native } from "../native/native.ts";

interface Shared {
  readonly reactor: Reactor;
  waiting: number;
}

const reactors = new WeakMap<Native, Shared>();

/** Calls `onReady` once, when any of `events` (READABLE, WRITABLE) or a hang-up comes. Answers how to stop; call it in any case. */
export function watchDescriptor(native: Native, fd: number, events: number, onReady: (events: number) => void): () => void {
  const shared = sharedReactor(native);
  const watch = shared.reactor.watch(fd, events, onReady);
  if (shared.waiting++ === 0) shared.reactor.setRef(true);
  let stopped = false;
  return () => {
    if (stopped) return;
    stopped = true;
    watch.stop();
    if (--shared.waiting === 0) shared.reactor.setRef(false);
  };
}

/** Resolves when `fd` is ready for any of `events`, or hung up. */
export async function descriptorReady(native: Native, fd: number, events: number): Promise<void> {
  let stop = (): void => {};
  await new Promise<void>((resolve) => stop = watchDescriptor(native, fd, events, () => resolve()));
  stop();
}

function sharedReactor(native: Native): Shared {
  let shared = reactors.get(native);
  if (shared === undefined) reactors.set(native, shared = { reactor: new Reactor(native), waiting: 0 });
  return shared;
}

/** A descriptor that is watched for as long as it is open: one native watch, armed for what is wanted each time something is. */
export class DescriptorWatch {
  readonly #shared: Shared;
  readonly #fd: number;
  readonly #onReady: (events: number) => void;
  #watch: Watch | undefined;
  #armed = 0;
  #ref = false;
  #stopped = false;

  /** Nothing is reported before {@link want}. */
  constructor(native: Native, fd: number, onReady: (events: number) => void) {
    this.#shared = sharedReactor(native);
    this.#fd = fd;
    this.#onReady = onReady;
  }

  /** Reports once when any of `events` or a hang-up comes; 0 changes nothing. */
  want(events: number): void {
    if (this.#stopped || (events & ~this.#armed) === 0) return;
    this.#armed |= events;
    if (this.#watch !== undefined) this.#watch.again(this.#armed);
    else this.#watch = this.#shared.reactor.watch(this.#fd, this.#armed, (ready) => this.#ready(ready));
  }

  /** Keeps the process alive while true. */
  setRef(on: boolean): void {
    if (on === this.#ref) return;
    this.#ref = on;
    this.#shared.waiting += on ? 1 : -1;
    if (this.#shared.waiting === (on ? 1 : 0)) this.#shared.reactor.setRef(on);
  }

  /** Before the descriptor is closed. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.setRef(false);
    this.#watch?.stop();
  }

  #ready(events: number): void {
    this.#armed = 0;
    if (!this.#stopped) this.#onReady(events);
  }
}
