/**
 * How the directions of a channel move from one transport to the next: orders, what is heard of them, crossing, and the memory that is
 * left behind (docs/reference/reconfiguration.md). The native side keeps the states; here is what it leaves to whoever lays out records.
 */
import { LeftMemory } from "../flow/left-memory.ts";
import {
  BLOCK_EVENTS,
  BLOCK_FREE,
  BLOCK_READ_EPOCH,
  BLOCK_READ_TRANSPORT,
  BLOCK_WRITE_EPOCH,
  BLOCK_WRITE_OFFSET,
  BLOCK_WRITE_TRANSPORT,
  OK,
  REASON_OPERATOR,
  REASON_POLICY,
  REASON_PROGRAM,
  SWITCH_DRAINED,
  SWITCH_EVENT_AT_NS,
  SWITCH_EVENT_DIRECTION,
  SWITCH_EVENT_EPOCH,
  SWITCH_EVENT_FROM,
  SWITCH_EVENT_OLD_BYTES,
  SWITCH_EVENT_REASON,
  SWITCH_EVENT_STATUS,
  SWITCH_EVENT_TO,
  SWITCH_EVENT_WHAT,
  SWITCH_EVENT_WORDS,
  SWITCH_MOVED,
  SWITCH_PENDING,
  SWITCH_READY,
} from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import type { RecordWriter } from "./records.ts";
import { transportByCode } from "./registry.ts";
import type { Transport } from "./transport.ts";

export type Direction = "outgoing" | "incoming";
/** Who wants a direction to move: an end's program, somebody at the broker, the broker itself; or its path broke. */
export type MoveReason = "program" | "operator" | "policy" | "path-lost";

/** What the native side tells about a move. */
export interface Move {
  readonly direction: Direction;
  readonly what: "pending" | "ready" | "moved" | "drained" | "refused";
  readonly from: Transport;
  readonly to: Transport;
  /** Of the direction, after it. */
  readonly epoch: number;
  readonly reason: MoveReason;
  /** Of a refusal: a FABLE_* status, 0 if a newer order took its place. */
  readonly status: number;
  /** Bytes in the old path then. */
  readonly oldBytes: number;
  /** How long ago, in milliseconds. */
  readonly agoMs: number;
}

/** What {@link Moves} needs of its channel. */
export interface MovesPort {
  readonly native: Native;
  readonly handle: number;
  readonly writer: RecordWriter;
  block(word: number): number;
  arena(which: number): ArrayBuffer;
}

const REASONS: Readonly<Record<number, MoveReason>> = {
  [REASON_PROGRAM]: "program",
  [REASON_OPERATOR]: "operator",
  [REASON_POLICY]: "policy",
};
const WHATS: Readonly<Record<number, Move["what"]>> = {
  [SWITCH_PENDING]: "pending",
  [SWITCH_READY]: "ready",
  [SWITCH_MOVED]: "moved",
  [SWITCH_DRAINED]: "drained",
};
/** Behind the last published record the native side puts a marker and the zero that follows it. */
const MARKER_WORDS = 2;

export class Moves {
  /** How messages travel now, from here and to here. */
  outgoing: Transport;
  incoming: Transport;
  /** Whether something may wait for the kernel: in the path in use, or in one before it. */
  pumped: boolean;
  /** Called with everything that is heard. */
  onMove: (move: Move) => void = () => {};
  readonly #port: MovesPort;
  readonly #left: LeftMemory;
  readonly #event = new Uint32Array(SWITCH_EVENT_WORDS);

  constructor(port: MovesPort, transport: Transport) {
    this.#port = port;
    this.outgoing = this.incoming = transport;
    this.pumped = transport.pumped;
    this.#left = new LeftMemory((epoch) => void port.native.library.retire(port.handle, 0, epoch, 0, 0));
  }

  get writeEpoch(): number {
    return this.#port.block(BLOCK_WRITE_EPOCH);
  }

  get readEpoch(): number {
    return this.#port.block(BLOCK_READ_EPOCH);
  }

  /** Orders the outgoing direction elsewhere, or asks the peer to move the other: a status as of fable_switch. */
  order(direction: Direction, transport: Transport, ringBytes: number, reason: "program" | "operator" | "policy"): number {
    const { native: { library }, handle } = this.#port;
    const code = reason === "program" ? REASON_PROGRAM : reason === "operator" ? REASON_OPERATOR : REASON_POLICY;
    const order = direction === "outgoing" ? library.switch : library.ask;
    return order(handle, transport.code, ringBytes, code);
  }

  /** Tells {@link onMove} what was not told yet. */
  hear(): void {
    const { native: { library }, handle } = this.#port;
    while (this.#port.block(BLOCK_EVENTS) !== 0) {
      if (library.event(handle, this.#event) !== OK) return;
      const now = library.now_ns();
      this.onMove(moveOf(this.#event, now));
    }
  }

  /**
   * Goes on in the next path: what was committed is published before the marker; what is reserved and not published stays in the memory
   * that is the answer, which {@link leave} ends. Undefined: it cannot cross now.
   */
  cross(): { readonly memory: Uint8Array<ArrayBuffer>; readonly epoch: number } | undefined {
    const { native: { library }, handle, writer } = this.#port;
    writer.flush();
    const epoch = this.writeEpoch;
    // What is reserved there may be filled already.
    const at = writer.published + MARKER_WORDS * 4;
    const over = writer.bytes.slice(at, at + MARKER_WORDS * 4);
    if (library.cross(handle) !== OK) return undefined;
    writer.bytes.set(over, at);
    this.outgoing = transportByCode(this.#port.block(BLOCK_WRITE_TRANSPORT));
    this.pumped ||= this.outgoing.pumped;
    const memory = writer.adopt(
      this.#port.arena(0),
      this.#port.block(BLOCK_WRITE_OFFSET),
      this.#port.block(BLOCK_FREE),
      this.outgoing.name === "shmem-pipe",
    );
    return { memory, epoch };
  }

  /** So many still use the memory that was left. */
  leave(memory: Uint8Array<ArrayBuffer>, epoch: number, users: number): void {
    this.#left.add(epoch, memory, users);
  }

  /** One of those is done with it. */
  returned(epoch: number): void {
    this.#left.returned(epoch);
  }

  /** The reader goes on in the next path. */
  movedIn(): void {
    this.incoming = transportByCode(this.#port.block(BLOCK_READ_TRANSPORT));
  }

  /** Nothing waits for the kernel now. */
  pumpedDry(): void {
    this.pumped = this.outgoing.pumped;
  }

  /** Before the channel's memory goes. */
  detach(): void {
    this.#left.detach();
  }
}

function moveOf(event: Uint32Array, nowNs: number | bigint): Move {
  const atNs = BigInt(event[SWITCH_EVENT_AT_NS]) | BigInt(event[SWITCH_EVENT_AT_NS + 1]) << 32n;
  return {
    direction: event[SWITCH_EVENT_DIRECTION] === 1 ? "outgoing" : "incoming",
    what: WHATS[event[SWITCH_EVENT_WHAT]] ?? "refused",
    from: transportByCode(event[SWITCH_EVENT_FROM]),
    to: transportByCode(event[SWITCH_EVENT_TO]),
    epoch: event[SWITCH_EVENT_EPOCH],
    reason: REASONS[event[SWITCH_EVENT_REASON]] ?? "path-lost",
    status: -event[SWITCH_EVENT_STATUS],
    oldBytes: event[SWITCH_EVENT_OLD_BYTES],
    agoMs: Number(BigInt(nowNs) - atNs) / 1e6,
  };
}
