/**
 * What a peer that owns its regions can do to the other end. Some attacks must already fail at the introduction (`refused`); the others get a channel
 * and must cost the attacker that channel at most.
 */
import { sleep } from "../process/harness.ts";
import { CONTROL, type Identity, putHeader, type Region } from "./libc.ts";

export interface Stage {
  readonly control: Region;
  readonly ring: Region;
  /** The attacker's ends of the sockets. */
  readonly doorbell: number;
  readonly data: number;
  readonly link: number;
  readonly random: () => number;
  write(fd: number, bytes: Uint8Array): number;
}

export interface Attack {
  readonly name: string;
  /** The introduction must fail. */
  readonly refused?: boolean;
  /** The victim must call it a fault. Without, an ordinary end is right too. */
  readonly fault?: boolean;
  /** Only for rings. */
  readonly shared?: boolean;
  /** Only for kernel transports. */
  readonly kernel?: boolean;
  readonly seals?: number;
  readonly ringSeals?: number;
  readonly controlBytes?: number;
  readonly ringBytes?: number;
  readonly identity?: Identity;
  readonly swap?: boolean;
  readonly same?: boolean;
  readonly wrongDescriptor?: "file" | "socket" | "null";
  act?(stage: Stage): void | Promise<void>;
}

const MESSAGE = 1;
const FIRST = 3;
const MORE = 4;
const LAST = 5;

export const ATTACKS: readonly Attack[] = [
  // at the introduction
  { name: "no seals on the control region", refused: true, seals: 0 },
  { name: "no seals on the ring", refused: true, ringSeals: 0, shared: true },
  { name: "shrinking not sealed", refused: true, ringSeals: 1 | 4 | 16, shared: true },
  { name: "a control region of two pages", refused: true, controlBytes: 8192 },
  { name: "a ring of another size than said", refused: true, ringBytes: 32_768, shared: true },
  { name: "a ring of no power of two", refused: true, ringBytes: 65_536 + 4096, shared: true },
  { name: "a file instead of memory", refused: true, wrongDescriptor: "file" },
  { name: "a socket instead of memory", refused: true, wrongDescriptor: "socket" },
  { name: "a device instead of memory", refused: true, wrongDescriptor: "null" },
  { name: "control region and ring swapped", refused: true, swap: true, shared: true },
  { name: "one region twice", refused: true, same: true, shared: true },
  { name: "another magic", refused: true, identity: { magic: 0x11111111 } },
  { name: "another layout version", refused: true, identity: { layoutVersion: 999 } },
  { name: "another transport than agreed", refused: true, identity: { transport: 77 } },
  { name: "a lie about the ring's size", refused: true, identity: { ringBytes: 131_072 }, shared: true },
  // headers
  { name: "an unknown kind", fault: true, shared: true, act: ({ ring }) => putHeader(ring.view, 0, 99, 8, 16) },
  { name: "a payload longer than its record", fault: true, shared: true, act: ({ ring }) => putHeader(ring.view, 0, MESSAGE, 5000, 64) },
  { name: "a record longer than the ring", fault: true, shared: true, act: ({ ring }) => putHeader(ring.view, 0, MESSAGE, 8, 65_536 * 4) },
  { name: "a record of no length", fault: true, shared: true, act: ({ ring }) => ring.view.setUint32(4, MESSAGE << 24, true) },
  { name: "a size of 4 GiB", fault: true, shared: true, act: ({ ring }) => putHeader(ring.view, 0, MESSAGE, 0xffffffff, 64) },
  { name: "more than the agreed message size", fault: true, shared: true, act: ({ ring }) => first(ring, 0x7fffffff, 64) },
  { name: "a fragment without a first", fault: true, shared: true, act: ({ ring }) => putHeader(ring.view, 0, MORE, 8, 16) },
  {
    name: "fragments that do not add up",
    fault: true,
    shared: true,
    act: ({ ring }) => {
      putHeader(ring.view, 80, LAST, 8, 16);
      first(ring, 1000, 64);
    },
  },
  // cursors and state
  { name: "a cursor ahead", fault: true, shared: true, act: ({ control }) => control.view.setBigUint64(CONTROL.released, 1n << 40n, true) },
  { name: "an impossible state", fault: true, act: ({ control }) => control.view.setUint32(CONTROL.state, 77, true) },
  {
    name: "an accusation",
    fault: true,
    act: ({ control }) => {
      control.view.setUint32(CONTROL.stateCode, 0xffffffff, true);
      control.view.setUint32(CONTROL.state, 3, true);
    },
  },
  {
    name: "closed, and open again",
    act: async ({ control }) => {
      for (let n = 0; n < 20; n++) {
        control.view.setUint32(CONTROL.state, n % 4, true);
        await sleep(1);
      }
    },
  },
  // time
  {
    name: "headers that flip while they are read",
    shared: true,
    act: async (stage) => {
      const { ring, random } = stage;
      const until = performance.now() + 40;
      while (performance.now() < until) {
        for (let n = 0; n < 2000; n++) {
          const size = Math.floor(random() * 200);
          putHeader(ring.view, 0, MESSAGE, size, (size + 15) & ~7);
          putHeader(ring.view, 0, Math.floor(random() * 9), Math.floor(random() * 2 ** 32), Math.floor(random() * 70_000));
        }
        knock(stage);
        await sleep(0);
      }
    },
  },
  {
    name: "every word flips",
    act: async (stage) => {
      const { ring, control, random } = stage;
      const until = performance.now() + 40;
      while (performance.now() < until) {
        for (let n = 0; n < 2000; n++) {
          ring.view.setUint32(Math.floor(random() * 16_384) * 4, random() * 2 ** 32, true);
          control.view.setUint32(Math.floor(random() * 1024) * 4, random() * 2 ** 32, true);
        }
        knock(stage);
        await sleep(0);
      }
    },
  },
  {
    name: "sleep words that ask for a ring at every turn",
    act: async ({ control }) => {
      for (let n = 0; n < 200; n++) {
        control.view.setUint32(CONTROL.sleepWord, (n << 3) | 7, true);
        control.view.setUint32(CONTROL.rungWord, n * 8 + 1, true);
        if (n % 20 === 0) await sleep(1);
      }
    },
  },
  // sockets and memory
  {
    name: "a flood on the doorbell",
    fault: true,
    act: async (stage) => {
      const junk = new Uint8Array(4096);
      for (let n = 0; n < 50; n++) {
        stage.write(stage.doorbell, junk);
        await sleep(0);
      }
    },
  },
  {
    name: "a punched hole",
    act: ({ ring, control }) => {
      ring.punch();
      control.punch();
    },
  },
  {
    name: "truncation",
    act: ({ ring, control }) => {
      for (const one of [ring, control]) if (one.truncate(0) === 0) throw new Error("a sealed region was truncated");
    },
  },
  {
    name: "garbage on the data socket",
    kernel: true,
    fault: true,
    act: async ({ data, random, write }) => {
      const junk = Uint8Array.from({ length: 4000 }, () => random() * 256);
      for (let n = 0; n < 10; n++) {
        write(data, junk);
        await sleep(1);
      }
    },
  },
  {
    name: "half a record, then silence",
    kernel: true,
    act: async ({ data, write }) => {
      const half = new Uint8Array(40);
      putHeader(new DataView(half.buffer), 0, MESSAGE, 4000, 4008);
      write(data, half);
      await sleep(20);
    },
  },
  {
    name: "an endless record",
    kernel: true,
    fault: true,
    act: async ({ data, write }) => {
      const head = new Uint8Array(8);
      putHeader(new DataView(head.buffer), 0, MESSAGE, 0xfffffff0, 0x7fffff8);
      write(data, head);
      await sleep(5);
    },
  },
];

/** Makes a sleeping victim look: one ring is within its rights. */
function knock({ doorbell, write }: Stage): void {
  write(doorbell, Uint8Array.of(1));
}

function first(ring: Region, total: number, size: number): void {
  ring.view.setUint32(8, total, true);
  ring.view.setUint32(12, 0, true);
  putHeader(ring.view, 0, FIRST, size, size + 16);
}
