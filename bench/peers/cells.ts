/** Cells of a comparison with peers (the JSON that the report reads), made of samples. Pure. */
import type { Driver } from "../runner/cells.ts";
import type { Placement } from "../runner/placement.ts";
import { lineOf } from "../runner/placement.ts";
import type { Outcome } from "../runner/rounds.ts";
import { median } from "../runner/statistics.ts";
import { measures, type Peer, type PeerRuntime } from "./list.ts";

export interface PeerCell {
  readonly peer: string;
  readonly runtime: PeerRuntime;
  readonly kind: "lat" | "thr";
  readonly size_bytes: number;
  readonly cores: readonly [number, number];
  readonly placement_before_ns: number | null;
  readonly placement_after_ns: number | null;
  readonly p50_ns?: number;
  readonly msgs_per_s?: number;
  /** One per fresh pair of processes. */
  readonly runs: readonly number[];
  /** What FABLE reaches in the same rounds; absent in its own cells. */
  readonly ours?: { readonly transport: string; readonly driver: Driver; readonly value: number };
  /** Greater than 1: FABLE is better. */
  readonly ratio?: number;
}

/** What one pair of processes found out. */
export interface PeerFigures {
  readonly p50_ns?: number;
  readonly msgs_per_s?: number;
}

export interface Measured {
  readonly peer: Peer;
  readonly size_bytes: number;
  readonly outcome: Outcome<PeerFigures>;
}

export interface Skipped {
  readonly peer: string;
  readonly runtime: PeerRuntime;
  readonly reason: string;
}

const KINDS = ["lat", "thr"] as const;
const TRANSPORT = "mempipe";

export function cellsOf(ours: readonly Measured[], theirs: readonly Measured[], cores: readonly [number, number]): readonly PeerCell[] {
  const own = ours.flatMap((measured) => KINDS.flatMap((kind) => cellOf(measured, kind, cores)));
  const valueOf = (driver: Driver, kind: "lat" | "thr", size: number): number | undefined =>
    own.filter((cell) => cell.runtime === driver && cell.kind === kind && cell.size_bytes === size).map(figureOf)[0];
  const peers = theirs.flatMap((measured) =>
    KINDS.flatMap((kind) => cellOf(measured, kind, cores)).map((cell) => {
      const driver = measured.peer.ours;
      const value = valueOf(driver, cell.kind, cell.size_bytes);
      if (value === undefined) return cell;
      const ratio = cell.kind === "lat" ? figureOf(cell) / value : value / figureOf(cell);
      return { ...cell, ours: { transport: TRANSPORT, driver, value }, ratio };
    })
  );
  return [...own, ...peers];
}

export function figureOf(cell: PeerCell): number {
  return cell.p50_ns ?? cell.msgs_per_s ?? Number.NaN;
}

function cellOf({ peer, size_bytes, outcome }: Measured, kind: "lat" | "thr", cores: readonly [number, number]): readonly PeerCell[] {
  const pick = ({ p50_ns, msgs_per_s }: PeerFigures): number | undefined => kind === "lat" ? p50_ns : msgs_per_s;
  const runs = outcome.samples.map(({ value }) => pick(value)).filter((value) => value !== undefined);
  if (runs.length === 0 || !measures(peer, size_bytes, kind)) return [];
  const line = (of: (placement: Placement) => number | null): number | null => {
    const lines = outcome.samples.map(({ placement }) => of(placement)).filter((value) => value !== null);
    return lines.length === 0 ? null : median(lines);
  };
  return [{
    peer: peer.name,
    runtime: peer.runtime,
    kind,
    size_bytes,
    cores,
    placement_before_ns: line(({ before }) => before),
    placement_after_ns: line(({ after }) => after),
    ...(kind === "lat" ? { p50_ns: median(runs) } : { msgs_per_s: median(runs) }),
    runs,
  }];
}

export function skippedOf(measured: readonly Measured[]): readonly Skipped[] {
  const failed = measured.filter(({ outcome }) => outcome.samples.length === 0);
  return failed.map(({ peer, size_bytes, outcome }) => ({
    peer: peer.name,
    runtime: peer.runtime,
    reason: `${size_bytes} B: ${(outcome.error ?? "the placement changed during every attempt").split("\n").slice(0, 2).join(": ")}`,
  }));
}

/** Median line_ns over everything that counts: where the two cores were. */
export function lineOfAll(measured: readonly Measured[]): number {
  return median(
    measured.flatMap(({ outcome }) => outcome.samples.map(({ placement }) => lineOf(placement))).filter((line) => !Number.isNaN(line)),
  );
}
