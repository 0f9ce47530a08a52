/**
 * Whose processes the broker has to do with, and when they die. A process is known by its pidfd, never by a number: the descriptor of its
 * first session is kept as long as any session or channel of it is there, and passed on to the peers of its channels.
 */
import { type Reactor, READABLE, type Watch } from "../naming/reactor.ts";
import type { Native } from "../native/native.ts";

export interface Lives {
  /** A session of this process begins. Owns the descriptor (-1: none) from here on. */
  enter(process: string, pidFd: number): void;
  /** The process's pidfd, -1 without. */
  descriptor(process: string): number;
  /** Nothing of the process is left here. */
  leave(process: string): void;
  close(): void;
}

/** Watches pidfds in the reactor. `onDeath` is called once for each process, in the event loop. */
export function createLives(native: Native, reactor: Reactor, onDeath: (process: string) => void): Lives {
  const { library } = native;
  const known = new Map<string, { readonly pidFd: number; readonly watch: Watch | undefined }>();

  function leave(process: string): void {
    const life = known.get(process);
    if (life === undefined) return;
    known.delete(process);
    life.watch?.stop();
    if (life.pidFd >= 0) library.close(life.pidFd);
  }

  return {
    enter(process, pidFd) {
      if (known.has(process)) {
        if (pidFd >= 0) library.close(pidFd);
        return;
      }
      const watch = pidFd < 0 ? undefined : reactor.watch(pidFd, READABLE, () => onDeath(process));
      known.set(process, { pidFd, watch });
    },
    descriptor: (process) => known.get(process)?.pidFd ?? -1,
    leave,
    close() {
      for (const process of [...known.keys()]) leave(process);
    },
  };
}
