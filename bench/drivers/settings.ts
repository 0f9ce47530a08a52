/** What a JavaScript benchmark end is told on its command line, and the figures it prints. Shared by channels and by the runtimes' own sockets. */
import type { TransportName, Trust } from "../../src/transport/transport.ts";

export type Side = "first" | "second";

export interface Settings {
  readonly sizeBytes: number;
  readonly ringBytes: number;
  readonly transport: TransportName;
  readonly trust: Trust;
  /** Messages of a throughput cell, round trips of a latency cell. */
  readonly messages: number;
  readonly batch: number;
  /** CPU of the main thread; -1 leaves it where it is. */
  readonly core: number;
}

const defaults: Settings = {
  sizeBytes: 64,
  ringBytes: 1 << 20,
  transport: "mempipe",
  trust: "trusted",
  messages: 200_000,
  batch: 16,
  core: -1,
};

export function settingsOf(json: string): Settings {
  return { ...defaults, ...JSON.parse(json) as Partial<Settings> };
}

export interface LatencyResult {
  /** One way: half the round trip. */
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly p999_ns: number;
  readonly rounds: number;
}

export interface ThroughputResult {
  readonly msgs_per_s: number;
  readonly bytes_per_s: number;
  readonly messages: number;
  readonly verified: boolean;
}

/** Round-trip times in nanoseconds to one-way figures. */
export function latencyOf(roundTrips: Float64Array): LatencyResult {
  const sorted = roundTrips.toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] / 2;
  return { p50_ns: at(0.5), p99_ns: at(0.99), p999_ns: at(0.999), rounds: sorted.length };
}

export function throughputOf(messages: number, sizeBytes: number, seconds: number): ThroughputResult {
  return { msgs_per_s: messages / seconds, bytes_per_s: messages * sizeBytes / seconds, messages, verified: true };
}

/** A damaged, lost or repeated message ends the cell. */
export function verify(right: boolean, sequence: number): void {
  if (!right) throw new Error(`message ${sequence} did not arrive as it was sent`);
}
