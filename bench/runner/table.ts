/** Tables for people: cells of `fable bench` as aligned text. */
import { type Cell, ROUND_TRIPS } from "./cells.ts";

export function cellTable(cells: readonly Cell[]): string {
  if (cells.length === 0) return "no cell was measured";
  const header = cells[0]!.kind === "lat"
    ? ["transport", "trust", "driver", "size", "cores", "check", "p50", "p99", "p99.9", "over line", "line", "± repeated", "runs", ""]
    : ["transport", "trust", "driver", "size", "cores", "batch", "check", "messages/s", "bytes/s", "line", "± repeated", "runs", ""];
  return aligned([header, ...cells.map(row)]);
}

function row(cell: Cell): readonly string[] {
  const line = cell.placement_before_ns === null || cell.placement_after_ns === null
    ? undefined
    : (cell.placement_before_ns + cell.placement_after_ns) / 2;
  const head = [cell.transport, cell.trust, cell.driver, `${cell.size_bytes}`, cell.cores.join(",")];
  const tail = [
    line === undefined ? "-" : time(line),
    Number.isFinite(cell.spread) ? `${(cell.spread * 100).toFixed(0)} %` : "?",
    `${cell.runs.length}${cell.set_aside === 0 ? "" : ` (+${cell.set_aside} set aside)`}`,
    remarks(cell),
  ];
  if (cell.kind === "lat") {
    const p50 = cell.p50_ns ?? Number.NaN;
    return [
      ...head,
      cell.check,
      time(p50),
      time(cell.p99_ns ?? Number.NaN),
      time(cell.p999_ns ?? Number.NaN),
      line === undefined ? "-" : `${(p50 / line).toFixed(2)}x`,
      ...tail,
    ];
  }
  return [
    ...head,
    `${cell.batch}`,
    cell.check,
    scaled(cell.msgs_per_s ?? Number.NaN, ["", " k", " M", " G"]),
    `${scaled(cell.bytes_per_s ?? Number.NaN, [" B", " kB", " MB", " GB"])}/s`,
    ...tail,
  ];
}

/** What makes a figure worth less than it looks. */
function remarks(cell: Cell): string {
  const few = cell.round_trips !== undefined && cell.round_trips < ROUND_TRIPS;
  return [cell.unsteady ? "unsteady" : "", few ? `${cell.round_trips} round trips only: each takes long` : ""].filter((one) => one !== "")
    .join(", ");
}

/** Columns of equal width, numbers as they come. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)));
  return rows.map((cells) => cells.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n");
}

export function time(ns: number): string {
  return scaled(ns, [" ns", " µs", " ms", " s"]);
}

/** Three significant figures. */
export function scaled(value: number, units: readonly string[]): string {
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)}${units[unit]}`;
}
