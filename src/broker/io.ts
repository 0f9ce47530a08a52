/** What the broker's pure parts need of the outside, over the native library and the event loop's clock. */
import { utf8 } from "../naming/place.ts";
import { transportOfCode } from "../naming/transports.ts";
import { affinityOf, confine } from "../native/affinity.ts";
import { SAMPLE_CPU, SAMPLE_VALID, SAMPLE_WORDS } from "../native/generated.ts";
import type { Library } from "../native/library.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import { parseCpuList } from "../policy/numa.ts";
import type { BrokerIo } from "./broker.ts";
import { parseSchedstat } from "./kernel.ts";
import type { RegionFacts } from "./regions.ts";
import type { Figures } from "./report.ts";
import type { Counters } from "./sampler.ts";
import type { TicketProcess } from "./tickets.ts";

const STREAM = 1;
const TOO_LARGE = -10;
/** struct fable_stats. */
const STATS_WORDS = 12;
/** Unmapping takes longer than everything else about the end of a flow, and nobody waits for it. */
const UNMAP_AFTER_MS = 50;

/** Milliseconds since 1970, never going back. */
export function brokerNow(): number {
  return performance.timeOrigin + performance.now();
}

/** The daemon's own part of the outside. */
export type DaemonHooks = Pick<BrokerIo, "wake" | "stopListening" | "leave" | "settled">;

export function createIo(native: Native, hooks: DaemonHooks): BrokerIo {
  const { library } = native;
  const read = reader(library);
  return {
    ...hooks,
    now: brokerNow,
    close: (fd) => void library.close(fd),
    region: (fd) => regionFacts(library, fd),
    isStream: (fd) => library.socket_check(fd) === 1,
    isPackets: (fd) => library.socket_check(fd) === 5,
    observe: (controlFd) => Math.max(-1, library.control_map(controlFd)),
    figures: (observer) => figures(library, observer),
    counters: sampler(library, parseCpuList(read("/sys/devices/system/node/online") ?? "").length > 1),
    read,
    affinity: (tid) => affinityOf(library, tid),
    confine: (tid, cpus) => confine(library, tid, cpus),
    cpuTime: () => (parseSchedstat(read("/proc/thread-self/schedstat"))?.ranNs ?? 0) / 1e6,
    unobserve: later((observer: number) => void library.control_unmap(observer)),
    doorbell() {
      const pair = new Int32Array(2);
      check(library, library.socketpair(STREAM, pair), "make a doorbell");
      return [pair[0] as number, pair[1] as number];
    },
    after: (ms, task) => void setTimeout(task, ms),
  };
}

/** Does it for all that came together, a moment later. */
function later<T>(task: (item: T) => void): (item: T) => void {
  let items: T[] = [];
  return (item) => {
    if (items.push(item) > 1) return;
    setTimeout(() => {
      const batch = items;
      items = [];
      for (const one of batch) task(one);
    }, UNMAP_AFTER_MS);
  };
}

/** All control regions in one call: a call for each would cost more than reading them. One more where memory can lie on several nodes. */
function sampler(library: Library, numa: boolean): (observers: readonly number[]) => readonly (Counters | undefined)[] {
  let [ids, rows, nodes] = [new Uint32Array(64), new Uint32Array(64 * SAMPLE_WORDS), new Uint32Array(64)];
  return (observers) => {
    if (observers.length > ids.length) {
      ids = new Uint32Array(observers.length * 2);
      rows = new Uint32Array(ids.length * SAMPLE_WORDS);
      nodes = new Uint32Array(ids.length);
    }
    for (const [index, observer] of observers.entries()) ids[index] = observer < 0 ? 0 : observer;
    if (library.control_sample(ids, observers.length, rows) < 0) return observers.map(() => undefined);
    if (numa) library.control_nodes(ids, observers.length, nodes);
    return observers.map((_, index) => countersAt(rows, index * SAMPLE_WORDS, nodes[index] ?? 0));
  };
}

/** A row: fable_stats as pairs of words. `home`: NUMA node + 1, or 0. */
function countersAt(rows: Uint32Array, at: number, home: number): Counters | undefined {
  if (rows[at + SAMPLE_VALID] !== 1) return undefined;
  const figure = (index: number) => (rows[at + 2 * index] ?? 0) + (rows[at + 2 * index + 1] ?? 0) * 4_294_967_296;
  return {
    ...{ messagesSent: figure(0), bytesSent: figure(1), rings: figure(4), sleeps: figure(5), blockedNs: figure(6), waitedNs: figure(7) },
    ...{ transport: transportOfCode(figure(9)), switches: figure(10), switchReason: figure(11), cpu: rows[at + SAMPLE_CPU] ?? 0 },
    memoryNode: home === 0 ? undefined : home - 1,
  };
}

const MOST_TEXT_BYTES = 1_048_576;
const decoder = new TextDecoder();

/** Whole files, /proc's too, into one buffer that grows as it is needed. */
export function reader(library: Library): (path: string) => string | undefined {
  let buffer = new Uint8Array(16_384);
  return (path) => {
    const name = utf8(path);
    for (;;) {
      const size = library.file_read(name, name.byteLength, buffer, buffer.byteLength);
      if (size >= 0) return decoder.decode(buffer.subarray(0, size));
      if (size !== TOO_LARGE || buffer.byteLength >= MOST_TEXT_BYTES) return undefined;
      buffer = new Uint8Array(buffer.byteLength * 4);
    }
  };
}

/** A small file of the broker's own has this text from now on; without any, it is gone. False: it could not be written. */
export function replacer(library: Library): (path: string, text: string) => boolean {
  return (path, text) => {
    const [name, bytes] = [utf8(path), utf8(text)];
    return library.file_replace(name, name.byteLength, bytes, bytes.byteLength, 0o600) >= 0;
  };
}

/** struct fable_region_facts: asked several times for each connection. */
const facts = new Uint32Array(8);
const wideFacts = new BigUint64Array(facts.buffer);

function regionFacts(library: Library, fd: number): RegionFacts | undefined {
  if (library.region_check(fd, facts) < 0) return undefined;
  return {
    device: wideFacts[0] as bigint,
    inode: wideFacts[1] as bigint,
    sizeBytes: Number(wideFacts[2]),
    seals: facts[6] as number,
    isMemory: facts[7] === 1,
  };
}

function figures(library: Library, observer: number): Figures {
  const words = new BigUint64Array(STATS_WORDS);
  if (library.control_stats(observer, words) < 0) words.fill(0n);
  // The region is its owner's: what stands in it is a claim, and must not break the broker's messages.
  const figure = (index: number) => Math.min(Number.MAX_SAFE_INTEGER, Number(words[index]));
  return {
    ...{ messagesSent: figure(0), bytesSent: figure(1), rings: figure(4), blockedNs: figure(6) },
    ...{ epoch: figure(8), transport: transportOfCode(figure(9)), switches: figure(10), switchReason: figure(11) },
  };
}

/** Who is on the other side of a connection; undefined if it is gone already. `pidFd` is the caller's, -1 where the kernel has none. */
export function sessionCredentials(library: Library, fd: number): { readonly process: TicketProcess; readonly pidFd: number } | undefined {
  const words = new Uint32Array(6);
  if (library.peer_credentials(fd, words) < 0) return undefined;
  const [pid = 0, uid = 0] = words;
  const start = new BigUint64Array(words.buffer)[2] as bigint;
  return { process: { uid, pid, start: String(start) }, pidFd: (words[3] as number) | 0 };
}
