/** Names and connections: `registerName`, `connect`, `listen` (paper §3.1.1, §3.1.2). */
import { isOutsideName, type OutsideName } from "../naming/outside.ts";
import type { Registration } from "../naming/service.ts";
import { dialName } from "./dial.ts";
import type { Handle } from "./handle.ts";
import { Listener } from "./listener.ts";
import { type ConnectOptions, DEFAULT_TIMEOUT_MS, type ListenOptions, type SessionOptions } from "./options.ts";
import type { OutsideHandle } from "./outside/handle.ts";
import { OutsideListener } from "./outside/listener.ts";
import { connectOutside } from "./outside/open.ts";
import type { OutsideConnectOptions, OutsideListenOptions } from "./outside/options.ts";
import { openSession, type Session } from "./session.ts";

/** Options of {@link registerName}. */
export interface RegisterOptions extends SessionOptions {
  /** Lets other programs of the same user have the name too, if they also ask for it; connections are spread over those that listen. */
  readonly share?: boolean;
  /** Deadline, the start of a broker included, in milliseconds (default 5000). */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** One registered name (paper: xio_context). Ends with {@link close}, or with the process. */
export class Context implements AsyncDisposable {
  readonly #session: Session;
  readonly #registration: Registration;
  #listener: Listener | undefined;
  #closed = false;

  /** Contexts come from {@link registerName}. */
  constructor(session: Session, registration: Registration) {
    this.#session = session;
    this.#registration = registration;
  }

  /** The name, `xio://…`. */
  get name(): string {
    return this.#registration.name;
  }

  /** Connects to another name, speaking for this one. See {@link connect}. */
  connect(name: string, options: ConnectOptions = {}): Promise<Handle> {
    return dialName(this.#session, name, this.name, options);
  }

  /** Listens at this name. One listener at a time. @throws FableError NAME_TAKEN if there is one already. */
  async listen(options: ListenOptions = {}): Promise<Listener> {
    const listener = await Listener.open(this.#session, this.#registration, options, async () => {
      if (this.#listener === listener) this.#listener = undefined;
    });
    this.#listener = listener;
    return listener;
  }

  /** Gives the name back and stops listening. Live channels go on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#listener?.close();
    await this.#registration.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Registers a name for this program (paper: xio_register_name). A broker is started if there is none.
 *
 * @param name a URI, `xio://authority/segment/…`, in its one spelling.
 * @throws FableError BAD_NAME, NAME_TAKEN, QUOTA, TIMEOUT, ABORTED, BROKER_UNREACHABLE, PERMISSION …
 *
 * @example
 * ```ts
 * import { registerName } from "fable";
 *
 * await using stock = await registerName("xio://shop/stock");
 * await using orders = await registerName("xio://shop/orders");
 * await using listener = await stock.listen();
 * const [there, here] = await Promise.all([listener.accept(), orders.connect("xio://shop/stock")]);
 * console.log(there.peer.name); // xio://shop/orders
 * await Promise.all([there.close(), here.close()]);
 * ```
 */
export async function registerName(name: string, options: RegisterOptions = {}): Promise<Context> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, share = false } = options;
  const deadline = performance.now() + timeoutMs;
  const session = await openSession(options, timeoutMs, signal);
  const left = Math.max(1, deadline - performance.now());
  const registration = await session.names.register(name, { share, timeoutMs: left, ...(signal === undefined ? {} : { signal }) });
  return new Context(session, registration);
}

/**
 * Connects to a name without registering one (paper: xio_connect). Waits until somebody listens there, at most `timeoutMs`. An address of
 * the outside world, `tcp://host:port`, `udp://host:port` or `unix:/path`, is connected to directly, without a broker and without waiting.
 * ({@link isOutsideName} tells which of both a text is that comes at run time.)
 *
 * @throws FableError NAME_UNKNOWN, NOT_LISTENING, BACKLOG_FULL, REFUSED, TRANSPORT_UNAVAILABLE, TIMEOUT, ABORTED … Outside: BAD_NAME,
 * NAME_UNKNOWN, REFUSED, UNREACHABLE, PERMISSION, TIMEOUT, ABORTED …
 *
 * @example
 * ```ts
 * import { connect, listen } from "fable";
 *
 * await using listener = await listen("xio://clock");
 * void listener.accept().then((handle) => handle.send(new Date().toISOString()));
 *
 * await using handle = await connect("xio://clock", { timeoutMs: 2000 });
 * console.log(new TextDecoder().decode(await handle.receive()));
 * ```
 */
export function connect(name: OutsideName, options?: OutsideConnectOptions): Promise<OutsideHandle>;
export function connect(name: string, options?: ConnectOptions & SessionOptions): Promise<Handle>;
export async function connect(
  name: string,
  options: (ConnectOptions & SessionOptions) | OutsideConnectOptions = {},
): Promise<Handle | OutsideHandle> {
  return isOutsideName(name) ? await connectOutside(name, options) : await connectName(name, options);
}

async function connectName(name: string, options: ConnectOptions & SessionOptions): Promise<Handle> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const deadline = performance.now() + timeoutMs;
  const session = await openSession(options, timeoutMs, options.signal);
  return dialName(session, name, undefined, { ...options, timeoutMs: Math.max(1, deadline - performance.now()) });
}

/**
 * Registers a name and listens at it; closing the listener gives the name back. At `tcp://host:port` (port 0: the system chooses, the
 * listener's name says which) and `unix:/path` it accepts connections from programs that are no FABLE.
 *
 * @throws FableError as {@link registerName}. Outside: BAD_NAME, NAME_TAKEN, PERMISSION, UNREACHABLE …
 *
 * @example
 * ```ts
 * import { connect, listen } from "fable";
 *
 * await using server = await listen("tcp://127.0.0.1:0");
 * void server.accept().then(async (handle) => {
 *   for await (const bytes of handle) await handle.send(bytes);
 *   await handle.close();
 * });
 * await using client = await connect(server.name);
 * await client.send("hello");
 * await client.closeWrite();
 * console.log(await new Response(client.readable).text()); // hello
 * ```
 *
 * @example
 * ```ts
 * import { connect, listen } from "fable";
 *
 * const listener = await listen("xio://echo");
 * void connect("xio://echo").then(async (client) => {
 *   await client.send("once");
 *   await client.receive();
 *   await client.close();
 * });
 * for await (const handle of listener) {
 *   for await (const message of handle) await handle.send(message);
 *   await handle.close();
 *   await listener.close(); // ends the loop
 * }
 * ```
 */
export function listen(name: OutsideName, options?: OutsideListenOptions): Promise<OutsideListener>;
export function listen(name: string, options?: ListenOptions & RegisterOptions): Promise<Listener>;
export async function listen(
  name: string,
  options: (ListenOptions & RegisterOptions) | OutsideListenOptions = {},
): Promise<Listener | OutsideListener> {
  return isOutsideName(name) ? OutsideListener.open(name, options) : await listenAtName(name, options);
}

async function listenAtName(name: string, options: ListenOptions & RegisterOptions): Promise<Listener> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, share = false } = options;
  const session = await openSession(options, timeoutMs, signal);
  const registration = await session.names.register(name, { share, timeoutMs, ...(signal === undefined ? {} : { signal }) });
  try {
    return await Listener.open(session, registration, options, () => registration.close());
  } catch (error) {
    await registration.close();
    throw error;
  }
}
