/**
 * The broker as a program: its lock, its socket and its key in the runtime folder, who connects, when it leaves. Crash-only: nothing is
 * written on the way out that the next one would need; a socket that is still there tells it that the last one crashed.
 */
import { FableError } from "../errors.ts";
import { Alarm } from "../naming/alarm.ts";
import { FrameLink } from "../naming/connection.ts";
import { brokerPlace, type Place, utf8 } from "../naming/place.ts";
import { encode, errorMessage } from "../naming/protocol.ts";
import { Reactor, READABLE, type Watch } from "../naming/reactor.ts";
import { makeFolder } from "../naming/start.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import { fingerprintOf } from "../policy/fingerprint.ts";
import { DEFAULT_QUOTAS, type Quotas } from "./accounts.ts";
import { Broker } from "./broker.ts";
import { brokerNow, createIo, replacer, sessionCredentials } from "./io.ts";
import { ticketKey } from "./key.ts";
import { createLives, type Lives } from "./lives.ts";
import { Loans, type LoansEvent } from "./loans.ts";
import { Rulebook, type RulebookEvent } from "./rulebook.ts";
import type { Session } from "./session.ts";
import type { SteeringRecord } from "./steering.ts";
import { obtainLock } from "./takeover.ts";
import { Tickets } from "./tickets.ts";

export interface DaemonOptions {
  /** Default: $FABLE_SOCKET, else the runtime folder's. */
  readonly socket?: string;
  /** Leaves when nobody needs it, and gives way to a broker that somebody manages. */
  readonly embedded?: boolean;
  /** Takes over from a broker that somebody manages; without, only from an embedded one. */
  readonly replace?: boolean;
  readonly quotas?: Partial<Quotas>;
  /** Of the socket (default 0600); the folder's is the operator's business beyond 0700. */
  readonly socketMode?: number;
  /** How long an embedded broker stays without clients and flows (default 2 s). */
  readonly idleMs?: number;
  /** The operator's rules (docs/policy.md); looked at again when it changes. Default: a neighbour of the socket, if it is there. */
  readonly policyPath?: string;
  /** What `fable calibrate` wrote; default: where it does. */
  readonly calibrationPath?: string;
  /** Hears of each decision, of changes of those two files, and of what a broker that was killed had left. */
  log?(record: DaemonRecord): void;
}

export type DaemonRecord = SteeringRecord | RulebookEvent | LoansEvent;

export type Leaving = "idle" | "replaced" | "shutdown" | "closed";

export interface Daemon {
  readonly socket: string;
  /** Resolves when the broker has left, and why. */
  readonly ended: Promise<Leaving>;
  stats(): Readonly<Record<string, number>>;
  /** The same and all flows, as Prometheus text. */
  metrics(): string;
  close(): Promise<void>;
}

const IDLE_MS = 2000;
/** Whoever started an embedded broker is on its way. */
const FIRST_GUEST_MS = 5000;
/** How long the names of a broker that crashed are kept for those who had them. */
const GRACE_MS = 1000;
const BACKLOG = 1024;
const HANDSHAKE_MS = 5000;
const ACCEPTS_PER_TURN = 64;
/** After running out of descriptors. */
const ACCEPT_PAUSE_MS = 100;
const SERVER_LINK = { maxQueued: 512, maxIdleRings: 1000 };
/** How long a frame may lie unread for which nobody rang. */
const LOOK_MS = 2000;
/** How soon a changed policy file holds. */
const RULES_MS = 1000;
const EMPTY = -1;
const SYSTEM = -13;

/** Starts a broker in this process. Undefined if it is embedded and another one serves the socket already. */
export async function startDaemon(native: Native, options: DaemonOptions = {}): Promise<Daemon | undefined> {
  const place = brokerPlace(native.library, options.socket);
  makeFolder(native.library, place);
  const lock = await obtainLock(native, place, { embedded: options.embedded === true, replace: options.replace === true });
  if (lock === undefined) return undefined;
  try {
    return new RunningDaemon(native, place, options, lock);
  } catch (error) {
    native.library.close(lock.fd);
    throw error;
  }
}

class RunningDaemon implements Daemon {
  readonly socket: string;
  readonly ended: Promise<Leaving>;
  readonly #native: Native;
  readonly #place: Place;
  readonly #options: DaemonOptions;
  readonly #lockFd: number;
  readonly #reactor: Reactor;
  readonly #lives: Lives;
  readonly #broker: Broker;
  readonly #rulebook: Rulebook;
  readonly #lookAtRules: ReturnType<typeof setInterval>;
  readonly #alarm = new Alarm(brokerNow, () => this.#broker.tick());
  readonly #end: (reason: Leaving) => void;
  #listening: { readonly fd: number; readonly watch: Watch } | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #visited = false;
  #left = false;

  constructor(native: Native, place: Place, options: DaemonOptions, lock: { readonly fd: number; readonly succeeds: boolean }) {
    this.socket = place.socket;
    this.#native = native;
    this.#place = place;
    this.#options = options;
    this.#lockFd = lock.fd;
    const { promise, resolve } = Promise.withResolvers<Leaving>();
    this.ended = promise;
    this.#end = resolve;
    const crashed = this.#removeStaleSocket();
    const key = ticketKey(native, place);
    this.#reactor = new Reactor(native);
    this.#lives = createLives(native, this.#reactor, (process) => this.#broker.processDied(process));
    const io = createIo(native, {
      wake: (at) => this.#alarm.set(at),
      stopListening: () => this.#stopListening(),
      leave: (reason) => native.runtime.nextTurn(() => this.#leave(reason)),
      settled: () => this.#considerLeaving(),
    });
    const machine = fingerprintOf(io.read);
    const log = (record: DaemonRecord) => options.log?.(record);
    const { policyPath = place.policy, calibrationPath = place.calibration } = options;
    const policyOptional = options.policyPath === undefined;
    this.#rulebook = new Rulebook({ policyPath, policyOptional, calibrationPath, machine, read: io.read, log });
    const problems = this.#rulebook.start();
    if (problems !== undefined) {
      throw new FableError("BAD_ARGUMENT", problems, { remedy: "docs/policy.md says what a policy file may say" });
    }
    this.#lookAtRules = setInterval(() => this.#rulesMayHaveChanged(), RULES_MS);
    this.#lookAtRules.unref();
    const self = new Uint32Array(6);
    check(native.library, native.library.self(self), "ask who this process is");
    const loans = new Loans({ ...io, replace: replacer(native.library) }, place.loans);
    loans.settle(log);
    const lender = { ...io, confine: (tid: number, cpus: readonly number[]) => loans.confine(tid, cpus) };
    this.#broker = new Broker(lender, this.#lives, new Tickets(key), {
      quotas: this.#quotas(),
      instance: randomTag(native),
      embedded: options.embedded === true,
      pid: self[0] ?? 0,
      uid: self[1] ?? 0,
      graceUntil: crashed || lock.succeeds ? io.now() + GRACE_MS : 0,
      lockFd: lock.fd,
      rulebook: this.#rulebook,
      virtualised: machine.hypervisor !== null,
      log,
    });
    this.#listen();
    this.#reactor.setRef(true);
    this.#considerLeaving();
  }

  stats(): Readonly<Record<string, number>> {
    return this.#broker.stats();
  }

  metrics(): string {
    return this.#broker.metrics();
  }

  close(): Promise<void> {
    this.#leave("closed");
    return Promise.resolve();
  }

  #quotas(): Quotas {
    const { memory_bytes: memoryBytes, ...more } = this.#rulebook.rules.quotas;
    return { ...DEFAULT_QUOTAS, ...more, ...(memoryBytes === undefined ? {} : { memoryBytes }), ...this.#options.quotas };
  }

  #rulesMayHaveChanged(): void {
    if (this.#rulebook.look()) this.#broker.table.accounts.quotas = this.#quotas();
  }

  /** Only under the lock. True if there was one: then the broker before this one did not leave in good order. */
  #removeStaleSocket(): boolean {
    const path = utf8(this.#place.socket);
    const status = this.#native.library.unlink_socket(path, path.byteLength);
    if (status >= 0) return true;
    if (status === SYSTEM && this.#native.library.errno() === 2 /* ENOENT */) return false;
    throw new FableError("BROKER_UNREACHABLE", `${this.#place.socket} exists and is no socket of this user`, {
      remedy: "remove it, or choose another path",
    });
  }

  #listen(): void {
    const path = utf8(this.#place.socket);
    const { library } = this.#native;
    const fd = check(
      library,
      library.listen(path, path.byteLength, this.#options.socketMode ?? 0o600, BACKLOG),
      `listen at ${this.#place.socket}`,
    );
    this.#listening = { fd, watch: this.#reactor.watch(fd, READABLE, () => this.#acceptSome()) };
  }

  #stopListening(): void {
    const listening = this.#listening;
    if (listening === undefined) return;
    this.#listening = undefined;
    // The name first: from here on clients look for the next broker instead of waiting in this one's queue.
    const path = utf8(this.#place.socket);
    this.#native.library.unlink_socket(path, path.byteLength);
    listening.watch.stop();
    this.#native.library.close(listening.fd);
  }

  #acceptSome(): void {
    const listening = this.#listening;
    if (listening === undefined) return;
    for (let count = 0; count < ACCEPTS_PER_TURN; count++) {
      const fd = this.#native.library.accept(listening.fd);
      if (fd === EMPTY) break;
      if (fd < 0) {
        setTimeout(() => this.#listening?.watch.again(READABLE), ACCEPT_PAUSE_MS);
        return;
      }
      this.#welcomeGuest(fd);
    }
    listening.watch.again(READABLE);
  }

  #welcomeGuest(fd: number): void {
    const { library } = this.#native;
    const who = sessionCredentials(library, fd);
    if (who === undefined) return void library.close(fd);
    let session: Session | undefined;
    const link = new FrameLink(this.#native, this.#reactor, fd, {
      frame: (bytes, descriptors) => session?.frame(bytes, descriptors),
      end: (reason) => {
        if (reason === "oversized") session?.dismiss(new FableError("TOO_LARGE", "a frame has at most 65536 bytes and 16 descriptors"));
        else if (reason === "noise") session?.dismiss(new FableError("PROTOCOL", "the doorbell rings, but no frames come"));
        else session?.end();
      },
    }, SERVER_LINK);
    try {
      session = this.#broker.admit(link, who.process, who.pidFd);
    } catch (error) {
      link.send(encode(errorMessage(0, error)), []);
      link.close();
      if (who.pidFd >= 0) library.close(who.pidFd);
      return;
    }
    this.#visited = true;
    this.#lookLater();
    clearTimeout(this.#idle);
    const admitted = session;
    const handshake = setTimeout(() => {
      if (!admitted.ready) admitted.dismiss(new FableError("TIMEOUT", "no hello came in time"));
    }, HANDSHAKE_MS);
    admitted.onReadyOrOver(() => clearTimeout(handshake));
  }

  /** Now and then as long as anybody is connected. */
  #lookLater(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      this.#broker.lookAround();
      if (!this.#left && this.#broker.sessions > 0) this.#lookLater();
    }, LOOK_MS);
  }

  /** An embedded broker leaves some time after the last client and channel. */
  #considerLeaving(): void {
    if (this.#options.embedded !== true || this.#left) return;
    clearTimeout(this.#idle);
    if (!this.#broker.idle) return;
    const idleMs = this.#options.idleMs ?? IDLE_MS;
    this.#idle = setTimeout(() => {
      // Somebody may be waiting in the queue at this very moment.
      this.#acceptSome();
      if (this.#broker.idle) this.#leave("idle");
    }, this.#visited ? idleMs : Math.max(idleMs, FIRST_GUEST_MS));
  }

  #leave(reason: Leaving): void {
    if (this.#left) return;
    this.#left = true;
    clearInterval(this.#lookAtRules);
    clearTimeout(this.#idle);
    clearTimeout(this.#looking);
    this.#alarm.stop();
    this.#stopListening();
    this.#broker.close(reason === "closed" ? "shutdown" : reason);
    this.#reactor.close();
    this.#native.library.close(this.#lockFd);
    this.#end(reason);
  }
}

/** Six letters or digits that no other broker of this folder has had, as far as chance goes. */
function randomTag({ library }: Native): string {
  const bytes = new Uint8Array(6);
  check(library, library.random(bytes, bytes.byteLength), "draw a random number");
  return Array.from(bytes, (byte) => "abcdefghijkmnpqrstuvwxyz23456789"[byte & 31]).join("");
}
