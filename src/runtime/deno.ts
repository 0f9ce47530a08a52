/**
 * Deno: FFI through `Deno.dlopen`, doorbells through a `node:net` socket made from the descriptor. Both need `--allow-ffi` and nothing else;
 * `--allow-ffi=PATH` opens the library but forbids looking at memory, so the flag must come without a path.
 *
 * The interfaces below are the slice of Deno that is used; tests/runtime/deno_types.ts holds them against Deno's own types.
 */
import { FableError } from "../errors.ts";
import { doorbellListener } from "./doorbell.ts";
import type { DoorbellWatch, NativeFunction, NativePointer, NativeSignature, NativeType, RuntimeHost } from "./runtime.ts";

export interface DenoSymbol {
  readonly parameters: readonly string[];
  readonly result: string;
}

export interface DenoNamespace {
  readonly version: { readonly deno: string };
  readonly build: { readonly os: string; readonly arch: string };
  readonly env: { get(name: string): string | undefined };
  readonly permissions: { querySync(descriptor: { readonly name: "env"; readonly variable: string }): { readonly state: string } };
  readonly UnsafePointerView: { getArrayBuffer(pointer: NativePointer, byteLength: number): ArrayBuffer };
  dlopen(path: string, symbols: Readonly<Record<string, DenoSymbol>>): { readonly symbols: Readonly<Record<string, NativeFunction>> };
}

export interface NetSocket {
  ref(): unknown;
  unref(): unknown;
  destroy(): unknown;
  on(event: "close" | "error", listener: () => void): unknown;
}

export interface NetSocketOptions {
  readonly fd: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly onread: { readonly buffer: Uint8Array; callback(bytes: number): boolean };
}

/** The globals of a Deno process. */
export interface DenoGlobals {
  readonly Deno: DenoNamespace;
  readonly process: { getBuiltinModule(name: "node:net"): unknown };
  setImmediate(task: () => void): unknown;
}

/** Every pointer parameter is a typed array or null, which is what Deno calls a buffer; its "pointer" takes pointer objects only. */
const parameterTypes: Readonly<Record<NativeType, string>> = {
  u32: "u32",
  i32: "i32",
  u64: "u64",
  pointer: "buffer",
  buffer: "buffer",
  void: "void",
};
const resultTypes: Readonly<Record<NativeType, string>> = { ...parameterTypes, pointer: "pointer", buffer: "pointer" };

/** Deno's names for CPUs, in the words of Node and Bun. */
const archNames: Readonly<Record<string, string>> = { x86_64: "x64", aarch64: "arm64" };

/** Doorbells are read into one scrap buffer: only the number of bytes counts. */
const SCRAP_BYTES = 256;

export function denoRuntime(globals: DenoGlobals): RuntimeHost {
  const { Deno } = globals;
  // A library that is collected would be closed under the functions that were taken from it.
  const opened: unknown[] = [];
  const scrap = new Uint8Array(SCRAP_BYTES);

  return {
    name: "deno",
    version: Deno.version.deno,
    platform: Deno.build.os,
    arch: archNames[Deno.build.arch] ?? Deno.build.arch,

    open<K extends string>(path: string, signatures: Readonly<Record<K, NativeSignature>>): Readonly<Record<K, NativeFunction>> {
      const symbols = Object.fromEntries(Object.entries<NativeSignature>(signatures).map(([name, it]) => [name, denoSymbol(it)]));
      const library = withPermission(`open ${path}`, () => Deno.dlopen(path, symbols));
      opened.push(library);
      return library.symbols as Readonly<Record<K, NativeFunction>>;
    },

    arrayBuffer(pointer: NativePointer, sizeBytes: number): ArrayBuffer {
      if (pointer === null) throw new FableError("BAD_ARGUMENT", "A null pointer has no memory to look at.");
      return withPermission("look at shared memory", () => Deno.UnsafePointerView.getArrayBuffer(pointer, sizeBytes));
    },

    watchOwned(ownedFd: number, onRing: (bytes: number) => void, onHangUp: () => void): DoorbellWatch {
      const net = globals.process.getBuiltinModule("node:net") as { readonly Socket: new(options: NetSocketOptions) => NetSocket };
      const listener = doorbellListener(onRing, onHangUp);
      const onread = {
        buffer: scrap,
        callback(bytes: number) {
          listener.ring(bytes);
          return true;
        },
      };
      const socket = new net.Socket({ fd: ownedFd, readable: true, writable: false, onread });
      socket.unref();
      // A reset ends in "close" as well.
      socket.on("error", () => {});
      socket.on("close", () => listener.hangUp());
      return denoWatch(socket, () => listener.stop());
    },

    nextTurn(task: () => void): void {
      globals.setImmediate(task);
    },

    commandFor(executable: string): readonly string[] {
      // The core does what would need --allow-net, --allow-run, --allow-write and --allow-sys.
      return [executable, "run", "--quiet", "--no-prompt", "--allow-ffi", "--allow-read", "--allow-env"];
    },

    environment(name: string): string | undefined {
      if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return undefined;
      return Deno.env.get(name);
    },
  };
}

function denoSymbol(signature: NativeSignature): DenoSymbol {
  return { parameters: signature.parameters.map((type) => parameterTypes[type]), result: resultTypes[signature.result] };
}

function denoWatch(socket: NetSocket, stop: () => void): DoorbellWatch {
  let closed = false;
  return {
    setRef(on) {
      if (closed) return;
      if (on) socket.ref();
      else socket.unref();
    },
    close() {
      if (closed) return;
      closed = true;
      stop();
      socket.destroy();
    },
  };
}

/** Names the flag when the sandbox says no. */
function withPermission<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error) || (error.name !== "NotCapable" && error.name !== "PermissionDenied")) throw error;
    throw new FableError("PERMISSION", `Deno does not let this program ${what}.`, {
      remedy: "Run it with --allow-ffi (without a path: --allow-ffi=PATH opens the library but forbids reading its memory).",
      cause: error,
    });
  }
}
