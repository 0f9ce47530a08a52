/**
 * The name service as the rest of the library sees it: register a name, listen, connect, look around. `client.ts` implements it over the
 * broker's socket; a test may implement it in memory. No descriptor passes through here that its receiver does not own afterwards.
 */
import type { TransportName, Trust } from "../transport/transport.ts";

/** Descriptors an initiator sends along: they stay the caller's, who closes them once the request is answered. */
export interface OfferedDescriptors {
  readonly controlFd: number;
  /** Absent for kernel transports. */
  readonly ringFd?: number;
  readonly doorbellFd: number;
  /** Where the ends settle reconfigurations. */
  readonly linkFd: number;
  /** Kernel transports only: the peer's end of the data socket. */
  readonly dataFd?: number;
}

export interface ConnectRequest {
  /** The peer's name, `xio://…`. */
  readonly to: string;
  /** The registered name this end speaks for; anonymous without. */
  readonly from?: string;
  /** By hand; without, the broker chooses. */
  readonly transport?: TransportName;
  readonly trust: Trust;
  readonly ringBytes: number;
  readonly maxMessageBytes: number;
  /** The deadline of everything: reaching or starting a broker, waiting for the listener, its answer. */
  readonly timeoutMs: number;
  /**
   * What to do while nobody listens at the name: wait for somebody until the deadline (the default; then NAME_UNKNOWN or NOT_LISTENING), or
   * with false fail so at once.
   */
  readonly wait?: boolean;
  readonly signal?: AbortSignal;
  /**
   * Makes this end's half once the mechanism is known. The first call is optimistic (the requested transport, else "mempipe", with the trust
   * asked for); it is called again if the broker answers that another transport or a stricter trust is needed, or if broker or listener died
   * before they answered. Each call replaces the half of the call before, which its maker closes: that one may have been seen by somebody.
   */
  prepare(transport: TransportName, trust: Trust): OfferedDescriptors;
}

/** The peer's half. Its descriptors belong to whoever receives the grant. */
export interface Grant {
  /** Broker-wide identity of the channel, for `fable flows` and restores. */
  readonly flow: string;
  readonly transport: TransportName;
  /** Effective: the stricter of both ends and the policy. */
  readonly trust: Trust;
  readonly peerName: string;
  readonly peerPid: number;
  readonly peerUid: number;
  readonly controlFd: number;
  readonly ringFd: number | undefined;
  /** An initiator's only if the broker made another pair than its own: between users, where nobody may keep a copy of the other's end. */
  readonly doorbellFd: number | undefined;
  readonly pidFd: number;
}

/** A connection somebody wants with a listening name. Its descriptors belong to whoever receives the offer. */
export interface Offer extends Grant {
  readonly doorbellFd: number;
  readonly linkFd: number;
  readonly dataFd: number | undefined;
  readonly ringBytes: number;
  readonly maxMessageBytes: number;
}

/** The acceptor's answer; the descriptors stay the caller's, who closes them when the call returns. */
export interface OfferAnswer {
  readonly controlFd: number;
  readonly ringFd?: number;
}

export interface ListenOptions {
  /** Connections completed but not yet taken by the application; further ones are refused with BACKLOG_FULL. */
  readonly backlog: number;
  /** How this end wants to treat its peers (default "trusted"); the effective trust is in each offer. */
  readonly trust?: Trust;
  /**
   * Answers an offer at once, or throws to refuse it. Code and message of a FableError reach the initiator, of another error the message with
   * the code REFUSED: throw BACKLOG_FULL when the application has not taken the last ones.
   */
  onOffer(offer: Offer): OfferAnswer;
}

export interface Registration {
  readonly name: string;
  listen(options: ListenOptions): Promise<void>;
  unlisten(): Promise<void>;
  /** Gives the name back. Live channels go on. */
  close(): Promise<void>;
}

export interface RegisterOptions {
  /** Lets other registrations of the same user that also ask for it have the name too; connections are spread over those that listen. */
  readonly share?: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface NameEntry {
  readonly name: string;
  readonly pid: number;
  readonly uid: number;
  readonly listening: boolean;
  readonly since: string;
}

export interface FlowDirection {
  readonly from: string;
  readonly transport: TransportName;
  readonly trust: Trust | "n/a";
  readonly epoch: number;
  readonly messages: number;
  readonly bytes: number;
  readonly msgs_per_s: number;
  readonly wakeups: number;
  readonly blocked_ns: number;
  readonly placement: string;
}

/** One line of `fable flows --json`. */
export interface FlowEntry {
  readonly flow: string;
  readonly names: readonly [string, string];
  readonly pids: readonly [number, number];
  readonly directions: readonly FlowDirection[];
  readonly reason: string;
  readonly since: string;
}

/** The broker wants a channel to go on through another transport. */
export interface ReconfigureOrder {
  readonly transport: TransportName;
  readonly reason: "operator" | "policy";
  /** Without, as much memory as the direction has now. */
  readonly ringBytes?: number;
  /** How long open buffers may hold it up, if that is shorter than the end's own limit. */
  readonly drainDeadlineMs?: number;
}

/**
 * Calls `settle` once: when both directions, as far as this end can see, are there, or with a FableError that says why one is not. No promise,
 * because a thread that blocks would never see it kept.
 */
export type ReconfigureListener = (order: ReconfigureOrder, settle: (error?: unknown) => void) => void;

export interface NameService {
  register(name: string, options?: RegisterOptions): Promise<Registration>;
  connect(request: ConnectRequest): Promise<Grant>;
  names(): Promise<readonly NameEntry[]>;
  /** Rates are over the last `windowMs` (the call takes that long), else since the last time somebody asked. */
  flows(options?: { readonly windowMs?: number }): Promise<readonly FlowEntry[]>;
  /** Tells the broker that this end of a flow is gone. Never throws; a broker that is down learns it otherwise. */
  flowClosed(flow: string): void;
  /**
   * Remembers what proves this end's half to a later broker: the own control region's descriptor, kept open (a duplicate) until flowClosed.
   */
  flowOpened(flow: string, controlFd: number): void;
  /** The broker says the peer of a flow died. Ends also watch by themselves; whoever learns first acts. */
  onPeerDead(flow: string, listener: () => void): () => void;
  /** Calls the listener with each order the broker has for this end of a flow, and tells the broker what came of it. */
  onReconfigure(flow: string, listener: ReconfigureListener): () => void;
  /**
   * Has both ends of a flow move it to a transport. Resolves when both say that they did; else rejects with what an end could not do, with
   * TIMEOUT that names who did not report, with SUPERSEDED when somebody ordered something newer.
   */
  reconfigureFlow(flow: string, transport: TransportName, timeoutMs: number, options?: { readonly ringBytes?: number }): Promise<void>;
  /** For threads that do not come to their event loop: readable when the broker said something; -1 without a connection. */
  readonly wakeFd: number;
  /** How long such a thread may wait before it attends again, whatever the descriptor says. */
  readonly patienceMs: number;
  /** Takes and does what the broker said, now. What promises wait for is settled, but they go on in the event loop. Never blocks. */
  attend(): void;
  /** Keeps the process alive while true. */
  setRef(on: boolean): void;
  close(): Promise<void>;
}

/** The broker a client is connected to. */
export interface BrokerIdentity {
  readonly pid: number;
  readonly embedded: boolean;
  readonly instance: string;
  readonly started: string;
}

/** Who moves channels: the broker's policy, or people. */
export type PolicyMode = "auto" | "manual";

/** A name service that is a broker, with what its operators want to know. */
export interface BrokerService extends NameService {
  /** The broker this client is connected to now. */
  readonly broker: BrokerIdentity | undefined;
  stats(): Promise<Readonly<Record<string, number>>>;
  /** Who moves channels, or one of them: the policy or people. Without a mode nothing changes. Gives what holds for all. */
  policy(mode?: PolicyMode, flow?: string): Promise<PolicyMode>;
  /** What the policy knows and thinks of a flow, as JSON. */
  explain(flow: string): Promise<string>;
  /** Ends the broker. Only its own user and root may. */
  shutdown(): Promise<void>;
}
