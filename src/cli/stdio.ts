/**
 * stdin and stdout of `fable cat`: read and written without ever blocking the event loop, straight from and into the memory of a channel. Pipes and
 * terminals are opened once more, because O_NONBLOCK set on the descriptors we were given would also hit whoever else uses them. Files never
 * block for long. What can be neither (a socket that a supervisor handed in) goes through the runtime's thread pool.
 */
import { closeSync, constants, fstatSync, openSync, read as readAsync, type Stats, write as writeAsync } from "node:fs";
import type { Native } from "../native/native.ts";
import { statusError } from "../native/status.ts";
import { READABLE, Reactor, type Watch, WRITABLE } from "../naming/reactor.ts";

const EMPTY = -1;
const HUNG_UP = -18;
/** A pipe that ran dry is looked at again for so long before waiting for the reactor costs two wake-ups. */
const SPIN_MS = 0.05;

export interface Input {
  /** Waits until there is something: how many bytes went into `target`; 0 at the end. */
  read(target: Uint8Array): Promise<number>;
  close(): void;
}

export interface Output {
  /** All of it, waiting as long as it takes. False when nobody reads any more. */
  write(source: Uint8Array): Promise<boolean>;
  close(): void;
}

export class Stdio {
  readonly #native: Native;
  #reactor: Reactor | undefined;

  constructor(native: Native) {
    this.#native = native;
  }

  input(fd = 0): Input {
    const kind = kindOf(fd);
    if (kind === "threaded") return threadedInput(fd);
    const opened = kind === "reopened" ? reopen(fd, constants.O_RDONLY) : fd;
    if (opened === undefined) return threadedInput(fd);
    const waiting = new Waiting(() => this.#reactorNow(), opened, READABLE);
    return {
      read: async (target) => {
        for (;;) {
          const count = this.#spin(() => this.#native.library.read(opened, target, target.byteLength));
          if (count >= 0) return count;
          if (count === HUNG_UP) return 0;
          if (count !== EMPTY) throw statusError(this.#native.library, count, "read stdin");
          await waiting.ready();
        }
      },
      close: () => waiting.close(opened === fd ? undefined : opened),
    };
  }

  output(fd = 1): Output {
    const kind = kindOf(fd);
    if (kind === "threaded") return threadedOutput(fd);
    const opened = kind === "reopened" ? reopen(fd, constants.O_WRONLY) : fd;
    if (opened === undefined) return threadedOutput(fd);
    const waiting = new Waiting(() => this.#reactorNow(), opened, WRITABLE);
    return {
      write: async (source) => {
        let rest = source;
        while (rest.byteLength > 0) {
          const count = this.#spin(() => this.#native.library.write(opened, rest, rest.byteLength));
          if (count === HUNG_UP) return false;
          if (count < 0 && count !== EMPTY) throw statusError(this.#native.library, count, "write stdout");
          if (count > 0) rest = rest.subarray(count);
          else await waiting.ready();
        }
        return true;
      },
      close: () => waiting.close(opened === fd ? undefined : opened),
    };
  }

  close(): void {
    this.#reactor?.close();
  }

  #reactorNow(): Reactor {
    if (this.#reactor === undefined) {
      this.#reactor = new Reactor(this.#native);
      this.#reactor.setRef(true);
    }
    return this.#reactor;
  }

  #spin(attempt: () => number): number {
    const first = attempt();
    if (first !== EMPTY) return first;
    const end = performance.now() + SPIN_MS;
    let last: number = first;
    while (last === EMPTY && performance.now() < end) last = attempt();
    return last;
  }
}

/** Readiness of one descriptor, asked for one at a time. */
class Waiting {
  readonly #reactor: () => Reactor;
  readonly #fd: number;
  readonly #events: number;
  #watch: Watch | undefined;
  #resolve: () => void = () => {};

  constructor(reactor: () => Reactor, fd: number, events: number) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#events = events;
  }

  ready(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    if (this.#watch === undefined) this.#watch = this.#reactor().watch(this.#fd, this.#events, () => this.#resolve());
    else this.#watch.again(this.#events);
    return promise;
  }

  close(own: number | undefined): void {
    this.#watch?.stop();
    this.#watch = undefined;
    if (own !== undefined) closeSync(own);
  }
}

type Kind = "direct" | "reopened" | "threaded";

function kindOf(fd: number): Kind {
  let stats: Stats;
  try {
    stats = fstatSync(fd);
  } catch {
    return "threaded"; // closed: the read says so in the system's words
  }
  if (stats.isFile() || stats.isBlockDevice()) return "direct";
  if (stats.isFIFO() || stats.isCharacterDevice()) return "reopened";
  return "threaded";
}

function reopen(fd: number, flags: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, flags | constants.O_NONBLOCK);
  } catch {
    return undefined; // /proc not mounted, or another user's terminal
  }
}

function threadedInput(fd: number): Input {
  return {
    read: (target) =>
      new Promise((resolve, reject) => {
        readAsync(fd, target, 0, target.byteLength, null, (error, count) => error === null ? resolve(count) : reject(error));
      }),
    close() {},
  };
}

function threadedOutput(fd: number): Output {
  const once = (source: Uint8Array) =>
    new Promise<number>((resolve, reject) => {
      writeAsync(fd, source, 0, source.byteLength, null, (error, count) => error === null ? resolve(count) : reject(error));
    });
  return {
    async write(source) {
      let rest = source;
      while (rest.byteLength > 0) {
        try {
          rest = rest.subarray(await once(rest));
        } catch (error) {
          if ((error as { readonly code?: string }).code === "EPIPE") return false;
          throw error;
        }
      }
      return true;
    },
    close() {},
  };
}
