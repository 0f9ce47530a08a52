/**
 * stdin and stdout of `fable cat`: read and written without ever blocking the event loop, straight into and from the memory of a channel. Pipes
 * and terminals are opened once more, because O_NONBLOCK set on the descriptors we were given would also hit whoever else uses them. Files never
 * block for long. What is neither (a socket that a supervisor handed in) goes through the runtime's thread pool and private memory.
 */
import { closeSync, constants, fstatSync, openSync, read as readThreaded, readFileSync, type Stats, write as writeThreaded } from "node:fs";
import { Reactor, READABLE, type Watch, WRITABLE } from "../naming/reactor.ts";
import type { Native } from "../native/native.ts";
import { statusError } from "../native/status.ts";

export const EMPTY = -1;
const HUNG_UP = -18;
/** A pipe that ran dry is looked at again for so long before waiting for the reactor costs two wake-ups. */
const SPIN_MS = 0.05;
const THREADED_BYTES = 64 * 1024;

export interface Input {
  /** What is there now: how many bytes went into `target`, 0 at the end, EMPTY if nothing is there. */
  read(target: Uint8Array): number;
  /** Waits until `read` has something to say. */
  ready(): Promise<void>;
  close(): void;
}

export interface Output {
  /** All of it, waiting as long as it takes. False when nobody reads any more. */
  write(source: Uint8Array): Promise<boolean>;
  close(): void;
}

/** The two ends of a `cat`, and the reactor that waits for them. */
export class Stdio {
  readonly #native: Native;
  #reactor: Reactor | undefined;

  constructor(native: Native) {
    this.#native = native;
  }

  input(fd = 0): Input {
    const opened = descriptorFor(fd, constants.O_RDONLY);
    if (opened === undefined) return new ThreadedInput(fd);
    const { library } = this.#native;
    const waiting = new Waiting(() => this.#reactorNow(), opened, READABLE);
    return {
      read: (target) => {
        const count = spin(() => library.read(opened, target, target.byteLength));
        if (count >= 0 || count === EMPTY) return count;
        if (count === HUNG_UP) return 0;
        throw statusError(library, count, "read stdin");
      },
      ready: () => waiting.ready(),
      close: () => waiting.close(opened === fd ? undefined : opened),
    };
  }

  output(fd = 1): Output {
    const opened = descriptorFor(fd, constants.O_WRONLY);
    if (opened === undefined) return threadedOutput(fd);
    const { library } = this.#native;
    const waiting = new Waiting(() => this.#reactorNow(), opened, WRITABLE);
    return {
      write: async (source) => {
        let rest = source;
        while (rest.byteLength > 0) {
          const count = spin(() => library.write(opened, rest, rest.byteLength));
          if (count === HUNG_UP) return false;
          if (count < 0 && count !== EMPTY) throw statusError(library, count, "write stdout");
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
}

function spin(attempt: () => number): number {
  let last = attempt();
  if (last !== EMPTY) return last;
  const end = performance.now() + SPIN_MS;
  while (last === EMPTY && performance.now() < end) last = attempt();
  return last;
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

/** A descriptor that never blocks for long; undefined if there is no way to have one. */
function descriptorFor(fd: number, flags: number): number | undefined {
  let stats: Stats;
  try {
    stats = fstatSync(fd);
  } catch {
    return undefined; // closed: the threaded read says so in the system's words
  }
  // Non-blocking already, as the sockets are that some runtimes give their children: whoever made it so expects it.
  if (stats.isFile() || stats.isBlockDevice() || isNonBlocking(fd)) return fd;
  if (!stats.isFIFO() && !stats.isCharacterDevice()) return undefined;
  try {
    return openSync(`/proc/self/fd/${fd}`, flags | constants.O_NONBLOCK);
  } catch {
    return undefined; // /proc not mounted, or another user's terminal
  }
}

function isNonBlocking(fd: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & constants.O_NONBLOCK) !== 0;
  } catch {
    return false;
  }
}

/** Reads ahead into memory of its own, because a thread must not write into a channel that may close meanwhile. */
class ThreadedInput implements Input {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(THREADED_BYTES);
  #from = 0;
  #to = 0;
  #ended = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(target: Uint8Array): number {
    const count = Math.min(target.byteLength, this.#to - this.#from);
    if (count === 0) return this.#ended ? 0 : EMPTY;
    target.set(this.#buffer.subarray(this.#from, this.#from + count));
    this.#from += count;
    return count;
  }

  async ready(): Promise<void> {
    const count = await new Promise<number>((resolve, reject) => {
      readThreaded(this.#fd, this.#buffer, 0, THREADED_BYTES, null, (error, read) => error === null ? resolve(read) : reject(error));
    });
    this.#from = 0;
    this.#to = count;
    this.#ended = count === 0;
  }

  close(): void {}
}

function threadedOutput(fd: number): Output {
  const once = (source: Uint8Array) =>
    new Promise<number>((resolve, reject) => {
      writeThreaded(fd, source, 0, source.byteLength, null, (error, count) => error === null ? resolve(count) : reject(error));
    });
  return {
    async write(source) {
      // A copy, for the same reason.
      let rest = source.slice();
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
