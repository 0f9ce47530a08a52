/**
 * A decision for people and for programs: what policy knows of a flow, what it considered, what that would cost, what it would do and what keeps
 * it from doing so. `fable policy explain --json` prints it as it is. Pure.
 */
import type { Decider, Pace } from "./decide.ts";
import { type EndFacts, type FlowFacts, loadOf, type Origin, requestShare, togetherShare, transportOf } from "./facts.ts";
import { seenOf } from "./proof.ts";
import type { Choice } from "./select.ts";
import type { CostModel } from "./table.ts";

export interface ExplanationInput {
  readonly facts: FlowFacts;
  readonly choice: Choice;
  readonly model: CostModel;
  readonly pace: Pace;
  readonly decider: Decider;
  readonly origin: Origin;
  readonly mode: "auto" | "manual";
  /** Why it is manual, or why nothing is decided now. */
  readonly held: string | undefined;
  readonly nowMs: number;
}

export type Explanation = ReturnType<typeof explain>;

export function explain({ facts, choice, model, pace, decider, origin, mode, held, nowMs }: ExplanationInput) {
  const earned = decider.earned(pace);
  return {
    mode,
    origin,
    held: held ?? null,
    asked: facts.asked ?? null,
    table: model.measured ? `measured at ${model.table.made_at}` : "built in: fable calibrate measures this machine",
    current: { transport: transportOf(facts), ring_bytes: facts.ringBytes, trust: facts.trust },
    facts: {
      directions: facts.directions.map((one) => ({
        transport: one.transport,
        msgs_per_s: short(one.msgsPerS),
        mean_bytes: short(one.meanBytes),
        size_mix: one.sizeMix.map(short),
        blocked_share: short(one.blockedShare),
        waited_share: short(one.waitedShare),
        wake_ups_per_s: short(one.wakeUpsPerS),
        sleeps_per_s: short(one.sleepsPerS),
      })),
      ends: facts.ends.map(endOf),
      same_core_share: short(togetherShare(facts)),
      bound_together: facts.pair.boundTogether,
      line_ns: facts.pair.lineNs ?? null,
      request_share: short(requestShare(facts)),
      load: short(loadOf(facts)),
      virtualised: facts.machine.virtualised,
      cpus: facts.machine.cpus,
      cpu_pressure_share: facts.machine.pressureShare ?? null,
    },
    candidates: choice.candidates.map(({ transport, nsPerMessage, cost, ruledOut }) => ({
      transport,
      ns_per_message: nsPerMessage === undefined ? null : short(nsPerMessage),
      cost: Number.isFinite(cost) ? short(cost) : null,
      earned: short(earned.get(transport) ?? 0),
      ruled_out: ruledOut ?? null,
    })),
    choice: {
      transport: choice.transport,
      waiting: choice.waiting,
      trust: choice.trust,
      ring_bytes: choice.ringBytes,
      reason: choice.reason,
      coscheduling: { advice: choice.coscheduling.advice, gain: short(choice.coscheduling.gain), reason: choice.coscheduling.reason },
    },
    /** How many times better than it says the table must know something to be, because it was wrong here of late. */
    doubt: short(decider.doubt(seenOf(facts), nowMs)),
    moves_in_hand: decider.movesInHand(pace, nowMs),
  };
}

function endOf(end: EndFacts) {
  return {
    cpu: end.cpu ?? null,
    affinity: end.affinity === undefined ? null : [...end.affinity],
    run_delay_share: short(end.runDelayShare),
    ran_share: short(end.ranShare),
    other_busy_share: short(end.otherBusyShare),
    steal_share: short(end.stealShare),
    crowded: end.crowded,
    node: end.node ?? null,
    memory_node: end.memoryNode ?? null,
    cgroup: end.cgroup ?? null,
  };
}

/** Four digits say all that is known. */
function short(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(4));
}
