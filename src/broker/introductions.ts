/**
 * Introducing two ends to each other: takes an initiator's half, offers it to the listener, takes the answer and grants the channel. Every
 * descriptor is verified before it is passed on and closed once it was; what waits for a listener is held here.
 */
import { FableError } from "../errors.ts";
import { errorMessage, grantRoles, halfRoles, type Requests } from "../naming/protocol.ts";
import { anonymousName } from "../naming/uri.ts";
import type { BrokerIo } from "./broker.ts";
import type { Flow, FlowEnd } from "./flows.ts";
import type { Lives } from "./lives.ts";
import { checkControl, checkRing } from "./regions.ts";
import type { Report } from "./report.ts";
import type { Descriptors, Session } from "./session.ts";
import type { Offer, Pending, Step, Table } from "./table.ts";
import type { Tickets } from "./tickets.ts";

/** What an initiator sent, while its wish is pending. */
interface HeldHalf {
  readonly control: number;
  /** Empty once they were passed on. */
  readonly others: readonly number[];
  /** The initiator's end of a doorbell made here; -1 if it has its own. */
  readonly doorbell: number;
  readonly ringBytes: number;
  readonly maxMessageBytes: number;
  /** What lets the initiator come back to a later broker; made while the listener thinks. */
  readonly ticket: string;
}

export interface IntroductionsOptions {
  readonly io: Pick<BrokerIo, "now" | "close" | "region" | "isStream" | "isPackets" | "doorbell">;
  readonly table: Table;
  readonly lives: Lives;
  readonly tickets: Tickets;
  readonly report: Report;
  session(id: number): Session | undefined;
}

export class Introductions {
  readonly #halves = new Map<Pending, HeldHalf>();
  readonly #options: IntroductionsOptions;

  constructor(options: IntroductionsOptions) {
    this.#options = options;
  }

  /** Halves that wait here. */
  get held(): number {
    return this.#halves.size;
  }

  /** Somebody wants to connect. */
  connect(session: Session, request: Requests["connect"], descriptors: Descriptors): void {
    const { io, table } = this.#options;
    const { offered } = request;
    assertRoles(request.descriptors, halfRoles(offered.transport, "initiator"), descriptors);
    if (request.transport !== undefined && request.transport !== offered.transport) {
      throw new FableError("PROTOCOL", "the half offered is of another transport than the one asked for");
    }
    const control = checkControl(io.region(descriptors.peek(0)));
    const ring = offered.transport === "unix" ? undefined : checkRing(io.region(descriptors.peek(1)), offered.trust, request.ring_bytes);
    if (ring?.identity === control) {
      throw new FableError("REFUSED", "ring and control region are the same memory", { remedy: "each region has its own" });
    }
    // A listener's event loop will watch these: a pipe or a listening socket could block it or drive it mad.
    const kernel = offered.transport === "unix";
    for (const index of kernel ? [1, 3] : [2]) {
      if (!io.isStream(descriptors.peek(index))) {
        throw new FableError("REFUSED", "a doorbell or data path is no Unix stream socket", {
          remedy: "it must be made by the fable library",
        });
      }
    }
    if (!io.isPackets(descriptors.peek(kernel ? 2 : 3))) {
      throw new FableError("REFUSED", "a link is no Unix packet socket", { remedy: "it must be made by the fable library" });
    }
    const { id, to, from, transport, wait, timeout_ms } = request;
    const deadline = io.now() + timeout_ms;
    const wish = { id, to, from, transport, wait, offered, ringBytes: ring?.bytes ?? 0, control, deadline };
    const { pending, steps } = table.connect(session.client, wish);
    const [controlFd = -1, ...others] = descriptors.takeAll();
    this.#halves.set(pending, {
      control: controlFd,
      others,
      doorbell: -1,
      ringBytes: request.ring_bytes,
      maxMessageBytes: request.max_message_bytes,
      ticket: "",
    });
    this.carryOut(steps);
  }

  /** A listener accepts what it was offered. */
  accept(session: Session, request: Requests["accept"], descriptors: Descriptors): void {
    const { io, table, report } = this.#options;
    const offer = table.answered(session.client, request.flow);
    const { pending } = offer;
    let accepted: ReturnType<Table["accept"]>;
    try {
      if (pending === undefined) throw new FableError("CLOSED", "the connecting end has given up");
      accepted = table.accept(offer, this.#checkAnswer(offer, request, descriptors), Math.round(io.now()));
    } catch (error) {
      // Whatever was wrong, this listener's channel is not to be; and whoever connects hears of it too.
      session.send({ type: "peer-dead", flow: request.flow });
      this.carryOut(table.refuse(offer, refusalOf(error)));
      if (pending === undefined) return;
      throw error;
    }
    const fds = descriptors.takeAll();
    const half = this.#halves.get(pending);
    const controls = [half?.control ?? -1, fds[0] ?? -1] as const;
    this.#halves.delete(pending);
    this.#grant(accepted.flow, pending, fds, half);
    // Only now: nobody waits for figures.
    report.observe(accepted.flow, controls);
    for (const fd of [controls[0], half?.doorbell ?? -1, ...fds]) if (fd >= 0) io.close(fd);
    this.carryOut(accepted.steps);
  }

  /** What the table decided. */
  carryOut(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.step === "offer") {
        this.#offer(step);
        continue;
      }
      const { pending } = step;
      this.drop(pending);
      const session = this.#options.session(pending.client.session);
      const { id } = pending.wish;
      if (step.step === "fail") session?.send(errorMessage(id, step.error));
      else session?.send({ type: "again", id, transport: step.transport, trust: step.trust, reason: step.reason });
    }
  }

  /** The wish is over. */
  drop(pending: Pending): void {
    const half = this.#halves.get(pending);
    this.#halves.delete(pending);
    if (half === undefined) return;
    for (const fd of [half.control, half.doorbell, ...half.others]) if (fd >= 0) this.#options.io.close(fd);
  }

  #offer({ pending, offer }: Extract<Step, { readonly step: "offer" }>): void {
    const { io, lives, tickets, session } = this.#options;
    const { client, wish } = pending;
    const { owner, flow, transport, trust, reason } = offer;
    const half = this.#halves.get(pending);
    const [initiator, listener] = [session(client.session), session(owner.client.session)];
    if (half === undefined || initiator === undefined || listener === undefined) return;
    const [doorbell, others] = client.uid === owner.client.uid ? [-1, half.others] : this.#strangers(offer, half.others);
    if (others === undefined) return;
    const { ringBytes, control: region } = wish;
    const names = [wish.from ?? anonymousName(client.session), owner.name] as const;
    const asked = wish.transport !== undefined;
    const facts = { flow, names, transport, trust, reason, since: Math.round(io.now()), asked, ringBytes, region };
    // A listener that cannot be told any more is about to end, and then whoever waits for it hears "again".
    listener.send({
      type: "offer",
      name: owner.name,
      ...{ flow, transport, trust, reason },
      peer_name: names[0],
      peer_pid: client.pid,
      peer_uid: client.uid,
      ticket: tickets.forFlow(listener.process, { ...facts, role: 1 }),
      ring_bytes: half.ringBytes,
      max_message_bytes: half.maxMessageBytes,
      descriptors: [...halfRoles(transport, "initiator"), "pid"],
    }, [half.control, ...others, lives.descriptor(client.process)]);
    for (const fd of new Set([...half.others, ...others])) io.close(fd);
    // While the listener makes its half, nobody waits for the broker.
    const ticket = tickets.forFlow(initiator.process, { ...facts, role: 0 });
    this.#halves.set(pending, { ...half, others: [], doorbell, ticket });
  }

  /**
   * Flags such as O_NONBLOCK belong to a socket, not to a descriptor of it: an initiator that keeps a copy of the acceptor's end could make
   * the acceptor's event loop block on it. Between users the broker makes the pair, so that each end has one to which nobody else has a key.
   */
  #strangers(offer: Offer, others: readonly number[]): readonly [number, readonly number[] | undefined] {
    try {
      const [initiators, acceptors] = this.#options.io.doorbell();
      return [initiators, others.with(halfRoles(offer.transport, "initiator").indexOf("doorbell") - 1, acceptors)];
    } catch (error) {
      const why = error instanceof FableError ? error : new FableError("SYSTEM", String(error));
      this.carryOut(this.#options.table.refuse(offer, why));
      return [-1, undefined];
    }
  }

  #checkAnswer(
    offer: Offer,
    request: Requests["accept"],
    descriptors: Descriptors,
  ): { readonly control: string; readonly ringBytes: number } {
    const { io } = this.#options;
    assertRoles(request.descriptors, halfRoles(offer.transport, "acceptor"), descriptors);
    const control = checkControl(io.region(descriptors.peek(0)));
    if (offer.transport === "unix") return { control, ringBytes: 0 };
    return { control, ringBytes: checkRing(io.region(descriptors.peek(1)), offer.trust, undefined).bytes };
  }

  #grant(flow: Flow, pending: Pending, descriptors: readonly number[], half: HeldHalf | undefined): void {
    const { lives, session } = this.#options;
    const acceptor = flow.ends[1] as FlowEnd;
    const { transport, trust, reason } = flow;
    const doorbell = half === undefined || half.doorbell < 0 ? [] : [half.doorbell];
    session(pending.client.session)?.send({
      type: "grant",
      id: pending.wish.id,
      ...{ flow: flow.flow, transport, trust, reason },
      peer_name: acceptor.name,
      peer_pid: acceptor.client.pid,
      peer_uid: acceptor.client.uid,
      ticket: half?.ticket ?? "",
      descriptors: [...grantRoles(transport, doorbell.length > 0)],
    }, [...descriptors, ...doorbell, lives.descriptor(acceptor.client.process)]);
  }
}

/** The descriptors that came must be those that were said, and those that are needed. */
export function assertRoles(said: readonly string[], expected: readonly string[], descriptors: Descriptors): void {
  if (said.length === expected.length && descriptors.count === said.length && expected.every((role, index) => said[index] === role)) return;
  throw new FableError(
    "PROTOCOL",
    `expected the descriptors ${expected.join(", ")}, received ${descriptors.count} called ${said.join(", ") || "nothing"}`,
  );
}

function refusalOf(error: unknown): FableError {
  const why = error instanceof Error ? error.message : String(error);
  if (error instanceof FableError && (error.code === "QUOTA" || error.code === "CLOSED")) return error;
  return new FableError("REFUSED", `the listener's answer was no good: ${why}`, { remedy: "look at the listening program" });
}
