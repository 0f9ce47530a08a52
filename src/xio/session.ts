/** What every call that talks to the broker shares in a thread: the native core and one connection to each broker. */
import { connectNameService } from "../naming/client.ts";
import type { NameService } from "../naming/service.ts";
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import type { SessionOptions } from "./options.ts";

export interface Session {
  readonly native: Native;
  readonly names: NameService;
}

interface Shared {
  readonly session: Promise<Session>;
}

const sessions = new Map<string, Shared>();

/** The thread's session with the broker the options mean; connects at the first call. */
export async function openSession(options: SessionOptions, timeoutMs: number, signal: AbortSignal | undefined): Promise<Session> {
  const key = `${options.library ?? ""}\n${options.socket ?? ""}`;
  const known = sessions.get(key);
  if (known !== undefined) return known.session;
  const shared: Shared = { session: connectSession(options, timeoutMs, signal) };
  sessions.set(key, shared);
  try {
    return await shared.session;
  } catch (error) {
    // The next call tries again.
    if (sessions.get(key) === shared) sessions.delete(key);
    throw error;
  }
}

async function connectSession(options: SessionOptions, timeoutMs: number, signal: AbortSignal | undefined): Promise<Session> {
  const native = loadNative(options.library === undefined ? {} : { path: options.library });
  const names = await connectNameService(native, {
    timeoutMs,
    ...(options.socket === undefined ? {} : { socket: options.socket }),
    ...(signal === undefined ? {} : { signal }),
  });
  return { native, names };
}
