/**
 * Where the memory of a channel should lie on a machine of several NUMA nodes: with its reader, who loads every line of it, while the writer's
 * stores wait in a buffer for nobody. When an end moves to another node, the ring it reads goes after it. Pure: topology and places are given.
 */
import type { Decision } from "./decide.ts";
import { type FlowFacts, transportOf } from "./facts.ts";

export interface Topology {
  /** Node of each CPU; CPUs that are missing are on no node that anybody knows. */
  readonly nodeOfCpu: ReadonlyMap<number, number>;
  /** Relative distances as the firmware tells them (10: local), by node and node. */
  readonly distance: (from: number, to: number) => number;
}

/** One ring. */
export interface Placed {
  readonly readerNode: number | undefined;
  /** How surely the reader is where it is: the share of samples that saw it on that node. */
  readonly readerShare: number;
  /** Where most of its pages lie. */
  readonly memoryNode: number | undefined;
  readonly ringBytes: number;
  readonly bytesPerS: number;
  /** When it was last moved, in milliseconds; -Infinity: never. */
  readonly movedMs: number;
}

export interface Relocation {
  /** Index in what was given. */
  readonly ring: number;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** An end that is only passing by is not followed. */
const SURE = 0.8;
/** A moment's traffic must be worth moving all pages: so many times the ring per second. */
const TURNS_PER_S = 4;
const DWELL_MS = 1000;
/** The dwell grows with this for each page that there is to move: large rings follow less readily. */
const DWELL_MS_PER_MEGABYTE = 250;

/** The rings that should go elsewhere now. */
export function relocations(rings: readonly Placed[], topology: Topology, nowMs: number): readonly Relocation[] {
  return rings.flatMap((ring, index) => {
    const { readerNode: to, memoryNode } = ring;
    if (to === undefined || memoryNode === undefined || to === memoryNode || ring.readerShare < SURE) return [];
    if (topology.distance(to, memoryNode) <= topology.distance(to, to)) return [];
    if (ring.bytesPerS < ring.ringBytes * TURNS_PER_S) return [];
    if (nowMs - ring.movedMs < DWELL_MS + (DWELL_MS_PER_MEGABYTE * ring.ringBytes) / 1_048_576) return [];
    return [{ ring: index, from: memoryNode, to, reason: `its reader runs on node ${to} now, its memory lies on node ${memoryNode}` }];
  });
}

/** How long an end must be seen on another node to be more there than here: about 250 ms until it is followed. */
const SETTLING_MS = 150;
/** Looks that far apart, because each is dear, are believed at once. */
const RARE_MS = 500;
/** Memory that did not come along is called again after twice as long each time, up to this. */
const LONGEST_WAIT_MS = 60_000;

/** Follows the ends of one channel. */
export class Follower {
  readonly #ends = [new Residence(), new Residence()] as const;
  #orderedMs = -Infinity;
  #waitMs = DWELL_MS;
  #atMs: number | undefined;

  /** The nodes that its ends are on now. */
  see(nodes: readonly [number | undefined, number | undefined], nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - (this.#atMs ?? nowMs));
    this.#atMs = nowMs;
    for (const [side, residence] of this.#ends.entries()) residence.update(nodes[side], elapsedMs);
  }

  /** Whether both ends were seen long enough where they are now. */
  get sure(): boolean {
    return this.#ends.every(({ node, share }) => node === undefined || share >= SURE);
  }

  /**
   * If some memory should go elsewhere by what was seen, and `spend` allows it: the same path again, whose new memory its writers make on their
   * readers' nodes. Whoever gets it orders it.
   */
  decide(facts: FlowFacts, topology: Topology, nowMs: number, spend: () => boolean): Decision | undefined {
    const { ends, directions, ringBytes } = facts;
    const rings = ends.map(({ memoryNode }, side): Placed => {
      const { msgsPerS, meanBytes } = directions[1 - side as 0 | 1];
      const { node: readerNode, share: readerShare } = this.#ends[side as 0 | 1];
      return {
        readerNode,
        readerShare,
        memoryNode,
        ringBytes,
        bytesPerS: msgsPerS * meanBytes,
        movedMs: this.#orderedMs + this.#waitMs - DWELL_MS,
      };
    });
    if (rings.every(({ readerNode, memoryNode }) => memoryNode === undefined || memoryNode === readerNode)) this.#waitMs = DWELL_MS;
    const [first] = relocations(rings, topology, nowMs);
    if (first === undefined || !spend()) return undefined;
    if (this.#orderedMs > -Infinity) this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
    this.#orderedMs = nowMs;
    const transport = transportOf(facts);
    return { transport, ringBytes, reason: `${transport} with memory on node ${first.to}, because ${first.reason}` };
  }
}

/** The node of one end, and how surely it lives there. */
class Residence {
  node: number | undefined;
  share = 0;

  update(node: number | undefined, elapsedMs: number): void {
    const kept = Math.exp(-elapsedMs / SETTLING_MS);
    if (node === this.node) {
      this.share = 1 - (1 - this.share) * kept;
      return;
    }
    this.share *= kept;
    if (this.share > 0.5) return;
    this.node = node;
    this.share = 1 - this.share;
    // Seen once is seen in passing; but where looks are rare, a visit that short would hardly have been seen.
    if (elapsedMs < RARE_MS) this.share = Math.min(this.share, 0.5);
  }
}

/** `0-3,8` as the kernel writes sets of CPUs and nodes. */
export function parseCpuList(text: string): readonly number[] {
  return text.trim().split(",").flatMap((part) => {
    const [first, last = first] = part.split("-");
    const [low, high] = [Number(first), Number(last)];
    if (!/^\d+(-\d+)?$/.test(part) || high - low > 65_536) return [];
    return Array.from({ length: Math.max(0, high - low + 1) }, (_, index) => low + index);
  });
}

/** A topology from the kernel's words: for each node its list of CPUs and its line of distances. */
export function topologyOf(nodes: readonly { readonly node: number; readonly cpus: string; readonly distances: string }[]): Topology {
  const nodeOfCpu = new Map(nodes.flatMap(({ node, cpus }) => parseCpuList(cpus).map((cpu) => [cpu, node] as const)));
  const ids = nodes.map(({ node }) => node);
  const lines = new Map(nodes.map(({ node, distances }) => [node, distances.trim().split(/\s+/).map(Number)]));
  return {
    nodeOfCpu,
    distance: (from, to) => lines.get(from)?.[ids.indexOf(to)] ?? (from === to ? 10 : 20),
  };
}
