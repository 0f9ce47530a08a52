/** What the broker keeps of a flow that it steers: what was sampled, decided and followed, who moved it last, and where it was seen. */
import type { Trial } from "../policy/coschedule.ts";
import { Decider, type Pace } from "../policy/decide.ts";
import type { Origin, Transport } from "../policy/facts.ts";
import { Follower } from "../policy/numa.ts";
import type { Flow } from "./flows.ts";
import type { Kernel } from "./kernel.ts";
import { type Counters, FlowSampler } from "./sampler.ts";

/** After somebody else's move, or one that came to nothing. */
export const COURTESY_MS = 1000;
const REASON_PROGRAM = 1;
const REASON_OPERATOR = 2;
const REASON_POLICY = 3;
const SMALLEST_RING_BYTES = 65_536;

export class Steered {
  readonly sampler = new FlowSampler();
  readonly decider: Decider;
  readonly follower = new Follower();
  trial: Trial | undefined;
  asked: Transport | undefined;
  origin: Origin;
  ringBytes: number;
  transports: readonly [Transport, Transport];
  /** By `fable policy auto|manual FLOW`. */
  mode: "auto" | "manual" | undefined;
  underWay = false;
  placedAtMs = -Infinity;
  /** Of the policy's last move. */
  reason: string | undefined;
  #switches: readonly [number, number] = [0, 0];

  constructor(flow: Flow, pace: Pace, nowMs: number) {
    this.decider = new Decider(pace, nowMs);
    this.asked = flow.asked === true ? flow.transport : undefined;
    this.origin = flow.asked === true ? "asked" : "automatic";
    this.ringBytes = Math.max(SMALLEST_RING_BYTES, ...flow.ends.map((end) => end?.ringBytes ?? 0));
    this.transports = [flow.transport, flow.transport];
  }

  /** Where both ends are. True: one of them is not where the memory is that it reads. */
  saw([a, b]: readonly [Counters, Counters], kernel: Kernel, nowMs: number): boolean {
    const nodes = [kernel.nodeOf(a.cpu), kernel.nodeOf(b.cpu)] as const;
    this.follower.see(nodes, nowMs);
    // Each reads what the other writes.
    return [b, a].some(({ memoryNode }, side) => memoryNode !== undefined && nodes[side] !== undefined && nodes[side] !== memoryNode);
  }

  /** New figures of both ends: traffic, and moves that somebody made. */
  heard(flow: Flow, counters: readonly [Counters, Counters], nowMs: number): void {
    this.sampler.sample(counters, nowMs);
    const [a, b] = counters;
    this.transports = [a.transport ?? flow.transport, b.transport ?? flow.transport];
    for (const [side, now] of counters.entries()) {
      if (now.switches <= (this.#switches[side] ?? 0)) continue;
      if (now.switchReason === REASON_PROGRAM) {
        this.origin = "program";
        this.asked = now.transport;
      } else if (now.switchReason === REASON_OPERATOR) {
        this.origin = "operator";
      }
      // Who moves its own channel may be about to move it again, and must not find somebody else's order in its way.
      if (now.switchReason === REASON_POLICY) this.decider.moved(nowMs);
      else this.decider.disturbed(nowMs + COURTESY_MS);
    }
    this.#switches = [a.switches, b.switches];
  }
}
