/**
 * What FABLE needs from a JavaScript runtime, and nothing more. `bun.ts` and `deno.ts` implement it; they are the only
 * files that name a runtime. Everything else takes a {@link Runtime}, so that tests can hand in a fake.
 */

/** Argument and result types of native functions; `pointer` arguments are typed arrays (or null), never numbers. */
export type NativeType = "u32" | "i32" | "u64" | "pointer" | "buffer" | "void";

export interface NativeSignature {
  readonly parameters: readonly NativeType[];
  readonly result: NativeType;
}

/** An opaque native address, as the runtime represents it (a number in Bun, a pointer object in Deno). */
export type NativePointer = { readonly __nativePointer: unique symbol };

export type NativeFunction = (...args: readonly unknown[]) => unknown;

/** A descriptor that an event loop watches: a Unix stream socket that is only ever read, byte by byte, as a doorbell. */
export interface DoorbellWatch {
  /** Keeps the process alive while true (the default is false). */
  setRef(on: boolean): void;
  /** Stops watching. The descriptor stays open: it belongs to whoever made it. */
  close(): void;
}

export interface Runtime {
  readonly name: "bun" | "deno";
  readonly version: string;
  /** "linux", "darwin", … and "x64", "arm64", … */
  readonly platform: string;
  readonly arch: string;
  /** Opens a shared library. Throws FableError PERMISSION when the runtime's sandbox forbids it. */
  open<K extends string>(path: string, signatures: Readonly<Record<K, NativeSignature>>): Readonly<Record<K, NativeFunction>>;
  /** A view without a copy; null pointers are refused. The caller detaches it (`transfer(0)`) before the memory goes away. */
  arrayBuffer(pointer: NativePointer, sizeBytes: number): ArrayBuffer;
  /**
   * Calls `onRing(bytes)` in the event loop whenever bytes arrived (they are consumed), `onHangUp()` once when the other side is gone.
   * The watch duplicates the descriptor if the runtime would close it.
   */
  watchDoorbell(fd: number, onRing: (bytes: number) => void, onHangUp: () => void): DoorbellWatch;
  /** Runs `task` in the next turn of the event loop, after I/O had its chance. */
  nextTurn(task: () => void): void;
  /** Command line that runs a TypeScript or JavaScript file with all permissions the broker needs, without the file. */
  commandFor(executable: string): readonly string[];
}

/**
 * What an adapter gives before the library is loaded. {@link watchOwned} closes the descriptor it is given together with the watch, because
 * both runtimes do; `load.ts` makes a {@link Runtime} of it by handing in duplicates.
 */
export interface RuntimeHost extends Omit<Runtime, "watchDoorbell"> {
  watchOwned(ownedFd: number, onRing: (bytes: number) => void, onHangUp: () => void): DoorbellWatch;
  /** An environment variable, if it is set and may be read without asking the user. */
  environment(name: string): string | undefined;
}
