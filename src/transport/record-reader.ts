/**
 * Reading records: the counterpart of records.ts, and as hot. The native side has validated a window when it hands it out; what is checked
 * here once more is what could hurt if a trusted peer scribbled afterwards.
 */
import {
  BLOCK_READ_EPOCH,
  BLOCK_READ_LIMIT,
  BLOCK_READ_OFFSET,
  FAULT_FRAGMENT,
  FAULT_LENGTH,
  MOVED,
  PEER_FAULT,
  RECORD_END,
  RECORD_FIRST,
  RECORD_LAST,
  RECORD_MARKER,
  RECORD_MESSAGE,
  RECORD_MORE,
  RECORD_PAD,
} from "../native/generated.ts";
import { Reassembly } from "./fragments.ts";
import { type Hold, HoldLedger } from "./holds.ts";
import { HEADER_BYTES, STRIDE_MASK, TOTAL_BYTES } from "./records.ts";

/** What a {@link RecordReader} needs of its channel. */
export interface ReadPort {
  /** Bytes of the window now available, or a negative status (nothing yet, or the end and why). */
  refill(): number;
  consume(bytes: number, messages: number, payloadBytes: number): void;
  /** Gives a stretch back before older ones; false where that cannot be. */
  giveBack(at: number, bytes: number, messages: number, payloadBytes: number): boolean;
  /** A word of the channel's block. */
  block(word: number): number;
  /** The peer broke the protocol: ends the channel. */
  fault(detail: number): void;
  /** After MOVED: the arena in which the records that follow lie. */
  nextArena(): ArrayBuffer;
  /** Nothing of the arena of `epoch` is looked at any more; so much of it was lent and not consumed when the direction moved. */
  retire(epoch: number, messages: number, payloadBytes: number): void;
}

/** An arena that the direction moved away from while something of it was looked at. */
interface LeftArena {
  readonly epoch: number;
  readonly arena: Uint8Array<ArrayBuffer>;
  readonly ledger: HoldLedger;
  messages: number;
  payloadBytes: number;
}

const NOTHING = new Uint8Array(0);

/** What lies behind the pause mark. */
const Crossed = { nothing: 0, onward: 1, atMessage: 2 } as const;
type Crossed = typeof Crossed[keyof typeof Crossed];

/**
 * Walks the messages of a read arena. {@link next} moves to the next complete message and thereby gives the one before back to the writer;
 * {@link hold} keeps the current one until {@link unhold}. Fragments are put together in private memory and show up as one message.
 */
export class RecordReader {
  /** Where the current message is: the arena, or private memory if it came in fragments. */
  memory: Uint8Array<ArrayBuffer>;
  at = 0;
  length = 0;
  /** True if {@link memory} is private memory. */
  assembled = false;
  /** Number of the current message, counted from 1 since the channel began. */
  sequence = 0;
  /** Why {@link next} last answered false. */
  status = 0;
  /** After {@link nextPiece}: whether it was the message's last. */
  pieceIsLast = false;
  arena: Uint8Array<ArrayBuffer>;
  /** The arena's headers. */
  words: Int32Array;
  /** How many transports this direction has had before this one. */
  epoch: number;

  /** The walk: next record, end of the window, and where to pause for giving space back. */
  offset = 0;
  limit = 0;
  #stop = 0;
  /** `peek` moved to a message that `next` has not shown yet. */
  #ahead = false;
  /** Windows so far: what was noted about offsets of an earlier one is void. */
  windows = 0;
  readonly #port: ReadPort;
  #capacityBytes: number;
  readonly #assembly: Reassembly;
  /** Walked, not held, not yet given back: from this offset, with these counts. */
  #doneFrom = 0;
  #doneMessages = 0;
  #donePayload = 0;
  #holds = new HoldLedger();
  /** Arenas of earlier epochs: with pieces that are lent, and one with the current message, if nobody has moved on from it. */
  readonly #left: LeftArena[] = [];
  #leftPieces = 0;

  constructor(arena: ArrayBuffer, port: ReadPort, maxMessageBytes: number) {
    this.arena = new Uint8Array(arena);
    this.memory = NOTHING;
    this.words = new Int32Array(arena);
    this.#port = port;
    this.epoch = port.block(BLOCK_READ_EPOCH);
    this.#capacityBytes = arena.byteLength;
    this.#assembly = new Reassembly(maxMessageBytes);
  }

  /** Moves to the next message; false if there is none now ({@link status} says why). */
  next(): boolean {
    for (;;) {
      if (this.offset >= this.#stop) {
        const crossed = this.#cross(true);
        if (crossed !== Crossed.onward) return crossed === Crossed.atMessage;
      }
      const at = this.offset;
      const size = this.words[at >> 2];
      const word1 = this.words[(at >> 2) + 1];
      const bytes = (word1 & STRIDE_MASK) << 3;
      const end = at + bytes;
      // The native side validated this; a trusted peer that scribbles afterwards must still not make us run in circles or past the window.
      if (size < 0 || bytes < size + HEADER_BYTES || end > this.limit) return this.#fault(FAULT_LENGTH);
      this.offset = end;
      if (word1 >>> 24 === RECORD_MESSAGE) {
        this.memory = this.arena;
        this.assembled = false;
        this.at = at + HEADER_BYTES;
        this.length = size;
        this.sequence++;
        this.#doneMessages++;
        this.#donePayload += size;
        return true;
      }
      if (!this.#special(word1 >>> 24, at + HEADER_BYTES, size)) continue;
      return this.status === 0;
    }
  }

  /** At the window's end: gets the next window, without moving. False if there is none now. */
  nextWindow(): boolean {
    return this.#cross(false) === Crossed.onward;
  }

  /** True if the walk has not reached the window's end: {@link next} will not need to look at the ring. */
  get inWindow(): boolean {
    return this.offset < this.limit;
  }

  /** Pieces that are lent out, of this arena and of those before it. */
  get heldPieces(): number {
    return this.#holds.pieces + this.#leftPieces;
  }

  /** Bytes of this arena that are lent out. */
  get heldBytes(): number {
    return this.#holds.bytes;
  }

  /** Keeps the current record where it is until {@link unhold}. Only for what is in the arena. */
  hold(): Hold {
    const hold = this.#holds.add(this.#doneFrom, this.offset - this.#doneFrom, this.#doneMessages, this.#donePayload);
    this.#clearDone();
    return hold;
  }

  /** Gives a held record back; the writer of a ring gets the space once everything before it is back too, that of a heap now. */
  unhold(hold: Hold): void {
    const back = hold.ledger.release(hold);
    if (hold.ledger !== this.#holds) return this.#unholdLeft(hold.ledger);
    if (back !== undefined) this.#port.consume(back.bytes, back.messages, back.payloadBytes);
    else if (this.#port.giveBack(hold.at, hold.bytes, hold.messages, hold.payloadBytes)) hold.ledger.drop(hold);
  }

  /** Gives everything walked (and not held) back to the writer now. The current message's memory is no longer ours afterwards. */
  release(): void {
    const bytes = this.offset - this.#doneFrom;
    if (bytes === 0 || this.#holds.pieces !== 0 || this.#ahead) return;
    this.#port.consume(bytes, this.#doneMessages, this.#donePayload);
    this.#clearDone();
  }

  /** {@link release}, and nobody looks at the current message any more, also if it lies in an arena before this one. */
  releaseAll(): void {
    this.release();
    this.#retireFree();
  }

  /** Nobody looks at the current message any more: there is none, until {@link next}. */
  forget(): void {
    if (this.#ahead) return;
    this.memory = NOTHING;
    this.at = this.length = 0;
  }

  /**
   * Moves to the next fragment of a message that {@link wholeMessageAhead} found complete in the window; false after the last one.
   * The fragment is then what {@link at} and {@link length} say, in the arena.
   */
  nextPiece(): boolean {
    for (;;) {
      const at = this.offset;
      const size = this.words[at >> 2];
      const word1 = this.words[(at >> 2) + 1];
      const bytes = (word1 & STRIDE_MASK) << 3;
      const kind = word1 >>> 24;
      const lead = kind === RECORD_FIRST ? TOTAL_BYTES : 0;
      if (size < lead || bytes < size + HEADER_BYTES || at + bytes > this.limit) return this.#fault(FAULT_LENGTH);
      this.offset = at + bytes;
      if (kind === RECORD_PAD) continue;
      this.memory = this.arena;
      this.assembled = false;
      this.at = at + HEADER_BYTES + lead;
      this.length = size - lead;
      this.#donePayload += this.length;
      if (kind === RECORD_FIRST) this.sequence++;
      this.pieceIsLast = kind === RECORD_LAST;
      if (this.pieceIsLast) this.#doneMessages++;
      return true;
    }
  }

  /** True if nothing of the ring is here: the native side may take messages by itself. */
  get settled(): boolean {
    return this.offset >= this.limit && this.offset === this.#doneFrom && this.#holds.pieces === 0 && this.betweenMessages;
  }

  /** The native side took a message by itself. */
  took(): void {
    this.sequence++;
  }

  /** True if no message is being put together and none was peeked at: the walk stands between two messages. */
  get betweenMessages(): boolean {
    return !this.#ahead && !this.#assembly.open;
  }

  /** Takes the memory away: there is no next message, and views that others kept are empty. */
  detach(): void {
    this.offset =
      this.limit =
      this.#stop =
      this.#doneFrom =
        0;
    this.arena.buffer.transfer(0);
    for (const { arena } of this.#left.splice(0)) arena.buffer.transfer(0);
  }

  /** Takes the assembled message over: the reader forgets its memory. */
  takeAssembled(): Uint8Array<ArrayBuffer> {
    return this.#assembly.take();
  }

  /** True if {@link next} would be: moves ahead already, but keeps the message for the next call of `next`. */
  peek(): boolean {
    if (!this.#ahead && !this.next()) return false;
    this.#ahead = true;
    this.#stop = 0;
    return true;
  }

  /** At the pause mark: gives space back in mid-window, or gets the next window. `onward`: nobody looks at the current message any more. */
  #cross(onward: boolean): Crossed {
    if (this.#ahead) {
      this.#ahead = false;
      this.#setStop();
      return Crossed.atMessage;
    }
    this.release();
    if (this.offset < this.limit) {
      this.#setStop();
      return Crossed.onward;
    }
    // What was walked while earlier pieces are held goes back together with them.
    if (this.offset !== this.#doneFrom) this.unhold(this.hold());
    if (onward && this.#left.length !== 0) this.#retireFree();
    let got = this.#port.refill();
    while (got === MOVED) {
      this.#adopt(onward);
      got = this.#port.refill();
    }
    if (got <= 0) {
      this.status = got;
      return Crossed.nothing;
    }
    this.status = 0;
    // Padding at the ring's end is skipped natively, so the window need not begin where the last one ended.
    this.offset = this.#doneFrom = this.#port.block(BLOCK_READ_OFFSET);
    this.limit = this.#port.block(BLOCK_READ_LIMIT);
    this.windows++;
    this.#setStop();
    if (this.limit > this.offset && this.limit <= this.#capacityBytes) return Crossed.onward;
    this.#fault(FAULT_LENGTH);
    return Crossed.nothing;
  }

  /** Everything of the arena was handed out; what follows lies in another. */
  #adopt(onward: boolean): void {
    const left: LeftArena = { epoch: this.epoch, arena: this.arena, ledger: this.#holds, ...this.#holds.lent };
    this.epoch = this.#port.block(BLOCK_READ_EPOCH);
    const arena = this.#port.nextArena();
    this.arena = new Uint8Array(arena);
    this.words = new Int32Array(arena);
    this.#capacityBytes = arena.byteLength;
    this.offset =
      this.limit =
      this.#stop =
      this.#doneFrom =
        0;
    this.windows++;
    this.#holds = new HoldLedger();
    this.#leftPieces += left.ledger.pieces;
    this.#left.push(left);
    this.#retireFree(onward ? undefined : this.memory);
  }

  /** Gives back the arenas before this one of which nothing is lent, except the one that holds `current`. */
  #retireFree(current?: Uint8Array): void {
    for (const left of [...this.#left]) {
      if (left.ledger.pieces !== 0 || left.arena === current) continue;
      this.#left.splice(this.#left.indexOf(left), 1);
      left.arena.buffer.transfer(0);
      this.#port.retire(left.epoch, left.messages, left.payloadBytes);
    }
  }

  #unholdLeft(ledger: HoldLedger): void {
    this.#leftPieces = 0;
    for (const left of this.#left) this.#leftPieces += left.ledger.pieces;
    if (ledger.pieces === 0) this.#retireFree(this.memory);
  }

  #setStop(): void {
    this.#stop = Math.min(this.limit, this.offset + (this.#capacityBytes >>> 3));
  }

  /** Everything but whole messages. True if `next` is to return: a message is complete, or the channel is at fault. */
  #special(kind: number, at: number, size: number): boolean {
    if (kind === RECORD_PAD || kind === RECORD_END || kind === RECORD_MARKER) return false;
    const lead = kind === RECORD_FIRST ? TOTAL_BYTES : 0;
    const data = size - lead;
    if (!this.#addFragment(kind, at, data)) {
      this.#fault(FAULT_FRAGMENT);
      return true;
    }
    this.#donePayload += data;
    if (kind !== RECORD_LAST) return false;
    const assembly = this.#assembly;
    this.memory = assembly.memory;
    this.assembled = true;
    this.at = 0;
    this.length = assembly.totalBytes;
    assembly.end();
    this.sequence++;
    this.#doneMessages++;
    return true;
  }

  #addFragment(kind: number, at: number, data: number): boolean {
    const assembly = this.#assembly;
    switch (kind) {
      case RECORD_FIRST:
        return data >= 0 && assembly.begin(this.words[at >> 2]) && assembly.add(this.arena, at + TOTAL_BYTES, data);
      case RECORD_MORE:
        return assembly.add(this.arena, at, data);
      case RECORD_LAST:
        return assembly.add(this.arena, at, data) && assembly.complete;
      default:
        return false;
    }
  }

  #clearDone(): void {
    this.#doneFrom = this.offset;
    this.#doneMessages = 0;
    this.#donePayload = 0;
  }

  /** Ends the channel; the window is void, so that no later call walks it again. */
  #fault(detail: number): false {
    this.limit = this.#stop = this.#doneFrom = this.offset;
    this.status = PEER_FAULT;
    // Last: who hears of it looks again at once, and a peer that scribbles may have made the header whole meanwhile.
    this.#port.fault(detail);
    return false;
  }
}
