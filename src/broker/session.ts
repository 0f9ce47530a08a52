/**
 * One connected client: what the kernel says about it, how far its handshake is, how often it talked nonsense. Everything it sends goes
 * through here first; the broker's handlers only see checked messages and descriptors that somebody closes.
 */
import { FableError } from "../errors.ts";
import type { Link } from "../naming/connection.ts";
import { decodeRequest, encode, errorMessage, type Request, type Response } from "../naming/protocol.ts";
import type { Client } from "./names.ts";
import type { TicketProcess } from "./tickets.ts";

/** What a session's connection can do beyond frames. */
export interface BrokerLink extends Link {
  useDoorbell(fd: number): void;
  /** Takes what came without a ring. */
  look(): void;
}

export interface SessionOptions {
  readonly client: Client;
  readonly process: TicketProcess;
  readonly link: BrokerLink;
  closeDescriptor(fd: number): void;
  /** A checked message. What it leaves of the descriptors is closed afterwards. Whatever it throws becomes an error reply. */
  handle(session: Session, request: Request, descriptors: Descriptors): void;
  /** Once, when the session is over for whatever reason. */
  ended(session: Session): void;
}

/** So many wrong messages, and the client is not worth listening to. */
const MAX_STRIKES = 16;

/** Descriptors beside a message: whoever takes one owns it, the rest is closed. */
export class Descriptors {
  readonly #fds: (number | undefined)[];

  constructor(fds: readonly number[]) {
    this.#fds = [...fds];
  }

  get count(): number {
    return this.#fds.length;
  }

  /** Looks without taking. */
  peek(index: number): number {
    const fd = this.#fds[index];
    if (fd === undefined) throw new FableError("PROTOCOL", "a descriptor is missing");
    return fd;
  }

  /** Takes all of them. */
  takeAll(): readonly number[] {
    return this.#fds.splice(0).filter((fd) => fd !== undefined);
  }
}

export class Session {
  readonly client: Client;
  readonly process: TicketProcess;
  readonly link: BrokerLink;
  readonly #options: SessionOptions;
  #ready = false;
  #over = false;
  #strikes = 0;
  #milestone: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.client = options.client;
    this.process = options.process;
    this.link = options.link;
    this.#options = options;
  }

  /** True once hello was answered with welcome. */
  get ready(): boolean {
    return this.#ready;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Hello was right. */
  becomeReady(): void {
    this.#ready = true;
    this.#pass();
  }

  /** Called once, when the handshake is done or the session over. */
  onReadyOrOver(task: () => void): void {
    this.#milestone = task;
    if (this.#ready || this.#over) this.#pass();
  }

  /** A frame came. */
  frame(bytes: Uint8Array, fds: readonly number[]): void {
    const descriptors = new Descriptors(fds);
    try {
      if (!this.#over) this.#take(bytes, descriptors);
    } finally {
      for (const fd of descriptors.takeAll()) this.#options.closeDescriptor(fd);
    }
  }

  send(message: Response, descriptors: readonly number[] = []): boolean {
    return !this.#over && this.link.send(encode(message), descriptors);
  }

  /** Says why, and ends. */
  dismiss(error: FableError): void {
    this.send(errorMessage(0, error));
    this.end();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pass();
    this.link.close();
    this.#options.ended(this);
  }

  #take(bytes: Uint8Array, descriptors: Descriptors): void {
    const decoded = decodeRequest(bytes);
    if (!decoded.ok) return decoded.fatal ? this.dismiss(decoded.error) : this.#strike(decoded.id, decoded.error);
    const request = decoded.message;
    if ((request.type === "hello") === this.#ready) {
      return this.dismiss(new FableError("PROTOCOL", this.#ready ? "hello came twice" : `${request.type} came before hello`));
    }
    const id = "id" in request ? request.id : 0;
    try {
      this.#options.handle(this, request, descriptors);
    } catch (error) {
      if (error instanceof FableError && error.code === "PROTOCOL") this.#strike(id, error);
      else this.send(errorMessage(id, error));
    }
  }

  #pass(): void {
    this.#milestone?.();
    this.#milestone = undefined;
  }

  #strike(id: number, error: FableError): void {
    this.#strikes += 1;
    if (this.#strikes > MAX_STRIKES) {
      return this.dismiss(new FableError("PROTOCOL", `more than ${MAX_STRIKES} wrong messages`, { cause: error }));
    }
    this.send(errorMessage(id, error));
  }
}
