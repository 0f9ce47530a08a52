/**
 * What the broker tells about itself: names, and flows with the figures that the ends keep in their control regions. The broker maps those
 * read-only and looks when somebody asks; it is on no data path and nobody waits for it.
 */
import { page, type Responses } from "../naming/protocol.ts";
import { dependsOnTrust } from "../naming/transports.ts";
import type { TransportName } from "../transport/transport.ts";
import type { BrokerIo } from "./broker.ts";
import { type Flow, isWhole } from "./flows.ts";
import type { Whereabouts } from "./reconfigurations.ts";
import type { Table } from "./table.ts";

/** What one end counted. */
export interface Figures {
  readonly messagesSent: number;
  readonly bytesSent: number;
  readonly rings: number;
  readonly blockedNs: number;
  /** Of the direction that this end writes: how many transports it had before this one, which that is (undefined: it does not say)… */
  readonly epoch: number;
  readonly transport: TransportName | undefined;
  /** …how often it moved, and why the last time: FABLE_REASON_*. */
  readonly switches: number;
  readonly switchReason: number;
}

/** What the policy knows about a flow beyond its figures. */
export interface PolicyView {
  /** Why it last moved it. */
  reasonFor(flow: Flow): string | undefined;
  /** Where its ends run, as last seen. */
  placement(flow: Flow): string | undefined;
}

/** Why a flow is as it is, and since when; the last move has the word. */
interface Story {
  readonly reason: string;
  readonly since: number;
}

interface Observation {
  readonly observers: [number, number];
  switches: [number, number];
  story: Story | undefined;
  sampledAt: number;
  messages: [number, number];
  rates: [number, number];
}

type FlowLine = Responses["flows"]["entries"][number];

/** Rates over less than this say more about the moment than about the flow. */
const MIN_WINDOW_MS = 50;
const NOTHING: Figures = {
  ...{ messagesSent: 0, bytesSent: 0, rings: 0, blockedNs: 0 },
  ...{ epoch: 0, transport: undefined, switches: 0, switchReason: 0 },
};

const REASON_POLICY = 3;
/** By FABLE_REASON_*. */
const REASONS: readonly string[] = [
  "for a reason it does not say",
  "because an end's own program moved it",
  "because an operator ordered it",
  "because the policy ordered it",
  "because the path before it broke",
];

export class Report {
  readonly #io: Pick<BrokerIo, "now" | "observe" | "figures" | "unobserve">;
  readonly #table: Table;
  readonly #observations = new Map<string, Observation>();

  readonly #policy: PolicyView;

  constructor(io: Pick<BrokerIo, "now" | "observe" | "figures" | "unobserve">, table: Table, policy: PolicyView) {
    this.#io = io;
    this.#table = table;
    this.#policy = policy;
  }

  /** Ids of the mappings of its ends' control regions. */
  observersOf(flow: Flow): readonly [number, number] | undefined {
    return this.#observations.get(flow.flow)?.observers;
  }

  /** Control regions that are mapped. */
  get observers(): number {
    let count = 0;
    for (const { observers } of this.#observations.values()) for (const observer of observers) if (observer >= 0) count += 1;
    return count;
  }

  /** Maps the ends' control regions (-1: not shown now). */
  observe(flow: Flow, controlFds: readonly [number, number]): void {
    const known = this.#observations.get(flow.flow);
    const observation: Observation = known
      ?? { observers: [-1, -1], switches: [0, 0], story: undefined, sampledAt: flow.since, messages: [0, 0], rates: [0, 0] };
    for (const side of [0, 1] as const) {
      const fd = controlFds[side];
      if (fd < 0) continue;
      if (observation.observers[side] >= 0) this.#io.unobserve(observation.observers[side]);
      observation.observers[side] = this.#io.observe(fd);
    }
    this.#observations.set(flow.flow, observation);
  }

  forget(flow: Flow): void {
    const observation = this.#observations.get(flow.flow);
    this.#observations.delete(flow.flow);
    for (const observer of observation?.observers ?? []) if (observer >= 0) this.#io.unobserve(observer);
  }

  close(): void {
    for (const { observers } of this.#observations.values()) {
      for (const observer of observers) if (observer >= 0) this.#io.unobserve(observer);
    }
    this.#observations.clear();
  }

  names(after: string | undefined): Pick<Responses["names"], "entries" | "after"> {
    const owners = this.#table.names.list().filter((owner) => after === undefined || owner.name > after);
    const lines = owners.map(({ name, client, listening, since }) => ({
      name,
      pid: client.pid,
      uid: client.uid,
      listening: listening !== undefined,
      since: new Date(since).toISOString(),
    }));
    const { entries, rest } = page(lines);
    // The next page begins after a name, so that the lines of a shared one stay together.
    const cut = rest ? lines[entries.length]?.name : undefined;
    const whole = entries.filter((line) => line.name !== cut);
    const chosen = whole.length > 0 ? whole : entries;
    const next = chosen.at(-1)?.name;
    return rest && next !== undefined ? { entries: [...chosen], after: next } : { entries: [...chosen] };
  }

  flows(after: string | undefined): Pick<Responses["flows"], "entries" | "after"> {
    const flows = this.#table.flows.list().filter((flow) => after === undefined || flow.flow > after);
    const { entries, rest } = page(flows.map((flow) => this.#line(flow)));
    const next = entries.at(-1)?.flow;
    return rest && next !== undefined ? { entries: [...entries], after: next } : { entries: [...entries] };
  }

  /** All flows at once, for who needs no pages. */
  lines(): readonly FlowLine[] {
    return this.#table.flows.list().map((flow) => this.#line(flow));
  }

  /** Where both directions are now. If that is new, the flow tells of it whenever somebody asks next. */
  look(flow: Flow): readonly [Whereabouts, Whereabouts] {
    const observation = this.#observations.get(flow.flow);
    const [a, b] = observation === undefined ? [NOTHING, NOTHING] as const : this.#read(observation);
    if (observation !== undefined) this.#notice(flow, observation, [a, b]);
    const of = ({ transport = flow.transport, switches }: Figures) => ({ transport, switches });
    return [of(a), of(b)];
  }

  /** Looks at every flow, so that the next rates count from now. */
  sample(): void {
    for (const flow of this.#table.flows.list()) this.#rates(flow, 0);
  }

  #line(flow: Flow): FlowLine {
    const figures = this.#rates(flow, MIN_WINDOW_MS);
    const observation = this.#observations.get(flow.flow);
    const rates = observation?.rates ?? [0, 0];
    const story = observation?.story ?? flow;
    const pids = isWhole(flow) ? [flow.ends[0].client.pid, flow.ends[1].client.pid] as [number, number] : [0, 0] as [number, number];
    return {
      flow: flow.flow,
      names: [...flow.names],
      pids,
      directions: ([0, 1] as const).map((side) => {
        const { transport = flow.transport, epoch, messagesSent, bytesSent, rings, blockedNs } = figures[side];
        return {
          from: flow.names[side],
          transport,
          trust: dependsOnTrust(transport) ? flow.trust : "n/a" as const,
          epoch,
          messages: messagesSent,
          bytes: bytesSent,
          msgs_per_s: rates[side],
          wakeups: rings,
          blocked_ns: blockedNs,
          placement: this.#policy.placement(flow) ?? "same host",
        };
      }),
      reason: story.reason,
      since: new Date(story.since).toISOString(),
    };
  }

  #read({ observers: [a, b] }: Observation): readonly [Figures, Figures] {
    return [a < 0 ? NOTHING : this.#io.figures(a), b < 0 ? NOTHING : this.#io.figures(b)];
  }

  /** Control regions say how often a direction moved and why, but not when: that is when it was first seen here. */
  #notice(flow: Flow, observation: Observation, figures: readonly [Figures, Figures]): void {
    const moved = ([0, 1] as const).filter((side) => figures[side].switches > observation.switches[side]);
    if (moved.length === 0) return;
    observation.switches = [figures[0].switches, figures[1].switches];
    const tales = moved.map((side) => {
      const { transport = flow.transport, switchReason } = figures[side];
      const policy = switchReason === REASON_POLICY ? this.#policy.reasonFor(flow) : undefined;
      return { from: flow.names[side], tale: policy ?? `${transport}, ${REASONS[switchReason] ?? REASONS[0]}` };
    });
    const same = tales.every(({ tale }) => tale === tales[0]?.tale) && tales.length === 2;
    const reason = same ? tales[0]?.tale ?? "" : tales.map(({ from, tale }) => `from ${from}: ${tale}`).join("; ");
    observation.story = { reason, since: this.#io.now() };
  }

  /** The ends' figures now; rates are renewed when the last look is long enough ago. */
  #rates(flow: Flow, minWindowMs: number): readonly [Figures, Figures] {
    const observation = this.#observations.get(flow.flow);
    if (observation === undefined) return [NOTHING, NOTHING];
    const figures = this.#read(observation);
    this.#notice(flow, observation, figures);
    const elapsed = this.#io.now() - observation.sampledAt;
    if (elapsed > 0 && elapsed >= minWindowMs) {
      const rate = (side: 0 | 1) =>
        Math.max(0, Math.round(((figures[side].messagesSent - observation.messages[side]) * 10_000) / elapsed) / 10);
      observation.rates = [rate(0), rate(1)];
      observation.sampledAt = this.#io.now();
      observation.messages = [figures[0].messagesSent, figures[1].messagesSent];
    }
    return figures;
  }
}
