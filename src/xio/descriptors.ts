/** Plain file descriptors in the event loop: one native reactor per thread, which keeps the process alive exactly while somebody waits. */
import { Reactor } from "../naming/reactor.ts";
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
