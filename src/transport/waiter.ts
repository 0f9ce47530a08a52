/**
 * Waiting, once per thread for all of its channels. Whoever wants something is looked at together with all others, by one native call:
 *
 *     glances, one per microtask, so that the program's own microtasks go on between them
 *        → the next turn of the event loop: a spin of up to 100 µs, unless the sender runs on this CPU or the last spins found nothing
 *        → announced and asleep on the doorbells, at no cost, until one rings. Transports that are to spin do so for a tenth of a second first.
 *
 * Microtasks keep a warm round trip at a microsecond, but starve timers and sockets, so a run of them ends after a millisecond at most.
 */
import { READABLE, WAIT_ENTRY_READY, WAIT_ENTRY_WANT, WAIT_ENTRY_WORDS, WRITABLE } from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import type { Transport } from "./transport.ts";

/** About what waking an event loop across cores costs, so that waiting never costs more than twice the best choice. */
const SPIN_NS = 100_000;
/** About a microsecond and a half. */
const GLANCES = 24;
/** Microtasks in a row before timers and sockets have their turn. */
const STREAK_MS = 1;
/** Two to this power, about: the most sleeps without a spin. */
const MOST_MISSES = 6;
/** A transport that is to spin does so for as long after the last news: for ever, idle channels would keep a core busy. */
const SPINNING_MS = 100;
const FIRST_CAPACITY = 8;

/** What the waiter needs of a channel, and keeps in it. */
export interface Waitable {
  /** The native handle. */
  readonly handle: number;
  /** How its directions travel now. */
  readonly moves: { readonly incoming: Transport; readonly outgoing: Transport };
  /** Whether waiting may spin: not if the peer needs this very thread to go on. */
  readonly spins: boolean;
  /** Whether waiting keeps the process alive, and whether somebody waits for the end. */
  readonly keepsAlive: boolean;
  readonly awaitsEnd: boolean;
  /** Called with what is ready of what was wanted. */
  readonly onReady: (ready: number) => void;
  setRef(on: boolean): void;
  /** Publishes what the turn that ends has laid out. */
  endTurn(): void;

  /** The waiter's: place in its table or -1, what is wanted, whether a flush is due. */
  slot: number;
  wanted: number;
  dirtyQueued: boolean;
}

const waiters = new WeakMap<Native, Waiter>();

/** The waiter of this thread. */
export function waiterOf(native: Native): Waiter {
  let waiter = waiters.get(native);
  if (waiter === undefined) waiters.set(native, waiter = new Waiter(native));
  return waiter;
}

type Phase = "idle" | "looking" | "turning" | "asleep";

export class Waiter {
  readonly #native: Native;
  #phase: Phase = "idle";
  /** Channels with a pending wait, and the native table of the same order. */
  #channels: Waitable[] = [];
  #entries = new Uint32Array(FIRST_CAPACITY * WAIT_ENTRY_WORDS);
  /** Channels whose batches are flushed at the end of the turn. */
  #dirty: Waitable[] = [];
  #flushScheduled = false;
  /** Channels that keep the process alive. */
  readonly #alive = new Set<Waitable>();
  #relaxScheduled = false;

  /** Glances since something was last found or wanted. */
  #glances = 0;
  /** Glances without a turn of the event loop, and since when (0: too few to ask the clock). */
  #streak = 0;
  #streakStart = 0;
  /** Spins in a row that found nothing, and sleeps until the next one. */
  #spinMisses = 0;
  #spinPause = 0;
  /** Something was found or wanted since it was looked at the clock; until when transports that are to spin do. */
  #stirred = false;
  #spinningUntil = 0;
  readonly #now: () => number;
  readonly #glance = (): void => this.#glanceNow();
  readonly #turn = (): void => this.#turnNow();
  readonly #flushNow = (): void => this.flush();

  constructor(native: Native, now: () => number = () => performance.now()) {
    this.#native = native;
    this.#now = now;
  }

  /** Tells `channel.onReady` when `interest` is met. */
  want(channel: Waitable, interest: number): void {
    channel.wanted |= interest;
    if (channel.slot < 0) this.#enter(channel);
    this.#entries[channel.slot * WAIT_ENTRY_WORDS + WAIT_ENTRY_WANT] = channel.wanted;
    if (this.#phase === "idle" || this.#phase === "asleep") this.#startLooking();
    else {
      this.#glances = 0;
      this.#stirred = true;
    }
  }

  unwant(channel: Waitable, interest: number): void {
    if (channel.slot < 0) return;
    channel.wanted &= ~interest;
    if (channel.wanted === 0) this.#leave(channel);
    else this.#entries[channel.slot * WAIT_ENTRY_WORDS + WAIT_ENTRY_WANT] = channel.wanted;
  }

  /** Before a channel goes away. */
  forget(channel: Waitable): void {
    this.unwant(channel, READABLE | WRITABLE);
    if (channel.dirtyQueued) this.#dirty.splice(this.#dirty.indexOf(channel), 1);
    this.#alive.delete(channel);
    channel.setRef(false);
  }

  /** Flushes the channel's batch when the running task and its microtasks so far are done. */
  flushLater(channel: Waitable): void {
    if (channel.dirtyQueued) return;
    channel.dirtyQueued = true;
    this.#dirty.push(channel);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(this.#flushNow);
  }

  /** A doorbell rang, or somebody else took an announcement back. */
  rung(): void {
    if (this.#phase !== "asleep") return;
    this.#endStreak();
    this.#startLooking();
  }

  /** Whether a wait keeps the process alive changed. */
  refChanged(channel: Waitable): void {
    this.#keepAlive(channel);
  }

  /** Resolves in the next turn of the event loop, for loops that would otherwise never let timers and sockets have theirs. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#native.runtime.nextTurn(resolve));
  }

  // ---- phases ----

  #startLooking(): void {
    this.#phase = "looking";
    this.#glances = 0;
    this.#stirred = true;
    queueMicrotask(this.#glance);
  }

  #glanceNow(): void {
    this.flush();
    const count = this.#channels.length;
    if (count === 0) return this.#rest();
    this.#glances++;
    const ready = this.#native.library.poll(this.#entries, count, 0, 0);
    if (ready > 0) {
      this.#glances = 0;
      this.#stirred = true;
      this.#dispatch(ready);
      if (this.#channels.length === 0) return this.#rest();
    }
    if (this.#glances >= GLANCES || this.#streakIsLong()) this.#toTurn();
    else queueMicrotask(this.#glance);
  }

  #toTurn(): void {
    this.#phase = "turning";
    this.#native.runtime.nextTurn(this.#turn);
  }

  /** In a turn of its own: everything else had its chance. Spins and sleeps if glances were given up, else goes on with them. */
  #turnNow(): void {
    this.flush();
    this.#endStreak();
    const count = this.#channels.length;
    if (count === 0) return this.#rest();
    const forLong = this.#glances >= GLANCES;
    const sleeps = forLong && !this.#spinsOn();
    const spins = forLong && this.#allSpin() && (!sleeps || this.#spinsAgain());
    const ready = this.#native.library.poll(this.#entries, count, spins ? SPIN_NS : 0, sleeps ? 1 : 0);
    if (spins && sleeps) this.#spun(ready > 0);
    if (ready > 0) {
      this.#dispatch(ready);
      if (this.#channels.length === 0) return this.#rest();
      this.#startLooking();
    } else if (sleeps) {
      this.#sleep();
    } else if (forLong) {
      this.#toTurn();
    } else {
      this.#phase = "looking";
      queueMicrotask(this.#glance);
    }
  }

  /** Whether to spin before a sleep: ever less often where it keeps finding nothing. */
  #spinsAgain(): boolean {
    if (this.#spinPause === 0) return true;
    this.#spinPause--;
    return false;
  }

  #spun(found: boolean): void {
    this.#spinMisses = found ? 0 : Math.min(this.#spinMisses + 1, MOST_MISSES);
    this.#spinPause = found ? 0 : (1 << this.#spinMisses) - 2;
  }

  #sleep(): void {
    this.#phase = "asleep";
    for (const channel of this.#channels) this.#keepAlive(channel);
    if (this.#alive.size > 0) this.#relax();
  }

  /** Nobody waits for anything. */
  #rest(): void {
    this.#phase = "idle";
    if (this.#alive.size === 0 || this.#relaxScheduled) return;
    this.#relaxScheduled = true;
    this.#native.runtime.nextTurn(() => {
      this.#relaxScheduled = false;
      this.#relax();
    });
  }

  #dispatch(ready: number): void {
    const entries = this.#entries;
    // From the end, because a channel that got all it wanted leaves and the last one takes its place.
    for (let slot = this.#channels.length - 1; slot >= 0 && ready > 0; slot--) {
      const bits = entries[slot * WAIT_ENTRY_WORDS + WAIT_ENTRY_READY];
      if (bits === 0) continue;
      ready--;
      entries[slot * WAIT_ENTRY_WORDS + WAIT_ENTRY_READY] = 0;
      const channel = this.#channels[slot];
      if (channel === undefined) continue;
      this.unwant(channel, bits);
      channel.onReady(bits);
    }
  }

  /** Publishes every batch that was begun. */
  flush(): void {
    this.#flushScheduled = false;
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const channel of dirty) {
      channel.dirtyQueued = false;
      channel.endTurn();
    }
  }

  // ---- the table ----

  #enter(channel: Waitable): void {
    const slot = this.#channels.length;
    if ((slot + 1) * WAIT_ENTRY_WORDS > this.#entries.length) {
      const larger = new Uint32Array(this.#entries.length * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    channel.slot = slot;
    this.#channels.push(channel);
    this.#entries[slot * WAIT_ENTRY_WORDS] = channel.handle;
    this.#entries[slot * WAIT_ENTRY_WORDS + WAIT_ENTRY_READY] = 0;
  }

  #leave(channel: Waitable): void {
    const slot = channel.slot;
    const last = this.#channels.pop();
    channel.slot = -1;
    if (last !== undefined && last !== channel) {
      this.#channels[slot] = last;
      last.slot = slot;
      const from = this.#channels.length * WAIT_ENTRY_WORDS;
      for (let word = 0; word < WAIT_ENTRY_WORDS; word++) this.#entries[slot * WAIT_ENTRY_WORDS + word] = this.#entries[from + word];
    }
    if (this.#phase !== "asleep") return;
    this.#native.library.awake(channel.handle);
    if (this.#channels.length === 0) this.#rest();
  }

  #allSpin(): boolean {
    for (const channel of this.#channels) if (!channel.spins) return false;
    return true;
  }

  #anySleepless(): boolean {
    // Never sleeping would keep the process alive.
    for (const { moves, wanted, keepsAlive } of this.#channels) {
      const { waiting } = (wanted & READABLE) !== 0 ? moves.incoming : moves.outgoing;
      if (waiting === "spin" && keepsAlive) return true;
    }
    return false;
  }

  /** Somebody is to spin, and there were news not long ago. */
  #spinsOn(): boolean {
    if (!this.#anySleepless()) return false;
    const now = this.#now();
    if (this.#stirred) this.#spinningUntil = now + SPINNING_MS;
    this.#stirred = false;
    return now < this.#spinningUntil;
  }

  #streakIsLong(): boolean {
    if ((++this.#streak & 15) !== 0) return false;
    const now = this.#now();
    if (this.#streakStart === 0) this.#streakStart = now;
    return now - this.#streakStart > STREAK_MS;
  }

  #endStreak(): void {
    this.#streak = 0;
    this.#streakStart = 0;
  }

  #keepAlive(channel: Waitable): void {
    const on = (channel.wanted !== 0 || channel.awaitsEnd) && channel.keepsAlive;
    channel.setRef(on);
    if (on) this.#alive.add(channel);
    else this.#alive.delete(channel);
  }

  #relax(): void {
    for (const channel of this.#alive) this.#keepAlive(channel);
  }
}
