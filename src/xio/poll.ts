/** `xpoll`: POSIX descriptors and FABLE handles in one set (paper §3.1, Table 2), in the event loop and blocking. */
import { FableError } from "../errors.ts";
import {
  DESCRIPTOR,
  READABLE,
  WAIT_ENTRY_HANDLE,
  WAIT_ENTRY_READY,
  WAIT_ENTRY_WANT,
  WAIT_ENTRY_WORDS,
  WRITABLE,
} from "../native/generated.ts";
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import { attentionOf } from "../transport/attention.ts";
import { waiterOf } from "../transport/waiter.ts";
import type { Connection } from "./connection.ts";
import { watchDescriptor } from "./descriptors.ts";
import { CONNECTION, Handle } from "./handle.ts";
import type { WaitLimits } from "./limits.ts";
import { aborted } from "./limits.ts";
import type { OutsideConnection } from "./outside/connection.ts";
import { OutsideHandle } from "./outside/handle.ts";

/** What can be waited for together: handles, also to the outside world, and POSIX file descriptors. */
export type Pollable = Handle | OutsideHandle | number;

/** What is waited for on one handle or descriptor. */
export interface PollEntry<T extends Pollable = Pollable> {
  /** A handle, or a POSIX file descriptor (which stays the caller's, and open until xpoll is done). */
  readonly on: T;
  /** Default "readable". "reconfiguration": a step in `handle.reconfigurations` that was not taken yet; of FABLE handles only. */
  readonly want?: "readable" | "writable" | "both" | "reconfiguration";
}

/** What is ready on one of the entries. The end and errors count as ready for whatever was wanted, so that the next call shows them. */
export interface Ready<T extends Pollable = Pollable> {
  readonly on: T;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Only if that was wanted: there are steps to take from `handle.reconfigurations`, or there will be no more. */
  readonly reconfiguration?: true;
}

interface Polled {
  readonly on: Pollable;
  readonly want: number;
  /** What was found ready. */
  ready: number;
}

/** Nothing is spun for sets with descriptors, whose state only the kernel knows. */
const SPIN_NS = 50_000;
/** Beside READABLE and WRITABLE, on this side only: what the native wait knows nothing of. */
const RECONFIGURATION = 4;
/** While blocked for one, the news of the channel are looked at this often. */
const NEWS_MS = 5;

/**
 * Waits until something of the set is ready, and answers which; an empty answer means that `timeoutMs` passed.
 *
 * @param entries handles and descriptors, alone (to read) or with what is wanted.
 * @throws FableError ABORTED by the signal; BAD_ARGUMENT; SYSTEM for a descriptor that cannot be polled (a regular file).
 *
 * @example
 * ```ts
 * import { channelPair, xpoll } from "fable";
 *
 * const [left, right] = channelPair();
 * left.send("hello");
 * for (const { on } of await xpoll([right, 0], { timeoutMs: 1000 })) {
 *   if (on === right) console.log(right.tryReceive());
 * }
 * await Promise.all([left.close(), right.close()]);
 * ```
 */
export async function xpoll<T extends Pollable>(
  entries: readonly (PollEntry<T> | T)[],
  limits: WaitLimits = {},
): Promise<readonly Ready<T>[]> {
  const { signal, timeoutMs } = limits;
  if (signal?.aborted) throw aborted("a ready set", signal);
  const polled = entries.map(parseEntry);
  const set = new PollSet(polled);
  try {
    if (set.look()) return set.answer() as readonly Ready<T>[];
    return await set.wait(timeoutMs, signal) as readonly Ready<T>[];
  } finally {
    set.stop();
  }
}

/**
 * {@link xpoll} that blocks the thread: for workers, and for programs without an event loop of their own.
 *
 * @param limits.timeoutMs default: waits for ever.
 *
 * @example
 * ```ts
 * import { channelPair, xpollSync } from "fable";
 *
 * const [left, right] = channelPair();
 * left.send("hello");
 * console.log(xpollSync([right], { timeoutMs: 100 }).length); // 1
 * await Promise.all([left.close(), right.close()]);
 * ```
 */
export function xpollSync<T extends Pollable>(
  entries: readonly (PollEntry<T> | T)[],
  limits: { readonly timeoutMs?: number } = {},
): readonly Ready<T>[] {
  const polled = entries.map(parseEntry);
  const native = nativeOf(polled);
  const deadline = limits.timeoutMs === undefined ? Infinity : performance.now() + limits.timeoutMs;
  const attention = attentionOf(native);
  const news = polled.some(({ want }) => (want & RECONFIGURATION) !== 0);
  for (;;) {
    waiterOf(native).flush();
    for (const { on } of polled) pump(on);
    let ready = lookAtHandles(polled);
    const now = performance.now();
    // What the broker ordered meanwhile may change what is looked for.
    if (!ready && attention.due(now)) continue;
    const left = Math.max(0, deadline - now);
    // With something ready, only the descriptors' state is still missing: one look, no sleep.
    const timeoutMs = ready ? 0 : news ? Math.min(NEWS_MS, Math.ceil(left)) : attention.timeoutMs(left);
    const table = tableOf(polled);
    const woken = native.library.wait(table, polled.length, timeoutMs, SPIN_NS, attention.wakeFd);
    waiterOf(native).rung(); // waking took back what the event loop's waits had announced on these channels
    if (woken === 0) attention.attend();
    for (const { on } of polled) if (on instanceof Handle) on[CONNECTION].channel.attended();
    for (const [index, entry] of polled.entries()) {
      if (typeof entry.on === "number") entry.ready = table[index * WAIT_ENTRY_WORDS + WAIT_ENTRY_READY];
    }
    ready = lookAtHandles(polled) || polled.some((entry) => entry.ready !== 0);
    if (ready || performance.now() >= deadline) return answerOf(polled) as readonly Ready<T>[];
  }
}

/** One wait in the event loop. */
class PollSet {
  readonly #polled: readonly Polled[];
  readonly #stops: (() => void)[] = [];
  #wake: (() => void) | undefined;

  constructor(polled: readonly Polled[]) {
    this.#polled = polled;
  }

  look(): boolean {
    const descriptors = this.#polled.filter((entry) => typeof entry.on === "number");
    if (descriptors.length > 0) lookAtDescriptors(nativeOf(this.#polled), descriptors);
    const handles = lookAtHandles(this.#polled);
    return handles || descriptors.some((entry) => entry.ready !== 0);
  }

  answer(): readonly Ready[] {
    return answerOf(this.#polled);
  }

  wait(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<readonly Ready[]> {
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        if (lookAtHandles(this.#polled) || this.#polled.some((entry) => entry.ready !== 0)) resolve(this.answer());
      };
      if (timeoutMs !== undefined) {
        const timer = setTimeout(() => resolve(this.answer()), timeoutMs);
        this.#stops.push(() => clearTimeout(timer));
      }
      const abort = (): void => reject(aborted("a ready set", signal));
      signal?.addEventListener("abort", abort, { once: true });
      this.#stops.push(() => signal?.removeEventListener("abort", abort));
      for (const entry of this.#polled) this.#watch(entry);
    });
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #watch(entry: Polled): void {
    const wake = (): void => this.#wake?.();
    if (typeof entry.on === "number") return this.#watchDescriptor(entry, entry.on);
    for (const [want, watch] of [[READABLE, watchReading], [WRITABLE, watchWriting], [RECONFIGURATION, watchNews]] as const) {
      if (entry.want & want) this.#stops.push(watch(entry.on, wake));
    }
  }

  #watchDescriptor(entry: Polled, fd: number): void {
    const stop = watchDescriptor(nativeOf(this.#polled), fd, entry.want, (events) => {
      entry.ready |= events & entry.want;
      // A hang-up or an error: whatever was wanted will not wait any more.
      if (entry.ready === 0) entry.ready = entry.want;
      this.#wake?.();
    });
    this.#stops.push(stop);
  }
}

function parseEntry(entry: PollEntry | Pollable): Polled {
  const { on, want = "readable" } = typeof entry === "number" || isHandle(entry) ? { on: entry } : entry;
  if (!isHandle(on) && !(Number.isInteger(on) && on >= 0)) {
    throw new FableError("BAD_ARGUMENT", `xpoll was given ${String(on)}, which is neither a handle nor a file descriptor.`);
  }
  if (want === "reconfiguration") {
    if (on instanceof Handle) return { on, want: RECONFIGURATION, ready: 0 };
    throw new FableError("BAD_ARGUMENT", "xpoll was asked for reconfigurations of something that has none: only handles of channels do.");
  }
  return { on, want: (want === "writable" ? 0 : READABLE) | (want === "readable" ? 0 : WRITABLE), ready: 0 };
}

function lookAtHandles(polled: readonly Polled[]): boolean {
  let any = false;
  for (const entry of polled) {
    if (typeof entry.on === "number") continue;
    entry.ready = readiness(entry.on[CONNECTION], entry.want);
    if (entry.ready !== 0) any = true;
  }
  return any;
}

function readiness(connection: Connection | OutsideConnection, want: number): number {
  const { inbox, outbox } = connection;
  const readable = (want & READABLE) !== 0 && (inbox.peek() || inbox.ended);
  const writable = (want & WRITABLE) !== 0 && (outbox.over || outbox.writable());
  const log = "reconfigurations" in connection ? connection.reconfigurations : undefined;
  const news = (want & RECONFIGURATION) !== 0 && log !== undefined && (log.waiting > 0 || log.over);
  return (readable ? READABLE : 0) | (writable ? WRITABLE : 0) | (news ? RECONFIGURATION : 0);
}

function isHandle(on: unknown): on is Handle | OutsideHandle {
  return on instanceof Handle || on instanceof OutsideHandle;
}

function watchReading(on: Handle | OutsideHandle, wake: () => void): () => void {
  return on instanceof Handle ? on[CONNECTION].inbox.watch(wake) : on[CONNECTION].inbox.watch(on, wake);
}

function watchWriting(on: Handle | OutsideHandle, wake: () => void): () => void {
  return on instanceof Handle ? on[CONNECTION].outbox.watch(wake) : on[CONNECTION].outbox.watch(on, wake);
}

function watchNews(on: Handle | OutsideHandle, wake: () => void): () => void {
  return on instanceof Handle ? on[CONNECTION].reconfigurations.watch(wake) : () => {};
}

/** Sends what waits, for those who block the event loop. */
function pump(on: Pollable): void {
  if (on instanceof Handle) on[CONNECTION].outbox.pump();
  else if (on instanceof OutsideHandle) on[CONNECTION].outbox.ready();
}

/** One look, through the native wait. */
function lookAtDescriptors(native: Native, polled: readonly Polled[]): void {
  const table = tableOf(polled);
  native.library.poll(table, polled.length, 0, 0);
  for (const [index, entry] of polled.entries()) entry.ready = table[index * WAIT_ENTRY_WORDS + WAIT_ENTRY_READY];
}

function tableOf(polled: readonly Polled[]): Uint32Array {
  const table = new Uint32Array(polled.length * WAIT_ENTRY_WORDS);
  for (const [index, { on, want }] of polled.entries()) {
    const at = index * WAIT_ENTRY_WORDS;
    table[at + WAIT_ENTRY_HANDLE] = on instanceof Handle ? on[CONNECTION].channel.handle : typeof on === "number" ? on : on[CONNECTION].fd;
    const asked = on instanceof OutsideHandle ? on[CONNECTION].interest(want) : want;
    table[at + WAIT_ENTRY_WANT] = on instanceof Handle ? want & (READABLE | WRITABLE) : (asked | DESCRIPTOR) >>> 0;
  }
  return table;
}

function answerOf(polled: readonly Polled[]): readonly Ready[] {
  return polled
    .filter((entry) => entry.ready !== 0)
    .map(({ on, ready }) => ({
      on,
      readable: (ready & READABLE) !== 0,
      writable: (ready & WRITABLE) !== 0,
      ...((ready & RECONFIGURATION) === 0 ? {} : { reconfiguration: true as const }),
    }));
}

/** The core that the set's handles belong to; the thread's, for a set of descriptors only. */
function nativeOf(polled: readonly Polled[]): Native {
  for (const { on } of polled) {
    if (on instanceof Handle) return on[CONNECTION].channel.native;
    if (on instanceof OutsideHandle) return on[CONNECTION].native;
  }
  return loadNative();
}
