/**
 * The broker between its sessions and its tables: takes checked messages, asks the kernel about descriptors, lets the table decide and carries
 * out what it says. No sockets, files or clocks of its own: `daemon.ts` gives it those, tests give it others.
 */
import { FableError } from "../errors.ts";
import {
  commonVersion,
  errorMessage,
  LAYOUT_RANGE,
  PROTOCOL_RANGE,
  type Request,
  type Requests,
  versionRefusal,
} from "../naming/protocol.ts";
import type { Quotas } from "./accounts.ts";
import type { Flow } from "./flows.ts";
import { steeringOf } from "./helm.ts";
import { assertRoles, Introductions } from "./introductions.ts";
import type { Lives } from "./lives.ts";
import { metricsText } from "./metrics.ts";
import type { Client } from "./names.ts";
import { Reconfigurations, unknownFlow } from "./reconfigurations.ts";
import { checkControl, type RegionFacts } from "./regions.ts";
import { type Figures, Report } from "./report.ts";
import type { Rulebook } from "./rulebook.ts";
import type { Counters } from "./sampler.ts";
import { type BrokerLink, type Descriptors, Session } from "./session.ts";
import type { Steering, SteeringRecord } from "./steering.ts";
import { type Step, Table } from "./table.ts";
import { type FlowTicket, type TicketProcess, Tickets, unfitTicket } from "./tickets.ts";

/** The outside, as far as the broker needs it. */
export interface BrokerIo {
  /** Milliseconds since 1970, never going back. */
  now(): number;
  close(fd: number): void;
  region(fd: number): RegionFacts | undefined;
  /** True for a Unix stream socket. */
  isStream(fd: number): boolean;
  /** True for a Unix packet socket. */
  isPackets(fd: number): boolean;
  /** A read-only mapping of a control region, for figures; -1 if that fails. The descriptor stays the caller's. */
  observe(controlFd: number): number;
  figures(observer: number): Figures;
  unobserve(observer: number): void;
  /** What the ends count, in one go; undefined for those that say nothing. */
  counters(observers: readonly number[]): readonly (Counters | undefined)[];
  /** A file of the kernel's. */
  read(path: string): string | undefined;
  affinity(tid: number): readonly number[] | undefined;
  confine(tid: number, cpus: readonly number[]): boolean;
  /** CPU time of this thread, in milliseconds. */
  cpuTime(): number;
  /** Both ends of a new doorbell. */
  doorbell(): readonly [number, number];
  /** Calls `tick` by then, perhaps before. */
  wake(at: number | undefined): void;
  after(ms: number, task: () => void): void;
  /** Nobody gets in any more: the socket's name is free for a successor. */
  stopListening(): void;
  /** Ends this broker, once the current task is done. */
  leave(reason: "replaced" | "shutdown"): void;
  /** Sessions or flows ended. */
  settled(): void;
}

export interface BrokerOptions {
  readonly quotas: Quotas;
  /** Six letters or digits, different for each broker. */
  readonly instance: string;
  readonly embedded: boolean;
  readonly pid: number;
  readonly uid: number;
  /** Until then, names belong to those who had them under the broker before. */
  readonly graceUntil: number;
  /** Given to the successor on "replace"; -1 if there is none. */
  readonly lockFd: number;
  /** The operator's rules and the calibration table, as they are now. */
  readonly rulebook: Pick<Rulebook, "rules" | "model">;
  readonly virtualised: boolean;
  /** A decision was made. */
  log(record: SteeringRecord): void;
}

const WAITING_PER_NAME = 1024;

export class Broker {
  readonly table: Table;
  readonly #io: BrokerIo;
  readonly #lives: Lives;
  readonly #tickets: Tickets;
  readonly #options: BrokerOptions;
  readonly #report: Report;
  readonly #started: number;
  readonly #sessions = new Map<number, Session>();
  readonly #introductions: Introductions;
  readonly #moves: Reconfigurations;
  readonly #steering: Steering;
  #lastSession = 0;

  constructor(io: BrokerIo, lives: Lives, tickets: Tickets, options: BrokerOptions) {
    const { quotas, instance, graceUntil, rulebook } = options;
    this.#io = io;
    this.#lives = lives;
    this.#tickets = tickets;
    this.#options = options;
    this.#started = io.now();
    this.table = new Table({ quotas, tag: instance, graceUntil, waitingPerName: WAITING_PER_NAME, rules: () => rulebook.rules });
    const policy = { reasonFor: (flow: Flow) => this.#steering.reasonFor(flow), placement: (flow: Flow) => this.#steering.placement(flow) };
    this.#report = new Report(io, this.table, policy);
    const session = (id: number) => this.#sessions.get(id);
    this.#introductions = new Introductions({ io, table: this.table, lives, tickets, report: this.#report, session });
    const look = (flow: Flow) => this.#report.look(flow);
    const rules = { uid: options.uid, drainDeadlineMs: () => rulebook.rules.drainDeadlineMs };
    this.#moves = new Reconfigurations({ flows: this.table.flows, ...rules, now: () => io.now(), session, look });
    this.#steering = steeringOf(io, options, this.table, this.#report, this.#moves);
  }

  /** How many are connected. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** True when nobody is connected and no channel lives. */
  get idle(): boolean {
    return this.#sessions.size === 0 && this.table.flows.size === 0;
  }

  /** Somebody connected. Owns `pidFd` unless it throws. */
  admit(link: BrokerLink, who: TicketProcess, pidFd: number): Session {
    if (pidFd < 0) {
      throw new FableError("UNSUPPORTED_PLATFORM", "the kernel does not say which process connects", {
        remedy: "it takes Linux 5.3 or later",
      });
    }
    const session = ++this.#lastSession;
    // A process that the kernel cannot show (another pid namespace) is nobody else, and nobody later.
    const process = who.start === "0" || who.pid === 0 ? { ...who, start: `session-${session}-${this.#options.instance}` } : who;
    const client: Client = { session, uid: who.uid, pid: who.pid, process: `${process.uid}:${process.pid}:${process.start}` };
    this.table.openSession(client);
    this.#lives.enter(client.process, pidFd);
    const admitted = new Session({
      client,
      process,
      link,
      closeDescriptor: (fd) => this.#io.close(fd),
      handle: (from, request, descriptors) => this.#handle(from, request, descriptors),
      ended: (ended) => this.#ended(ended),
    });
    this.#sessions.set(session, admitted);
    return admitted;
  }

  /** A process died: its peers learn it now. */
  processDied(process: string): void {
    for (const { flow, tell } of this.table.flows.died(process)) {
      for (const session of tell) this.#sessions.get(session)?.send({ type: "peer-dead", flow: flow.flow });
      this.#moves.flowEnded(flow, process);
      if (this.table.flows.get(flow.flow) === undefined) this.#forget(flow);
    }
    // A descriptor that a forked child inherited would keep the connection open for ever.
    for (const session of [...this.#sessions.values()]) if (session.client.process === process) session.end();
    this.#lives.leave(process);
    this.#io.settled();
  }

  /** It is time for what `wake` was set for. Says when it will be next. */
  tick(): number | undefined {
    const { failed, registered, over } = this.table.expire(this.#io.now());
    this.#moves.expire(this.#io.now());
    this.#introductions.carryOut(failed);
    for (const flow of over) this.#forget(flow);
    for (const step of registered) this.#answerRegistration(step);
    return this.#nextDeadline();
  }

  /**
   * Looks at every session's socket, rung or not. A client that sends its own socket and rings for nothing would otherwise hold itself open
   * from within the broker's queue: its end would never come.
   */
  lookAround(): void {
    for (const session of [...this.#sessions.values()]) session.link.look();
  }

  /** Everybody goes. */
  close(reason: "replaced" | "shutdown" | "idle"): void {
    this.#moves.abandon();
    this.#steering.close();
    for (const session of [...this.#sessions.values()]) {
      if (reason !== "idle" && session.ready) session.send({ type: "going", reason });
      session.end();
    }
    this.#report.close();
    this.#lives.close();
  }

  /** For Prometheus. */
  metrics(): string {
    return metricsText(this.stats(), this.#report.lines());
  }

  stats(): Record<string, number> {
    const { names, flows, waiting, accounts } = this.table;
    return {
      sessions: this.#sessions.size,
      names: names.size,
      flows: flows.size,
      waiting,
      reconfigurations: this.#moves.size,
      users: accounts.users,
      held_halves: this.#introductions.held,
      observers: this.#report.observers,
      ...this.#steering.figures,
      uptime_ms: Math.round(this.#io.now() - this.#started),
    };
  }

  #handle(session: Session, request: Request, descriptors: Descriptors): void {
    const { client } = session;
    switch (request.type) {
      case "hello":
        return this.#hello(session, request);
      case "register":
        return this.#register(session, request);
      case "unregister":
        return this.#done(session, request.id, this.table.unregister(client, request.name));
      case "listen":
        return this.#done(session, request.id, this.table.listen(client, request.name, request.backlog, request.trust));
      case "unlisten":
        this.table.names.unlisten(client.session, request.name);
        return this.#done(session, request.id, []);
      case "connect":
        this.#introductions.connect(session, request, descriptors);
        return this.#setTimer();
      case "cancel":
        return this.#cancel(session, request.id);
      case "accept":
        this.#introductions.accept(session, request, descriptors);
        return this.#steering.wake();
      case "refuse": {
        const remedy = request.remedy === undefined ? {} : { remedy: request.remedy };
        const error = new FableError(request.code, request.message, remedy);
        return this.#introductions.carryOut(this.table.refuse(this.table.answered(client, request.flow), error));
      }
      case "names":
        return void session.send({ type: "names", id: request.id, ...this.#report.names(request.after) });
      case "flows":
        return this.#flows(session, request);
      case "flow-closed":
        return this.#flowClosed(client, request.flow);
      case "restore":
        return this.#restore(session, request, descriptors);
      case "reconfigure":
        this.#moves.begin(client, request);
        return this.#setTimer();
      case "policy":
        return this.#policy(session, request);
      case "explain":
        return void session.send({ type: "explained", id: request.id, ...this.#steering.explained(this.#known(request.flow)) });
      case "reconfigured":
        return this.#moves.reported(client, request);
      case "stats":
        return void session.send({ type: "stats", id: request.id, figures: this.stats() });
      case "shutdown":
        this.#requireOperator(session, "end this broker");
        this.#io.stopListening();
        session.send({ type: "done", id: request.id });
        return this.#io.leave("shutdown");
      case "replace":
        this.#requireOperator(session, "replace this broker");
        // Before the successor has the lock and makes a socket of the same name.
        this.#io.stopListening();
        session.send({ type: "released", id: request.id, descriptors: ["lock"] }, [this.#options.lockFd]);
        return this.#io.leave("replaced");
    }
  }

  #hello(session: Session, hello: Requests["hello"]): void {
    const protocol = commonVersion(PROTOCOL_RANGE, hello.protocol);
    if (protocol === undefined) return session.dismiss(versionRefusal("protocol", hello.protocol, PROTOCOL_RANGE));
    const layout = commonVersion(LAYOUT_RANGE, hello.layout);
    if (layout === undefined) return session.dismiss(versionRefusal("layout", hello.layout, LAYOUT_RANGE));
    const [ours, theirs] = this.#io.doorbell();
    const { embedded, instance, pid } = this.#options;
    const broker = { pid, embedded, instance, started: new Date(this.#started).toISOString() };
    session.becomeReady();
    session.send({ type: "welcome", protocol, layout, session: session.client.session, broker, descriptors: ["doorbell"] }, [theirs]);
    this.#io.close(theirs);
    session.link.useDoorbell(ours);
  }

  #register(session: Session, request: Requests["register"]): void {
    const { id, name, share = false, ticket } = request;
    const ticketed = ticket !== undefined && this.#tickets.provesName(ticket, session.process, name, share);
    if (ticket !== undefined && !ticketed) throw unfitTicket();
    const step = this.table.register({ client: session.client, name, share, ticketed }, id, this.#io.now());
    if (step !== undefined) this.#answerRegistration(step);
    this.#setTimer();
  }

  #answerRegistration(step: ReturnType<Table["expire"]>["registered"][number]): void {
    const session = this.#sessions.get(step.client.session);
    if (session === undefined) return;
    if (step.step === "not-registered") return void session.send(errorMessage(step.id, step.error));
    session.send({ type: "done", id: step.id, ticket: this.#tickets.forName(session.process, step.owner.name, step.owner.share) });
  }

  #cancel(session: Session, id: number): void {
    const pending = this.table.cancel(session.client, id);
    if (pending !== undefined) this.#introductions.drop(pending);
    if (this.#moves.cancel(session.client, id)) session.send(errorMessage(id, new FableError("ABORTED", "whoever asked gave up")));
    if (pending !== undefined) session.send(errorMessage(id, new FableError("ABORTED", "the connecting end gave up")));
  }

  #restore(session: Session, request: Requests["restore"], descriptors: Descriptors): void {
    assertRoles(request.descriptors, ["control"], descriptors);
    const ticket: FlowTicket | undefined = this.#tickets.provenFlow(request.ticket, session.process, request.flow);
    if (ticket === undefined) throw unfitTicket();
    const shown = checkControl(this.#io.region(descriptors.peek(0)));
    const flow = this.table.flows.restore(session.client, { ...ticket, shown });
    const [controlFd = -1] = descriptors.takeAll();
    this.#report.observe(flow, ticket.role === 0 ? [controlFd, -1] : [-1, controlFd]);
    this.#steering.wake();
    this.#io.close(controlFd);
    session.send({ type: "done", id: request.id });
  }

  #flows(session: Session, request: Requests["flows"]): void {
    const { id, after, window_ms = 0 } = request;
    const answer = () => void session.send({ type: "flows", id, ...this.#report.flows(after) });
    if (window_ms === 0) return answer();
    this.#report.sample();
    this.#io.after(window_ms, answer);
  }

  #policy(session: Session, { id, mode, flow }: Requests["policy"]): void {
    if (mode !== undefined) {
      this.#requireOperator(session, "say who moves channels");
      this.#steering.setMode(mode, flow === undefined ? undefined : this.#known(flow));
    }
    session.send({ type: "policy", id, mode: this.#steering.mode });
  }

  #known(flow: string): Flow {
    const known = this.table.flows.get(flow);
    if (known === undefined) throw unknownFlow(flow);
    return known;
  }

  #flowClosed(client: Client, flow: string): void {
    const known = this.table.flows.get(flow);
    const over = this.table.flows.close(client, flow);
    if (known?.ends.some((end) => end?.open === false) === true) this.#moves.flowEnded(known);
    if (over !== undefined) this.#forget(over);
  }

  #ended(session: Session): void {
    const { client } = session;
    this.#sessions.delete(client.session);
    this.#moves.sessionEnded(client.session);
    const { gone, steps } = this.table.closeSession(client, this.#io.now());
    for (const pending of gone) this.#introductions.drop(pending);
    this.#introductions.carryOut(steps);
    this.#leaveIfUnused(client.process);
    this.#setTimer();
    this.#io.settled();
  }

  #forget(flow: Flow): void {
    this.#moves.flowEnded(flow);
    this.#steering.forget(flow);
    this.#report.forget(flow);
    for (const end of flow.ends) if (end !== undefined) this.#leaveIfUnused(end.client.process);
    this.#io.settled();
  }

  #leaveIfUnused(process: string): void {
    for (const session of this.#sessions.values()) if (session.client.process === process) return;
    if (!this.table.flows.involves(process)) this.#lives.leave(process);
  }

  #done(session: Session, id: number, steps: readonly Step[]): void {
    session.send({ type: "done", id });
    this.#introductions.carryOut(steps);
  }

  #setTimer(): void {
    this.#io.wake(this.#nextDeadline());
  }

  #nextDeadline(): number | undefined {
    const next = Math.min(this.table.nextDeadline() ?? Infinity, this.#moves.nextDeadline());
    return next === Infinity ? undefined : next;
  }

  #requireOperator(session: Session, what: string): void {
    if (session.client.uid === this.#options.uid || session.client.uid === 0) return;
    throw new FableError("REFUSED", `only the broker's own user and root may ${what}`, { remedy: "run the command as that user" });
  }
}
