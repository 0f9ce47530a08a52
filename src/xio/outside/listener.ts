/** Listening to the outside world: TCP and Unix streams. */
import { FableError } from "../../errors.ts";
import { type OutsideAddress, type OutsideName, outsideNameOf, parseOutside } from "../../naming/outside.ts";
import { EMPTY, NET_STREAM, READABLE } from "../../native/generated.ts";
import { loadNative } from "../../native/load.ts";
import { DescriptorWatch } from "../descriptors.ts";
import { type WaitLimits, waitUntil } from "../limits.ts";
import { DEFAULT_BACKLOG } from "../options.ts";
import { socketAddresses } from "./address.ts";
import type { OutsideHandle } from "./handle.ts";
import { outsideHandle } from "./open.ts";
import { type OutsideLimits, type OutsideListenOptions, resolveOutsideOptions, whole } from "./options.ts";
import { outsideError } from "./problems.ts";
import { OutsideSocket } from "./socket.ts";

const DEFAULT_MODE = 0o600;

type Accepted = OutsideHandle | FableError | "closed";

/** Accepts connections from the outside world. From `listen("tcp://…")` and `listen("unix:…")`. */
export class OutsideListener implements AsyncIterable<OutsideHandle>, AsyncDisposable {
  readonly #socket: OutsideSocket;
  readonly #name: OutsideName;
  readonly #file: Uint8Array | undefined;
  readonly #limits: OutsideLimits;
  readonly #watch: DescriptorWatch;
  readonly #watchers = new Set<() => void>();

  private constructor(socket: OutsideSocket, file: Uint8Array | undefined, limits: OutsideLimits) {
    this.#socket = socket;
    this.#name = socket.name("own");
    this.#file = file;
    this.#limits = limits;
    this.#watch = new DescriptorWatch(socket.native, socket.fd, () => this.#ready());
  }

  /** Begins to listen. */
  static open(text: OutsideName, options: OutsideListenOptions): OutsideListener {
    const limits = resolveOutsideOptions(options);
    const backlog = whole("backlog", options.backlog ?? DEFAULT_BACKLOG, 1, 65_535);
    const mode = whole("mode", options.mode ?? DEFAULT_MODE, 0, 0o777);
    const address = parseOutside(text);
    const name = outsideNameOf(address);
    if (address.scheme === "udp") throw noConnections(name);
    const native = loadNative(options.library === undefined ? {} : { path: options.library });
    const [target] = socketAddresses(native.library, address);
    const fd = native.library.net_listen(NET_STREAM, target, target.length, backlog, mode);
    if (fd < 0) throw outsideError(native.library, fd, `listen at ${name}`);
    return new OutsideListener(new OutsideSocket(native, address.scheme, true, fd), fileOf(address), limits);
  }

  /** The address it listens at, with the port the system chose if none was given. */
  get name(): OutsideName {
    return this.#name;
  }

  /**
   * The next connection, waiting for it. Waiting keeps the process alive.
   * @throws FableError TIMEOUT, ABORTED; CLOSED once the listener is closed; QUOTA if no descriptor is left.
   */
  async accept(limits: WaitLimits = {}): Promise<OutsideHandle> {
    const accepted = await this.#next(limits);
    if (accepted !== "closed") return accepted;
    throw new FableError("CLOSED", `The listener at ${this.name} is closed.`, { remedy: "Listen again." });
  }

  /** Connections as they come, until the listener is closed. Leaving the loop leaves it open. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<OutsideHandle> {
    for (;;) {
      const handle = await this.#next({});
      if (handle === "closed") return;
      yield handle;
    }
  }

  /** Stops listening, and removes a Unix socket's file. Connections that were not accepted are reset; accepted ones go on. */
  close(): Promise<void> {
    if (!this.#socket.closed) {
      this.#watch.stop();
      // First the file, so that nobody finds one that refuses.
      if (this.#file !== undefined) this.#socket.native.library.unlink_socket(this.#file, this.#file.length);
      this.#socket.close();
      for (const listener of [...this.#watchers]) listener();
    }
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #next(limits: WaitLimits): Promise<OutsideHandle | "closed"> {
    const watch = (listener: () => void): () => void => {
      this.#watchers.add(listener);
      this.#changed();
      return () => {
        this.#watchers.delete(listener);
        this.#changed();
      };
    };
    const accepted = await waitUntil(() => this.#accept(), watch, limits, `a connection to ${this.name}`);
    if (accepted instanceof FableError) throw accepted;
    return accepted;
  }

  #accept(): Accepted | undefined {
    const { native, scheme, closed, fd: listening } = this.#socket;
    if (closed) return "closed";
    const fd = native.library.accept(listening);
    if (fd === EMPTY) return undefined;
    if (fd < 0) return outsideError(native.library, fd, `accept at ${this.name}`);
    const socket = new OutsideSocket(native, scheme, true, fd);
    return outsideHandle(socket, socket.name("peer"), this.#limits);
  }

  #ready(): void {
    for (const listener of [...this.#watchers]) listener();
    this.#changed();
  }

  #changed(): void {
    if (this.#socket.closed) return;
    this.#watch.want(this.#watchers.size > 0 ? READABLE : 0);
    this.#watch.setRef(this.#watchers.size > 0);
  }
}

function fileOf(address: OutsideAddress): Uint8Array | undefined {
  return address.scheme === "unix" && address.path[0] !== 0 ? address.path : undefined;
}

function noConnections(name: OutsideName): FableError {
  return new FableError("BAD_ARGUMENT", `Nothing can be accepted at ${name}: UDP has no connections.`, {
    remedy: "Use connect() with the other side's address, and the option local for this side's.",
  });
}
