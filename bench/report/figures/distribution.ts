/** How latency is distributed: what share of messages takes longer than a time, a picture for each transport, the others behind it in grey. */
import { isReference, nameOfRow, type Row, type Setting } from "../analysis.ts";
import { axisX, axisY, FAINT, GRID, INK, KERNEL, logTicks, picture, Plot, SHARED, WIDTH } from "../draw.ts";
import { round, size, time } from "../format.ts";
import { table } from "../html.ts";
import { fillOf, inSettings } from "./bars.ts";
import { type Figure, type Panel } from "./figure.ts";
import { maybe, titleOf } from "./latency.ts";

const READING =
  "How many messages took longer: a curve that falls steeply is a transport one can rely on. Both axes are logarithmic; grey are the other transports of "
  + "the same placement, dashed the one that does not trust its peer. Of several pairs of cores, the one whose median is in the middle is shown.";

export function distributionFigure(all: readonly Row[], driver: string, first: boolean): Figure | undefined {
  const rows = all.filter((row) => row.kind === "lat" && row.driver === driver && curveOf(row).length > 1 && !isReference(row.transport));
  if (rows.length === 0) return undefined;
  const panels = inSettings(rows).flatMap(({ setting, rows: own }) =>
    [...new Set(own.map(({ transport }) => transport))].map((transport) => distributionPanel(setting, own, transport))
  );
  const shown = [0.5, 0.9, 0.99, 0.999, 0.9999].filter((q) => rows.some((row) => quantile(row, q) !== undefined));
  return {
    id: `distribution-${driver}`,
    title: `How latency is distributed, ${driver} ends`,
    text: first ? READING : "Read as the figure of the first driver, above.",
    panels,
    folded: !first,
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
  const shares = [1, 0.1, 0.01, 0.001, 0.0001].filter((share) => share >= least * 0.999);
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
      x: { type: "log", domain: [low * 0.9, high * 1.1], axis: null },
      y: { type: "log", domain: [least, 1], axis: null },
      marks: [
        Plot.gridY(shares, { stroke: GRID, strokeOpacity: 1 }),
        axisX(logTicks(low * 0.9, high * 1.1), round(time), { label: "took longer than" }),
        axisY(shares, shareText),
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
