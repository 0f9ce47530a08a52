/** Holds the slice of Bun that src/runtime/bun.ts describes against Bun's own types. Checked by tsc (tsconfig.json), never run. */
import type * as bunFfi from "bun:ffi";
import type { BunFfi, BunNamespace, BunProcess } from "../../src/runtime/bun.ts";

type BunSymbols = ReturnType<BunFfi["dlopen"]>["symbols"];

export function bunIsABunNamespace(): BunNamespace {
  return {
    version: Bun.version,
    connect(options) {
      // Bun declares these options, but no overload of connect() that takes them.
      const declared: Bun.FdSocketOptions = options;
      return Bun.connect(declared as unknown as Bun.UnixSocketOptions);
    },
  };
}

export function bunFfiIsABunFfi(ffi: typeof bunFfi): BunFfi {
  return {
    dlopen(path, symbols) {
      const library = ffi.dlopen(path, symbols as Readonly<Record<string, bunFfi.FFIFunction>>);
      return { symbols: library.symbols as unknown as BunSymbols };
    },
    toArrayBuffer: (pointer, byteOffset, byteLength) => ffi.toArrayBuffer(pointer as bunFfi.Pointer, byteOffset, byteLength),
  };
}

export function processIsABunProcess(): BunProcess {
  return process;
}
