/** What the broker's pure parts need of the outside, over the native library and the event loop's clock. */
import { transportOfCode } from "../naming/transports.ts";
import type { Library } from "../native/library.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { BrokerIo } from "./broker.ts";
import type { RegionFacts } from "./regions.ts";
import type { Figures } from "./report.ts";
import type { TicketProcess } from "./tickets.ts";

const STREAM = 1;
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
  return {
    ...hooks,
    now: brokerNow,
    close: (fd) => void library.close(fd),
    region: (fd) => regionFacts(library, fd),
    isStream: (fd) => library.socket_check(fd) === 1,
    isPackets: (fd) => library.socket_check(fd) === 5,
    observe: (controlFd) => Math.max(-1, library.control_map(controlFd)),
    figures: (observer) => figures(library, observer),
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
