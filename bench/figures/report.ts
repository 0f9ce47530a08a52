/** The figures as Markdown: all about them, and the README's part. Pure. */
import type { Environment } from "../runner/environment.ts";
import { aligned, markersOf } from "../runner/readme.ts";
import type { RowResult } from "./row.ts";

export interface FiguresReport {
  readonly environment: Environment;
  readonly rounds: number;
  readonly rows: readonly RowResult[];
}

const MARKS = { reached: "reached", must: "holds", missed: "**missed**", "not measured": "not measured" } as const;

export function markdown(report: FiguresReport): string {
  const { environment, rows } = report;
  return [
    "# Figures",
    "",
    `${
      environment.date.slice(0, 16).replace("T", " ")
    } UTC, revision ${environment.revision}, ${environment.cpus} × ${environment.cpu} (${environment.virtualization}), `
    + `Linux ${environment.kernel}, Bun ${environment.bun}, Deno ${environment.deno}, Zig ${environment.zig}, load ${
      environment.load_before.toFixed(2)
    } before.`,
    "",
    `Median (min–max) of ${report.rounds} rounds in fresh processes; ratios are taken within a round. \`line\` is the cost of one cache line between the two cores, `
    + "one way, around the row; samples during which it changed were set aside and repeated. How each row is measured: docs/benchmarks.md.",
    "",
    "| figure | | must | reach | measured | line | set aside | verdict |",
    "|---|---|---|---|---|---|---|---|",
    ...rows.map((row, index) => rowText(row, index === 0 || rows[index - 1]!.title !== row.title)),
    "",
    "## What the ratios are made of",
    "",
    "Medians over the rounds; absolute figures do not travel to other machines.",
    "",
    ...rows.filter(({ value }) => value.count > 0).map((row) => `- ${row.title}, ${row.cell}: ${partsText(row.parts)}`),
    "",
  ].join("\n");
}

export const MARKERS = markersOf("figures", "bench/results/figures.json, which npm run bench:figures writes together with this table");

/** The README's part: what was asked for and what was measured. */
export function readmeLines({ environment: e, rounds, rows }: FiguresReport): readonly string[] {
  const title = (index: number) => (index === 0 || rows[index - 1]!.title !== rows[index]!.title ? rows[index]!.title : "");
  const verdict = (row: RowResult) => (row.verdict === "missed" ? ", **missed**" : row.verdict === "not measured" ? " not measured" : "");
  return [
    `Measured ${
      e.date.slice(0, 10)
    } at ${e.revision} on ${e.cpus} × ${e.cpu} (${e.virtualization}), Linux ${e.kernel}, Bun ${e.bun}, Deno ${e.deno}: median of ${rounds}`,
    "rounds in fresh processes with the range. Ratios travel, absolute figures do not; [how](docs/benchmarks.md), [everything behind",
    "them](bench/results/figures.md). `fable bench lat` and `thr` measure yours.",
    "",
    ...aligned([
      ["figure", "", "must", "measured: median (range)"],
      ...rows.map((row, index) => [title(index), row.cell, row.must, `${measuredText(row)}${verdict(row)}`]),
    ]),
  ];
}

function measuredText({ value, ...row }: RowResult): string {
  if (value.count === 0) return "–";
  return `${number(value.median)}${row.unit === "×" ? "×" : ` ${row.unit}`} (${number(value.min)}–${number(value.max)})`;
}

function rowText(row: RowResult, first: boolean): string {
  const { value } = row;
  const measured = value.count === 0
    ? row.error ?? "no sample of this placement"
    : `${number(value.median)}${unit(row)} (${number(value.min)}–${number(value.max)}; ${value.count})`;
  const line = Number.isFinite(row.line_ns) ? `${row.line_ns.toFixed(0)} ns` : "–";
  const title = first ? row.title : "";
  return `| ${title} | ${row.cell} | ${row.must} | ${row.reach} | ${measured.replace(/\n[\s\S]*/, "")} | ${line} | ${row.set_aside} | ${
    MARKS[row.verdict]
  } |`;
}

function unit(row: RowResult): string {
  return row.unit === "×" ? "×" : ` ${row.unit}`;
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function partsText(parts: RowResult["parts"]): string {
  return Object.entries(parts).map(([name, value]) => {
    if (name.endsWith("bytes_per_s")) return `${name.replace("_bytes_per_s", "")} ${(value / 1e9).toFixed(1)} GB/s`;
    if (name.endsWith("_per_s")) return `${name.replace("_per_s", "").replaceAll("_", " ")} ${(value / 1e6).toPrecision(3)} M/s`;
    return `${name.replace("_ns", "").replaceAll("_", " ")} ${
      value >= 10_000 ? `${(value / 1000).toFixed(1)} µs` : `${value.toFixed(0)} ns`
    }`;
  }).join(", ");
}
