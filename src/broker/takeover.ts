/**
 * The lock that makes a broker the only one of its socket, and the ways to it: nobody has it; its holder is just leaving; its holder gives
 * it up, because it was only embedded or because it was asked to. It is handed over as a descriptor, so that it is never free in between.
 */
import { FableError } from "../errors.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import { type BrokerService, connectNameService } from "../naming/client.ts";
import { type Place, utf8 } from "../naming/place.ts";

export interface Lock {
  readonly fd: number;
  /** Another broker gave it up: its clients are on their way, with their tickets. */
  readonly succeeds: boolean;
}

export interface Claim {
  readonly embedded: boolean;
  readonly replace: boolean;
}

const EMPTY = -1;
const PATIENCE_MS = 3000;
const PAUSE_MS = 20;
const GREETING_MS = 250;
const ANSWER_MS = 2000;

/** Undefined if an embedded broker is not needed, because another one serves. Throws REFUSED if somebody manages the one that serves. */
export async function obtainLock(native: Native, place: Place, claim: Claim): Promise<Lock | undefined> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const path = utf8(place.lock);
    const fd = native.library.lock(path, path.byteLength);
    if (fd !== EMPTY) return { fd: check(native.library, fd, `lock ${place.lock}`), succeeds: false };
    const service = await reach(native, place);
    if (service !== undefined) {
      try {
        return claim.embedded ? undefined : { fd: await takeOver(service, place, claim), succeeds: true };
      } finally {
        await service.close();
      }
    }
    // Somebody has the lock and does not answer: it is about to begin, or to leave.
    if (performance.now() > deadline) {
      throw new FableError("BROKER_UNREACHABLE", `another broker holds ${place.lock}, but does not answer at ${place.socket}`, {
        remedy: `end it (fuser ${place.lock} shows its process), or choose another socket`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function reach(native: Native, place: Place): Promise<BrokerService | undefined> {
  try {
    return await connectNameService(native, { socket: place.socket, start: "never", timeoutMs: GREETING_MS });
  } catch (error) {
    if (error instanceof FableError && error.code === "BROKER_UNREACHABLE") return undefined;
    throw error;
  }
}

async function takeOver(service: BrokerService, place: Place, claim: Claim): Promise<number> {
  const { broker } = service;
  if (broker !== undefined && !broker.embedded && !claim.replace) {
    throw new FableError("REFUSED", `process ${broker.pid} already is the broker at ${place.socket}`, {
      remedy: "add --replace to take over from it without dropping a name",
    });
  }
  return await service.replace(ANSWER_MS);
}
