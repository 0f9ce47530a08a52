/** Rows of transports along a logarithmic or linear axis, their figures in a column at the right: what latency, throughput and ratios are drawn with. */
import { groupBy, isReference, isShared, nameOfRow, type Row, type Setting, settingKey, steady } from "../analysis.ts";
import {
  axisX,
  extent,
  FAINT,
  GRID,
  INK,
  KERNEL,
  KERNEL_STRIPES,
  logTicks,
  picture,
  Plot,
  REFERENCE,
  SHARED,
  SHARED_STRIPES,
  WIDTH,
} from "../draw.ts";
import { round } from "../format.ts";
import type { Html } from "../html.ts";

export interface Lane {
  /** Unique within the picture. */
  readonly name: string;
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly fill: string;
  /** Where the line of a latency ends, and its tick. */
  readonly to?: number;
  readonly tick?: number;
  readonly hollow?: boolean;
}

const LANE_HEIGHT = 19;
/** A lane whose label stands above it. */
const TALL_LANE_HEIGHT = 36;
const MOST_TICKS = 3;
const LEFT = 104;
/** About so wide is a letter. */
const LETTER = 6;
const RIGHT = 66;

/** Zero, half and most of a linear axis, in round figures. */
function linearTicks(high: number): readonly number[] {
  const power = 10 ** Math.floor(Math.log10(high));
  const top = power * ([8, 6, 4, 3, 2, 1].find((step) => step * power <= high) ?? 1);
  return [0, top / 2, top];
}

/** The scale of a picture with its ticks, and the axis and the grid that show them. */
function axisOf(domain: readonly [number, number], log: boolean, format: (value: number) => string, label: string) {
  const ticks = log ? logTicks(domain[0], domain[1], MOST_TICKS) : linearTicks(domain[1]);
  const x: Plot.ScaleOptions = { type: log ? "log" : "linear", domain: [...domain], axis: null };
  return {
    x,
    grid: Plot.gridX([...ticks], { stroke: GRID, strokeOpacity: 1 }),
    axis: axisX(ticks, round(format), { label, anchor: "right", offset: 34 }),
  };
}

function frame(lanes: readonly Lane[], above = false): Plot.PlotOptions {
  const labels = new Map(lanes.map(({ name, label }) => [name, label]));
  return {
    width: WIDTH,
    height: lanes.length * (above ? TALL_LANE_HEIGHT : LANE_HEIGHT) + (above ? 50 : 46),
    marginLeft: above ? 6 : Math.max(LEFT, ...lanes.map(({ label }) => label.length * LETTER + 10)),
    marginRight: RIGHT,
    marginTop: above ? 8 : 4,
    marginBottom: 42,
    y: {
      type: "band",
      domain: lanes.map(({ name }) => name),
      ...(above ? { axis: null } : { tickFormat: (name: string) => labels.get(name) ?? name }),
      label: null,
      tickSize: 0,
      padding: 0.28,
    },
  };
}

function column(lanes: readonly Lane[]): Plot.Markish {
  return Plot.text(lanes, { y: "name", text: "text", frameAnchor: "right", textAnchor: "end", dx: RIGHT - 2, fill: INK });
}

/** A point for each lane, from which a line may go on to its tail. */
export function points(label: string, lanes: readonly Lane[], axis: string, format: (value: number) => string, one?: number): Html {
  // With a value to compare with, labels are long names of other programs: they stand above their lanes.
  const above = one !== undefined;
  const values = lanes.flatMap(({ value, to }) => [value, to ?? value]).concat(one ?? []);
  const [low, high] = extent(values, 10);
  const { x, grid, axis: axisMark } = axisOf([low * 0.85, high * 1.15], true, format, axis);
  const tails = lanes.filter(({ to }) => to !== undefined);
  return picture(label, {
    ...frame(lanes, above),
    x,
    marks: [
      grid,
      axisMark,
      ...(one === undefined ? [] : [Plot.ruleX([one], { stroke: INK, strokeDasharray: "3 2" })]),
      ...(one === undefined ? [] : [Plot.ruleY(lanes, { y: "name", x1: one, x2: "value", stroke: "fill", strokeWidth: 2 })]),
      Plot.ruleY(tails, { y: "name", x1: "value", x2: "to", stroke: "fill", strokeWidth: 2 }),
      Plot.tickX(tails.filter(({ tick }) => tick !== undefined), { x: "tick", y: "name", stroke: "fill", strokeWidth: 2, inset: 1 }),
      Plot.dot(lanes, {
        x: "value",
        y: "name",
        r: 4.5,
        fill: ({ hollow, fill }: Lane) => hollow === true ? "var(--paper)" : fill,
        stroke: "fill",
        strokeWidth: 2,
        title: ({ label: name, text }: Lane) => `${name}: ${text}`,
      }),
      ...(above
        ? [
          Plot.text(lanes, {
            y: "name",
            text: "label",
            frameAnchor: "left",
            textAnchor: "start",
            dy: -13,
            fill: INK,
            stroke: "var(--paper)",
            strokeWidth: 5,
          }),
        ]
        : []),
      column(lanes),
    ],
    color: { type: "identity" },
  });
}

/** Above this factor between the longest and the shortest bar the short ones vanish on a linear axis. */
const MOST_LINEAR = 25;

/** Bars with an optional tick on each; linear where the shortest is still seen. */
export function bars(label: string, lanes: readonly Lane[], axis: string, format: (value: number) => string): Html {
  const values = lanes.flatMap(({ value, tick }) => [value, tick ?? value]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = high / low > MOST_LINEAR;
  const start = log ? 10 ** Math.floor(Math.log10(low * 0.7)) : 0;
  const { x, grid, axis: axisMark } = axisOf([start, high * 1.05], log, format, `${axis}${log ? ", logarithmic" : ""}`);
  return picture(label, {
    ...frame(lanes),
    x,
    marks: [
      grid,
      axisMark,
      Plot.barX(lanes, {
        y: "name",
        x1: start,
        x2: "value",
        fill: "fill",
        stroke: ({ fill }: Lane) => edgeOf(fill),
        strokeWidth: 1,
        title: ({ label: name, text }: Lane) => `${name}: ${text}`,
      }),
      Plot.tickX(lanes.filter(({ tick }) => tick !== undefined), { x: "tick", y: "name", stroke: INK, strokeWidth: 2.5, inset: -2 }),
      Plot.ruleX([start], { stroke: FAINT }),
      column(lanes),
    ],
    color: { type: "identity" },
  });
}

function edgeOf(fill: string): string {
  return fill === SHARED_STRIPES ? SHARED : fill === KERNEL_STRIPES ? KERNEL : fill;
}

/** Shared memory or kernel; solid or, untrusted, striped. */
export function fillOf(row: Row, striped: boolean): string {
  if (isReference(row.transport)) return REFERENCE;
  if (isShared(row.transport)) return striped && row.trust === "untrusted" ? SHARED_STRIPES : SHARED;
  return striped && row.trust === "untrusted" ? KERNEL_STRIPES : KERNEL;
}

/** The figure beside a lane; one that is unsteady is about right at best. */
export function laneText(row: Row, text: string): string {
  return steady(row) ? text : `≈${text}`;
}

export function laneLabel(row: Row, above: Row | undefined): string {
  if (row.trust !== "untrusted") return row.transport;
  return above?.transport === row.transport ? "untrusted" : nameOfRow(row).replace(", untrusted", " (untr.)");
}

export function inSettings(rows: readonly Row[]): readonly { readonly setting: Setting; readonly rows: readonly Row[] }[] {
  return [...groupBy(rows, settingKey).values()].map((group) => ({ setting: group[0]!, rows: group }));
}
