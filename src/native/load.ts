/**
 * Opens libfable.so, once per thread, and refuses what would go wrong later: another platform, a missing file, a library of another version,
 * a sandbox without --allow-ffi. Each is one sentence with its remedy.
 */
import { FableError } from "../errors.ts";
import { detectRuntime } from "../runtime/detect.ts";
import type { NativeFunction, NativeSignature, Runtime, RuntimeHost } from "../runtime/runtime.ts";
import { ABI_VERSION, BLOCK_WORDS, MAX_HANDLES, signatures } from "./generated.ts";
import type { Library } from "./library.ts";
import { LIBRARY_VARIABLE, libraryCandidates } from "./locate.ts";
import type { Native } from "./native.ts";
import { check } from "./status.ts";

export interface LoadOptions {
  /** The library file, instead of $FABLE_LIBRARY or the package's own. */
  readonly path?: string;
}

/** What the library must offer; the generated one, or a test's. */
export interface NativeContract {
  readonly abiVersion: number;
  readonly signatures: Readonly<Record<string, NativeSignature>>;
}

/** Every exported function starts with this; the TypeScript names do not. */
const PREFIX = "fable_";
const BUILD = "Run npm run build";
const loaded = new Map<string | undefined, Native>();

/** The native core for this thread. The first call opens it, later ones give the same. */
export function loadNative(options: LoadOptions = {}): Native {
  const known = loaded.get(options.path);
  if (known !== undefined) return known;
  const host = detectRuntime();
  const native = openNative(host, libraryCandidates(host, options.path, import.meta.url), { abiVersion: ABI_VERSION, signatures });
  loaded.set(options.path, native);
  return native;
}

/** Opens the first library of `candidates` that exists. */
export function openNative(host: RuntimeHost, candidates: readonly string[], contract: NativeContract): Native {
  checkPlatform(host);
  const library = openLibrary(host, candidates, contract);
  check(library, library.init(), "prepare the native core");
  const blocks = new Uint32Array(host.arrayBuffer(library.blocks(), MAX_HANDLES * BLOCK_WORDS * Uint32Array.BYTES_PER_ELEMENT));
  return { library, runtime: withDoorbells(host, library), blocks };
}

function checkPlatform(host: RuntimeHost): void {
  if (host.platform === "linux" && (host.arch === "x64" || host.arch === "arm64")) return;
  throw new FableError("UNSUPPORTED_PLATFORM", `FABLE runs on Linux on x64 and arm64, and this is ${host.platform} on ${host.arch}.`, {
    remedy: "Run it in a Linux container or virtual machine.",
  });
}

function openLibrary(host: RuntimeHost, candidates: readonly string[], contract: NativeContract): Library {
  for (const path of candidates) {
    // The version first, alone: a library without one of the functions must not look like a missing file.
    const abiVersion = readAbiVersion(host, path);
    if (abiVersion === undefined) continue;
    if (abiVersion !== contract.abiVersion) {
      throw stale(`${path} speaks version ${abiVersion} of the native interface, and this FABLE speaks ${contract.abiVersion}`);
    }
    try {
      return unprefixed(host.open(path, prefixed(contract.signatures)));
    } catch (error) {
      if (error instanceof FableError) throw error;
      throw stale(`${path} lacks a function that this FABLE needs (${reason(error)})`, error);
    }
  }
  throw new FableError(
    "LIBRARY_MISSING",
    `The native library was not found${candidates.length === 0 ? "" : ` at ${candidates.join(" or ")}`}.`,
    {
      remedy: `${BUILD} in the checkout, or name the file in $${LIBRARY_VARIABLE}.`,
    },
  );
}

function prefixed(signatures: NativeContract["signatures"]): Record<string, NativeSignature> {
  return Object.fromEntries(Object.entries(signatures).map(([name, signature]) => [PREFIX + name, signature]));
}

function unprefixed(functions: Readonly<Record<string, NativeFunction>>): Library {
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name.slice(PREFIX.length), call])) as unknown as Library;
}

/** Undefined if there is no such file. */
function readAbiVersion(host: RuntimeHost, path: string): number | undefined {
  try {
    return Number(host.open(path, prefixed({ abi_version: { parameters: [], result: "u32" } }))[`${PREFIX}abi_version`]!());
  } catch (error) {
    if (error instanceof FableError) throw error;
    if (/No such file or directory/.test(reason(error))) return undefined;
    throw stale(`${path} cannot be used as the native library (${reason(error)})`, error);
  }
}

function stale(sentence: string, cause?: unknown): FableError {
  return new FableError("LIBRARY_STALE", `${sentence}.`, { remedy: `${BUILD}.`, cause });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Both runtimes close the descriptor of a socket they were given, so a watch gets a duplicate of its own. */
function withDoorbells(host: RuntimeHost, library: Library): Runtime {
  return {
    ...host,
    watchDoorbell(fd, onRing, onHangUp) {
      return host.watchOwned(check(library, library.dup(fd), "watch a doorbell"), onRing, onHangUp);
    },
  };
}
