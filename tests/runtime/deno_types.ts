/** Holds the slice of Deno that src/runtime/deno.ts describes against Deno's own types. Checked by tsc (tsconfig.deno.json), never run. */
import { Socket } from "node:net";
import type { DenoNamespace, NetSocket, NetSocketOptions } from "../../src/runtime/deno.ts";

type DenoSymbols = ReturnType<DenoNamespace["dlopen"]>["symbols"];

export function denoIsADenoNamespace(): DenoNamespace {
  return {
    version: Deno.version,
    build: Deno.build,
    env: Deno.env,
    permissions: Deno.permissions,
    UnsafePointerView: {
      getArrayBuffer: (pointer, byteLength) => Deno.UnsafePointerView.getArrayBuffer(pointer as unknown as Deno.PointerObject, byteLength),
    },
    dlopen(path, symbols) {
      const library = Deno.dlopen(path, symbols as unknown as Record<string, Deno.ForeignFunction>);
      return { symbols: library.symbols as unknown as DenoSymbols };
    },
  };
}

export function socketIsANetSocket(options: NetSocketOptions): NetSocket {
  return new Socket(options);
}
