/**
 * A client that keeps no rules: frames of any size with any descriptors, straight through the C library. Everything lies in one piece of
 * memory whose address is known, because the calls want addresses inside structures.
 */
import { LAYOUT_RANGE, PROTOCOL_RANGE } from "../../src/naming/protocol.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import type { NativePointer } from "../../src/runtime/runtime.ts";
import { native } from "./support.ts";

interface Libc {
  mmap(address: null, size: bigint, protection: number, flags: number, fd: number, offset: bigint): NativePointer;
  socket(domain: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, size: number): number;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  send(fd: number, bytes: Uint8Array, size: bigint, flags: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, size: number): number;
  close(fd: number): number;
}

const libc = detectRuntime().open("libc.so.6", {
  mmap: { parameters: ["pointer", "u64", "i32", "i32", "i32", "u64"], result: "pointer" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "u64", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}) as unknown as Libc;

const ARENA_BYTES = 65_536;
const FRAME_AT = 8192;
const MSG_NOSIGNAL_DONTWAIT = 0x4040;
const SO_SNDBUFFORCE = 32;

const pointer = libc.mmap(null, BigInt(ARENA_BYTES), 3, 0x22, -1, 0n);
const arena = new Uint8Array(detectRuntime().arrayBuffer(pointer, ARENA_BYTES));
const view = new DataView(arena.buffer);
const base = addressOf(pointer);

/** Bun's pointers are numbers; Deno's are objects with an address. */
function addressOf(value: unknown): bigint {
  if (typeof value === "number") return BigInt(value);
  const { Deno } = globalThis as unknown as { readonly Deno: { readonly UnsafePointer: { value(pointer: unknown): bigint | number } } };
  return BigInt(Deno.UnsafePointer.value(value));
}

/** A connection to the broker's socket that nobody watches. */
export class RawClient {
  readonly fd: number;
  readonly #answer = new Uint8Array(65_536);

  constructor(socket: string) {
    const path = new TextEncoder().encode(socket);
    const address = new Uint8Array(110);
    address.set([1, 0]);
    address.set(path, 2);
    this.fd = libc.socket(1, 5, 0);
    if (this.fd < 0 || libc.connect(this.fd, address, 2 + path.length + 1) !== 0) throw new Error("no connection");
  }

  /** One packet; up to 253 descriptors. False if the kernel would not take it. */
  send(frame: Uint8Array | string, descriptors: readonly number[] = []): boolean {
    const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : frame;
    if (bytes.byteLength > ARENA_BYTES - FRAME_AT) return libc.send(this.fd, bytes, BigInt(bytes.byteLength), MSG_NOSIGNAL_DONTWAIT) >= 0;
    arena.fill(0, 0, 4096);
    arena.set(bytes, FRAME_AT);
    const rightsBytes = 16 + 4 * descriptors.length;
    // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; then one struct iovec at 64, the control message at 128.
    view.setBigUint64(16, base + 64n, true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(64, base + BigInt(FRAME_AT), true);
    view.setBigUint64(72, BigInt(bytes.byteLength), true);
    if (descriptors.length > 0) {
      view.setBigUint64(32, base + 128n, true);
      view.setBigUint64(40, BigInt(rightsBytes), true);
      view.setBigUint64(128, BigInt(rightsBytes), true);
      view.setUint32(136, 1, true);
      view.setUint32(140, 1, true);
      descriptors.forEach((fd, index) => view.setInt32(144 + 4 * index, fd, true));
    }
    return libc.sendmsg(this.fd, arena, MSG_NOSIGNAL_DONTWAIT) >= 0;
  }

  message(value: unknown, descriptors: readonly number[] = []): boolean {
    return this.send(JSON.stringify(value), descriptors);
  }

  /** As much room for one packet as root may have. */
  growBuffer(bytes: number): void {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setUint32(0, bytes, true);
    libc.setsockopt(this.fd, 1, SO_SNDBUFFORCE, value, 4);
  }

  /** What came, descriptors and all: the next message, "end" when the broker hung up, undefined while there is nothing. */
  receive(): { readonly message: Readonly<Record<string, unknown>>; readonly descriptors: readonly number[] } | "end" | undefined {
    const fds = new Int32Array(16);
    const count = new Uint32Array(1);
    const size = native.library.frame_receive(this.fd, this.#answer, this.#answer.byteLength, fds, 16, count);
    if (size === -1) return undefined;
    if (size < 0) return "end";
    const message = JSON.parse(new TextDecoder().decode(this.#answer.subarray(0, size))) as Record<string, unknown>;
    return { message, descriptors: Array.from(fds.subarray(0, count[0])) };
  }

  /**
   * Answers until there are as many as expected, or the broker hangs up, or it says nothing for a long time; descriptors are closed. Without a
   * number: until the end.
   */
  async answers(expected = Infinity): Promise<readonly (Readonly<Record<string, unknown>> | "end")[]> {
    const all: (Readonly<Record<string, unknown>> | "end")[] = [];
    for (let silence = 0; silence < 2000 && all.length < expected; silence++) {
      for (let next = this.receive(); next !== undefined; next = this.receive()) {
        silence = 0;
        if (next === "end") return [...all, "end"];
        all.push(next.message);
        for (const fd of next.descriptors) libc.close(fd);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return all;
  }

  /** Hello in good order; the doorbell is kept, to be rung after each further frame. */
  async greet(): Promise<void> {
    this.message({ type: "hello", protocol: [...PROTOCOL_RANGE], layout: [...LAYOUT_RANGE], program: "raw" });
    for (let waited = 0; waited < 400; waited++) {
      const answer = this.receive();
      if (answer !== undefined && answer !== "end") {
        this.doorbell = answer.descriptors[0] ?? -1;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error("no welcome");
  }

  doorbell = -1;

  ring(times = 1): void {
    for (let count = 0; count < times; count++) native.library.write(this.doorbell, Uint8Array.of(1), 1);
  }

  close(): void {
    libc.close(this.fd);
    if (this.doorbell >= 0) libc.close(this.doorbell);
    this.doorbell = -1;
  }
}
