/** What a benchmark process is told to do, as JSON on its command line, and what it answers, as JSON on its stdout. */
import type { TransportName, Trust } from "../../src/transport/transport.ts";

/**
 * - `spin`      ping-pong, both ends looking all the time
 * - `loop`      ping-pong, both ends awaiting in their event loops
 * - `asleep`    the same, with both ends idle for `restMs` before each round trip
 * - `friendly`  one-way stream: `send` and `for await`; a socket: one write per message
 * - `cursor`    one-way stream: cursors, published `batch` at a time; a socket: one write per `batch` messages
 * - `zero-copy` one-way stream of large messages: one word per cache line is written where the message lies, and read there
 * - `connect`   how long connecting by name takes, the broker running
 */
export type Workload = "spin" | "loop" | "asleep" | "friendly" | "cursor" | "zero-copy" | "connect";

/** Messages of a FABLE channel, or of the runtime's own Unix socket. */
export type Medium = "fable" | "socket";

export interface Job {
  /** 0 begins: it writes, and it takes the time. 1 listens, and echoes or reads. */
  readonly side: 0 | 1;
  readonly workload: Workload;
  readonly medium: Medium;
  readonly transport: TransportName;
  readonly trust: Trust;
  readonly sizeBytes: number;
  readonly ringBytes: number;
  /** The core this process stays on; undefined leaves it to the scheduler. */
  readonly core?: number;
  readonly batch: number;
  /** What is done with a payload: "sequence" looks at its first word only. See the runner's CheckName for the others. */
  readonly check: "full" | "plain" | "sequence";
  /** Writes of a socket that may be under way at once (Deno's are asynchronous; a patient program awaits each). */
  readonly pipeline: number;
  /** Duration of one run of a stream. */
  readonly seconds: number;
  /** Messages of one run of a stream, instead of `seconds`. */
  readonly messages?: number;
  /** Runs of a stream that count, after those that warm up. */
  readonly runs: number;
  /** Fewer only where they take longer than {@link Job.limitSeconds}. */
  readonly roundTrips: number;
  readonly limitSeconds: number;
  readonly restMs: number;
  /** Path of a Unix socket where the two ends meet, or (`connect`) the broker's. */
  readonly path: string;
}

/** What side 0 found out. Times are of one way, except that those of `connect` are whole. */
export interface LatencyResult {
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly p999_ns: number;
  /** [fraction, ns] for pictures of the distribution. */
  readonly quantiles: readonly (readonly [number, number])[];
  readonly round_trips: number;
  /** Round trips per sample. */
  readonly block: number;
}

export interface StreamResult {
  /** Messages per second of each run. */
  readonly rates: readonly number[];
  /** Messages of one run. */
  readonly messages: number;
}

export type JobResult = LatencyResult | StreamResult;

export function isStream(workload: Workload): boolean {
  return workload === "friendly" || workload === "cursor" || workload === "zero-copy";
}

/** Exit code for what this machine, or the trust between the ends, does not allow. */
export const NOT_POSSIBLE = 3;

/** Side 1 prints this when it listens. */
export const READY = "ready";

/** The first word of the last message of a ping-pong. */
export const LAST = -1;

/** Words are 64-bit floating-point numbers: sequence numbers in them are exact up to 2^53. */
export const WORD_BYTES = 8;
const LINE_BYTES = 64;

/** One word per cache line is stamped and looked at. */
export const WORDS_PER_LINE = LINE_BYTES / WORD_BYTES;
