/** Waiting by blocking the thread: for workers and for programs without an event loop of their own. */
import { WAIT_ENTRY_WANT, WAIT_ENTRY_WORDS } from "../native/generated.ts";
import { attentionOf } from "../transport/attention.ts";
import { waiterOf } from "../transport/waiter.ts";
import type { Connection } from "./connection.ts";

/** Spun before sleeping, in nanoseconds; the native side spins only where it pays. */
const SPIN_NS = 50_000;

/** Blocks until `look` answers; false after `timeoutMs` (negative: never). */
export function blockUntil(connection: Connection, want: number, look: () => boolean | undefined, timeoutMs: number): boolean {
  const { native, handle } = connection.channel;
  const deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
  const attention = attentionOf(native);
  const entry = new Uint32Array(WAIT_ENTRY_WORDS);
  entry[0] = handle;
  for (;;) {
    waiterOf(native).flush();
    const found = look();
    if (found !== undefined) return found;
    const now = performance.now();
    if (deadline <= now) return false;
    // What the broker ordered meanwhile may change what is looked for.
    if (attention.due(now)) continue;
    entry[WAIT_ENTRY_WANT] = want;
    const woken = native.library.wait(entry, 1, attention.timeoutMs(deadline - now), SPIN_NS, attention.wakeFd);
    waiterOf(native).rung(); // waking took back what the event loop's waits had announced on this channel
    if (woken === 0) attention.attend();
    connection.channel.attended();
    connection.channel.pump();
    connection.outbox.pump();
  }
}
