/** Ratios at a glance: transports by what was measured, each field with its figure: over tcp, and over the cost of a cache line. */
import { byTransport, type Class, CLASSES, isReference, nameOfRow, overLine, overTcp, rivals, type Row } from "../analysis.ts";
import { INK, picture, Plot, WIDTH } from "../draw.ts";
import { size, times } from "../format.ts";
import { type Html, html, table } from "../html.ts";
import type { Figure, Panel } from "./figure.ts";

interface Field {
  readonly transport: string;
  readonly column: string;
  readonly ratio: number;
}

interface Matrix {
  readonly title: string;
  readonly fields: readonly Field[];
  readonly transports: readonly string[];
  readonly columns: readonly string[];
}

const ROW_HEIGHT = 22;

export function tcpFigure(all: readonly Row[], driver: string): Figure | undefined {
  const rows = rivals(all).filter((row) => row.driver === driver);
  const matrices = CLASSES.flatMap((placement) => {
    const matrix = matrixOf(
      placement,
      preferPlain(rows.filter((row) => row.placement === placement)),
      (row, own) => overTcp(own, row),
      columnOf,
    );
    return matrix.fields.some(({ transport }) => transport !== "tcp") ? [matrix] : [];
  });
  if (matrices.length === 0) return undefined;
  return {
    id: "over-tcp",
    title: `How many times as good as tcp, ${driver} ends`,
    text:
      "Above 1× is better than tcp between the same cores in the same placement. Latency (lat.) comes first, less time being better, then throughput by size. Blue is better, orange worse, "
      + "deeper is further from 1×. Throughput is the plain read, where there is one.",
    panels: matrices.map((matrix) => matrixPanel(matrix, "times as good as tcp")),
    table: html`${matrices.map((matrix) => matrixTable(matrix, "Times as good as tcp"))}`,
  };
}

/** Latency of every driver in cache lines, which is what a message would cost if nothing but the hardware stood between. */
export function lineFigure(all: readonly Row[]): Figure | undefined {
  const rows = all.filter(({ kind, line }) => kind === "lat" && line !== undefined);
  const matrices = CLASSES.flatMap((placement) => {
    const own = rows.filter((row) => row.placement === placement);
    const matrix = matrixOf(
      placement,
      own,
      overLine,
      (row) => (row.size === 64 || row.transport === "ipi" ? row.driver : `${row.driver}, ${size(row.size)}`),
    );
    return matrix.fields.length === 0 ? [] : [matrix];
  });
  if (matrices.length === 0) return undefined;
  return {
    id: "over-line",
    title: "How many cache lines long a message takes",
    text:
      "One-way latency over what a cache line cost between the same two cores around the same measurement: 1× is what the hardware allows. "
      + "ipi is an interrupt to the other core while that runs, a lower bound for everything that blocks.",
    panels: matrices.map((matrix) => matrixPanel(matrix, "times the cost of a cache line", true)),
    table: html`${matrices.map((matrix) => matrixTable(matrix, "Times the cost of a cache line"))}`,
  };
}

function columnOf(row: Row): string {
  return row.kind === "lat" ? `latency ${size(row.size)}` : size(row.size);
}

/** Verified figures only where there is no plain one. */
function preferPlain(rows: readonly Row[]): readonly Row[] {
  return rows.filter((row) =>
    row.kind === "lat" || row.check === "plain"
    || !rows.some((other) =>
      other.check === "plain" && other.kind === row.kind && nameOfRow(other) === nameOfRow(row) && other.size === row.size
    )
  );
}

function matrixOf(
  placement: Class,
  rows: readonly Row[],
  ratioOf: (row: Row, rows: readonly Row[]) => number | undefined,
  column: (row: Row) => string,
): Matrix {
  const fields = new Map<string, Field>();
  for (const row of rows) {
    const ratio = ratioOf(row, rows);
    const field = { transport: nameOfRow(row), column: column(row), ratio: ratio ?? Number.NaN };
    // Of several batches, the first.
    if (ratio !== undefined && !fields.has(`${field.transport}|${field.column}`)) fields.set(`${field.transport}|${field.column}`, field);
  }
  const all = [...fields.values()];
  return {
    title: placement,
    fields: all,
    transports: inOrderOf(rows).filter((name) => all.some(({ transport }) => transport === name)),
    columns: [...new Set(all.map((field) => field.column))],
  };
}

function matrixPanel({ title, fields, transports, columns }: Matrix, what: string, neutral = false): Panel {
  const best = fields.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  const worst = fields.reduce((a, b) => (b.ratio < a.ratio ? b : a));
  const text = (field: Field): string => `${field.transport}, ${field.column}: ${times(field.ratio)}`;
  return {
    title,
    picture: picture(`Table of ${what}, ${title}: from ${text(worst)} to ${text(best)}.`, {
      width: WIDTH,
      height: transports.length * ROW_HEIGHT + 30,
      marginLeft: Math.max(104, ...transports.map((name) => shortOf(name, transports).length * 6 + 10)),
      marginRight: 2,
      marginTop: 26,
      marginBottom: 4,
      x: {
        domain: [...columns],
        axis: "top",
        label: null,
        tickSize: 0,
        padding: 0.06,
        tickFormat: (column: string) => column.replace("latency", "lat."),
      },
      y: { domain: [...transports], label: null, tickSize: 0, padding: 0.08, tickFormat: (name: string) => shortOf(name, transports) },
      color: { type: "identity" },
      marks: [
        Plot.cell(fields, {
          x: "column",
          y: "transport",
          fill: ({ ratio }: Field) => (neutral ? "var(--muted)" : tint(ratio)),
          fillOpacity: ({ ratio }: Field) => depth(ratio),
          title: text,
        }),
        Plot.text(fields, { x: "column", y: "transport", text: ({ ratio }: Field) => times(ratio), fill: INK }),
      ],
    }),
  };
}

/** Names of the rows by transport, lower bounds first, a trusted one before its untrusted. */
function inOrderOf(rows: readonly Row[]): readonly string[] {
  const rank = ({ transport }: Row): number => (isReference(transport) ? 0 : 1);
  const ordered = rows.toSorted((a, b) => rank(a) - rank(b) || byTransport(a.transport, b.transport) || (a.trust < b.trust ? -1 : 1));
  return [...new Set(ordered.map(nameOfRow))];
}

/** An untrusted row under its trusted one need not say again whose it is. */
function shortOf(name: string, names: readonly string[]): string {
  const trusted = name.replace(/, untrusted$/, "");
  return trusted === name ? name : names.includes(trusted) ? "untrusted" : `${trusted} (untr.)`;
}

function tint(ratio: number): string {
  return ratio >= 1 ? "var(--shared)" : "var(--kernel)";
}

/** Faint enough that the ink on it stays legible. */
function depth(ratio: number): number {
  return Math.min(0.5, 0.04 + Math.abs(Math.log10(ratio)) * 0.2);
}

function matrixTable({ title, fields, transports, columns }: Matrix, what: string): Html {
  const of = (transport: string, column: string): string => {
    const field = fields.find((one) => one.transport === transport && one.column === column);
    return field === undefined ? "–" : times(field.ratio);
  };
  return table(
    `${what}, ${title}`,
    ["transport", ...columns],
    transports.map((transport) => [transport, ...columns.map((column) => of(transport, column))]),
  );
}
