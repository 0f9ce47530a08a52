/**
 * Bun: FFI through `bun:ffi`, doorbells through `Bun.connect({ fd })` (a `node:net` socket made from a descriptor never reads in Bun).
 *
 * `bun:ffi` is taken from `process.getBuiltinModule`, not imported: a static import would keep Deno from loading this file, and bundlers
 * leave the call alone. The interfaces below are the slice of Bun that is used; tests/runtime/bun_types.ts holds them against Bun's own types.
 */
import { FableError } from "../errors.ts";
import { doorbellListener } from "./doorbell.ts";
import type { DoorbellWatch, NativeFunction, NativePointer, NativeSignature, NativeType, RuntimeHost } from "./runtime.ts";

export interface BunSocket {
  ref(): void;
  unref(): void;
  terminate(): void;
}

export interface BunSocketHandler {
  open(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  close(): void;
  /** Without it Bun prints the error. */
  error(): void;
}

export interface BunNamespace {
  readonly version: string;
  connect(options: { readonly fd: number; readonly socket: BunSocketHandler }): Promise<unknown>;
}

export interface BunSymbol {
  readonly args: readonly string[];
  readonly returns: string;
}

export interface BunFfi {
  dlopen(path: string, symbols: Readonly<Record<string, BunSymbol>>): { readonly symbols: Readonly<Record<string, NativeFunction>> };
  toArrayBuffer(pointer: number, byteOffset: number, byteLength: number): ArrayBuffer;
}

export interface BunProcess {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  getBuiltinModule(name: "bun:ffi"): unknown;
}

/** The globals of a Bun process. */
export interface BunGlobals {
  readonly Bun: BunNamespace;
  readonly process: BunProcess;
  setImmediate(task: () => void): unknown;
}

/**
 * Typed arrays go as "buffer" or, where null is allowed, as "ptr": both cost 1.3 ns. A u32 below 2^31 costs 1.3 ns too, one above arrives as
 * a double and costs 4.
 */
const parameterTypes: Readonly<Record<NativeType, string>> = {
  u32: "u32",
  i32: "i32",
  u64: "u64",
  pointer: "ptr",
  buffer: "buffer",
  void: "void",
};
const resultTypes: Readonly<Record<NativeType, string>> = { ...parameterTypes, buffer: "ptr" };

export function bunRuntime(globals: BunGlobals): RuntimeHost {
  const { Bun, process } = globals;
  const ffi = process.getBuiltinModule("bun:ffi") as BunFfi;
  // A library that is collected would be closed under the functions that were taken from it.
  const opened: unknown[] = [];

  return {
    name: "bun",
    version: Bun.version,
    platform: process.platform,
    arch: process.arch,

    open<K extends string>(path: string, signatures: Readonly<Record<K, NativeSignature>>): Readonly<Record<K, NativeFunction>> {
      const library = ffi.dlopen(
        path,
        Object.fromEntries(Object.entries<NativeSignature>(signatures).map(([name, it]) => [name, bunSymbol(it)])),
      );
      opened.push(library);
      return library.symbols as Readonly<Record<K, NativeFunction>>;
    },

    arrayBuffer(pointer: NativePointer, sizeBytes: number): ArrayBuffer {
      const address: unknown = pointer;
      if (typeof address !== "number" || address === 0) throw new FableError("BAD_ARGUMENT", "A null pointer has no memory to look at.");
      return ffi.toArrayBuffer(address, 0, sizeBytes);
    },

    watchOwned(ownedFd: number, onRing: (bytes: number) => void, onHangUp: () => void): DoorbellWatch {
      return watchOwned(Bun, ownedFd, onRing, onHangUp);
    },

    nextTurn(task: () => void): void {
      globals.setImmediate(task);
    },

    commandFor(executable: string): readonly string[] {
      return [executable];
    },

    environment(name: string): string | undefined {
      return process.env[name];
    },
  };
}

function bunSymbol(signature: NativeSignature): BunSymbol {
  return { args: signature.parameters.map((type) => parameterTypes[type]), returns: resultTypes[signature.result] };
}

function watchOwned(bun: BunNamespace, ownedFd: number, onRing: (bytes: number) => void, onHangUp: () => void): DoorbellWatch {
  const listener = doorbellListener(onRing, onHangUp);
  let socket: BunSocket | undefined;
  let ref = false;
  let closed = false;
  const connected = bun.connect({
    fd: ownedFd,
    socket: {
      // Called before connect() returns; the code below does not rely on it.
      open(opened) {
        socket = opened;
        if (closed) opened.terminate();
        else if (!ref) opened.unref();
      },
      data: (_socket, bytes) => listener.ring(bytes.byteLength),
      close: () => listener.hangUp(),
      // A reset ends in close() as well.
      error: () => {},
    },
  });
  connected.catch(() => listener.hangUp());
  return {
    setRef(on) {
      ref = on;
      if (closed) return;
      if (on) socket?.ref();
      else socket?.unref();
    },
    close() {
      if (closed) return;
      closed = true;
      listener.stop();
      // terminate() closes the descriptor; end() and shutdown() would half-close the connection that the original still needs.
      socket?.terminate();
    },
  };
}
