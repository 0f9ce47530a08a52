/**
 * The name service over the broker's socket. A broker may die and another take its place at any time: this client then connects again,
 * registers its names and shows its flows with their tickets, and repeats what was asked but not answered. Programs notice nothing but time.
 */
import { FableError } from "../errors.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { TransportName } from "../transport/transport.ts";
import type { FrameLink } from "./connection.ts";
import { Correspondence, DEFAULT_TIMEOUT_MS, due, LOST, type Reply, unexpected } from "./correspondence.ts";
import { acceptorHalf, grantFrom, halfDescriptors, offerFrom } from "./halves.ts";
import { HeldFlows } from "./held-flows.ts";
import { type Holding, listenRequest } from "./holding.ts";
import { Lifeline } from "./lifeline.ts";
import { type MoveOptions, obeyOrder, orderMove } from "./orders.ts";
import { brokerPlace, type Place } from "./place.ts";
import { decodeResponse, errorMessage, type Request, type Responses } from "./protocol.ts";
import { Reactor } from "./reactor.ts";
import type {
  BrokerService,
  ConnectRequest,
  FlowEntry,
  Grant,
  NameEntry,
  PolicyMode,
  ReconfigureListener,
  RegisterOptions,
  Registration,
} from "./service.ts";
import { firstTransport } from "./transports.ts";
import { parseName } from "./uri.ts";

export interface NameServiceOptions {
  /** Default: $FABLE_SOCKET, else the runtime folder's. */
  readonly socket?: string;
  /** Whether to start a broker if there is none (default "on-demand"). */
  readonly start?: "on-demand" | "never";
  /** The command line that stands for `fable` when one is started: default $FABLE_BROKER_COMMAND, else this library's own. */
  readonly command?: readonly string[];
  /** For the first connection (default 10 s). */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const RETRY_MS = 1000;
/** How often one connect may be sent back for another half: more is a broker that cannot make up its mind. */
const MAX_ATTEMPTS = 32;

/** Connects to the name service, starting one if need be. */
export async function connectNameService(native: Native, options: NameServiceOptions = {}): Promise<BrokerService> {
  const client = new BrokerClient(native, brokerPlace(native.library, options.socket), options);
  try {
    await client.reach(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, options.signal);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

class BrokerClient implements BrokerService {
  readonly #native: Native;
  readonly #reactor: Reactor;
  readonly #mail: Correspondence;
  readonly #lifeline: Lifeline;
  readonly #holdings = new Map<string, Holding>();
  readonly #flows: HeldFlows;
  /** How many brokers this client has been connected to: what one ordered is not reported to the next. */
  #brokers = 0;
  #ref = false;
  #closed = false;

  constructor(native: Native, place: Place, options: NameServiceOptions) {
    this.#native = native;
    this.#reactor = new Reactor(native);
    const { library, runtime } = native;
    this.#flows = new HeldFlows({
      duplicate: (fd) => check(library, library.dup(fd), "keep a control region"),
      close: (fd) => void library.close(fd),
      turn: () => new Promise((resolve) => runtime.nextTurn(resolve)),
    });
    this.#mail = new Correspondence({
      place,
      closeDescriptor: (fd) => native.library.close(fd),
      reach: () => this.#lifeline.connect(),
      refChanged: () => this.#applyRef(),
    });
    this.#lifeline = new Lifeline(native, this.#reactor, {
      place,
      start: options.start ?? "on-demand",
      command: options.command,
      wanted: () => this.#mail.waiting > 0 || this.#holdings.size > 0 || this.#flows.size > 0,
      urgent: () => this.#ref || this.#mail.waiting > 0,
      connected: (link) => this.#connected(link),
      lost: () => {
        this.#mail.disconnected();
        this.#applyRef();
      },
      failed: (error) => this.#mail.unreachable(error),
      starting: () => this.#mail.startingBroker(),
      frame: (bytes, descriptors) => this.#frame(bytes, descriptors),
    });
  }

  get broker(): Responses["welcome"]["broker"] | undefined {
    return this.#mail.online ? this.#lifeline.welcome?.broker : undefined;
  }

  async reach(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#mail.reached(performance.now() + timeoutMs, signal);
  }

  async register(name: string, options: RegisterOptions = {}): Promise<Registration> {
    parseName(name);
    if (this.#holdings.has(name)) {
      throw new FableError("NAME_TAKEN", `${name} is already registered by this program`, {
        remedy: "use the registration that exists, or close it first",
      });
    }
    const share = options.share === true;
    const terms = { ...due(options.timeoutMs), signal: options.signal };
    // A registration that comes after its program gave up is given back.
    const late = (reply: Reply) => {
      if (reply.message.type === "done") this.#mail.send((id) => ({ type: "unregister", id, name }), [], () => {});
    };
    const { message } = await this.#mail.ask((id) => ({ type: "register", id, name, share }), [], { ...terms, late });
    if (message.type !== "done") throw unexpected(message);
    const holding: Holding = { name, share, ticket: message.ticket, listening: undefined };
    this.#holdings.set(name, holding);
    return this.#registration(holding);
  }

  async connect(request: ConnectRequest): Promise<Grant> {
    parseName(request.to);
    const terms = { ...due(request.timeoutMs), signal: request.signal };
    const asked = request.transport === undefined ? undefined : firstTransport(request.transport);
    let [transport, trust] = [asked ?? firstTransport("mempipe"), request.trust];
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (!this.#mail.online) await this.#mail.reached(terms.deadline, terms.signal);
      const half = request.prepare(transport, trust);
      const offered = { transport, trust };
      const { roles, descriptors } = halfDescriptors(transport, half);
      const build = (id: number): Request => ({
        type: "connect",
        id,
        to: request.to,
        ...(request.from === undefined ? {} : { from: request.from }),
        ...(asked === undefined ? {} : { transport: asked }),
        wait: request.wait ?? true,
        offered,
        ring_bytes: request.ringBytes,
        max_message_bytes: request.maxMessageBytes,
        timeout_ms: Math.max(0, Math.ceil(terms.deadline - performance.now())),
        descriptors: [...roles],
      });
      const reply = await this.#mail.tell(build, descriptors, { ...terms, late: (late) => this.#lateGrant(late) });
      if (reply === LOST) continue;
      const { message } = reply;
      if (message.type === "grant") return this.#granted(message, reply);
      if (message.type !== "again") throw unexpected(message);
      ({ transport, trust } = message);
    }
    throw new FableError("REFUSED", `${request.to} was offered this connection ${MAX_ATTEMPTS} times and never took it`);
  }

  async names(): Promise<readonly NameEntry[]> {
    return await this.#pages("names", (id, after) => ({ type: "names", id, ...after }));
  }

  async flows(options: { readonly windowMs?: number } = {}): Promise<readonly FlowEntry[]> {
    const window = options.windowMs === undefined ? {} : { window_ms: Math.min(10_000, Math.max(0, Math.round(options.windowMs))) };
    return await this.#pages("flows", (id, after) => ({ type: "flows", id, ...(after.after === undefined ? window : {}), ...after }));
  }

  async stats(): Promise<Readonly<Record<string, number>>> {
    const { message } = await this.#mail.ask((id) => ({ type: "stats", id }), [], due(undefined));
    if (message.type !== "stats") throw unexpected(message);
    return message.figures;
  }

  async policy(mode?: PolicyMode, flow?: string): Promise<PolicyMode> {
    const wish = { ...(mode === undefined ? {} : { mode }), ...(flow === undefined ? {} : { flow }) };
    const { message } = await this.#mail.ask((id) => ({ type: "policy", id, ...wish }), [], due(undefined));
    if (message.type !== "policy") throw unexpected(message);
    return message.mode;
  }

  async explain(flow: string): Promise<string> {
    const { message } = await this.#mail.ask((id) => ({ type: "explain", id, flow }), [], due(undefined));
    if (message.type !== "explained") throw unexpected(message);
    return message.explanation;
  }

  async shutdown(): Promise<void> {
    // Names held here are no reason to start the next broker at once.
    this.#lifeline.leaveItDown(true);
    const reply = await this.#mail.tell((id) => ({ type: "shutdown", id }), [], due(undefined));
    if (reply === LOST || reply.message.type === "done") return;
    this.#lifeline.leaveItDown(false);
    throw unexpected(reply.message);
  }

  flowOpened(flow: string, controlFd: number): void {
    if (!this.#closed) this.#flows.opened(flow, controlFd);
  }

  flowClosed(flow: string): void {
    if (this.#flows.drop(flow)) this.#mail.post({ type: "flow-closed", flow });
  }

  onPeerDead(flow: string, listener: () => void): () => void {
    return this.#flows.onPeerDead(flow, listener);
  }

  onReconfigure(flow: string, listener: ReconfigureListener): () => void {
    return this.#flows.onReconfigure(flow, listener);
  }

  async reconfigureFlow(flow: string, transport: TransportName, timeoutMs: number, options: MoveOptions = {}): Promise<void> {
    await orderMove(this.#mail, flow, transport, timeoutMs, options);
  }

  get wakeFd(): number {
    return this.#mail.link?.wakeFd ?? this.#lifeline.wakeFd;
  }

  get patienceMs(): number {
    return this.#lifeline.patienceMs;
  }

  attend(): void {
    (this.#mail.link ?? this.#lifeline).attend();
  }

  setRef(on: boolean): void {
    this.#ref = on;
    this.#applyRef();
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#lifeline.close();
    this.#mail.close();
    this.#flows.clear();
    this.#holdings.clear();
    this.#reactor.close();
    return Promise.resolve();
  }

  #registration(holding: Holding): Registration {
    const { name } = holding;
    const current = () => {
      if (this.#holdings.get(name) !== holding) {
        throw new FableError("CLOSED", `the registration of ${name} is closed`, { remedy: "register the name again" });
      }
    };
    return {
      name,
      listen: async (options) => {
        current();
        if (holding.listening !== undefined) {
          throw new FableError("NAME_TAKEN", `${name} is already listened on`, { remedy: "use the listener that exists" });
        }
        // Before the answer: an offer may come with it.
        holding.listening = options;
        try {
          await this.#mail.ask((id) => listenRequest(id, name, options), [], due(undefined));
        } catch (error) {
          if (holding.listening === options) holding.listening = undefined;
          throw error;
        }
      },
      unlisten: async () => {
        if (holding.listening === undefined || this.#holdings.get(name) !== holding) return;
        holding.listening = undefined;
        await this.#mail.tell((id) => ({ type: "unlisten", id, name }), [], due(undefined));
      },
      close: async () => {
        if (this.#holdings.get(name) !== holding) return;
        this.#holdings.delete(name);
        holding.listening = undefined;
        if (this.#mail.online) await this.#mail.tell((id) => ({ type: "unregister", id, name }), [], due(undefined));
      },
    };
  }

  /** Asks for page after page. */
  async #pages<K extends "names" | "flows">(
    type: K,
    build: (id: number, after: { readonly after?: string }) => Request,
  ): Promise<Responses[K]["entries"]> {
    const entries: unknown[] = [];
    let after: { readonly after?: string } = {};
    for (;;) {
      const { message } = await this.#mail.ask((id) => build(id, after), [], due(undefined));
      if (message.type !== type) throw unexpected(message);
      const page = message as Responses[K];
      entries.push(...page.entries);
      if (page.after === undefined) return entries as Responses[K]["entries"];
      after = { after: page.after };
    }
  }

  #granted(message: Responses["grant"], reply: Reply): Grant {
    try {
      return grantFrom(message, reply.descriptors, (fd) => this.#native.library.close(fd));
    } catch (error) {
      this.flowClosed(message.flow);
      throw error;
    }
  }

  /** A channel for somebody who no longer waits. */
  #lateGrant(reply: Reply): void {
    if (reply.message.type === "grant") this.flowClosed(reply.message.flow);
  }

  /** Tells a new broker what this program had with the last one. Before anything else, so that nobody gets in between. */
  #connected(link: FrameLink): void {
    this.#brokers += 1;
    this.#mail.connected(link);
    this.#applyRef();
    for (const holding of this.#holdings.values()) this.#restoreName(holding);
    for (const { flow, ticket, controlFd } of this.#flows.proofs()) {
      this.#mail.send((id) => ({ type: "restore", id, flow, ticket, descriptors: ["control"] }), [controlFd], () => {});
    }
    this.#mail.release();
  }

  #restoreName(holding: Holding): void {
    const { name, share, ticket, listening } = holding;
    const proof = ticket === undefined ? {} : { ticket };
    this.#mail.send((id) => ({ type: "register", id, name, share, ...proof }), [], ({ message }) => {
      if (message.type === "done" && message.ticket !== undefined) holding.ticket = message.ticket;
      if (message.type !== "error" || this.#holdings.get(name) !== holding) return;
      // Somebody else has it for now; this program still wants it.
      setTimeout(() => this.#mail.online && this.#holdings.get(name) === holding && this.#restoreName(holding), RETRY_MS).unref();
    });
    if (listening !== undefined) this.#mail.send((id) => listenRequest(id, name, listening), [], () => {});
  }

  #frame(bytes: Uint8Array, descriptors: readonly number[]): void {
    const decoded = decodeResponse(bytes);
    if (!decoded.ok) {
      for (const fd of descriptors) this.#native.library.close(fd);
      if (decoded.id > 0) this.#mail.failed(decoded.id, decoded.error);
      return;
    }
    const { message } = decoded;
    if (message.type === "offer") return this.#offered(message, descriptors);
    if (message.type === "grant") this.#flows.add(message.flow, message.ticket);
    if ("id" in message && message.id > 0) return this.#mail.answer(message, descriptors);
    for (const fd of descriptors) this.#native.library.close(fd);
    if (message.type === "peer-dead") this.#flows.mourn(message.flow);
    if (message.type === "reconfigure") this.#ordered(message);
    if (message.type === "going" && message.reason === "replaced") this.#lifeline.expectSuccessor();
  }

  #offered(message: Responses["offer"], descriptors: readonly number[]): void {
    const listening = this.#holdings.get(message.name)?.listening;
    const offer = offerFrom(message, descriptors, (fd) => this.#native.library.close(fd), listening !== undefined);
    if (offer === undefined || listening === undefined) {
      this.#mail.post({ type: "refuse", flow: message.flow, code: "NOT_LISTENING", message: `${message.name} no longer listens` });
      return;
    }
    this.#flows.add(message.flow, message.ticket);
    try {
      const half = acceptorHalf(message.transport, listening.onOffer(offer));
      if (!this.#mail.post({ type: "accept", flow: message.flow, descriptors: [...half.roles] }, half.descriptors)) {
        // The initiator will never hear of it.
        queueMicrotask(() => this.#flows.mourn(message.flow));
      }
    } catch (error) {
      this.#flows.drop(message.flow);
      const { code, message: why, remedy } = errorMessage(1, error instanceof FableError ? error : refusal(error));
      this.#mail.post({ type: "refuse", flow: message.flow, code, message: why, ...(remedy === undefined ? {} : { remedy }) });
    }
  }

  /** The broker has an order: it learns what came of it, if it still lives then. Nothing here waits for the event loop. */
  #ordered(message: Responses["reconfigure"]): void {
    const broker = this.#brokers;
    obeyOrder(this.#flows, message, (report) => void (broker === this.#brokers && this.#mail.post(report)));
  }

  #applyRef(): void {
    this.#mail.setRef(this.#ref || this.#mail.waiting > 0);
    if (!this.#closed) this.#reactor.setRef(this.#mail.waiting > 0 && !this.#mail.online);
  }
}

const refusal = (error: unknown) => new FableError("REFUSED", error instanceof Error ? error.message : String(error));
