/**
 * One side of a connection between a client and its broker: frames over a packet socket, and a doorbell. The event loops cannot watch a packet
 * socket without losing descriptors, so at first the reactor does. Once both sides share a doorbell (a stream socket pair that the broker
 * made), whoever sends a frame rings it, and the receiver's event loop wakes directly instead of by way of the reactor's thread.
 */
import type { Native } from "../native/native.ts";
import type { DoorbellWatch } from "../runtime/runtime.ts";
import { MAX_FRAME_BYTES, MAX_FRAME_DESCRIPTORS } from "./protocol.ts";
import { type Reactor, READABLE, type Watch, WRITABLE } from "./reactor.ts";

/**
 * Why a connection ended: the other side is gone; it sent more than a frame may hold; it takes nothing any more; it rings without a frame;
 * the system refused.
 */
export type LinkEnd = "hung-up" | "oversized" | "overrun" | "noise" | "system";

/** What the protocol needs of a connection. Tests have one in memory. */
export interface Link {
  /** Sends or queues a frame. Its descriptors stay the caller's, who may close them at once. False when the connection is over. */
  send(frame: Uint8Array, descriptors: readonly number[]): boolean;
  /** Sends what the socket takes at once, and ends without calling the handler. */
  close(): void;
}

export interface LinkHandlers {
  /** The descriptors are the handler's from here on; the bytes are valid during the call. */
  frame(bytes: Uint8Array, descriptors: readonly number[]): void;
  /** Once, unless this side closed. A last frame may still be sent from within. */
  end(reason: LinkEnd): void;
}

export interface LinkOptions {
  /** Frames that wait because the socket is full; one more ends the connection with "overrun". */
  readonly maxQueued: number;
  /** Ends a connection whose doorbell rings much oftener than frames come. */
  readonly maxIdleRings: number;
}

/** After so many frames at a stretch, others get their turn. */
const FRAMES_PER_TURN = 64;
const MAX_LAST_TURNS = 256;
const ONE_BYTE = Uint8Array.of(1);
const NONE = new Int32Array(0);
const EMPTY = -1;
const ENOSPACE = -2;
const TRUNCATED = -17;
const HUNG_UP = -18;

interface Queued {
  readonly frame: Uint8Array;
  readonly descriptors: readonly number[];
}

export class FrameLink implements Link {
  readonly #native: Native;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #handlers: LinkHandlers;
  readonly #options: LinkOptions;
  readonly #queue: Queued[] = [];
  #socket: Watch | undefined;
  #writable: Watch | undefined;
  #doorbellFd = -1;
  #doorbell: DoorbellWatch | undefined;
  #ref = false;
  #idleRings = 0;
  #draining = false;
  #over = false;

  /** Owns the descriptor from here on. Nothing is reported before the current task ends. */
  constructor(native: Native, reactor: Reactor, fd: number, handlers: LinkHandlers, options: LinkOptions) {
    this.#native = native;
    this.#reactor = reactor;
    this.#fd = fd;
    this.#handlers = handlers;
    this.#options = options;
    this.#socket = reactor.watch(fd, READABLE, () => {
      this.#drain();
      this.#socket?.again(READABLE);
    });
  }

  /** From now on both sides ring. Owns the descriptor from here on. */
  useDoorbell(fd: number): void {
    if (this.#over) {
      this.#native.library.close(fd);
      return;
    }
    this.#doorbellFd = fd;
    this.#doorbell = this.#native.runtime.watchDoorbell(fd, () => this.#rung(), () => this.#hungUp());
    this.#doorbell.setRef(this.#ref);
    this.#socket?.stop();
    this.#socket = undefined;
    // A frame between the last look and the doorbell's beginning came without a ring.
    this.#drain();
  }

  setRef(on: boolean): void {
    this.#ref = on;
    this.#doorbell?.setRef(on);
  }

  send(frame: Uint8Array, descriptors: readonly number[]): boolean {
    if (this.#over) return false;
    if (this.#queue.length > 0) return this.#enqueue(frame, descriptors);
    const status = this.#sendNow(frame, descriptors);
    if (status === ENOSPACE) return this.#enqueue(frame, descriptors);
    if (status >= 0) return true;
    this.#endSoon(status === HUNG_UP ? "hung-up" : "system");
    return false;
  }

  /** Takes what came without a ring. */
  look(): void {
    if (!this.#over) this.#drain();
  }

  /** For threads that do not come to their event loop: takes and sends what the socket has and takes now. */
  attend(): void {
    this.#flush();
    this.look();
  }

  /** Readable when there is something to take; -1 once it is over. */
  get wakeFd(): number {
    return this.#over ? -1 : this.#fd;
  }

  close(): void {
    this.#flush();
    this.#finish(undefined);
  }

  #sendNow(frame: Uint8Array, descriptors: readonly number[]): number {
    const { library } = this.#native;
    const fds = descriptors.length === 0 ? NONE : Int32Array.from(descriptors);
    const status = library.frame_send(this.#fd, frame, frame.byteLength, fds, fds.length);
    // A full doorbell counts as rung.
    if (status >= 0 && this.#doorbellFd >= 0) library.write(this.#doorbellFd, ONE_BYTE, 1);
    return status;
  }

  /** Duplicates the descriptors, because the caller may close its own. */
  #enqueue(frame: Uint8Array, descriptors: readonly number[]): boolean {
    const { library } = this.#native;
    const copies = descriptors.map((fd) => library.dup(fd));
    this.#queue.push({ frame: frame.slice(), descriptors: copies });
    if (this.#queue.length > this.#options.maxQueued || copies.some((fd) => fd < 0)) {
      this.#endSoon("overrun");
      return false;
    }
    if (this.#writable === undefined) {
      this.#socket?.stop();
      this.#socket = undefined;
      this.#writable = this.#reactor.watch(this.#fd, this.#interest(), () => this.#ready());
    }
    return true;
  }

  /** While frames wait, the reactor watches for room; without a doorbell, for frames too. */
  #interest(): number {
    return this.#doorbell === undefined ? READABLE | WRITABLE : WRITABLE;
  }

  #ready(): void {
    this.#flush();
    if (this.#doorbell === undefined) this.#drain();
    if (this.#over) return;
    if (this.#queue.length > 0) return this.#writable?.again(this.#interest());
    this.#writable?.stop();
    this.#writable = undefined;
    if (this.#doorbell !== undefined) return;
    this.#socket = this.#reactor.watch(this.#fd, READABLE, () => {
      this.#drain();
      this.#socket?.again(READABLE);
    });
  }

  #flush(): void {
    while (!this.#over) {
      const next = this.#queue[0];
      if (next === undefined) return;
      const status = this.#sendNow(next.frame, next.descriptors);
      if (status === ENOSPACE) return;
      this.#queue.shift();
      for (const fd of next.descriptors) this.#native.library.close(fd);
      if (status < 0) return this.#endSoon(status === HUNG_UP ? "hung-up" : "system");
    }
  }

  #rung(): void {
    this.#idleRings = this.#drain() > 0 ? 0 : this.#idleRings + 1;
    if (this.#idleRings > this.#options.maxIdleRings) this.#finish("noise");
  }

  #hungUp(): void {
    // What was sent before the end still counts. Bounded, because the other side may have closed its doorbell only.
    for (let turn = 0; turn < MAX_LAST_TURNS && this.#drain() === FRAMES_PER_TURN; turn++);
    this.#finish("hung-up");
  }

  /** Takes the frames that are there, a bounded number at a stretch. */
  #drain(): number {
    if (this.#draining) return 0;
    this.#draining = true;
    let frames = 0;
    try {
      while (!this.#over && frames < FRAMES_PER_TURN && this.#receive()) frames += 1;
    } finally {
      this.#draining = false;
    }
    if (frames === FRAMES_PER_TURN && !this.#over) this.#native.runtime.nextTurn(() => this.#drain());
    return frames;
  }

  #receive(): boolean {
    const { bytes, fds, count } = buffers;
    const size = this.#native.library.frame_receive(this.#fd, bytes, bytes.byteLength, fds, fds.length, count);
    if (size >= 0) {
      const descriptors = Array.from(fds.subarray(0, count[0]));
      this.#handlers.frame(bytes.subarray(0, size), descriptors);
      return true;
    }
    if (size === TRUNCATED) this.#finish("oversized");
    else if (size === HUNG_UP) this.#finish("hung-up");
    else if (size !== EMPTY) this.#finish("system");
    return false;
  }

  /** For failures found while sending: the sender must not be surprised by its own end. */
  #endSoon(reason: LinkEnd): void {
    queueMicrotask(() => this.#finish(reason));
  }

  #finish(reason: LinkEnd | undefined): void {
    if (this.#over) return;
    // Said before the end, so that an error frame can still leave.
    if (reason !== undefined) this.#handlers.end(reason);
    if (this.#over) return;
    this.#over = true;
    const { library } = this.#native;
    this.#socket?.stop();
    this.#writable?.stop();
    this.#doorbell?.close();
    library.close(this.#fd);
    if (this.#doorbellFd >= 0) library.close(this.#doorbellFd);
    for (const queued of this.#queue.splice(0)) for (const fd of queued.descriptors) if (fd >= 0) library.close(fd);
  }
}

/** One receive buffer for all connections of this thread: frames are taken one after the other, and handlers copy what they keep. */
const buffers = {
  bytes: new Uint8Array(MAX_FRAME_BYTES),
  fds: new Int32Array(MAX_FRAME_DESCRIPTORS),
  count: new Uint32Array(1),
};
