/**
 * Facts of one flow from samples: what both ends counted in their control regions since the last one, and where the kernel shows their threads.
 * Every figure goes through a filter, so that a moment is not taken for a change. No message and no system call on the data path: the ends
 * count anyway, and the broker reads.
 */
import type { DirectionFacts, EndFacts, FlowFacts, MachineFacts, PairFacts, Transport } from "../policy/facts.ts";
import { crowdedBy, SIZE_CLASSES } from "../policy/facts.ts";
import { RateFilter, ShareFilter, SizeFilter } from "../policy/kalman.ts";
import type { Kernel, ThreadSight } from "./kernel.ts";

/** What one end's control region says: struct fable_stats and where its owner last waited. */
export interface Counters {
  readonly messagesSent: number;
  readonly bytesSent: number;
  readonly rings: number;
  readonly sleeps: number;
  readonly blockedNs: number;
  readonly waitedNs: number;
  readonly transport: Transport | undefined;
  readonly switches: number;
  readonly switchReason: number;
  readonly cpu: number;
  /** NUMA node of the memory that it writes into, if it says one. */
  readonly memoryNode: number | undefined;
}

/** The share of the newest sample in the size mix. */
const MIX_WEIGHT = 0.2;
/** CPU words and affinities are exact; only how long they stay so is not known. */
const PLACE_NOISE = 0.02;
const PRECISE_NOISE = 0.005;

/** One direction: what its writer sends, and how its reader waits. */
class DirectionSampler {
  readonly #rate = new RateFilter();
  readonly #size = new SizeFilter();
  readonly #blocked = new ShareFilter();
  readonly #waited = new ShareFilter();
  readonly #wakeUps = new RateFilter();
  readonly #sleeps = new RateFilter();
  #mix: [number, number, number, number] = [0, 0, 0, 0];

  /** Differences of the writer's and of the reader's counters. */
  update(writer: Counters, writerBefore: Counters, reader: Counters, readerBefore: Counters, elapsedS: number): void {
    const messages = Math.max(0, writer.messagesSent - writerBefore.messagesSent);
    const bytes = Math.max(0, writer.bytesSent - writerBefore.bytesSent);
    this.#rate.update(messages, elapsedS);
    this.#size.update(messages, bytes, elapsedS);
    this.#blocked.update((writer.blockedNs - writerBefore.blockedNs) / (elapsedS * 1e9), elapsedS, PRECISE_NOISE);
    this.#waited.update((reader.waitedNs - readerBefore.waitedNs) / (elapsedS * 1e9), elapsedS, PRECISE_NOISE);
    this.#wakeUps.update(Math.max(0, writer.rings - writerBefore.rings), elapsedS);
    this.#sleeps.update(Math.max(0, reader.sleeps - readerBefore.sleeps), elapsedS);
    if (messages > 0) this.#mixIn(bytes / messages);
  }

  facts(transport: Transport): DirectionFacts {
    return {
      transport,
      msgsPerS: this.#rate.perS,
      meanBytes: this.#size.bytes,
      sizeMix: this.#mix,
      blockedShare: this.#blocked.share,
      waitedShare: this.#waited.share,
      wakeUpsPerS: this.#wakeUps.perS,
      sleepsPerS: this.#sleeps.perS,
    };
  }

  #mixIn(bytes: number): void {
    const place = SIZE_CLASSES.findIndex((bound) => bytes <= bound);
    const found = place < 0 ? SIZE_CLASSES.length : place;
    const first = this.#mix.every((share) => share === 0);
    const weight = first ? 1 : MIX_WEIGHT;
    const mixed = (share: number, index: number) => share * (1 - weight) + (index === found ? weight : 0);
    const [a, b, c, d] = this.#mix;
    this.#mix = [mixed(a, 0), mixed(b, 1), mixed(c, 2), mixed(d, 3)];
  }
}

/** One end: the kernel's view of its thread. */
class EndSampler {
  readonly #ran = new ShareFilter();
  readonly #delayed = new ShareFilter();
  readonly #other = new ShareFilter();
  readonly #steal = new ShareFilter();
  #crowded = false;
  #sight: ThreadSight | undefined;

  update(sight: ThreadSight, other: { readonly busy: number; readonly steal: number }, elapsedS: number): void {
    this.#sight = sight;
    if (sight.ran !== undefined) this.#ran.update(sight.ran, elapsedS, PRECISE_NOISE);
    if (sight.delayed !== undefined) this.#delayed.update(sight.delayed, elapsedS, PRECISE_NOISE);
    // Ticks of 10 ms: over a short time they say little.
    const noise = PRECISE_NOISE + (0.01 / elapsedS) ** 2;
    const [busy, steal] = [this.#other.update(other.busy, elapsedS, noise), this.#steal.update(other.steal, elapsedS, noise)];
    this.#crowded = crowdedBy(Math.max(busy, steal), this.#crowded);
  }

  /** `told`: the CPU where the end itself says that it last waited, which may be another thread's than the process's first. */
  facts(kernel: Kernel, told: number | undefined, memoryNode: number | undefined): EndFacts {
    const sight = this.#sight;
    return {
      cpu: sight?.cpu,
      affinity: sight?.affinity,
      runDelayShare: this.#delayed.share,
      ranShare: this.#ran.share,
      otherBusyShare: this.#other.share,
      stealShare: this.#steal.share,
      crowded: this.#crowded,
      node: kernel.nodeOf(told),
      memoryNode,
      cgroup: sight?.cgroup,
    };
  }
}

/** Everything that is followed of one flow. */
export class FlowSampler {
  readonly #directions = [new DirectionSampler(), new DirectionSampler()] as const;
  readonly #ends = [new EndSampler(), new EndSampler()] as const;
  readonly #together = new ShareFilter();
  #bound = false;
  #before: readonly [Counters, Counters] | undefined;
  #atMs = 0;

  /** Anything travelled between the last two samples. */
  active = false;

  /** What the ends counted by now. */
  sample(counters: readonly [Counters, Counters], nowMs: number): void {
    const before = this.#before;
    const elapsedS = (nowMs - this.#atMs) / 1000;
    if (before !== undefined && elapsedS <= 0) return;
    this.#before = counters;
    this.#atMs = nowMs;
    if (before === undefined) return;
    this.active = counters.some((now, side) => now.messagesSent !== before[side]?.messagesSent);
    for (const [side, direction] of this.#directions.entries()) {
      const [writer, reader] = side === 0 ? [0, 1] as const : [1, 0] as const;
      direction.update(counters[writer], before[writer], counters[reader], before[reader], elapsedS);
    }
  }

  /** Where its ends' threads are by now; `elapsedS` since they were looked at last. */
  place(sights: readonly [ThreadSight, ThreadSight], kernel: Kernel, elapsedS: number): void {
    for (const [side, end] of this.#ends.entries()) {
      const sight = sights[side] as ThreadSight;
      end.update(sight, kernel.otherBusy(sight.affinity, sight.cpu), elapsedS);
    }
    const [a, b] = sights;
    this.#bound = a.affinity?.length === 1 && b.affinity?.length === 1 && a.affinity[0] === b.affinity[0];
    if (a.cpu !== undefined && b.cpu !== undefined) this.#together.update(a.cpu === b.cpu ? 1 : 0, elapsedS, PLACE_NOISE);
  }

  facts(more: {
    readonly trust: FlowFacts["trust"];
    readonly asked: FlowFacts["asked"];
    readonly transports: readonly [Transport, Transport];
    readonly ringBytes: number;
    readonly machine: MachineFacts;
    readonly kernel: Kernel;
    /** One cache line between two CPUs, if somebody measured it. */
    readonly lineNs: (a: number, b: number) => number | undefined;
  }): FlowFacts {
    const { trust, asked, transports, ringBytes, machine, kernel } = more;
    const [left, right] = this.#before ?? [];
    const a = this.#ends[0].facts(kernel, left?.cpu, right?.memoryNode);
    const b = this.#ends[1].facts(kernel, right?.cpu, left?.memoryNode);
    const lineNs = a.cpu === undefined || b.cpu === undefined || a.cpu === b.cpu ? undefined : more.lineNs(a.cpu, b.cpu);
    const pair: PairFacts = { sameCoreShare: this.#together.share, boundTogether: this.#bound, lineNs };
    return {
      ...{ trust, asked, ringBytes, machine, pair },
      directions: [this.#directions[0].facts(transports[0]), this.#directions[1].facts(transports[1])],
      ends: [a, b],
    };
  }
}
