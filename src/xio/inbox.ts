/**
 * The reading half of a handle: the messages of a {@link RecordReader}, as private copies or lent in place, and those who wait for one.
 */
import { FableError } from "../errors.ts";
import { EMPTY as EMPTY_STATUS, READABLE } from "../native/generated.ts";
import type { Channel } from "../transport/channel.ts";
import type { Hold } from "../transport/holds.ts";
import { smallRecordsUntil, wholeMessageAhead } from "../transport/lookahead.ts";
import type { RecordReader } from "../transport/record-reader.ts";
import { HEADER_BYTES } from "../transport/records.ts";
import { LentReadBuffer, type ReadBuffer } from "./buffer.ts";
import type { Handle } from "./handle.ts";
import { aborted } from "./limits.ts";
import { EMPTY, ENDED, ENOSPACE } from "./outcomes.ts";

/** Copies of small messages share blocks of this size: what one retained message keeps alive, at most. */
const SLAB_BYTES = 64 * 1024;
/** Copied at once, and the longest record copied that way; longer messages get memory of their own. */
const RUN_BYTES = 16 * 1024;
const SMALL_RECORD_BYTES = 4 * 1024;
/** Up to here a loop beats the view that set() needs. */
const SHORT_RUN_BYTES = 256;

export interface InboxOptions {
  readonly checked: boolean;
  /** Pieces the application may hold at once. */
  readonly maxHeldBuffers: number;
  /** The error of an end that was not a peer's good-bye, given its status; undefined for a good-bye. */
  failure(status: number): FableError | undefined;
  /** Everything was read and given back. */
  drained(): void;
}

interface Waiting {
  /** Kept from being collected while it waits: that would close it. */
  readonly handle: Handle;
  readonly resolve: (message: Uint8Array<ArrayBuffer> | undefined) => void;
  readonly reject: (error: Error) => void;
}

export class Inbox {
  readonly checked: boolean;
  readonly reader: RecordReader;
  readonly #channel: Channel;
  readonly #options: InboxOptions;
  #waiting: Waiting[] = [];
  readonly #watchers = new Set<() => void>();
  #closed = false;
  /** The status that said there is nothing more to come. */
  #endStatus = 0;
  /** The stretch of the window copied ahead, and where it lies. */
  #slab = new Uint8Array(0);
  #slabWords = new Int32Array(0);
  #slabUsed = 0;
  #runWindow = -1;
  #runEnd = 0;
  #runDelta = 0;

  constructor(channel: Channel, options: InboxOptions) {
    this.#channel = channel;
    this.reader = channel.reader;
    this.#options = options;
    this.checked = options.checked;
  }

  /** Which of the direction's transports messages come through. */
  get epoch(): number {
    return this.reader.epoch;
  }

  /** This end is closed: nothing can be read or released. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The native status that ended it, 0 before. */
  get endStatus(): number {
    return this.#endStatus;
  }

  /** Nothing more will come: closed here, or ended by the peer and all read. */
  get ended(): boolean {
    return this.#closed || this.#endStatus < 0;
  }

  /** Why it ended, if not by a good-bye. */
  get failure(): FableError | undefined {
    return this.#closed ? undefined : this.#options.failure(this.#endStatus);
  }

  // ---- private copies ----

  /** The next message as a private copy; undefined if there is none now. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#waiting.length !== 0) return undefined;
    return this.advance() ? this.#copy() : undefined;
  }

  /** The next message, waiting for it; undefined at the end. Rejects if the end was not a good-bye. */
  receive(handle: Handle, signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const message = this.take();
    if (message !== undefined) return Promise.resolve(message);
    if (this.ended) {
      const { failure } = this;
      return failure === undefined ? Promise.resolve(undefined) : Promise.reject(failure);
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { handle, resolve, reject };
      this.#waiting.push(signal === undefined && timeoutMs === undefined ? waiting : this.#limited(waiting, signal, timeoutMs));
      this.#channel.want(READABLE);
    });
  }

  /** Moves to the next message; notices the end. */
  advance(): boolean {
    if (this.#closed) return false;
    if (this.reader.next()) return true;
    this.#noticeEnd();
    return false;
  }

  /** True if a message is there, without taking it. */
  peek(): boolean {
    if (this.ended) return false;
    const { reader } = this;
    if (!reader.inWindow && reader.betweenMessages) reader.nextWindow();
    // A message in fragments is left where it is: it can still be lent in place.
    if (wholeMessageAhead(reader) || reader.peek()) return true;
    this.#noticeEnd();
    return false;
  }

  /** Notices the end if nothing is left before it, without moving: a cursor's current message stays what it is. */
  lookForEnd(): void {
    const { reader } = this;
    if (this.ended || reader.inWindow || !reader.betweenMessages) return;
    if (!reader.nextWindow()) this.#noticeEnd();
  }

  /**
   * The direction is about to move, and perhaps nobody reads: if everything was taken, what follows is looked at. Those who wait look by
   * themselves.
   */
  lookOnward(): void {
    if (this.#waiting.length === 0 && this.#watchers.size === 0) this.lookForEnd();
  }

  // ---- lent in place ----

  /** Up to `max` pieces of messages, in place. */
  lend(handle: Handle, max: number): readonly ReadBuffer[] {
    const { reader } = this;
    if (reader.heldPieces >= this.#options.maxHeldBuffers) return ENOSPACE;
    if (this.#waiting.length !== 0) return EMPTY;
    // What was read before in another form is done with now; a hold must not delay it.
    reader.release();
    const lent: ReadBuffer[] = [];
    while (lent.length < max && reader.heldPieces < this.#options.maxHeldBuffers) {
      if (!reader.inWindow && reader.betweenMessages && (lent.length !== 0 || !reader.nextWindow())) break;
      if (wholeMessageAhead(reader)) this.#lendPieces(handle, lent);
      else if (!this.advance()) break;
      else lent.push(this.#lendMessage(handle));
    }
    reader.forget();
    if (lent.length !== 0) return this.#lent(lent);
    this.#noticeEnd();
    if (this.ended) return ENDED;
    // The writer keeps a quarter of the ring in one piece for a long record: with half of it held, it may be stuck.
    return reader.heldBytes > reader.arena.length >>> 1 ? ENOSPACE : EMPTY;
  }

  release(hold: Hold | undefined): void {
    if (hold === undefined || this.#closed) return;
    this.reader.unhold(hold);
    this.#tellDrained();
  }

  // ---- waiting and ending ----

  /** Something may have arrived, or the channel may be over. */
  ready(): void {
    while (this.#waiting.length !== 0 && this.advance()) this.#firstWaiting().resolve(this.#copy());
    if (this.ended) this.#endWaiting();
    if (this.#watchers.size !== 0) { for (const listener of [...this.#watchers]) listener(); }
    if ((this.#waiting.length !== 0 || this.#watchers.size !== 0) && !this.ended) this.#channel.want(READABLE);
  }

  /** Calls `listener` each time something may have arrived, until the function it answers is called. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    this.#channel.want(READABLE);
    return () => {
      this.#watchers.delete(listener);
      this.#unwant();
    };
  }

  /** This end closes: whoever waits learns that nothing will come. */
  close(): void {
    this.#closed = true;
    this.reader.releaseAll();
    this.#endWaiting();
    for (const listener of [...this.#watchers]) listener();
  }

  // ---- inside ----

  /** There is one; it waits no longer. */
  #firstWaiting(): Waiting {
    const waiting = this.#waiting;
    // shift() takes V8 30 ns, and there is hardly ever more than one
    return (waiting.length === 1 ? waiting.pop() : waiting.shift())!;
  }

  #copy(): Uint8Array<ArrayBuffer> {
    const { reader } = this;
    const copy = reader.assembled ? reader.takeAssembled() : this.#copyFromArena();
    // At the window's end everything is copied: the writer can have it all back now.
    if (!reader.inWindow) this.#allTaken();
    return copy;
  }

  #allTaken(): void {
    this.reader.release();
    this.reader.forget();
    if (this.#channel.coming) queueMicrotask(() => this.lookOnward());
  }

  #lent(buffers: readonly ReadBuffer[]): readonly ReadBuffer[] {
    if (this.#channel.coming) queueMicrotask(() => this.lookOnward());
    return buffers;
  }

  #copyFromArena(): Uint8Array<ArrayBuffer> {
    const { reader } = this;
    const { at, length } = reader;
    // A record may be much longer than its message, and a hostile peer's is.
    if (length > SMALL_RECORD_BYTES || reader.offset - at > RUN_BYTES) return reader.memory.slice(at, at + length);
    if (this.#runWindow !== reader.windows || at >= this.#runEnd) this.#copyRun(at - HEADER_BYTES);
    const from = at + this.#runDelta;
    return this.#slab.subarray(from, from + length);
  }

  /** Copies the current message and the small ones behind it in one go. */
  #copyRun(from: number): void {
    const { reader } = this;
    const end = smallRecordsUntil(reader, from, SMALL_RECORD_BYTES, RUN_BYTES);
    if (this.#slab.length - this.#slabUsed < end - from) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabWords = new Int32Array(this.#slab.buffer);
      this.#slabUsed = 0;
    }
    if (end - from > SHORT_RUN_BYTES) this.#slab.set(reader.arena.subarray(from, end), this.#slabUsed);
    else copyWords(this.#slabWords, this.#slabUsed >> 2, reader.words, from >> 2, end >> 2);
    this.#runDelta = this.#slabUsed - from;
    this.#runEnd = end;
    this.#runWindow = reader.windows;
    this.#slabUsed += end - from;
  }

  #lendMessage(handle: Handle): ReadBuffer {
    const { reader } = this;
    if (!reader.assembled) return new LentReadBuffer(handle, this, reader, true, reader.hold());
    const memory = reader.takeAssembled();
    return new LentReadBuffer(handle, this, { memory, at: 0, length: memory.length, sequence: reader.sequence }, true, undefined);
  }

  #lendPieces(handle: Handle, into: ReadBuffer[]): void {
    const { reader } = this;
    while (reader.nextPiece()) {
      into.push(new LentReadBuffer(handle, this, reader, reader.pieceIsLast, reader.hold()));
      if (reader.pieceIsLast) return;
    }
  }

  #noticeEnd(): void {
    const { status } = this.reader;
    if (status === EMPTY_STATUS || this.#endStatus < 0 || this.#closed) return;
    this.#endStatus = status;
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (this.#endStatus < 0 && this.reader.heldPieces === 0) this.#options.drained();
  }

  #unwant(): void {
    if (this.#waiting.length === 0 && this.#watchers.size === 0) this.#channel.unwant(READABLE);
  }

  #endWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const { failure } = this;
    for (const each of waiting) {
      if (failure === undefined) each.resolve(undefined);
      else each.reject(failure);
    }
  }

  /** A wait that a signal or a deadline can end. */
  #limited(waiting: Waiting, signal: AbortSignal | undefined, timeoutMs: number | undefined): Waiting {
    const leave = (error: FableError): void => {
      const at = this.#waiting.indexOf(limited);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      this.#unwant();
      limited.reject(error);
    };
    const abort = (): void => leave(aborted("a message", signal));
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => leave(timedOut(timeoutMs)), timeoutMs);
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    const limited: Waiting = {
      handle: waiting.handle,
      resolve(message) {
        stop();
        waiting.resolve(message);
      },
      reject(error) {
        stop();
        waiting.reject(error);
      },
    };
    if (signal?.aborted) queueMicrotask(abort);
    else signal?.addEventListener("abort", abort, { once: true });
    return limited;
  }
}

function copyWords(to: Int32Array, at: number, from: Int32Array, begin: number, end: number): void {
  for (let word = begin; word < end; word++) to[at++] = from[word];
}

function timedOut(timeoutMs: number): FableError {
  return new FableError("TIMEOUT", `No message came within ${timeoutMs} ms.`, {
    remedy: "Allow more time, or look at why the peer is slow.",
  });
}
