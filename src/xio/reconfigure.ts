/** Orders to move a channel's directions to another transport: given, waited for, and taken back when nobody waits any more. */
import { FableError } from "../errors.ts";
import { Orders, type Outcome } from "../flow/orders.ts";
import { BAD_ARGUMENT, CLOSED, EMPTY, ENOSPACE, MIN_STREAM_BYTES, OK, TOO_LARGE, UNSUPPORTED } from "../native/generated.ts";
import type { Channel } from "../transport/channel.ts";
import type { Direction, Move } from "../transport/moves.ts";
import type { Transport } from "../transport/transport.ts";
import { aborted, timedOut, type WaitLimits } from "./limits.ts";

/** Which directions are to go where, and who says so. */
export interface MoveOrder {
  readonly transport: Transport;
  readonly direction: "both" | Direction;
  /** 0: as much memory as now. */
  readonly ringBytes: number;
  readonly reason: "program" | "operator" | "policy";
  /** For who cannot read yet: the incoming direction counts as moved when the peer has moved, although messages from before may be unread. */
  readonly early?: boolean;
}

export class Reconfigurer {
  readonly #channel: Channel;
  readonly #orders = new Orders<Transport>();

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** `settle` hears once: when the directions are there, or why the first that is not to get there is not. */
  order(order: MoveOrder, limits: WaitLimits, settle: (error?: FableError) => void): void {
    const what = `the channel to move to ${order.transport.name}`;
    if (limits.signal?.aborted) return settle(aborted(what, limits.signal));
    let left = order.direction === "both" ? 2 : 1;
    const one = (error?: FableError): void => {
      if (left === 0) return;
      left = error === undefined ? left - 1 : 0;
      if (left === 0) settle(error);
    };
    for (const way of ["outgoing", "incoming"] as const) {
      // What is refused at once ends the order: the other direction stays where it is.
      if (left !== 0 && (order.direction === "both" || order.direction === way)) this.#go(way, order, limits, what, one);
    }
  }

  /** Only gives the order; throws if it is refused at once. */
  now(order: MoveOrder & { readonly direction: Direction }): void {
    let refused: FableError | undefined;
    this.#go(order.direction, order, {}, "", (error) => refused = error);
    if (refused !== undefined) throw refused;
  }

  heard(move: Move): void {
    this.#orders.heard({ way: move.direction, what: move.what, to: move.to, status: move.status });
  }

  /** The peer has moved its direction. */
  coming(): void {
    this.#orders.coming();
  }

  /** Nothing moves in that direction, or in any, any more. */
  over(way?: Direction): void {
    this.#orders.over(way);
  }

  /** Gives the order. What is refused at once is settled before this returns. */
  #go(way: Direction, order: MoveOrder, limits: WaitLimits, what: string, settle: (error?: FableError) => void): void {
    const { transport, ringBytes, reason } = order;
    const { moves } = this.#channel;
    if (this.#channel.closed) return settle(refusal(CLOSED, order, way));
    const there = this.#isThere(way, order);
    const status = moves.order(way, transport, ringBytes, reason);
    // What this order put an end to is told before anybody waits for the new one.
    moves.hear();
    if (status !== OK && status !== EMPTY) return settle(refusal(status, order, way));
    if (there || status === EMPTY) {
      this.#orders.add({ way, to: transport, ringBytes }, () => {})();
      return settle();
    }
    this.#wait(way, order, limits, what, settle);
  }

  #wait(way: Direction, order: MoveOrder, { signal, timeoutMs }: WaitLimits, what: string, settle: (error?: FableError) => void): void {
    const { transport, ringBytes } = order;
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    const withdraw = this.#orders.add({ way, to: transport, ringBytes }, (outcome) => {
      stop();
      settle(outcome.end === "moved" ? undefined : failureOf(outcome, order, way));
    }, order.early === true);
    const giveUp = (error: FableError): void => {
      stop();
      if (withdraw()) this.#takeBack(way, order);
      settle(error);
    };
    const abort = (): void => giveUp(aborted(what, signal));
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => giveUp(timedOut(what, timeoutMs)), timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
  }

  /** Before the marker the old path just goes on; behind it this changes nothing. */
  #takeBack(way: Direction, { reason }: MoveOrder): void {
    const { moves } = this.#channel;
    if (this.#channel.closed) return;
    moves.order(way, moves[way], 0, reason);
    moves.hear();
  }

  /** The direction is there already: nothing will be heard. */
  #isThere(way: Direction, { transport, ringBytes }: MoveOrder): boolean {
    const { moves, reader, writer } = this.#channel;
    if (moves[way] !== transport) return false;
    const now = way === "outgoing" ? writer.capacityBytes : reader.arena.length;
    return ringBytes === 0 || now === (transport.sharedMemory ? ringBytes : Math.max(ringBytes, MIN_STREAM_BYTES));
  }
}

function failureOf(outcome: Outcome, order: MoveOrder, way: Direction): FableError {
  const name = order.transport.name;
  switch (outcome.end) {
    case "replaced":
      return new FableError("SUPERSEDED", `A newer order took the place of the one to move the ${way} direction to ${name}.`);
    case "refused":
      return refusal(outcome.status, order, way);
    default:
      return new FableError("CLOSED", `The ${way} direction ended before it moved to ${name}.`);
  }
}

function refusal(status: number, { transport: { name }, ringBytes }: MoveOrder, way: Direction): FableError {
  switch (status) {
    case UNSUPPORTED:
      return new FableError(
        "UNSUPPORTED_TRANSPORT",
        `The ${way} direction cannot move to ${name}: not here, or not between ends that do not trust each other.`,
        {
          remedy: "Choose another transport; fable doctor says what works on this machine.",
        },
      );
    case CLOSED:
      return new FableError("CLOSED", `The ${way} direction cannot move to ${name}: it is closed.`);
    case BAD_ARGUMENT:
      return new FableError("BAD_ARGUMENT", `The ${way} direction cannot have a ring of ${ringBytes} bytes.`, {
        remedy: "Give a power of two from 4096 to 67108864.",
      });
    case TOO_LARGE:
      return new FableError(
        "REFUSED",
        `The peer does not take a ring as large for the ${way} direction from an end that it does not trust.`,
        {
          remedy: "Order a smaller one (ringBytes), raise the peer's ringBytes, or maxMessageBytes on both ends.",
        },
      );
    case ENOSPACE:
      return new FableError(
        "REFUSED",
        `The ${way} direction cannot move to ${name}: buffers of too many earlier transports are still held, or too many orders of the last two seconds came to nothing.`,
        {
          remedy: "Release or commit the buffers you hold, wait for the moves that are under way, then try again.",
        },
      );
    default:
      return new FableError("REFUSED", `The ${way} direction was refused to move to ${name} (status ${status}).`);
  }
}
