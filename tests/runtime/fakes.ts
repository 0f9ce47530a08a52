/** Runtimes that are not there: what an adapter needs of Bun's or Deno's globals, recording what it does with them. */
import type { BunFfi, BunGlobals, BunNamespace, BunSocket, BunSocketHandler } from "../../src/runtime/bun.ts";
import type { DenoGlobals, DenoNamespace, DenoSymbol, NetSocket, NetSocketOptions } from "../../src/runtime/deno.ts";
import type { NativeFunction, NativeSignature, RuntimeHost } from "../../src/runtime/runtime.ts";

export interface FakeBun {
  readonly globals: BunGlobals;
  /** What happened, in order: "ref", "unref", "terminate", "dlopen PATH", "turn". */
  readonly log: string[];
  readonly symbols: Record<string, { readonly args: readonly string[]; readonly returns: string }>;
  /** The handlers of the last socket, called with it. */
  fire(event: "data" | "close" | "error" | "open", bytes?: number): void;
}

export interface FakeBunOptions {
  /** Bun calls open() before connect() returns; later, if "late"; never, if "refused". */
  readonly connecting?: "at once" | "late" | "refused";
}

export function fakeBun(options: FakeBunOptions = {}): FakeBun {
  const log: string[] = [];
  const symbols: FakeBun["symbols"] = {};
  const socket: BunSocket = { ref: () => log.push("ref"), unref: () => log.push("unref"), terminate: () => log.push("terminate") };
  let handler: BunSocketHandler | undefined;
  const ffi: BunFfi = {
    dlopen(path, wanted) {
      log.push(`dlopen ${path}`);
      Object.assign(symbols, wanted);
      return { symbols: Object.fromEntries(Object.keys(wanted).map((name): [string, NativeFunction] => [name, () => 0])) };
    },
    toArrayBuffer: (_pointer, _byteOffset, byteLength) => new ArrayBuffer(byteLength),
  };
  const Bun: BunNamespace = {
    version: "1.2.3",
    connect({ socket: given }) {
      if (options.connecting === "refused") return Promise.reject(new Error("ECONNREFUSED"));
      handler = given;
      if (options.connecting !== "late") given.open(socket);
      return Promise.resolve(socket);
    },
  };
  const process = { platform: "linux", arch: "x64", env: { SET: "value" }, getBuiltinModule: () => ffi };
  return {
    globals: { Bun, process, setImmediate: (task) => (log.push("turn"), task()) },
    log,
    symbols,
    fire(event, bytes = 0) {
      if (event === "data") handler?.data(socket, new Uint8Array(bytes));
      else if (event === "open") handler?.open(socket);
      else handler?.[event]();
    },
  };
}

export interface FakeDeno {
  readonly globals: DenoGlobals;
  readonly log: string[];
  readonly symbols: Record<string, DenoSymbol>;
  readonly sockets: NetSocketOptions[];
  fire(event: "close" | "error"): void;
}

export interface FakeDenoOptions {
  readonly arch?: string;
  /** Thrown by whatever needs --allow-ffi. */
  readonly ffiError?: Error;
  readonly envState?: "granted" | "prompt" | "denied";
}

export function fakeDeno(options: FakeDenoOptions = {}): FakeDeno {
  const log: string[] = [];
  const symbols: Record<string, DenoSymbol> = {};
  const sockets: NetSocketOptions[] = [];
  const listeners = new Map<string, () => void>();
  const refuse = () => {
    if (options.ffiError !== undefined) throw options.ffiError;
  };
  class Socket implements NetSocket {
    constructor(given: NetSocketOptions) {
      sockets.push(given);
    }
    ref(): void {
      log.push("ref");
    }
    unref(): void {
      log.push("unref");
    }
    destroy(): void {
      log.push("destroy");
    }
    on(event: "close" | "error", listener: () => void): void {
      listeners.set(event, listener);
    }
  }
  const Deno: DenoNamespace = {
    version: { deno: "2.3.4" },
    build: { os: "linux", arch: options.arch ?? "x86_64" },
    env: { get: (name) => (name === "SET" ? "value" : undefined) },
    permissions: { querySync: () => ({ state: options.envState ?? "prompt" }) },
    UnsafePointerView: { getArrayBuffer: (_pointer, byteLength) => (refuse(), new ArrayBuffer(byteLength)) },
    dlopen(path, wanted) {
      refuse();
      log.push(`dlopen ${path}`);
      Object.assign(symbols, wanted);
      return { symbols: Object.fromEntries(Object.keys(wanted).map((name): [string, NativeFunction] => [name, () => 0])) };
    },
  };
  return {
    globals: { Deno, process: { getBuiltinModule: () => ({ Socket }) }, setImmediate: (task) => (log.push("turn"), task()) },
    log,
    symbols,
    sockets,
    fire: (event) => listeners.get(event)?.(),
  };
}

/** A library on disk, as far as {@link fakeHost} is concerned. */
export interface FakeLibrary {
  readonly functions: Readonly<Record<string, NativeFunction>>;
}

/** A runtime on this platform with these files; opening another path fails as the dynamic linker does. */
export function fakeHost(files: Readonly<Record<string, FakeLibrary | Error>>, changes: Partial<RuntimeHost> = {}): RuntimeHost {
  return {
    name: "bun",
    version: "0",
    platform: "linux",
    arch: "x64",
    open<K extends string>(path: string, signatures: Readonly<Record<K, NativeSignature>>): Readonly<Record<K, NativeFunction>> {
      const file = files[path];
      if (file === undefined) throw new Error(`${path}: cannot open shared object file: No such file or directory`);
      if (file instanceof Error) throw file;
      const missing = Object.keys(signatures).find((name) => !(name in file.functions));
      if (missing !== undefined) throw new Error(`undefined symbol: ${missing}`);
      return file.functions as Readonly<Record<K, NativeFunction>>;
    },
    arrayBuffer: (_pointer, sizeBytes) => new ArrayBuffer(sizeBytes),
    watchOwned: () => ({ setRef: () => {}, close: () => {} }),
    nextTurn: (task) => task(),
    commandFor: (executable) => [executable],
    environment: () => undefined,
    ...changes,
  };
}
