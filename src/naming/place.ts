/** The broker's files: all of them are neighbours of its socket, so that `$FABLE_SOCKET` alone moves everything. */
import { FableError } from "../errors.ts";
import { folderOf, MAX_SOCKET_PATH_BYTES, socketPath } from "../native/environment.ts";
import type { Library } from "../native/library.ts";

export interface Place {
  readonly socket: string;
  /** Mode 0700. */
  readonly folder: string;
  /** Held by the one broker of this socket for its whole life. */
  readonly lock: string;
  /** Held by the one client that is starting a broker. */
  readonly starting: string;
  /** What tickets are sealed with; outlives brokers. */
  readonly key: string;
  /** What a broker that was started on demand says. */
  readonly log: string;
  /** What `fable calibrate` measured on this machine. */
  readonly calibration: string;
  /** CPUs that a broker took from threads, and what it has to give back; there only while something is lent. */
  readonly loans: string;
  /** The operator's rules, if there are any: for brokers that are told of no other file. */
  readonly policy: string;
}

/** The place of the broker this program is to use. */
export function brokerPlace(library: Pick<Library, "getenv" | "self" | "errno">, socket: string | undefined): Place {
  const path = socket ?? socketPath(library);
  if (!path.startsWith("/")) throw new FableError("BAD_ARGUMENT", `the broker's socket path must begin with a slash: ${path}`);
  if (new TextEncoder().encode(path).byteLength > MAX_SOCKET_PATH_BYTES) {
    throw new FableError("BAD_ARGUMENT", `the broker's socket path has more than ${MAX_SOCKET_PATH_BYTES} bytes: ${path}`, {
      remedy: "take a shorter one",
    });
  }
  const base = path.replace(/\.sock$/, "");
  const [lock, starting, key, log] = [`${base}.lock`, `${base}.start`, `${base}.key`, `${base}.log`];
  return {
    socket: path,
    folder: folderOf(path),
    lock,
    starting,
    key,
    log,
    calibration: `${base}.calibration.json`,
    loans: `${base}.loans.json`,
    policy: `${base}.policy.json`,
  };
}

const encoder = new TextEncoder();

/** Paths and values as the native functions take them. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
