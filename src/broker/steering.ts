/**
 * The broker's hand on its flows: samples them, has the policy choose and decide, orders what was decided, and can say why. It spends at most a
 * hundredth of a CPU (rhythm.ts). Nothing here is on a data path, and a flow goes on as it is if nobody steers. Clock, timers, counters and kernel
 * are handed in.
 */
import { FableError } from "../errors.ts";
import { type Advice, Trial } from "../policy/coschedule.ts";
import { CAUTIOUS_PACE, type Decision, PACE, type Pace } from "../policy/decide.ts";
import { explain, type Explanation } from "../policy/explain.ts";
import { type FlowFacts, type MachineFacts, type Transport, transportOf } from "../policy/facts.ts";
import { seenOf } from "../policy/proof.ts";
import { type Rules, termsFor } from "../policy/rules.ts";
import { type Choice, choose, situationOf } from "../policy/select.ts";
import type { CostModel } from "../policy/table.ts";
import { type Flow, isWhole } from "./flows.ts";
import { Kernel, type KernelIo } from "./kernel.ts";
import { Rhythm, type Round } from "./rhythm.ts";
import type { Counters } from "./sampler.ts";
import { COURTESY_MS, Steered } from "./steered.ts";

/** A line of the log. */
export interface SteeringRecord {
  readonly event: "moved" | "refused" | "affinity";
  readonly flow: string;
  readonly names: readonly [string, string];
  readonly transport?: Transport;
  readonly ring_bytes?: number;
  readonly reason: string;
}

export interface SteeringOptions {
  /** Flows of which both ends are known. */
  flows(): Iterable<Flow>;
  now(): number;
  /** CPU time of this thread in milliseconds, for measuring itself: on a busy machine time itself says nothing about what it took. */
  cpuTime(): number;
  after(ms: number, task: () => void): void;
  /** Ids of the mappings of both ends' control regions; -1: there is none. */
  observers(flow: Flow): readonly [number, number] | undefined;
  /** What they say, in one go; undefined for those that say nothing. */
  counters(observers: readonly number[]): readonly (Counters | undefined)[];
  readonly kernel: KernelIo;
  /** Sets the CPUs of a thread. False: it could not be done. */
  confine(tid: number, cpus: readonly number[]): boolean;
  /** Has both ends move; `done` hears why not. Throws what speaks against it at once. */
  order(flow: Flow, transport: Transport, ringBytes: number | undefined, done: (error: FableError | undefined) => void): void;
  /** Somebody else is moving it right now. */
  busy(flow: Flow): boolean;
  rules(): Rules;
  model(): CostModel;
  readonly virtualised: boolean;
  log(record: SteeringRecord): void;
}

/** A flow, and what its ends say of themselves: undefined where one says nothing. */
interface Sight {
  readonly flow: Flow;
  readonly counters: readonly [Counters | undefined, Counters | undefined];
}

type Found = Pick<Round, "active" | "again">;

/** Until the first look at a flow. */
const FIRST_MS = 50;
/** Processes looked at in one round; the others have their turn in the next. */
const LOOKS_PER_ROUND = 128;
/** A flow that spends less of a second than this on its transport has nothing to gain. */
const WORTH_A_THOUGHT = 5e-4;

export class Steering {
  readonly #options: SteeringOptions;
  readonly #steered = new Map<string, Steered>();
  readonly #kernel: Kernel;
  readonly #rhythm: Rhythm;
  #mode: "auto" | "manual" | undefined;
  #ticking = false;
  #closed = false;
  #round = 0;
  #spentMs = 0;
  /** Of this round, on orders. */
  #orderingMs = 0;
  #rounds = 0;
  #moves = 0;

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#kernel = new Kernel(options.kernel);
    this.#rhythm = new Rhythm(new Set(this.#kernel.topology.nodeOfCpu.values()).size > 1);
  }

  /** What a `fable policy` without a flow says. */
  get mode(): "auto" | "manual" {
    return this.#mode ?? this.#options.rules().mode;
  }

  /** Rounds so far, the milliseconds they took, and the moves they led to. */
  get cost(): { readonly rounds: number; readonly spentMs: number; readonly moves: number } {
    return { rounds: this.#rounds, spentMs: this.#spentMs, moves: this.#moves };
  }

  /** The same, as the broker tells it. */
  get figures(): Record<string, number> {
    return { policy_rounds: this.#rounds, policy_moves: this.#moves, policy_spent_us: Math.round(this.#spentMs * 1000) };
  }

  /** There are flows now, perhaps. */
  wake(): void {
    if (this.#ticking || this.#closed) return;
    this.#ticking = true;
    this.#options.after(FIRST_MS, () => this.#tick());
  }

  close(): void {
    for (const flow of this.#options.flows()) this.forget(flow);
    this.#closed = true;
  }

  forget(flow: Flow): void {
    const steered = this.#steered.get(flow.flow);
    this.#steered.delete(flow.flow);
    if (steered !== undefined) this.#letGo(flow, steered, "the channel is over");
    for (const end of flow.ends) if (end !== undefined) this.#kernel.forget(end.client.pid);
  }

  setMode(mode: "auto" | "manual", flow: Flow | undefined): void {
    if (flow === undefined) {
      this.#mode = mode;
      return;
    }
    const steered = this.#of(flow);
    steered.mode = mode;
    if (mode === "auto") steered.decider.refresh(this.#pace(), this.#options.now());
  }

  /** Why the policy last moved it; undefined: it never did. */
  reasonFor(flow: Flow): string | undefined {
    return this.#steered.get(flow.flow)?.reason;
  }

  /** Where both ends were last seen; undefined: nobody looked yet. */
  placement(flow: Flow): string | undefined {
    const steered = this.#steered.get(flow.flow);
    if (steered === undefined || steered.placedAtMs === -Infinity) return undefined;
    const { ends: [a, b], pair } = this.#facts(flow, steered);
    if (a.cpu === undefined || b.cpu === undefined) return undefined;
    const together = pair.boundTogether || pair.sameCoreShare > 0.5;
    return together ? `one core (CPU ${b.cpu})` : `CPU ${a.cpu} and CPU ${b.cpu}`;
  }

  /** Everything about the next decision. */
  explain(flow: Flow): Explanation {
    const steered = this.#of(flow);
    const nowMs = this.#options.now();
    if (steered.placedAtMs === -Infinity) {
      this.#kernel.begin(nowMs);
      this.#place(flow, steered, nowMs);
    }
    const facts = this.#facts(flow, steered);
    return explain({
      facts,
      choice: this.#choose(flow, facts),
      model: this.#options.model(),
      pace: this.#pace(),
      decider: steered.decider,
      origin: steered.origin,
      mode: steered.mode ?? this.mode,
      held: this.#held(flow, steered),
      nowMs,
    });
  }

  /** The same, as it travels. */
  explained(flow: Flow): { readonly flow: string; readonly names: [string, string]; readonly explanation: string } {
    return { flow: flow.flow, names: [...flow.names], explanation: JSON.stringify(this.explain(flow)) };
  }

  #tick(): void {
    if (this.#closed) return;
    const { after, cpuTime, now } = this.#options;
    const [began, kind] = [cpuTime(), this.#rhythm.kind(now())];
    const sights = this.#sights();
    const found = kind === "look" ? this.#look(sights) : this.#glance(sights);
    const tookMs = Math.max(0, cpuTime() - began);
    // Moves are rationed by themselves.
    const lookedMs = Math.max(0, tookMs - this.#orderingMs);
    this.#orderingMs = 0;
    this.#spentMs += tookMs;
    this.#rounds += 1;
    this.#ticking = sights.length > 0;
    if (this.#ticking) after(this.#rhythm.after({ kind, tookMs: lookedMs, ...found }, now()), () => this.#tick());
  }

  /** All flows whose ends say anything, with what they say. */
  #sights(): readonly Sight[] {
    const { flows, observers, counters } = this.#options;
    const seen = [...flows()].filter((flow) => observers(flow) !== undefined);
    const said = seen.length === 0 ? [] : counters(seen.flatMap((flow) => observers(flow) ?? []));
    return seen.map((flow, index) => ({ flow, counters: [said[2 * index], said[2 * index + 1]] }));
  }

  /** Only whether memory is where its reader is; that some of it is not, is looked into. */
  #glance(sights: readonly Sight[]): Found {
    const nowMs = this.#options.now();
    let again = false;
    for (const { flow, counters: [a, b] } of sights) {
      if (a === undefined || b === undefined) continue;
      const steered = this.#of(flow);
      if (!steered.saw([a, b], this.#kernel, nowMs)) continue;
      steered.heard(flow, [a, b], nowMs);
      if (this.#held(flow, steered) !== undefined) continue;
      again ||= !steered.follower.sure;
      this.#follow(flow, steered, this.#facts(flow, steered), nowMs);
    }
    return { active: true, again };
  }

  /** One round over all flows. */
  #look(sights: readonly Sight[]): Found {
    const nowMs = this.#options.now();
    let again = false;
    const due: (readonly [Flow, Steered])[] = [];
    for (const { flow, counters: [a, b] } of sights) {
      if (a === undefined || b === undefined) continue;
      const steered = this.#of(flow);
      again ||= steered.saw([a, b], this.#kernel, nowMs) && !steered.follower.sure;
      steered.heard(flow, [a, b], nowMs);
      if (steered.sampler.active || steered.trial?.holds === true || this.#mustMove(flow, steered)) due.push([flow, steered]);
    }
    if (due.length === 0) return { active: false, again };
    this.#kernel.begin(nowMs);
    const turns = Math.ceil((due.length * 2) / LOOKS_PER_ROUND);
    this.#round += 1;
    for (const [index, [flow, steered]] of due.entries()) {
      if (index % turns === this.#round % turns) this.#place(flow, steered, nowMs);
    }
    for (const [flow, steered] of due) this.#steer(flow, steered, nowMs);
    return { active: true, again };
  }

  #of(flow: Flow): Steered {
    const known = this.#steered.get(flow.flow);
    if (known !== undefined) return known;
    const steered = new Steered(flow, this.#pace(), this.#options.now());
    this.#steered.set(flow.flow, steered);
    return steered;
  }

  #place(flow: Flow, steered: Steered, nowMs: number): void {
    if (!isWhole(flow)) return;
    const [a, b] = [flow.ends[0].client.pid, flow.ends[1].client.pid];
    // Several threads of one process cannot be told apart from here.
    if (a === b || a <= 0 || b <= 0) return;
    const sights = [this.#kernel.look(a, undefined), this.#kernel.look(b, undefined)] as const;
    const elapsedS = steered.placedAtMs === -Infinity ? 1 : (nowMs - steered.placedAtMs) / 1000;
    if (elapsedS > 0) steered.sampler.place(sights, this.#kernel, elapsedS);
    steered.placedAtMs = nowMs;
  }

  #facts(flow: Flow, steered: Steered): FlowFacts {
    const machine: MachineFacts = {
      virtualised: this.#options.virtualised,
      cpus: Math.max(1, this.#kernel.cpus.length),
      pressureShare: this.#kernel.pressure,
    };
    const { asked, transports, ringBytes } = steered;
    const lineNs = (a: number, b: number) => this.#options.model().lineNs(a, b);
    return steered.sampler.facts({ trust: flow.trust, asked, transports, ringBytes, machine, kernel: this.#kernel, lineNs });
  }

  #choose(flow: Flow, facts: FlowFacts): Choice {
    return choose(facts, this.#options.model(), termsFor(this.#options.rules(), flow.names[0], flow.names[1]));
  }

  #pace(): Pace {
    return this.#options.model().measured ? PACE : CAUTIOUS_PACE;
  }

  /** Why nothing is decided about it now. */
  #held(flow: Flow, steered: Steered): string | undefined {
    if (steered.mode === "manual") return "fable policy manual was said of it";
    if (steered.mode === undefined && this.mode === "manual") return "the policy is manual";
    if (steered.mode === undefined && steered.origin === "operator") return "an operator moved it; fable policy auto FLOW gives it back";
    if (steered.underWay || this.#options.busy(flow)) return "it is being moved";
    return undefined;
  }

  /** A rule pins it to something that it is not. */
  #mustMove(flow: Flow, steered: Steered): boolean {
    const { pin } = termsFor(this.#options.rules(), flow.names[0], flow.names[1]);
    return pin !== undefined && steered.transports.some((transport) => transport !== pin);
  }

  #steer(flow: Flow, steered: Steered, nowMs: number): void {
    if (this.#held(flow, steered) !== undefined) return steered.decider.skip(nowMs);
    const facts = this.#facts(flow, steered);
    if (!this.#mustMove(flow, steered) && this.#spending(facts) < WORTH_A_THOUGHT) {
      steered.decider.skip(nowMs);
      this.#letGo(flow, steered, "hardly anything travels");
      return void this.#follow(flow, steered, facts, nowMs);
    }
    const choice = this.#choose(flow, facts);
    const decision = steered.decider.sample(choice, seenOf(facts), transportOf(facts), steered.ringBytes, this.#pace(), nowMs);
    if (decision !== undefined) return this.#move(flow, steered, decision);
    if (this.#follow(flow, steered, facts, nowMs)) return;
    if (this.#options.rules().affinity) this.#coschedule(flow, steered, facts, choice.coscheduling, nowMs);
    else this.#letGo(flow, steered, "the rules do not allow it");
  }

  /** Has its memory go where its readers are, if that should be. */
  #follow(flow: Flow, steered: Steered, facts: FlowFacts, nowMs: number): boolean {
    const decision = steered.follower.decide(facts, this.#kernel.topology, nowMs, () => steered.decider.spend(this.#pace(), nowMs));
    if (decision !== undefined) this.#move(flow, steered, decision);
    return decision !== undefined;
  }

  /** Seconds per second that its messages take as things are. */
  #spending(facts: FlowFacts): number {
    const model = this.#options.model();
    const of = (side: 0 | 1) => {
      const { transport, msgsPerS } = facts.directions[side];
      return msgsPerS === 0 ? 0 : msgsPerS * (model.nsPerMessage(transport, situationOf(facts, side)) ?? 1e9) * 1e-9;
    };
    return of(0) + of(1);
  }

  #move(flow: Flow, steered: Steered, { transport, ringBytes, reason }: Decision): void {
    const { now, order, log, cpuTime } = this.#options;
    const record = { flow: flow.flow, names: flow.names, transport, ...(ringBytes === undefined ? {} : { ring_bytes: ringBytes }) };
    const done = (error: FableError | undefined) => {
      steered.underWay = false;
      if (error === undefined) {
        steered.ringBytes = ringBytes ?? steered.ringBytes;
        this.#moves += 1;
        return log({ event: "moved", ...record, reason });
      }
      // What cannot be is not tried again soon; what came in between is waited for.
      if (error.code === "UNSUPPORTED_TRANSPORT") steered.decider.refused(transport, this.#pace(), now());
      else steered.decider.disturbed(now() + COURTESY_MS);
      log({ event: "refused", ...record, reason: error.message });
    };
    steered.underWay = true;
    steered.reason = reason;
    const began = cpuTime();
    try {
      order(flow, transport, ringBytes, done);
    } catch (error) {
      done(error instanceof FableError ? error : new FableError("SYSTEM", String(error)));
    }
    this.#orderingMs += cpuTime() - began;
  }

  #coschedule(flow: Flow, steered: Steered, facts: FlowFacts, advice: Advice, nowMs: number): void {
    const trial = steered.trial ??= new Trial();
    const step = trial.step({
      nowMs,
      advice,
      affinities: [facts.ends[0].affinity, facts.ends[1].affinity],
      msgsPerS: facts.directions[0].msgsPerS + facts.directions[1].msgsPerS,
      cpus: this.#kernel.cpus,
      busy: (cpu) => this.#kernel.busyOf(cpu),
    });
    if (step === undefined) return;
    const say = (reason: string) => this.#options.log({ event: "affinity", flow: flow.flow, names: flow.names, reason });
    if (step.step === "kept") return say(`kept: ${step.reason}`);
    const all = this.#confine(flow, step.masks);
    if (step.step === "undo") return say(`undone: ${step.reason}`);
    say(
      all
        ? `both ends set to CPUs ${step.masks.map((mask) => mask.join(",")).join(" and ")}: ${step.reason}`
        : "its ends' CPUs cannot be set from here",
    );
    if (!all) this.#letGo(flow, steered, "not both could be set");
  }

  /** Its ends get back what CPUs they had, if this broker took any. */
  #letGo(flow: Flow, steered: Steered, reason: string): void {
    if (steered.trial?.holds !== true) return;
    this.#confine(flow, steered.trial.abandon(this.#options.now()) ?? [undefined, undefined]);
    this.#options.log({ event: "affinity", flow: flow.flow, names: flow.names, reason: `undone: ${reason}` });
  }

  #confine(flow: Flow, masks: readonly [readonly number[] | undefined, readonly number[] | undefined]): boolean {
    return flow.ends.map((end, side) => {
      const mask = masks[side];
      return end === undefined || mask === undefined || this.#options.confine(end.client.pid, mask);
    }).every(Boolean);
  }
}
