/** What a surprise is, and which rows one speaks of. */
import { byDriver, rivals, type Row } from "../analysis.ts";

export interface Finding {
  readonly sentence: string;
  /** Where on the page it is to be seen. */
  readonly figure: string;
}

export type Surprise = (rows: readonly Row[]) => readonly Finding[];

/** Two figures that differ less are called equal, unless their own spread is wider still. */
export const EQUAL = 0.05;

/** Native ends, if there are any. */
export function mainDriver(rows: readonly Row[]): string {
  return rows.map(({ driver }) => driver).sort(byDriver)[0] ?? "native";
}

/** Rows of the main driver that carry messages. */
export function main(rows: readonly Row[], kind?: "lat" | "thr"): readonly Row[] {
  const driver = mainDriver(rivals(rows));
  return rivals(rows).filter((row) => row.driver === driver && (kind === undefined || row.kind === kind));
}

/** Throughput is spoken of as read plainly, where it was. */
export function plainly(rows: readonly Row[]): readonly Row[] {
  return rows.some(({ check }) => check === "plain") ? rows.filter((row) => row.kind === "lat" || row.check === "plain") : rows;
}

export function latencyId(rows: readonly Row[]): string {
  return `latency-${mainDriver(rivals(rows))}`;
}

export function throughputId(rows: readonly Row[]): string {
  return `throughput-${mainDriver(rivals(rows))}`;
}

/** Whether its ends sleep between messages, whatever the traffic. */
export function sleeps({ transport }: Row): boolean {
  return transport !== "mempipe-spin" && transport !== "mempipe";
}
