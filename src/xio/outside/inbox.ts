/**
 * The reading half of an outside handle. Nothing is read ahead of the program but one piece, so the kernel's own buffer, and the sender
 * behind it, feel how fast the program reads. What arrives goes straight into private memory, which is lent, or copied out.
 */
import { FableError } from "../../errors.ts";
import { EMPTY as NOTHING_YET, READABLE, TOO_LARGE } from "../../native/generated.ts";
import type { ReadBuffer } from "../buffer.ts";
import { type WaitLimits, waitUntil } from "../limits.ts";
import { EMPTY, ENDED, ENOSPACE } from "../outcomes.ts";
import { Arena, type Lease } from "./arena.ts";
import { OutsideReadBuffer } from "./buffers.ts";
import type { OutsideHandle } from "./handle.ts";
import type { OutsideSocket } from "./socket.ts";

/** Read at once from a stream, at most. */
const READ_BYTES = 64 * 1024;
/** With less room than this, a stream waits for the program to give memory back. */
const SHORTEST_READ_BYTES = 1024;

export interface OutsideInboxOptions {
  readonly bufferBytes: number;
  readonly checked: boolean;
  readonly maxHeldBuffers: number;
  /** Somebody waits, or nobody does any more. */
  changed(): void;
  /** The end of the stream, or why there is none: once. */
  over(failure: FableError | undefined): void;
}

/** What arrived and was not taken yet. */
interface Arrived {
  readonly lease: Lease;
  readonly size: number;
}

type Answer = { readonly bytes: Uint8Array<ArrayBuffer> | undefined } | { readonly error: FableError };

export class OutsideInbox {
  readonly checked: boolean;
  messages = 0;
  bytes = 0;
  readonly #socket: OutsideSocket;
  readonly #options: OutsideInboxOptions;
  readonly #arena: Arena;
  /** Who waits, and with which handle: it must not be collected, and thereby closed, meanwhile. */
  readonly #watchers = new Map<() => void, OutsideHandle>();
  #arrived: Arrived | undefined;
  #held = 0;
  #noRoom = false;
  #finished = false;
  #closed = false;
  #failure: FableError | undefined;
  /** What happened to a datagram; the handle goes on. */
  #complaint: FableError | undefined;

  constructor(socket: OutsideSocket, options: OutsideInboxOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#arena = new Arena(options.bufferBytes);
    this.checked = options.checked;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Nothing more will come, and everything that came was taken. */
  get ended(): boolean {
    return this.#closed || this.#finished && this.#arrived === undefined;
  }

  /** Somebody waits for something to arrive. */
  get awaited(): boolean {
    return this.#watchers.size !== 0;
  }

  /** Looking at the socket again may tell something new. */
  get open(): boolean {
    return !this.#closed && !this.#finished && this.#arrived === undefined && !this.#noRoom;
  }

  // ---- what arrived ----

  /** True if something is there; looks at the socket if need be. */
  peek(): boolean {
    if (this.#closed) return false;
    return this.#arrived !== undefined || !this.#finished && this.#read();
  }

  /** The next piece as a private copy; undefined if there is none now. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (!this.peek()) return undefined;
    const { lease, size } = this.#pop();
    const copy = this.#arena.memory.slice(lease.at, lease.at + size);
    this.#giveBack(lease);
    return copy;
  }

  receive(handle: OutsideHandle, limits: WaitLimits): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return waitUntil(() => this.#answer(), (listener) => this.watch(handle, listener), limits, "data").then((answer) => {
      if ("error" in answer) throw answer.error;
      return answer.bytes;
    });
  }

  /** Up to `max` pieces where they lie. */
  lend(handle: OutsideHandle, max: number): readonly ReadBuffer[] {
    if (this.#held >= this.#options.maxHeldBuffers) return ENOSPACE;
    const lent: ReadBuffer[] = [];
    while (lent.length < max && this.#held < this.#options.maxHeldBuffers && this.peek()) {
      const { lease, size } = this.#pop();
      this.#held++;
      lent.push(new OutsideReadBuffer(handle, this, { memory: this.#arena.memory, at: lease.at, size, message: this.messages }, lease));
      // A stream that gave less than there was room for has no more now.
      if (this.#socket.stream && size < SHORTEST_READ_BYTES) break;
    }
    if (lent.length !== 0) return lent;
    if (this.ended) return ENDED;
    return this.#noRoom ? ENOSPACE : EMPTY;
  }

  release(lease: Lease): void {
    if (this.#closed) return;
    this.#held--;
    this.#giveBack(lease);
  }

  // ---- waiting and ending ----

  /** Calls `listener` each time something may have arrived, or the end may have come, until the function it answers is called. */
  watch(handle: OutsideHandle, listener: () => void): () => void {
    this.#watchers.set(listener, handle);
    this.#options.changed();
    return () => {
      this.#watchers.delete(listener);
      this.#options.changed();
    };
  }

  /** The socket is readable, or over. */
  ready(): void {
    if (this.#watchers.size === 0) this.peek();
    else for (const listener of [...this.#watchers.keys()]) listener();
  }

  /** Something happened to a datagram: whoever waits, or asks next, learns of it. */
  complain(error: FableError): void {
    this.#complaint = error;
    this.ready();
  }

  /** Nothing more will come, for a reason found elsewhere. */
  fail(error: FableError): void {
    this.#finish(error);
    this.ready();
  }

  /** This end closes: whoever waits learns that nothing will come. */
  close(): void {
    this.#closed = true;
    this.ready();
  }

  /** Throws away what is in the socket: closing with something unread would reset the connection under what was sent. */
  discard(): void {
    if (!this.#socket.stream || this.#socket.closed || this.#finished) return;
    for (let rounds = 0; rounds < 64 && this.#socket.receive(this.#arena.memory) > 0;) rounds++;
  }

  // ---- inside ----

  #answer(): Answer | undefined {
    if (this.#complaint !== undefined) return { error: this.#popComplaint() };
    const bytes = this.take();
    if (bytes !== undefined) return { bytes };
    if (this.#complaint !== undefined) return { error: this.#popComplaint() };
    if (!this.ended) return undefined;
    return this.#failure === undefined || this.#closed ? { bytes: undefined } : { error: this.#failure };
  }

  #popComplaint(): FableError {
    const error = this.#complaint!;
    this.#complaint = undefined;
    return error;
  }

  #read(): boolean {
    const { stream } = this.#socket;
    const { room } = this.#arena;
    this.#noRoom = room < (stream ? Math.min(SHORTEST_READ_BYTES, this.#arena.sizeBytes) : 1);
    if (this.#noRoom) return false;
    const size = stream ? Math.min(room, READ_BYTES) : room;
    const at = this.#arena.place(size);
    const got = this.#socket.receive(this.#arena.memory.subarray(at, at + size));
    if (got > 0 || got === 0 && !stream) {
      this.#arrived = { lease: this.#arena.take(at, got), size: got };
      return true;
    }
    if (got === 0) this.#finish(undefined);
    else if (got === TOO_LARGE) this.#tooLong();
    else if (got !== NOTHING_YET) this.#refused(got);
    return false;
  }

  /** The next datagram is longer than what is free. It stays in the socket. */
  #tooLong(): void {
    const size = this.#socket.size[0];
    this.#noRoom = true;
    if (size <= this.#arena.sizeBytes) return;
    this.#complaint = new FableError("TOO_LARGE", `A datagram of ${size} bytes arrived, and bufferBytes is ${this.#arena.sizeBytes}.`, {
      remedy: "Connect with larger bufferBytes.",
    });
  }

  #refused(status: number): void {
    const error = this.#socket.error(status, "receive");
    // What an earlier datagram met with does not keep later ones from arriving.
    if (this.#socket.stream || error.code === "SYSTEM") this.#finish(error);
    else this.#complaint = error;
  }

  #finish(failure: FableError | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#failure = failure;
    this.#options.over(failure);
  }

  #pop(): Arrived {
    const arrived = this.#arrived!;
    this.#arrived = undefined;
    this.messages++;
    this.bytes += arrived.size;
    this.#options.changed();
    return arrived;
  }

  #giveBack(lease: Lease): void {
    this.#arena.free(lease);
    if (!this.#noRoom) return;
    this.#noRoom = false;
    this.#options.changed();
  }
}

/** What the reactor should look for on behalf of this half. */
export function readInterest(inbox: OutsideInbox, awaitsEnd: boolean): number {
  return (inbox.awaited || awaitsEnd) && inbox.open ? READABLE : 0;
}
