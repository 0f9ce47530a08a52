/** Heat maps: latency for every ordered pair of cores, one map for each transport (the paper's figures 2 and 3). */
import { median } from "../../runner/statistics.ts";
import { groupBy, isReference, lineOfCell, placementOf, valueOf } from "../analysis.ts";
import { byTransport } from "../analysis.ts";
import { axisX, extent, FAINT, INK, OUTSIDE, picture, Plot, WIDTH } from "../draw.ts";
import { size, time } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { ReadCell } from "../input.ts";
import type { Figure, Panel } from "./figure.ts";

interface Place {
  readonly from: number;
  readonly to: number;
  readonly ns: number;
}

/** Up to so many cores there is room for the figures in the map itself. */
const MOST_WITH_FIGURES = 6;
const MARGIN = 38;
/** Colours span at least this factor: what differs by less is to look alike. */
const LEAST_SPAN = 1.3;
/** Small squares overlap a little: scaled up, they would let the paper show between them. */
const SEAMLESS = -0.25;
/** A tick exactly at the end of a logarithmic axis may fall off it by rounding. */
const INSIDE = 1 + 1e-6;
const SCHEME = "cividis";

/** Of one driver, because the map shows the machine; the other drivers are in the figures that follow. */
export function heatMaps(cells: readonly ReadCell[], driver: string): Figure | undefined {
  const placed = cells.filter((cell) => cell.kind === "lat" && placementOf(cell) !== undefined);
  const own = placed.filter((cell) => cell.driver === driver && !isReference(cell.transport) && cell.trust !== "untrusted");
  const maps = [
    { title: "one cache line (line_ns)", places: placesOf(placed, lineOfCell) },
    ...mapsOf(placed.filter(({ transport }) => isReference(transport))),
    ...mapsOf(own),
  ].filter(({ places }) => new Set(places.map(({ from, to }) => `${from},${to}`)).size > 1);
  if (maps.length === 0) return undefined;
  return {
    id: "core-pairs",
    title: "Latency from core to core",
    text:
      html`Each square is a pair of cores: who sends is the row, who answers the column; the median one way, measured by ${driver} ends. Brighter is slower. Each map has
a scale of its own, which shows how the machine is built; the scale leaves out pairs on the same core (the diagonal), and what lies beyond it is striped or without colour. Empty
squares have no figure, or their placement changed meanwhile. To compare transports, see the next figure.`,
    panels: maps.map(({ title, places }) => heatMap(title, places)),
  };
}

function mapsOf(cells: readonly ReadCell[]): readonly { readonly title: string; readonly places: readonly Place[] }[] {
  const groups = groupBy(cells, ({ transport, size_bytes }) => `${transport}|${size_bytes}`);
  return [...groups.values()]
    .map((group) => ({ transport: group[0]!.transport, bytes: group[0]!.size_bytes, places: placesOf(group, valueOf) }))
    .sort((a, b) => byTransport(a.transport, b.transport) || a.bytes - b.bytes)
    .map(({ transport, bytes, places }) => ({
      title: isReference(transport) ? `${transport}, an interrupt` : `${transport}, ${size(bytes)}`,
      places,
    }));
}

function placesOf(cells: readonly ReadCell[], value: (cell: ReadCell) => number | undefined): readonly Place[] {
  const groups = groupBy(cells, ({ cores }) => cores.join());
  return [...groups.values()].flatMap((group) => {
    const values = group.flatMap((cell) => value(cell) ?? []);
    const [from, to] = group[0]!.cores;
    return values.length === 0 ? [] : [{ from, to, ns: median(values) }];
  });
}

export function coresOf(places: readonly Place[]): readonly number[] {
  return [...new Set(places.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
}

/** What the colours span: pairs of different cores, so that a pathological diagonal does not make all the rest look the same. */
export function spanOf(places: readonly Place[]): readonly [number, number] {
  const across = places.filter(({ from, to }) => from !== to);
  return extent((across.length === 0 ? places : across).map(({ ns }) => ns), LEAST_SPAN);
}

function heatMap(title: string, places: readonly Place[]): Panel {
  const cores = coresOf(places);
  const span = spanOf(places);
  const side = (WIDTH - MARGIN - 4) / cores.length;
  const height = Math.min(side, 48);
  const figures = cores.length <= MOST_WITH_FIGURES;
  const inset = cores.length > 12 ? SEAMLESS : 1;
  const outside = places.filter(({ ns }) => ns > span[1] * 1.001 || ns < span[0] * 0.999);
  const step = Math.ceil(cores.length / 12);
  const ticks = cores.filter((_, index) => index % step === 0);
  const axis = { domain: [...cores], ticks, padding: 0, tickSize: 3 };
  const map = picture(sentence(title, places, cores.length), {
    height: Math.round(height * cores.length) + 46,
    marginLeft: MARGIN,
    marginRight: 4,
    marginTop: 6,
    marginBottom: 40,
    x: { ...axis, label: "to core", labelAnchor: "center", labelArrow: "none" },
    y: { ...axis, label: "from core", labelAnchor: "center", labelArrow: "none" },
    color: { type: "log", scheme: SCHEME, domain: span, clamp: true },
    marks: [
      Plot.frame({ stroke: FAINT }),
      Plot.cell(places, { x: "to", y: "from", fill: "ns", inset, title: titleOf }),
      // Stripes would hide figures: where there are some, what is beyond the scale has no colour.
      Plot.cell(outside, { x: "to", y: "from", fill: figures ? "var(--raised)" : OUTSIDE, inset, title: titleOf }),
      // A plate under the figure keeps it legible on any colour.
      ...(figures
        ? [Plot.text(places, { x: "to", y: "from", text: ({ ns }: Place) => time(ns), fill: INK, stroke: "var(--paper)", strokeWidth: 5 })]
        : []),
    ],
  });
  const picked = html`${map}${scale(span)}`;
  return { title, note: noteOf(places), picture: picked, table: matrixTable(title, places, cores) };
}

function titleOf({ from, to, ns }: Place): string {
  return `${from} → ${to}: ${time(ns)}`;
}

/** The scale as a strip with ticks. */
function scale([low, high]: readonly [number, number]): Html {
  const steps = 48;
  const at = (step: number): number => low * (high / low) ** (step / steps);
  const strip = Array.from({ length: steps }, (_, step) => ({ from: at(step), to: at(step + 1), ns: at(step + 0.5) }));
  return picture(`The scale of the map above, from ${time(low)} to ${time(high)}.`, {
    height: 34,
    marginLeft: MARGIN,
    marginRight: 22,
    marginTop: 2,
    marginBottom: 20,
    x: { type: "log", domain: [low, high], axis: null },
    color: { type: "log", scheme: SCHEME, domain: [low, high] },
    marks: [
      axisX([low * INSIDE, Math.sqrt(low * high), high / INSIDE], time, { label: null }),
      Plot.rectX(strip, { x1: "from", x2: "to", fill: "ns", insetLeft: -0.5, insetRight: -0.5 }),
    ],
  });
}

function ranges(places: readonly Place[]): readonly string[] {
  const range = (some: readonly Place[]): string => {
    const all = some.map(({ ns }) => ns);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return time(low) === time(high) ? time(low) : `${time(low)} to ${time(high)}`;
  };
  const across = places.filter(({ from, to }) => from !== to);
  const same = places.filter(({ from, to }) => from === to);
  return [...(across.length === 0 ? [] : [`across cores ${range(across)}`]), ...(same.length === 0 ? [] : [`on one core ${range(same)}`])];
}

function noteOf(places: readonly Place[]): string {
  return ranges(places).join(" · ");
}

function sentence(title: string, places: readonly Place[], cores: number): string {
  return `Heat map of ${title} between ${cores} cores: ${ranges(places).join(", ")}.`;
}

function matrixTable(title: string, places: readonly Place[], cores: readonly number[]): Html {
  const found = new Map(places.map(({ from, to, ns }) => [`${from},${to}`, ns]));
  const cell = (from: number, to: number): string => {
    const ns = found.get(`${from},${to}`);
    return ns === undefined ? "–" : time(ns);
  };
  const caption = `One-way latency of ${title}, from the core of the row to the core of the column`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption><span>${caption}</span></caption>
<thead><tr><th scope="col">from \\ to</th>${cores.map((core) => html`<th scope="col">${core}</th>`)}</tr></thead>
<tbody>${
    cores.map((from) => html`<tr><th scope="row">${from}</th>${cores.map((to) => html`<td>${cell(from, to)}</td>`)}</tr>\n`)
  }</tbody></table></div>`;
}
