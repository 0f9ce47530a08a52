/** Waiting in the event loop with a deadline and an AbortSignal, for everything that waits. */
import { FableError } from "../errors.ts";

/** When a wait is given up. */
export interface WaitLimits {
  /** Rejects with TIMEOUT after this many milliseconds (default: waits for ever). */
  readonly timeoutMs?: number | undefined;
  /** Rejects with ABORTED when aborted. */
  readonly signal?: AbortSignal | undefined;
}

export function timedOut(what: string, timeoutMs: number): FableError {
  return new FableError("TIMEOUT", `Waited ${timeoutMs} ms for ${what} in vain.`, {
    remedy: "Allow more time (timeoutMs), or look at why the peer is slow.",
  });
}

export function aborted(what: string, signal: AbortSignal | undefined): FableError {
  return new FableError("ABORTED", `Waiting for ${what} was aborted.`, { cause: signal?.reason });
}

export function abortedSend(signal: AbortSignal): FableError {
  return new FableError("ABORTED", "The send was aborted before there was room for the message.", { cause: signal.reason });
}

export function tooManySends(count: number): FableError {
  return new FableError("ENOSPACE", `${count} sends are waiting for room already.`, {
    remedy: "Await send() before the next one, or raise maxQueuedSends.",
  });
}

/**
 * Resolves with what `look` answers as soon as that is not undefined. `watch` calls its listener whenever looking again is worth while and
 * answers how to stop that.
 */
export function waitUntil<T>(
  look: () => T | undefined,
  watch: (listener: () => void) => () => void,
  limits: WaitLimits,
  what: string,
): Promise<T> {
  const { signal, timeoutMs } = limits;
  if (signal?.aborted) return Promise.reject(aborted(what, signal));
  const now = look();
  if (now !== undefined) return Promise.resolve(now);
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      unwatch();
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const abort = (): void => finish(() => reject(aborted(what, signal)));
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => finish(() => reject(timedOut(what, timeoutMs))), timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    const unwatch = watch(() => {
      const found = look();
      if (found !== undefined) finish(() => resolve(found));
    });
  });
}

/** What `promise` resolves with, unless the limits are reached first; the promise itself goes on. */
export function within<T>(promise: Promise<T>, limits: WaitLimits, what: string): Promise<T> {
  const { signal, timeoutMs } = limits;
  if (signal?.aborted) {
    promise.catch(() => {});
    return Promise.reject(aborted(what, signal));
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(aborted(what, signal));
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => reject(timedOut(what, Math.round(timeoutMs))), timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    });
  });
}
