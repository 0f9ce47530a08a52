/** Tables for people: cells of `fable bench` as aligned text. */
import type { Cell } from "./cells.ts";

export function cellTable(cells: readonly Cell[]): string {
  if (cells.length === 0) return "no cell was measured";
  const header = cells[0]!.kind === "lat"
    ? ["transport", "trust", "driver", "size", "cores", "p50", "p99", "p99.9", "over line", "line", "runs"]
    : ["transport", "trust", "driver", "size", "cores", "batch", "messages/s", "bytes/s", "line", "runs"];
  return aligned([header, ...cells.map(row)]);
}

function row(cell: Cell): readonly string[] {
  const line = cell.placement_before_ns === null || cell.placement_after_ns === null
    ? undefined
    : (cell.placement_before_ns + cell.placement_after_ns) / 2;
  const head = [cell.transport, cell.trust, cell.driver, `${cell.size_bytes}`, cell.cores.join(",")];
  const tail = [
    line === undefined ? "-" : time(line),
    `${cell.runs.length}${cell.set_aside === 0 ? "" : ` (+${cell.set_aside} set aside)`}`,
  ];
  if (cell.kind === "lat") {
    const p50 = cell.p50_ns ?? Number.NaN;
    return [
      ...head,
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
    scaled(cell.msgs_per_s ?? Number.NaN, ["", " k", " M", " G"]),
    `${scaled(cell.bytes_per_s ?? Number.NaN, [" B", " kB", " MB", " GB"])}/s`,
    ...tail,
  ];
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
