/** Native cells: one run of zig-out/bin/fable-bench each, placement probes included. */
import { nativeTool } from "./checkout.ts";
import type { Placement } from "./placement.ts";
import { runJson } from "./programs.ts";

const TIMEOUT_MS = 180_000;

/** As the tool prints it. */
interface ToolOutput {
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  readonly runs: readonly number[];
}

export interface NativeLatency extends ToolOutput {
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly p999_ns: number;
  readonly quantiles: readonly (readonly [number, number])[];
  readonly round_trips: number;
}

export interface NativeInterrupt extends NativeLatency {
  /** The same call, with nobody to interrupt. */
  readonly idle_p50_ns: number;
}

export interface NativeRate extends ToolOutput {
  readonly msgs_per_s: number;
  readonly bytes_per_s: number;
  readonly messages: number;
  /** What the check of the payload reaches by itself. */
  readonly check_bytes_per_s?: number;
}

/** Silences of a stream: around moves, of as long a time without one, and of single pauses. */
export interface NativeGap {
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  readonly moves_p50_ns: number;
  readonly moves_p99_ns: number;
  readonly windows_p50_ns: number;
  readonly windows_p99_ns: number;
  readonly base_p99_ns: number;
}

export interface NativeLine {
  readonly line_ns: number;
  readonly paused_ns: number;
  readonly p99_ns: number;
}

/** Options of fable-bench by name, without the dashes. */
export type NativeOptions = Readonly<Record<string, string | number>>;

function command(name: string, options: NativeOptions): readonly string[] {
  return [nativeTool, name, ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)])];
}

export function nativeLatency(options: NativeOptions): Promise<NativeLatency> {
  return runJson(command("lat", options), TIMEOUT_MS);
}

/** Interrupting the other core, where a thread of the same process spins. */
export function nativeInterrupt(options: NativeOptions): Promise<NativeInterrupt> {
  return runJson(command("ipi", options), TIMEOUT_MS);
}

export function nativeRate(options: NativeOptions): Promise<NativeRate> {
  return runJson(command("thr", options), TIMEOUT_MS);
}

/** What the machine itself reaches: fixed slots and two cursors. */
export function nativeLimit(options: NativeOptions): Promise<NativeRate> {
  return runJson(command("limit", options), TIMEOUT_MS);
}

export function nativeGap(options: NativeOptions): Promise<NativeGap> {
  return runJson(command("gap", options), TIMEOUT_MS);
}

export function nativeLine(cores: string): Promise<NativeLine> {
  return runJson(command("line", { cores, runs: 1, "round-trips": 8000 }), TIMEOUT_MS);
}

/** A line of two different cores, null of one. */
export async function probe(cores: readonly [number, number]): Promise<number | null> {
  return cores[0] === cores[1] ? null : (await nativeLine(cores.join(","))).line_ns;
}

export function placementOf(output: Pick<ToolOutput, "placement_before_ns" | "placement_after_ns">): Placement {
  return { before: output.placement_before_ns, after: output.placement_after_ns };
}
