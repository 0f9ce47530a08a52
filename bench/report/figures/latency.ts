/** Latency by transport, beside the cost of a cache line and of an interrupt. */
import { median } from "../../runner/statistics.ts";
import { advantage, counterpart, isReference, nameOfRow, overLine, overTcp, type Row, type Setting } from "../analysis.ts";
import { percent, size, time, times } from "../format.ts";
import { html, table } from "../html.ts";
import { fillOf, inSettings, type Lane, laneLabel, laneText, points } from "./bars.ts";
import { type Figure, legendHtml, type Panel } from "./figure.ts";

export function titleOf({ placement, size: bytes }: Setting): string {
  return `${placement}, ${size(bytes)}`;
}

const READING =
  html`One way, half a round trip. The point is the median, the tick the 99th percentile, the line ends at the 99.9th; the column is the median, ≈ an unsteady one. Placements are told by
what a cache line costs there (<em>line</em>); <em>ipi</em> is an interrupt to the other core while that runs.`;
const LEGEND = legendHtml([
  ["shared", "shared memory"],
  ["kernel", "through the kernel"],
  ["hollow", "hollow: the peer is not trusted"],
  ["muted", "grey: lower bounds"],
]);

/** One figure for a driver: a picture for each placement and size. `all` has the references too. */
export function latencyFigure(all: readonly Row[], driver: string, first: boolean): Figure | undefined {
  const rows = all.filter((row) => row.kind === "lat" && row.driver === driver && !isReference(row.transport));
  if (rows.length === 0) return undefined;
  const panels = inSettings(rows).map(({ setting, rows: own }) => latencyPanel(setting, own, referencesOf(all, setting.placement)));
  return {
    id: `latency-${driver}`,
    title: `Latency by transport, ${driver} ends`,
    ...(first ? { text: READING, legend: LEGEND } : { text: "Read as the figure of the first driver, above." }),
    panels,
    table: latencyTable(rows, `Latency, ${driver} ends`),
  };
}

/** The interrupt in this placement; several sizes or drivers of it mean the same. */
export function referencesOf(all: readonly Row[], placement: Setting["placement"]): readonly Row[] {
  const found = all.filter((row) => row.kind === "lat" && isReference(row.transport) && row.placement === placement);
  return found.slice(0, 1);
}

function latencyPanel(setting: Setting, rows: readonly Row[], references: readonly Row[]): Panel {
  const lines = rows.flatMap(({ line }) => line ?? []);
  const line = lines.length === 0 ? undefined : median(lines);
  const lanes: readonly Lane[] = [
    ...(line === undefined ? [] : [{ name: "line", label: "line", value: line, text: time(line), fill: "var(--muted)" }]),
    ...references.map((row) => laneOf(row, undefined)),
    ...rows.map((row, index) => laneOf(row, rows[index - 1])),
  ];
  const title = titleOf(setting);
  const best = rows.reduce((a, b) => (b.value < a.value ? b : a));
  const pairs = new Set(rows.flatMap(({ cells }) => cells.map(({ cores }) => cores.join()))).size;
  return {
    title,
    note: pairs === 1 ? coresText(rows[0]!.cells[0]!.cores) : `medians over ${pairs} pairs of cores`,
    picture: points(
      `One-way latency of ${rows.length} transports, ${title}: from ${nameOfRow(best)} with ${time(best.value)} to ${
        time(Math.max(...rows.map(({ value }) => value)))
      }.`,
      lanes,
      "one way, logarithmic",
      time,
    ),
  };
}

function coresText([a, b]: readonly [number, number]): string {
  return a === b ? `core ${a}` : `cores ${a} and ${b}`;
}

function laneOf(row: Row, above: Row | undefined): Lane {
  return {
    name: nameOfRow(row),
    label: laneLabel(row, above),
    value: row.value,
    text: laneText(row, time(row.value)),
    fill: fillOf(row, false),
    hollow: row.trust === "untrusted",
    ...(row.p999 === undefined ? {} : { to: row.p999 }),
    ...(row.p99 === undefined ? {} : { tick: row.p99 }),
  };
}

function latencyTable(rows: readonly Row[], caption: string) {
  return table(
    caption,
    [
      "transport",
      "placement",
      "size",
      "p50",
      "p99",
      "p99.9",
      "line",
      "× line",
      "times as fast as tcp",
      "untrusted costs",
      "expected spread",
      "core pairs",
    ],
    rows.map((row) => [
      nameOfRow(row),
      row.placement,
      size(row.size),
      time(row.value),
      maybe(row.p99, time),
      maybe(row.p999, time),
      maybe(row.line, time),
      maybe(overLine(row), times),
      maybe(overTcp(rows, row), times),
      untrustedCost(rows, row),
      spreadText(row),
      new Set(row.cells.map(({ cores }) => cores.join())).size,
    ]),
  );
}

export function maybe(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "–" : format(value);
}

/** "+12 %" of time, or of throughput lost, over the trusted one beside it. */
export function untrustedCost(rows: readonly Row[], row: Row): string {
  if (row.trust !== "untrusted") return "–";
  const trusted = counterpart(rows, row, row.transport);
  const ratio = trusted === undefined || trusted === row ? undefined : advantage(trusted, row);
  return ratio === undefined ? "–" : percent(row.kind === "lat" ? ratio - 1 : 1 - 1 / ratio);
}

export function spreadText(row: Row): string {
  const unsteady = row.unsteady === 0
    ? ""
    : row.cells.length === 1
    ? ", unsteady"
    : `, ${row.unsteady} of ${row.cells.length} cells unsteady`;
  return `${row.spread === 0 ? "–" : `± ${percent(row.spread)}`}${unsteady}`;
}
