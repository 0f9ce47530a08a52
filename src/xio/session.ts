/** What every call that talks to the broker shares in a thread: the native core and one connection to each broker. */
import { connectNameService } from "../naming/client.ts";
import type { NameService } from "../naming/service.ts";
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import { attentionOf } from "../transport/attention.ts";
import { within } from "./limits.ts";
import type { SessionOptions } from "./options.ts";

export interface Session {
  readonly native: Native;
  readonly names: NameService;
}

const sessions = new Map<string, Promise<Session>>();

/**
 * The thread's session with the broker the options mean. The first call connects; those that come meanwhile wait for it too, each with its
 * own limits, and none is ended by another's signal.
 */
export async function openSession(options: SessionOptions, timeoutMs: number, signal: AbortSignal | undefined): Promise<Session> {
  const key = `${options.library ?? ""}\n${options.socket ?? ""}`;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const known = sessions.get(key);
    const left = Math.max(0, deadline - performance.now());
    const session = known ?? connectSession(options, key, left);
    try {
      return await within(session, { timeoutMs: left, signal }, "the broker");
    } catch (error) {
      // Somebody with less time gave the connection up: this call still has some.
      if (known === undefined || sessions.get(key) === known || signal?.aborted || performance.now() >= deadline) throw error;
    }
  }
}

function connectSession(options: SessionOptions, key: string, timeoutMs: number): Promise<Session> {
  const native = loadNative(options.library === undefined ? {} : { path: options.library });
  const session = (async () => {
    try {
      const socket = options.socket === undefined ? {} : { socket: options.socket };
      const names = await connectNameService(native, { timeoutMs, ...socket });
      attentionOf(native).add(names);
      return { native, names };
    } catch (error) {
      // The next call tries again.
      sessions.delete(key);
      throw error;
    }
  })();
  sessions.set(key, session);
  return session;
}
