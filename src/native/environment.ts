/**
 * The process's surroundings, asked of the native core: environment variables, who this is, where the broker's socket lies. In Deno this
 * needs no --allow-env, --allow-sys or --allow-read.
 */
import { FableError } from "../errors.ts";
import type { Library } from "./library.ts";
import { check } from "./status.ts";

export const SOCKET_VARIABLE = "FABLE_SOCKET";

/** What fits into a Unix socket's address, without the closing zero. */
export const MAX_SOCKET_PATH_BYTES = 107;

const EMPTY_STATUS = -1;
const VALUE_CAPACITY_BYTES = 4096;
const CREDENTIALS_WORDS = 6;

export interface Identity {
  readonly pid: number;
  /** Effective user and group. */
  readonly uid: number;
  readonly gid: number;
}

/** The value of an environment variable, undefined if it is not set. Longer values than 4 KiB are refused with TOO_LARGE. */
export function environmentVariable(library: Pick<Library, "getenv" | "errno">, name: string): string | undefined {
  const nameBytes = new TextEncoder().encode(name);
  const value = new Uint8Array(VALUE_CAPACITY_BYTES);
  const status = library.getenv(nameBytes, nameBytes.length, value, value.length);
  if (status === EMPTY_STATUS) return undefined;
  return new TextDecoder().decode(value.subarray(0, check(library, status, `read the environment variable ${name}`)));
}

/** This process, as the kernel sees it. */
export function identity(library: Pick<Library, "self" | "errno">): Identity {
  const words = new Uint32Array(CREDENTIALS_WORDS);
  check(library, library.self(words), "ask who this process is");
  const [pid = 0, uid = 0, gid = 0] = words;
  return { pid, uid, gid };
}

/**
 * Where this user's broker listens: `$FABLE_SOCKET`, else `$XDG_RUNTIME_DIR/fable/broker.sock`, else `/run/fable/broker.sock` for root and
 * `/tmp/fable-$UID/broker.sock` for others. Whether the folder can be trusted is checked by whoever makes or enters it.
 */
export function socketPath(library: Pick<Library, "getenv" | "self" | "errno">): string {
  const named = environmentVariable(library, SOCKET_VARIABLE);
  if (named !== undefined && named !== "") return usable(named, SOCKET_VARIABLE);
  const runtimeFolder = environmentVariable(library, "XDG_RUNTIME_DIR");
  // The base directory specification: a relative path is to be ignored.
  if (runtimeFolder?.startsWith("/") === true) return usable(`${runtimeFolder.replace(/\/+$/, "")}/fable/broker.sock`, "XDG_RUNTIME_DIR");
  const { uid } = identity(library);
  return uid === 0 ? "/run/fable/broker.sock" : `/tmp/fable-${uid}/broker.sock`;
}

/** The folder that a socket path lies in: the broker's key, log and lock are its neighbours. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

function usable(path: string, variable: string): string {
  if (!path.startsWith("/")) {
    throw new FableError("BAD_ARGUMENT", `$${variable} is not an absolute path: ${path}.`, { remedy: "Start it with a slash." });
  }
  if (new TextEncoder().encode(path).length > MAX_SOCKET_PATH_BYTES) {
    throw new FableError("BAD_ARGUMENT", `The broker's socket path has more than ${MAX_SOCKET_PATH_BYTES} bytes: ${path}.`, {
      remedy: `Put a shorter path into $${SOCKET_VARIABLE}.`,
    });
  }
  return path;
}
