/** Connecting to the outside world. */
import { FableError } from "../../errors.ts";
import { type OutsideAddress, type OutsideName, outsideNameOf, parseOutside } from "../../naming/outside.ts";
import { EMPTY, ENOSPACE, NET_DATAGRAM, NET_KEEPALIVE, NET_NODELAY, NET_STREAM, WRITABLE } from "../../native/generated.ts";
import { loadNative } from "../../native/load.ts";
import type { Native } from "../../native/native.ts";
import { DescriptorWatch } from "../descriptors.ts";
import { aborted, timedOut } from "../limits.ts";
import { DEFAULT_TIMEOUT_MS } from "../options.ts";
import { socketAddresses, unnamedUnixAddress } from "./address.ts";
import { OutsideConnection } from "./connection.ts";
import { OutsideHandle } from "./handle.ts";
import { type OutsideConnectOptions, type OutsideLimits, resolveOutsideOptions } from "./options.ts";
import { outsideError } from "./problems.ts";
import { OutsideSocket } from "./socket.ts";

/** A Unix listener whose backlog is full is tried again this often: nothing tells when there is room. */
const RETRY_MS = 2;
const NONE = new Uint8Array(1);

/** Connects, trying the host's addresses in their order. */
export async function connectOutside(text: OutsideName, options: OutsideConnectOptions): Promise<OutsideHandle> {
  const limits = resolveOutsideOptions(options);
  const address = parseOutside(text);
  const name = outsideNameOf(address);
  if (address.scheme !== "unix" && address.port === 0) throw noPort(name);
  const stream = isStream(address, options.datagrams);
  const native = loadNative(options.library === undefined ? {} : { path: options.library });
  const targets = socketAddresses(native.library, address);
  const local = localAddress(native, address, stream, options.local);
  const attempt = new Attempt(native, name, stream, options);
  let failure: unknown;
  for (const target of targets) {
    try {
      const fd = await attempt.connect(target, local);
      return outsideHandle(new OutsideSocket(native, address.scheme, stream, fd), name, limits);
    } catch (error) {
      failure ??= error;
      if (attempt.over) throw error;
    }
  }
  throw failure;
}

/** A handle over a connected socket. */
export function outsideHandle(socket: OutsideSocket, peer: OutsideName, limits: OutsideLimits): OutsideHandle {
  if (socket.scheme === "tcp") {
    socket.option(NET_NODELAY, limits.noDelay);
    if (limits.keepAlive) socket.option(NET_KEEPALIVE, true);
  }
  return new OutsideHandle(new OutsideConnection(socket, peer, limits));
}

/** Bytes, or datagrams; only Unix sockets leave the choice. */
export function isStream(address: OutsideAddress, datagrams: boolean | undefined): boolean {
  if (address.scheme === "unix") return datagrams !== true;
  if (datagrams === undefined || datagrams === (address.scheme === "udp")) return address.scheme === "tcp";
  throw new FableError("BAD_ARGUMENT", `${address.scheme}: is ${datagrams ? "a stream of bytes" : "for datagrams"} always.`, {
    remedy: "Say datagrams for unix: only.",
  });
}

function localAddress(native: Native, to: OutsideAddress, stream: boolean, local: OutsideName | undefined): Uint8Array | undefined {
  // Without a name of its own nobody could answer a Unix datagram socket.
  if (local === undefined) return to.scheme === "unix" && !stream ? unnamedUnixAddress() : undefined;
  const address = parseOutside(local);
  if (address.scheme === to.scheme) return socketAddresses(native.library, address)[0];
  throw new FableError("BAD_ARGUMENT", `The option local is ${outsideNameOf(address)}, which is no ${to.scheme}: address.`, {
    remedy: "Speak from an address of the scheme you connect to.",
  });
}

/** One call of connect, with its deadline and signal. */
class Attempt {
  readonly #native: Native;
  readonly #name: OutsideName;
  readonly #kind: number;
  readonly #timeoutMs: number;
  readonly #deadline: number;
  readonly #signal: AbortSignal | undefined;

  constructor(native: Native, name: OutsideName, stream: boolean, { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: OutsideConnectOptions) {
    this.#native = native;
    this.#name = name;
    this.#kind = stream ? NET_STREAM : NET_DATAGRAM;
    this.#timeoutMs = timeoutMs;
    this.#deadline = performance.now() + timeoutMs;
    this.#signal = signal;
  }

  /** The deadline passed, or the signal came. */
  get over(): boolean {
    return this.#signal?.aborted === true || performance.now() >= this.#deadline;
  }

  async connect(target: Uint8Array, local: Uint8Array | undefined): Promise<number> {
    const { library } = this.#native;
    for (;;) {
      this.#assertInTime();
      const fd = library.net_connect(this.#kind, target, target.length, local ?? NONE, local?.length ?? 0);
      if (fd >= 0) return await this.#decided(fd);
      if (fd !== ENOSPACE) throw outsideError(library, fd, `connect to ${this.#name}`);
      await this.#pause(RETRY_MS);
    }
  }

  /** Waits until the connection stands; closes the descriptor if it does not. */
  async #decided(fd: number): Promise<number> {
    const { library } = this.#native;
    try {
      for (;;) {
        const status = library.net_connected(fd);
        if (status >= 0) return fd;
        if (status !== EMPTY) throw outsideError(library, status, `connect to ${this.#name}`);
        await this.#writable(fd);
        this.#assertInTime();
      }
    } catch (error) {
      library.close(fd);
      throw error;
    }
  }

  #assertInTime(): void {
    if (this.#signal?.aborted) throw aborted(`a connection to ${this.#name}`, this.#signal);
    if (performance.now() >= this.#deadline) throw timedOut(`a connection to ${this.#name}`, this.#timeoutMs);
  }

  /** Resolves when the descriptor is writable, or the limits are reached. */
  async #writable(fd: number): Promise<void> {
    let watch: DescriptorWatch | undefined;
    try {
      await this.#limited((resolve) => {
        watch = new DescriptorWatch(this.#native, fd, resolve);
        watch.setRef(true);
        watch.want(WRITABLE);
      });
    } finally {
      watch?.stop();
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await this.#limited((resolve) => timer = setTimeout(resolve, ms));
    clearTimeout(timer);
  }

  async #limited(begin: (resolve: () => void) => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    const timer = setTimeout(done, Math.max(0, this.#deadline - performance.now()) + 1);
    this.#signal?.addEventListener("abort", done, { once: true });
    try {
      begin(done);
      await promise;
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", done);
    }
  }
}

function noPort(name: OutsideName): FableError {
  return new FableError("BAD_NAME", `${name} cannot be connected to: port 0 means any port.`, {
    remedy: "Give the port the server listens at.",
  });
}
