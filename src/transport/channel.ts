/**
 * One end of a native channel: makes it, attaches the peer's half, turns its arenas into a {@link RecordWriter} and a {@link RecordReader},
 * watches its doorbell, and takes it down in the right order (no more waiting, views detached, memory unmapped).
 */
import {
  BLOCK_COMING,
  BLOCK_CROSSING,
  BLOCK_DETAIL,
  BLOCK_EVENTS,
  BLOCK_FREE,
  BLOCK_PEER_STATE,
  BLOCK_SLEEPS,
  BLOCK_WORDS,
  BLOCK_WRITE_OFFSET,
  FAULT_DOORBELL,
  MAX_HANDLES,
  OK,
  READABLE,
  WRITABLE,
} from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { DoorbellWatch } from "../runtime/runtime.ts";
import { type Figures, readFigures } from "./figures.ts";
import type { ChannelSettings, MadeDescriptors, PeerDescriptors } from "./halves.ts";
import { Kept } from "./kept.ts";
import { Moves, type MovesPort } from "./moves.ts";
import { type Agreed, arenaOf, attachPeer, closeDescriptors, newChannel, type PeerState, peerStateOf } from "./native-channel.ts";
import { type ReadPort, RecordReader } from "./record-reader.ts";
import { RecordWriter, type WritePort } from "./records.ts";
import type { Transport } from "./transport.ts";
import { type Waitable, type Waiter, waiterOf } from "./waiter.ts";

/** Rings that may be under way beyond those asked for: one raced with waking up by other means, one with taking the announcement back. */
const DOORBELL_SLACK = 8;
/** How often a half-closed socket that is full is tried again. */
const PUMP_MS = 1;

export class Channel implements WritePort, ReadPort, MovesPort, Waitable {
  readonly native: Native;
  /** The native handle. */
  readonly handle: number;
  readonly writer: RecordWriter;
  /** Where its directions are, and how they get elsewhere. */
  readonly moves: Moves;
  /** Called by the waiter with what is ready of what was wanted. */
  onReady: (ready: number) => void = () => {};
  /** Called when the peer turned out to be gone or at fault; what it committed before can still be read. */
  onEnd: () => void = () => {};
  /** Called when the outgoing direction may cross: does it, unless something is in the way. `late`: after the deadline in any case. */
  onCrossing: (late: boolean) => boolean = () => false;
  /** Whether the writer may go on elsewhere: not while a cursor fills what it placed. */
  mayStretch: () => boolean = () => true;
  /** Called when the incoming direction is about to move, and perhaps nobody reads. */
  onComing: () => void = () => {};
  /** The status that ended writing, or 0. */
  writeStatus = 0;
  /** Whether waiting may spin: not if the peer needs this very thread to go on. */
  spins = true;
  /** This end found the peer at fault. */
  faulted = false;

  /** Kept by the waiter: place in its table, what is wanted, whether a flush is due. */
  slot = -1;
  wanted = 0;
  dirtyQueued = false;
  /** Whether waiting keeps the process alive, and whether somebody waits for the end. */
  keepsAlive = true;
  awaitsEnd = false;

  readonly #waiter: Waiter;
  readonly #base: number;
  #made: MadeDescriptors | undefined;
  #reader: RecordReader | undefined;
  #watch: DoorbellWatch | undefined;
  #watchRef = false;
  #observer: number | undefined;
  #turnMessages = 0;
  #rings = 0;
  #died = false;
  #writeClosed = false;
  readonly #kept = new Kept(() => this.#closed || this.native.library.pump(this.handle));
  #closed = false;

  /** Makes this end's half: regions mapped and sealed, no peer yet. The handle belongs to the calling thread. */
  static make(native: Native, settings: ChannelSettings): Channel {
    const { handle, made } = newChannel(native, settings);
    return new Channel(native, settings.transport, handle, made);
  }

  private constructor(native: Native, transport: Transport, handle: number, made: MadeDescriptors) {
    this.native = native;
    this.handle = handle;
    this.#waiter = waiterOf(native);
    this.#base = handle % MAX_HANDLES * BLOCK_WORDS;
    this.#made = made;
    this.writer = new RecordWriter(this.arena(0), this);
    this.writer.flushBytes = 1;
    this.moves = new Moves(this, transport);
  }

  /** What the peer needs. Close with {@link closeMade} once it was passed on. */
  get made(): MadeDescriptors {
    if (this.#made === undefined) throw new Error("the descriptors were closed");
    return this.#made;
  }

  closeMade(): void {
    if (this.#made !== undefined) closeDescriptors(this.native, this.#made);
    this.#made = undefined;
  }

  /** Takes the peer's half in, after verifying it. From here on the channel carries messages. */
  attach(peer: PeerDescriptors): Agreed {
    const { observer, ...agreed } = attachPeer(this.native, this.handle, peer);
    this.#observer = observer;
    this.#reader = new RecordReader(this.arena(1), this, agreed.maxMessageBytes);
    // A runtime takes long over a socket, and nobody sleeps before the next turn: whoever waits for the connection has it earlier.
    this.native.runtime.nextTurn(() => this.#watchDoorbell());
    return agreed;
  }

  #watchDoorbell(): void {
    if (this.#closed) return;
    const { library, runtime } = this.native;
    const doorbell = check(library, library.channel_doorbell(this.handle), "watch a channel's doorbell");
    this.#watch = runtime.watchDoorbell(doorbell, (bytes) => this.#rung(bytes), () => this.#hangUp());
    if (this.#watchRef) this.#watch.setRef(true);
  }

  get reader(): RecordReader {
    if (this.#reader === undefined) throw new Error("the channel has no peer yet");
    return this.#reader;
  }

  get closed(): boolean {
    return this.#closed;
  }
  // ---- ports of the records ----

  space(): number {
    const free = this.native.library.space(this.handle);
    if (free < 0) this.writeStatus = free;
    return free;
  }

  publish(bytes: number, word0: number, word1: number, messages: number, payloadBytes: number): void {
    this.#turnMessages += messages;
    this.writer.flushBytes = this.writer.longBatchBytes;
    const status = this.native.library.publish(this.handle, bytes, word0, word1, messages, payloadBytes);
    if (status < 0) this.writeStatus = status;
    else if (this.moves.pumped) this.pump();
    // In the middle of laying out is no time to cross; before the next record is.
    if (this.crossing) this.writer.lookAgain();
  }

  /** The next path is ready, and this end may still take it. */
  get crossing(): boolean {
    return this.native.blocks[this.#base + BLOCK_CROSSING] !== 0 && !this.#writeClosed;
  }

  /** The peer's marker is on its way: reading on leads to the next path. */
  get coming(): boolean {
    return this.native.blocks[this.#base + BLOCK_COMING] !== 0;
  }

  cross(): boolean {
    return this.crossing && this.onCrossing(false);
  }

  stretch(needed: number): number {
    if (!this.mayStretch()) return -1;
    const free = this.native.library.room(this.handle, needed);
    return free < needed ? -1 : this.block(BLOCK_WRITE_OFFSET);
  }

  /** Copies one message, publishes it at once, and says whether it did. Only while the writer is settled. */
  post(message: Uint8Array): boolean {
    if (this.moves.outgoing.pumped) return false;
    if (this.native.library.send(this.handle, message, message.length) !== OK) return false;
    this.#turnMessages++;
    this.writer.moved(this.block(BLOCK_WRITE_OFFSET), this.block(BLOCK_FREE));
    this.cross();
    return true;
  }

  /**
   * Copies one short message into `into`, and gives it back at once: its size, EMPTY, or another status if it takes a window to say more.
   * Only while the reader is settled.
   */
  take(into: Uint8Array): number {
    const size = this.native.library.take(this.handle, into, into.length);
    if (size >= 0) this.reader.took();
    else this.#heed();
    return size;
  }

  dirty(): void {
    this.#waiter.flushLater(this);
  }

  /**
   * By the waiter, when the program's turn is over. After turns with a single message, the next one is published at once: it is probably a
   * question somebody waits for. What else a turn sends goes in batches.
   */
  endTurn(): void {
    this.writer.flush();
    if (this.#turnMessages <= 1) this.writer.flushBytes = 1;
    this.#turnMessages = 0;
  }

  refill(): number {
    const got = this.native.library.refill(this.handle);
    this.#heed();
    return got;
  }

  nextArena(): ArrayBuffer {
    this.moves.movedIn();
    return this.arena(1);
  }

  retire(epoch: number, messages: number, payloadBytes: number): void {
    this.native.library.retire(this.handle, 1, epoch, messages, payloadBytes);
  }

  consume(bytes: number, messages: number, payloadBytes: number): void {
    this.native.library.consume(this.handle, bytes, messages, payloadBytes);
    // What waits in a socket for want of memory here is announced by nobody.
    if (this.moves.incoming.pumped) this.#waiter.rung();
  }

  giveBack(at: number, bytes: number, messages: number, payloadBytes: number): boolean {
    const back = this.moves.incoming.anyOrder && this.native.library.give_back(this.handle, at, bytes, messages, payloadBytes) === OK;
    if (back) this.#waiter.rung();
    return back;
  }

  /** Native calls hear what the peer says about reconfigurations; this end has to know as well. */
  #heed(): void {
    const { blocks } = this.native;
    if ((blocks[this.#base + BLOCK_EVENTS] | blocks[this.#base + BLOCK_CROSSING]) === 0) return;
    if (this.crossing) this.onCrossing(true);
    this.moves.hear();
  }

  /** Takes what the peer said about reconfigurations. Whoever waited natively calls this afterwards. */
  attended(): void {
    if (this.#closed) return;
    this.#heed();
    if (this.coming) this.onComing();
  }

  block(word: number): number {
    return this.native.blocks[this.#base + word];
  }

  fault(detail: number): void {
    this.faulted = true;
    this.native.library.channel_fault(this.handle, detail);
    this.onEnd();
  }

  // ---- state ----

  /** The peer's state, looked at afresh. */
  peerState(): PeerState {
    this.#look(READABLE);
    const state = peerStateOf(this.block(BLOCK_PEER_STATE));
    return this.#died && (state === "open" || state === "write-closed") ? "dead" : state;
  }

  /** What the peer did wrong: a FAULT_* code. */
  get faultDetail(): number {
    return this.block(BLOCK_DETAIL);
  }

  /** This end's figures and the peer's. */
  figures(): Figures {
    return readFigures(this.native.library, this.handle, this.#observer);
  }

  /** Kernel transports: sends on what the socket did not take yet; waits for it to become writable if that is not all. */
  pump(): void {
    if (this.#closed || !this.moves.pumped) return;
    const queued = this.native.library.pump(this.handle);
    if (queued === 0) this.moves.pumpedDry();
    if (this.moves.outgoing.keepsBack) this.#kept.letGoSoon();
    if (queued < 0) this.writeStatus = queued;
    else if (queued > 0 && !this.#writeClosed) this.#waiter.want(this, WRITABLE);
    // Half-closed, a channel counts as writable whatever its socket says, because writing would fail at once.
    else if (queued > 0) setTimeout(() => this.pump(), PUMP_MS);
  }

  /** The peer learns now what was taken, instead of when that is worth a cache line. */
  tellTaken(): void {
    this.#look(WRITABLE);
  }

  /** One look. It takes back what this end announced, so a sleeping waiter has to look and announce again: the peer would not ring. */
  #look(interest: number): void {
    this.native.library.poll(Uint32Array.of(this.handle, interest, 0, 0), 1, 0, 0);
    this.#waiter.rung();
  }

  /** Half-close: nothing is written after what was published. */
  closeWrite(): void {
    this.writer.flush();
    this.#writeClosed = true;
    this.native.library.close_write(this.handle);
    this.pump();
  }

  /** The caller learned that the peer's process is gone. */
  peerDied(): void {
    if (this.#closed || this.#died) return;
    this.#died = true;
    this.native.library.channel_peer_died(this.handle);
    this.onEnd();
  }

  // ---- waiting ----

  /** Calls {@link onReady} when `interest` (READABLE, WRITABLE) is met; once per call. */
  want(interest: number): void {
    this.#waiter.want(this, interest);
  }
  unwant(interest: number): void {
    this.#waiter.unwant(this, interest);
  }

  /** Whether waiting on this channel keeps the process alive (it does unless told otherwise). */
  setKeepsAlive(on: boolean): void {
    this.keepsAlive = on;
    this.#waiter.refChanged(this);
  }

  /** Whether somebody waits for the channel's end. */
  setAwaitsEnd(on: boolean): void {
    if (this.awaitsEnd === on || this.#closed) return;
    this.awaitsEnd = on;
    this.#waiter.refChanged(this);
  }

  /** By the waiter, before it sleeps and when nobody waits any more. */
  setRef(on: boolean): void {
    if (on === this.#watchRef) return;
    this.#watchRef = on;
    this.#watch?.setRef(on);
  }

  /** Hears the peer out. */
  listen(): void {
    if (this.#closed) return;
    this.native.library.attend(this.handle);
    this.attended();
  }

  #rung(bytes: number): void {
    if (this.#closed) return;
    // The count of what it may ring is of after hearing what it said.
    this.native.library.attend(this.handle);
    this.#rings = this.#rings + bytes >>> 0;
    // The peer may ring once for each announced sleep and each order; one that rings without being asked would keep this thread busy for nothing.
    const unasked = this.#rings - this.block(BLOCK_SLEEPS) | 0;
    if (unasked > DOORBELL_SLACK) return this.fault(FAULT_DOORBELL);
    this.attended();
    this.#waiter.rung();
  }

  /** A closing peer says so before its doorbell goes; one that said nothing is dead. */
  #hangUp(): void {
    if (this.#closed) return;
    const state = this.peerState();
    if (state === "open" || state === "write-closed") this.peerDied();
    else this.onEnd();
  }

  // ---- the end ----

  /** Tells the peer, detaches every view and gives all memory and descriptors back. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiter.forget(this);
    this.#watch?.close();
    this.closeMade();
    this.writer.detach();
    this.moves.detach();
    this.#reader?.detach();
    const { library } = this.native;
    if (this.#observer !== undefined) library.control_unmap(this.#observer);
    check(library, library.channel_close(this.handle), "close a channel");
  }

  /** The memory of the path in use: 0 to write into, 1 to read from. */
  arena(which: number): ArrayBuffer {
    return arenaOf(this.native, this.handle, which);
  }
}
