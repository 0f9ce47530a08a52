/**
 * One end of a native channel: makes it, attaches the peer's half, turns its arenas into a {@link RecordWriter} and a {@link RecordReader},
 * watches its doorbell, and takes it down in the right order (no more waiting, views detached, memory unmapped).
 */
import {
  BLOCK_DETAIL,
  BLOCK_FREE,
  BLOCK_PEER_STATE,
  BLOCK_SLEEPS,
  BLOCK_WORDS,
  BLOCK_WRITE_OFFSET,
  CHANNEL_OPTIONS_CONTROL_FD,
  CHANNEL_OPTIONS_FLAGS,
  CHANNEL_OPTIONS_HANDLE,
  CHANNEL_OPTIONS_MAX_MESSAGE_BYTES,
  CHANNEL_OPTIONS_PEER_DATA_FD,
  CHANNEL_OPTIONS_PEER_DOORBELL_FD,
  CHANNEL_OPTIONS_PEER_LINK_FD,
  CHANNEL_OPTIONS_RING_BYTES,
  CHANNEL_OPTIONS_RING_FD,
  CHANNEL_OPTIONS_ROLE,
  CHANNEL_OPTIONS_SIZE_BYTES,
  CHANNEL_OPTIONS_TRANSPORT,
  CHANNEL_OPTIONS_TRUST,
  CHANNEL_OPTIONS_WORDS,
  FAULT_DOORBELL,
  MAX_HANDLES,
  OK,
  PEER_CONTROL_FD,
  PEER_DATA_FD,
  PEER_DOORBELL_FD,
  PEER_HANDLE,
  PEER_LINK_FD,
  PEER_PEER_MAX_MESSAGE_BYTES,
  PEER_PEER_RING_BYTES,
  PEER_PID_FD,
  PEER_RING_FD,
  PEER_SIZE_BYTES,
  PEER_TRUST,
  PEER_WORDS,
  READABLE,
  ROLE_ACCEPTOR,
  ROLE_INITIATOR,
  TRUSTED,
  UNTRUSTED,
  WINDOWS,
  WRITABLE,
} from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { DoorbellWatch } from "../runtime/runtime.ts";
import { type Figures, figuresOf, STATS_FIELDS } from "./figures.ts";
import type { ChannelSettings, MadeDescriptors, PeerDescriptors } from "./halves.ts";
import { type ReadPort, RecordReader } from "./record-reader.ts";
import { RecordWriter, type WritePort } from "./records.ts";
import type { Transport } from "./transport.ts";
import { type Waitable, type Waiter, waiterOf } from "./waiter.ts";

/** What {@link Channel.peerState} answers. */
export type PeerState = "open" | "write-closed" | "closed" | "faulted" | "dead";
const PEER_STATES: readonly PeerState[] = ["open", "write-closed", "closed", "faulted", "dead"];

/** Rings that may be under way beyond those asked for: one raced with waking up by other means, one with taking the announcement back. */
const DOORBELL_SLACK = 8;
/** How often a half-closed socket that is full is tried again. */
const PUMP_MS = 1;
const NONE = -1;

export class Channel implements WritePort, ReadPort, Waitable {
  readonly native: Native;
  /** The native handle. */
  readonly handle: number;
  readonly transport: Transport;
  readonly writer: RecordWriter;
  /** Called by the waiter with what is ready of what was wanted. */
  onReady: (ready: number) => void = () => {};
  /** Called when the peer turned out to be gone or at fault; what it committed before can still be read. */
  onEnd: () => void = () => {};
  /** The status that ended writing, or 0. */
  writeStatus = 0;
  /** Whether waiting may spin: not if the peer needs this very thread to go on. */
  spins = true;
  /** This end found the peer at fault. */
  faulted = false;

  /** Kept by the waiter: place in its table, what is wanted, whether a flush is due. */
  slot = NONE;
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
  #closed = false;

  /** Makes this end's half: regions mapped and sealed, no peer yet. The handle belongs to the calling thread. */
  static make(native: Native, settings: ChannelSettings): Channel {
    const { library } = native;
    const words = new Uint32Array(CHANNEL_OPTIONS_WORDS);
    words[CHANNEL_OPTIONS_SIZE_BYTES] = words.byteLength;
    words[CHANNEL_OPTIONS_ROLE] = settings.role === "initiator" ? ROLE_INITIATOR : ROLE_ACCEPTOR;
    words[CHANNEL_OPTIONS_TRANSPORT] = settings.transport.code;
    words[CHANNEL_OPTIONS_TRUST] = settings.trust === "trusted" ? TRUSTED : UNTRUSTED;
    words[CHANNEL_OPTIONS_RING_BYTES] = settings.ringBytes;
    words[CHANNEL_OPTIONS_MAX_MESSAGE_BYTES] = settings.maxMessageBytes;
    words[CHANNEL_OPTIONS_FLAGS] = WINDOWS;
    check(library, library.channel_new(words), "make a channel");
    const made: MadeDescriptors = {
      controlFd: words[CHANNEL_OPTIONS_CONTROL_FD] | 0,
      ringFd: descriptor(words[CHANNEL_OPTIONS_RING_FD]),
      doorbellFd: descriptor(words[CHANNEL_OPTIONS_PEER_DOORBELL_FD]),
      linkFd: descriptor(words[CHANNEL_OPTIONS_PEER_LINK_FD]),
      dataFd: descriptor(words[CHANNEL_OPTIONS_PEER_DATA_FD]),
    };
    return new Channel(native, settings.transport, words[CHANNEL_OPTIONS_HANDLE], made);
  }

  private constructor(native: Native, transport: Transport, handle: number, made: MadeDescriptors) {
    this.native = native;
    this.handle = handle;
    this.transport = transport;
    this.#waiter = waiterOf(native);
    this.#base = handle % MAX_HANDLES * BLOCK_WORDS;
    this.#made = made;
    this.writer = new RecordWriter(this.#arena(0), this);
    this.writer.flushBytes = 1;
  }

  /** What the peer needs. Close with {@link closeMade} once it was passed on. */
  get made(): MadeDescriptors {
    if (this.#made === undefined) throw new Error("the descriptors were closed");
    return this.#made;
  }

  closeMade(): void {
    const made = this.#made;
    if (made === undefined) return;
    this.#made = undefined;
    for (const fd of [made.controlFd, made.ringFd, made.doorbellFd, made.linkFd, made.dataFd]) {
      if (fd !== undefined) this.native.library.close(fd);
    }
  }

  /** Takes the peer's half in, after verifying it. From here on the channel carries messages. */
  attach(peer: PeerDescriptors): { readonly maxMessageBytes: number; readonly peerRingBytes: number } {
    const { library } = this.native;
    const words = new Uint32Array(PEER_WORDS);
    words[PEER_SIZE_BYTES] = words.byteLength;
    words[PEER_HANDLE] = this.handle;
    words[PEER_TRUST] = peer.trust === "trusted" ? TRUSTED : UNTRUSTED;
    words[PEER_CONTROL_FD] = peer.controlFd;
    words[PEER_RING_FD] = peer.ringFd ?? NONE;
    words[PEER_DOORBELL_FD] = peer.doorbellFd ?? NONE;
    words[PEER_LINK_FD] = peer.linkFd ?? NONE;
    words[PEER_DATA_FD] = peer.dataFd ?? NONE;
    words[PEER_PID_FD] = peer.pidFd ?? NONE;
    // A second look at the peer's control region, for its figures: they stay readable when the channel itself has ended.
    const observer = library.control_map(peer.controlFd);
    const attached = library.channel_attach(words);
    if (attached >= 0) this.#observer = check(library, observer, "map the peer's figures");
    else if (observer >= 0) library.control_unmap(observer);
    check(library, attached, "attach the peer's half of a channel");
    const maxMessageBytes = words[PEER_PEER_MAX_MESSAGE_BYTES];
    this.#reader = new RecordReader(this.#arena(1), this, maxMessageBytes);
    // A runtime takes long over a socket, and nobody sleeps before the next turn: whoever waits for the connection has it earlier.
    this.native.runtime.nextTurn(() => this.#watchDoorbell());
    return { maxMessageBytes, peerRingBytes: words[PEER_PEER_RING_BYTES] };
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
    else this.pump();
  }

  /** Copies one message, publishes it at once, and says whether it did. Only while the writer is settled. */
  post(message: Uint8Array): boolean {
    if (!this.transport.sharedMemory) return false;
    if (this.native.library.send(this.handle, message, message.length) !== OK) return false;
    this.#turnMessages++;
    this.writer.moved(this.block(BLOCK_WRITE_OFFSET), this.block(BLOCK_FREE));
    return true;
  }

  /**
   * Copies one short message into `into`, and gives it back at once: its size, EMPTY, or another status if it takes a window to say more.
   * Only while the reader is settled.
   */
  take(into: Uint8Array): number {
    const size = this.native.library.take(this.handle, into, into.length);
    if (size >= 0) this.reader.took();
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
    return this.native.library.refill(this.handle);
  }

  consume(bytes: number, messages: number, payloadBytes: number): void {
    this.native.library.consume(this.handle, bytes, messages, payloadBytes);
    // What waits in a socket for want of memory here is announced by nobody.
    if (!this.transport.sharedMemory) this.#waiter.rung();
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
    const state = PEER_STATES[this.block(BLOCK_PEER_STATE)] ?? "faulted";
    return this.#died && (state === "open" || state === "write-closed") ? "dead" : state;
  }

  /** What the peer did wrong: a FAULT_* code. */
  get faultDetail(): number {
    return this.block(BLOCK_DETAIL);
  }

  /** This end's figures and the peer's. */
  figures(): Figures {
    const { library } = this.native;
    const own = new BigUint64Array(STATS_FIELDS);
    const peer = new BigUint64Array(STATS_FIELDS);
    check(library, library.channel_stats(this.handle, own), "read a channel's figures");
    if (this.#observer !== undefined) check(library, library.control_stats(this.#observer, peer), "read the peer's figures");
    return figuresOf(own, peer);
  }

  /** Kernel transports: sends on what the socket did not take yet; waits for it to become writable if that is not all. */
  pump(): void {
    if (this.#closed || this.transport.sharedMemory) return;
    const queued = this.native.library.pump(this.handle);
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

  #rung(bytes: number): void {
    this.#rings = this.#rings + bytes >>> 0;
    // The peer may ring once for each announced sleep; one that rings without being asked would keep this thread busy for nothing.
    const unasked = this.#rings - this.block(BLOCK_SLEEPS) | 0;
    if (unasked > DOORBELL_SLACK) this.fault(FAULT_DOORBELL);
    else this.#waiter.rung();
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
    this.#reader?.detach();
    const { library } = this.native;
    if (this.#observer !== undefined) library.control_unmap(this.#observer);
    check(library, library.channel_close(this.handle), "close a channel");
  }

  #arena(which: number): ArrayBuffer {
    const sizeBytes = new Uint32Array(1);
    const pointer = this.native.library.channel_arena(this.handle, which, sizeBytes);
    if (pointer === null) throw new Error("a channel without its memory");
    return this.native.runtime.arrayBuffer(pointer, sizeBytes[0]);
  }
}

function descriptor(word: number): number | undefined {
  const fd = word | 0;
  return fd < 0 ? undefined : fd;
}
