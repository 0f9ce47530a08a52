/**
 * What an attacker needs and FABLE does not offer: memory of its own making, with or without seals, through the C library by FFI. Nothing here goes
 * through libfable, so that nothing here is checked by it.
 */
import { detectRuntime } from "../../src/runtime/detect.ts";
import type { NativePointer } from "../../src/runtime/runtime.ts";

export const SEAL_SEAL = 1;
export const SEAL_SHRINK = 2;
export const SEAL_GROW = 4;
export const SEAL_FUTURE_WRITE = 16;
export const HONEST_SEALS = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE;

const F_ADD_SEALS = 1033;
const MFD_CLOEXEC_ALLOW_SEALING = 3;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const PUNCH_HOLE_KEEP_SIZE = 3;

interface Libc {
  memfd_create(name: Uint8Array, flags: number): number;
  ftruncate(fd: number, size: bigint): number;
  fallocate(fd: number, mode: number, offset: bigint, size: bigint): number;
  fcntl(fd: number, command: number, argument: number): number;
  mmap(address: null, size: bigint, protection: number, flags: number, fd: number, offset: bigint): NativePointer | null;
  open(path: Uint8Array, flags: number): number;
  close(fd: number): number;
  getpid(): number;
}

let opened: Libc | undefined;

function libc(): Libc {
  opened ??= detectRuntime().open("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    ftruncate: { parameters: ["i32", "u64"], result: "i32" },
    fallocate: { parameters: ["i32", "i32", "u64", "u64"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "u32"], result: "i32" },
    mmap: { parameters: ["pointer", "u64", "i32", "i32", "i32", "u64"], result: "pointer" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    getpid: { parameters: [], result: "i32" },
  }) as unknown as Libc;
  return opened;
}

/** A memfd of its maker's own, mapped writable before it was sealed. */
export interface Region {
  readonly fd: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** What shrinking, growing and punching holes answer now: 0 or −1. */
  truncate(size: number): number;
  punch(): number;
}

export function region(sizeBytes: number, prepare: (view: DataView) => void, seals: number): Region {
  const c = libc();
  const fd = c.memfd_create(new TextEncoder().encode("fable-hostile\0"), MFD_CLOEXEC_ALLOW_SEALING);
  if (fd < 0 || c.ftruncate(fd, BigInt(sizeBytes)) < 0) throw new Error("no memory for the attacker");
  const address = c.mmap(null, BigInt(sizeBytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0n);
  if (address === null) throw new Error("no mapping for the attacker");
  const buffer = detectRuntime().arrayBuffer(address, sizeBytes);
  const view = new DataView(buffer);
  prepare(view);
  if (seals !== 0) c.fcntl(fd, F_ADD_SEALS, seals);
  return {
    fd,
    bytes: new Uint8Array(buffer),
    view,
    truncate: (size) => c.ftruncate(fd, BigInt(size)),
    punch: () => c.fallocate(fd, PUNCH_HOLE_KEEP_SIZE, 0n, BigInt(sizeBytes)),
  };
}

/** For reading, and unknown to the runtime, which would close it once more some day. */
export function openFile(path: string): number {
  return libc().open(new TextEncoder().encode(`${path}\0`), 0o2000000);
}

export function closeDescriptor(fd: number): void {
  libc().close(fd);
}

export interface Identity {
  readonly magic?: number;
  readonly layoutVersion?: number;
  readonly controlBytes?: number;
  readonly flags?: number;
  readonly ringBytes?: number;
  readonly transport?: number;
  readonly maxMessageBytes?: number;
  readonly trust?: number;
}

/** The words an honest control region starts with, each of which may be a lie. */
export function writeIdentity(view: DataView, identity: Identity): void {
  const words = [
    identity.magic ?? 0x4c424146,
    identity.layoutVersion ?? 3,
    identity.controlBytes ?? 4096,
    identity.flags ?? 0,
    identity.ringBytes ?? 65536,
    identity.transport ?? 1,
    identity.maxMessageBytes ?? 1 << 24,
    identity.trust ?? 1,
    libc().getpid(),
  ];
  words.forEach((word, index) => view.setUint32(index * 4, word >>> 0, true));
}

/** Offsets in a control region of what its owner says. */
export const CONTROL = {
  sleepWord: 128,
  cpu: 132,
  rungWord: 256,
  released: 384,
  published: 528,
  writeEpoch: 768,
  state: 896,
  orders: 900,
  stateCode: 904,
  endPosition: 912,
} as const;

/** A record header: payload size, and kind with stride (length / 8). */
export function putHeader(view: DataView, at: number, kind: number, sizeBytes: number, lengthBytes: number): void {
  view.setUint32(at, sizeBytes >>> 0, true);
  view.setUint32(at + 4, ((kind << 24) | ((lengthBytes >>> 3) & 0xffffff)) >>> 0, true);
}
