/** One socket, without any waiting: what the native core answers, and what that means as an error. */
import type { FableError } from "../../errors.ts";
import type { OutsideAddress, OutsideName } from "../../naming/outside.ts";
import { NET_DATAGRAM, NET_STREAM, SYSTEM } from "../../native/generated.ts";
import type { Native } from "../../native/native.ts";
import { MAX_ADDRESS_BYTES, nameOfSocketAddress } from "./address.ts";
import { outsideError } from "./problems.ts";

const NOTHING = new Uint8Array(1);

export class OutsideSocket {
  readonly native: Native;
  readonly scheme: OutsideAddress["scheme"];
  /** Bytes without boundaries, or datagrams. */
  readonly stream: boolean;
  /** Of the datagram that {@link receive} found too long. */
  readonly size = new Uint32Array(1);
  #fd: number;

  /** Owns the descriptor from here on. */
  constructor(native: Native, scheme: OutsideAddress["scheme"], stream: boolean, fd: number) {
    this.native = native;
    this.scheme = scheme;
    this.stream = stream;
    this.#fd = fd;
  }

  get kind(): number {
    return this.stream ? NET_STREAM : NET_DATAGRAM;
  }

  /** The descriptor, -1 once it is closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** Bytes received, or a negative status. */
  receive(into: Uint8Array): number {
    return this.native.library.net_receive(this.#fd, this.kind, into, into.length, this.size);
  }

  /** Bytes sent, or a negative status. */
  send(bytes: Uint8Array): number {
    const { library } = this.native;
    const memory = bytes.length === 0 ? NOTHING : bytes;
    const sent = library.net_send(this.#fd, memory, bytes.length);
    // UDP answers with what an earlier datagram met with, and sends nothing: the next try does.
    return sent === SYSTEM && this.scheme === "udp" ? library.net_send(this.#fd, memory, bytes.length) : sent;
  }

  /** Half-close; without effect on datagrams. */
  finish(): void {
    if (this.stream && !this.closed) this.native.library.net_finish(this.#fd);
  }

  /** Bytes of a stream that are still on their way: over TCP exactly, over Unix at most as many. */
  unsent(finished: boolean): number {
    if (!this.stream || this.closed) return 0;
    const bytes = this.native.library.net_unsent(this.#fd);
    // The end itself counts as one byte.
    return Math.max(0, finished && this.scheme === "tcp" ? bytes - 1 : bytes);
  }

  /** What the system has to say against the socket. */
  complaint(action: string): FableError | undefined {
    const status = this.native.library.net_connected(this.#fd);
    return status === SYSTEM ? this.error(status, action) : undefined;
  }

  error(status: number, action: string): FableError {
    return outsideError(this.native.library, status, action);
  }

  /** The address of this side or of the other, as a name. */
  name(side: "own" | "peer"): OutsideName {
    const raw = new Uint8Array(MAX_ADDRESS_BYTES);
    const size = this.native.library.net_name(this.#fd, side === "peer" ? 1 : 0, raw, raw.length);
    return size < 0 ? `${this.scheme}:` as OutsideName : nameOfSocketAddress(raw.subarray(0, size), this.scheme);
  }

  option(which: number, on: boolean): void {
    this.native.library.net_option(this.#fd, which, on ? 1 : 0);
  }

  close(): void {
    if (this.#fd >= 0) this.native.library.close(this.#fd);
    this.#fd = -1;
  }

  /** Closes with a reset. */
  abort(): void {
    if (this.#fd >= 0) this.native.library.net_abort(this.#fd);
    this.#fd = -1;
  }
}
