/** The comparison with peers as Markdown: the whole of it, and the README's part. Pure. */
import type { Environment } from "../runner/environment.ts";
import { aligned, markersOf } from "../runner/readme.ts";
import { spread } from "../runner/statistics.ts";
import { scaled } from "../runner/table.ts";
import { figureOf, type PeerCell, type Skipped } from "./cells.ts";
import { FABLE_NAME, SIZES } from "./list.ts";

export interface PeersReport {
  readonly environment: Environment;
  readonly rounds: number;
  readonly line_ns: number;
  readonly peers: readonly PeerCell[];
  readonly skipped: readonly Skipped[];
}

export const MARKERS = markersOf("peers", "bench/results/peers.json, which npm run bench:peers writes together with this table");

/** From here on it is not the cost of a message any more: something waits, mostly for the acknowledgement of TCP (40 ms for a round trip). */
const STALL_NS = 10e6;

const SIZE_NAMES: Readonly<Record<number, string>> = { 64: "64 B", 4096: "4 KiB", 65_536: "64 KiB" };
const KINDS = ["lat", "thr"] as const;

export function markdown(report: PeersReport): string {
  const { skipped } = report;
  return [
    "# Beside what one would use today",
    "",
    provenance(report),
    "",
    "Two processes (workers: two threads), the main thread of each on its own core, FABLE's `send` and `for await` and each peer's usual form through the same",
    "workload. Latency is half a round trip, p50; both in medians over the rounds with their range. How: docs/benchmarks.md.",
    "",
    "## One way, p50",
    "",
    ...table(report, "lat", true),
    "",
    "## Messages per second",
    "",
    ...table(report, "thr", true),
    "",
    ...(skipped.length === 0 ? [] : [
      "## Not measured",
      "",
      ...skipped.map(({ peer, runtime, reason }) => `- ${peer} (${runtime}): ${reason}`),
      "",
    ]),
  ].join("\n");
}

function provenance({ environment: e, rounds, line_ns }: PeersReport): string {
  return `Measured ${
    e.date.slice(0, 10)
  } at ${e.revision} on ${e.cpus} × ${e.cpu} (${e.virtualization}), Linux ${e.kernel}, Bun ${e.bun}, Deno ${e.deno}: `
    + `${rounds} rounds of fresh processes, a cache line from core to core ${line_ns.toFixed(0)} ns.`;
}

/** The README's part: how many times better FABLE is, and FABLE's own figures. */
export function readmeLines(report: PeersReport): readonly string[] {
  return [
    provenance(report),
    "How many times faster FABLE's `send` and `for await` are than what one would use today (one-way p50 · messages per second), on the same two cores, with the",
    "same workload; below 1 they are slower. FABLE's own figures come first. [Everything](bench/results/peers.md), [how](docs/benchmarks.md).",
    "",
    ...ratioTable(report),
    ...stalls(report),
  ];
}

function stalls({ peers }: PeersReport): readonly string[] {
  const stalled = peers.filter((cell) => cell.kind === "lat" && cell.ratio !== undefined && figureOf(cell) > STALL_NS);
  if (stalled.length === 0) return [];
  const cells = stalled.map((cell) =>
    `${cell.peer} (${cell.runtime}) at ${SIZE_NAMES[cell.size_bytes] ?? cell.size_bytes}: ${figure(cell)}`
  );
  return ["", `Not a slip of the pen: every message waits for an acknowledgement that TCP delays. ${cells.join("; ")}.`];
}

interface Row {
  readonly peer: string;
  readonly runtime: string;
}

function rowsOf(cells: readonly PeerCell[]): readonly Row[] {
  const names = new Map(cells.map(({ peer, runtime }) => [`${peer}\n${runtime}`, { peer, runtime }]));
  return [...names.values()];
}

function find(report: PeersReport, row: Row, kind: "lat" | "thr", size: number): PeerCell | undefined {
  return report.peers.find((cell) =>
    cell.peer === row.peer && cell.runtime === row.runtime && cell.kind === kind && cell.size_bytes === size
  );
}

function ratioTable(report: PeersReport): readonly string[] {
  const cellText = (row: Row, size: number): string => {
    const parts = KINDS.map((kind) => {
      const cell = find(report, row, kind, size);
      if (cell === undefined) return "–";
      if (row.peer === FABLE_NAME) return figure(cell);
      return cell.ratio === undefined ? "–" : `${times(cell.ratio)}`;
    });
    return parts.join(" · ");
  };
  return aligned([
    ["", "in", ...SIZES.map((size) => SIZE_NAMES[size] ?? `${size} B`)],
    ...rowsOf(report.peers).map((
      row,
    ) => [row.peer === FABLE_NAME ? `**${row.peer}**` : row.peer, row.runtime, ...SIZES.map((size) => cellText(row, size))]),
  ]);
}

function table(report: PeersReport, kind: "lat" | "thr", withRange: boolean): readonly string[] {
  const cellText = (cell: PeerCell | undefined): string => {
    if (cell === undefined) return "–";
    const { min, max } = spread(cell.runs);
    const range = withRange ? ` (${unitless(kind, min)}–${unitless(kind, max)})` : "";
    return `${figure(cell)}${range}${cell.ratio === undefined ? "" : `, ${times(cell.ratio)}`}`;
  };
  return aligned([
    ["", "in", ...SIZES.map((size) => SIZE_NAMES[size] ?? `${size} B`)],
    ...rowsOf(report.peers).map((row) => [row.peer, row.runtime, ...SIZES.map((size) => cellText(find(report, row, kind, size)))]),
  ]);
}

function figure(cell: PeerCell): string {
  return unitless(cell.kind, figureOf(cell));
}

function unitless(kind: "lat" | "thr", value: number): string {
  return kind === "lat" ? scaled(value, [" ns", " µs", " ms"]) : `${scaled(value, ["", " k", " M"])}/s`;
}

function times(ratio: number): string {
  return `${ratio >= 99.5 ? ratio.toFixed(0) : ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(1)}×`;
}
