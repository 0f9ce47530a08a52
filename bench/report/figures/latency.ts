/** Latency by transport, beside the cost of a cache line and of an interrupt; and how it is distributed. */
import { median } from "../../runner/statistics.ts";
import { advantage, counterpart, isReference, nameOfRow, overLine, overTcp, type Row, type Setting } from "../analysis.ts";
import { FAINT, GRID, INK, KERNEL, logTicks, picture, Plot, SHARED, WIDTH } from "../draw.ts";
import { percent, round, size, time, times } from "../format.ts";
import { html, table } from "../html.ts";
import { fillOf, inSettings, type Lane, laneLabel, points } from "./bars.ts";
import { type Figure, legendHtml, type Panel } from "./figure.ts";

function titleOf({ placement, size: bytes }: Setting): string {
  return `${placement}, ${size(bytes)}`;
}

/** One figure for a driver: a picture for each placement and size. `all` has the references too. */
export function latencyFigure(all: readonly Row[], driver: string): Figure | undefined {
  const rows = all.filter((row) => row.kind === "lat" && row.driver === driver && !isReference(row.transport));
  if (rows.length === 0) return undefined;
  const panels = inSettings(rows).map(({ setting, rows: own }) => latencyPanel(setting, own, referencesOf(all, setting.placement)));
  return {
    id: `latency-${driver}`,
    title: `Latency by transport, ${driver} ends`,
    text:
      html`One way, half a round trip. The point is the median, the tick the 99th percentile, the line ends at the 99.9th; the column is the median. Placements are told by
what a cache line costs there (<em>line</em>); <em>ipi</em> is the interrupt that a sleeping end cannot be woken without.`,
    legend: legendHtml([["shared", "shared memory"], ["kernel", "through the kernel"], ["hollow", "hollow: the peer is not trusted"], [
      "muted",
      "grey: lower bounds",
    ]]),
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
    note: pairs === 1 ? `cores ${rows[0]!.cells[0]!.cores.join(" and ")}` : `medians over ${pairs} pairs of cores`,
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

function laneOf(row: Row, above: Row | undefined): Lane {
  return {
    name: nameOfRow(row),
    label: laneLabel(row, above),
    value: row.value,
    text: time(row.value),
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
      "as fast as tcp",
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
  return `${row.spread === 0 ? "–" : `± ${percent(row.spread)}`}${row.unsteady ? ", unsteady" : ""}`;
}

/** What share of messages is slower than a time: a picture for each transport, the others behind it in grey. */
export function distributionFigure(all: readonly Row[], driver: string, folded: boolean): Figure | undefined {
  const rows = all.filter((row) => row.kind === "lat" && row.driver === driver && curveOf(row).length > 1 && !isReference(row.transport));
  if (rows.length === 0) return undefined;
  const panels = inSettings(rows).flatMap(({ setting, rows: own }) =>
    [...new Set(own.map(({ transport }) => transport))].map((transport) => distributionPanel(setting, own, transport))
  );
  const shown = [0.5, 0.9, 0.99, 0.999, 0.9999].filter((q) => rows.some((row) => quantile(row, q) !== undefined));
  return {
    id: `distribution-${driver}`,
    title: `How latency is distributed, ${driver} ends`,
    text:
      "How many messages took longer: a curve that falls steeply is a transport one can rely on. Both axes are logarithmic; grey are the other transports of "
      + "the same placement, dashed the one that does not trust its peer. Of several pairs of cores, the one whose median is in the middle is shown.",
    panels,
    folded,
    table: table(
      `Quantiles of latency, ${driver} ends`,
      ["transport", "placement", "size", ...shown.map((q) => `${Number((q * 100).toFixed(4))} %`)],
      rows.map((row) => [nameOfRow(row), row.placement, size(row.size), ...shown.map((q) => maybe(quantile(row, q), time))]),
    ),
  };
}

interface Point {
  readonly row: string;
  readonly ns: number;
  readonly slower: number;
}

/** Of the cell in the middle; a median of quantiles over pairs would be the distribution of none of them. */
function curveOf(row: Row): readonly Point[] {
  const ordered = row.cells.filter(({ quantiles }) => quantiles.length > 1).toSorted((a, b) => (a.p50_ns ?? 0) - (b.p50_ns ?? 0));
  const middle = ordered[ordered.length >> 1];
  return (middle?.quantiles ?? []).filter(([q]) => q < 1).map(([q, ns]) => ({ row: nameOfRow(row), ns, slower: 1 - q }));
}

function quantile(row: Row, q: number): number | undefined {
  return curveOf(row).find(({ slower }) => Math.abs(1 - slower - q) < 1e-7)?.ns;
}

function distributionPanel(setting: Setting, rows: readonly Row[], transport: string): Panel {
  const own = rows.filter((row) => row.transport === transport);
  const curves = rows.flatMap(curveOf);
  const low = Math.min(...curves.map(({ ns }) => ns));
  const high = Math.max(...curves.map(({ ns }) => ns));
  const least = Math.min(...curves.map(({ slower }) => slower));
  const colour = fillOf(own[0]!, false) === SHARED ? SHARED : KERNEL;
  const title = `${transport}, ${setting.placement}, ${size(setting.size)}`;
  const common = { x: "ns", y: "slower", z: "row" } as const;
  return {
    title: transport,
    group: titleOf(setting),
    picture: picture(`Distribution of one-way latency of ${title}: ${own.map(tailOf).join("; ")}.`, {
      width: WIDTH,
      height: 168,
      marginLeft: 52,
      marginRight: 14,
      marginTop: 8,
      marginBottom: 38,
      x: {
        type: "log",
        domain: [low * 0.9, high * 1.1],
        ticks: [...logTicks(low * 0.9, high * 1.1)],
        tickFormat: round(time),
        label: "took longer than",
        labelAnchor: "center",
        labelArrow: "none",
        tickSize: 3,
      },
      y: {
        type: "log",
        domain: [least, 1],
        ticks: [1, 0.1, 0.01, 0.001, 0.0001].filter((tick) => tick >= least * 0.999),
        tickFormat: shareText,
        label: null,
        tickSize: 3,
      },
      marks: [
        Plot.gridY({ stroke: GRID, strokeOpacity: 1 }),
        Plot.line(curves.filter(({ row }) => own.every((one) => nameOfRow(one) !== row)), { ...common, stroke: FAINT, strokeWidth: 1 }),
        ...own.map((row) =>
          Plot.line(curveOf(row), {
            ...common,
            stroke: colour,
            strokeWidth: 2.2,
            ...(row.trust === "untrusted" ? { strokeDasharray: "5 3" } : {}),
          })
        ),
        ...own.map((row) =>
          Plot.dot(curveOf(row).filter(({ slower }) => Math.abs(slower - 0.5) < 1e-6), { ...common, fill: colour, stroke: INK, r: 3.5 })
        ),
      ],
    }),
  };
}

function shareText(share: number): string {
  return share >= 1 ? "all" : `${Number((share * 100).toPrecision(2))} %`;
}

function tailOf(row: Row): string {
  return `${nameOfRow(row)}: median ${time(row.value)}${row.p999 === undefined ? "" : `, one in a thousand above ${time(row.p999)}`}`;
}
