/**
 * Cells of a report brought together for comparison. Only like is compared with like: the same kind, driver, size, batch and check, in the same placement,
 * which is told by what a cache line costs and not by the numbers of the cores.
 */
import { alike, classOf, type Placement, type PlacementClass } from "../runner/placement.ts";
import { median } from "../runner/statistics.ts";
import type { ReadCell } from "./input.ts";

/** "across cores": two cores whose line was not measured. */
export type Class = PlacementClass | "across cores";

export const CLASSES: readonly Class[] = ["same core", "same physical core", "near", "far", "across cores"];

const TRANSPORTS = ["mempipe-spin", "mempipe", "mempipe-futex", "shmem-pipe", "vmsplice-coop", "pipe", "unix", "tcp", "tcp-nodelay"];
const SHARED_MEMORY = /^(mempipe|shmem)/;
const DRIVERS = ["native", "bun", "deno", "bun-deno", "deno-bun"];

/** What figures must have in common to be compared. */
export interface Setting {
  readonly kind: "lat" | "thr";
  readonly driver: string;
  readonly size: number;
  readonly batch: number;
  readonly check: string;
  readonly placement: Class;
}

/** All cells of one transport in one setting, over pairs of cores; figures are medians. */
export interface Row extends Setting {
  readonly transport: string;
  readonly trust: string;
  readonly cells: readonly ReadCell[];
  /** p50_ns or messages per second. */
  readonly value: number;
  readonly p99?: number;
  readonly p999?: number;
  readonly line?: number;
  readonly checkBytesPerSecond?: number;
  /** How many of its cells the tool expects not to come out alike again. */
  readonly unsteady: number;
  /** What its cells are expected to differ by when measured again. */
  readonly spread: number;
}

/** Undefined if it changed while the cell was measured: nothing may be compared with it. */
export function placementOf(cell: ReadCell): Class | undefined {
  const placement: Placement = { before: cell.placement_before_ns, after: cell.placement_after_ns };
  if (cell.cores[0] === cell.cores[1]) return "same core";
  if (placement.before === null && placement.after === null) return "across cores";
  return alike(placement) ? classOf(placement.before) : undefined;
}

export function lineOfCell(cell: ReadCell): number | undefined {
  const { placement_before_ns: before, placement_after_ns: after } = cell;
  return before === null || after === null ? undefined : (before + after) / 2;
}

export function isShared(transport: string): boolean {
  return SHARED_MEMORY.test(transport);
}

function rank(order: readonly string[], name: string): number {
  const index = order.indexOf(name);
  return index < 0 ? order.length : index;
}

function inOrder(order: readonly string[]): (a: string, b: string) => number {
  return (a, b) => rank(order, a) - rank(order, b) || (a < b ? -1 : a > b ? 1 : 0);
}

export const byTransport = inOrder(TRANSPORTS);
export const byDriver = inOrder(DRIVERS);

export function groupBy<T>(values: readonly T[], key: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const group = groups.get(key(value));
    if (group === undefined) groups.set(key(value), [value]);
    else group.push(value);
  }
  return groups;
}

export function settingKey(setting: Setting): string {
  return [setting.kind, setting.driver, setting.size, setting.batch, setting.check, setting.placement].join("|");
}

/** Rows in the order they are shown: by setting, then by transport. */
export function rowsOf(cells: readonly ReadCell[]): readonly Row[] {
  const placed = cells.flatMap((cell) => {
    const placement = placementOf(cell);
    if (placement === undefined) return [];
    const { kind, driver, size_bytes: size, batch, check, transport, trust } = cell;
    return [{ cell, row: { kind, driver, size, batch, check, placement, transport, trust } }];
  });
  const groups = groupBy(placed, ({ row }) => `${settingKey(row)}|${row.transport}|${row.trust}`);
  return [...groups.values()].map((group) => rowOf(group[0]!.row, group.map(({ cell }) => cell))).sort(compareRows);
}

/** Of a cell that is unsteady, by how much nobody could tell. */
const UNKNOWN_SPREAD = 0.5;

/** Whether most of its cells are expected to come out alike again: sentences about a few percent are for these. */
export function steady({ unsteady, cells }: Row): boolean {
  return unsteady * 2 < cells.length;
}

function rowOf(key: Setting & Pick<Row, "transport" | "trust">, cells: readonly ReadCell[]): Row {
  const of = (pick: (cell: ReadCell) => number | undefined): number | undefined => {
    const values = cells.flatMap((cell) => pick(cell) ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const optional = { p99: of((cell) => cell.p99_ns), p999: of((cell) => cell.p999_ns), line: of(lineOfCell) };
  const check = of((cell) => cell.check_bytes_per_s);
  return {
    ...key,
    cells,
    value: median(cells.map(valueOf)),
    ...(optional.p99 === undefined ? {} : { p99: optional.p99 }),
    ...(optional.p999 === undefined ? {} : { p999: optional.p999 }),
    ...(optional.line === undefined ? {} : { line: optional.line }),
    ...(check === undefined ? {} : { checkBytesPerSecond: check }),
    unsteady: cells.filter((cell) => cell.unsteady).length,
    spread: of(({ spread, unsteady }) => spread ?? (unsteady ? UNKNOWN_SPREAD : undefined)) ?? 0,
  };
}

function compareRows(a: Row, b: Row): number {
  return (a.kind === b.kind ? 0 : a.kind === "lat" ? -1 : 1)
    || byDriver(a.driver, b.driver)
    || CLASSES.indexOf(a.placement) - CLASSES.indexOf(b.placement)
    || a.size - b.size || a.batch - b.batch
    || (a.check < b.check ? -1 : a.check > b.check ? 1 : 0)
    || byTransport(a.transport, b.transport)
    || (a.trust < b.trust ? -1 : a.trust > b.trust ? 1 : 0);
}

export function valueOf(cell: ReadCell): number {
  return (cell.kind === "lat" ? cell.p50_ns : cell.msgs_per_s) ?? Number.NaN;
}

/** The interrupt and the like: notifications that carry nothing, so no rivals of a transport. */
export function isReference(transport: string): boolean {
  return transport === "ipi";
}

export function rivals(rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ transport }) => !isReference(transport));
}

/** How many times as good `mine` is as `theirs`, both in one setting: the median over the pairs of cores that both were measured on. */
export function advantage(mine: Row, theirs: Row): number | undefined {
  if (settingKey(mine) !== settingKey(theirs)) return undefined;
  const of = ({ cells }: Row): ReadonlyMap<string, number> =>
    new Map([...groupBy(cells, ({ cores }) => cores.join())].map(([pair, group]) => [pair, median(group.map(valueOf))]));
  const ours = of(mine);
  const ratios = [...of(theirs)].flatMap(([pair, their]) => {
    const our = ours.get(pair);
    return our === undefined ? [] : [mine.kind === "lat" ? their / our : our / their];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

/** The row of another transport in the same setting; of a shared-memory one the trusted. */
export function counterpart(rows: readonly Row[], row: Row, transport: string): Row | undefined {
  const key = settingKey(row);
  const found = rows.filter((other) => other.transport === transport && settingKey(other) === key);
  return found.find(({ trust }) => trust !== "untrusted") ?? found[0];
}

export function overTcp(rows: readonly Row[], row: Row): number | undefined {
  const tcp = counterpart(rows, row, "tcp");
  return tcp === undefined ? undefined : advantage(row, tcp);
}

/** How many cache lines' time a message takes one way: over each cell's own line. */
export function overLine(row: Row): number | undefined {
  const ratios = row.cells.flatMap((cell) => {
    const line = lineOfCell(cell);
    return line === undefined ? [] : [valueOf(cell) / line];
  });
  return row.kind === "thr" || ratios.length === 0 ? undefined : median(ratios);
}

export function bytesPerSecondOf(row: Row): number {
  return row.value * row.size;
}

/** How a row is called beside others of its setting. */
export function nameOfRow({ transport, trust }: Pick<Row, "transport" | "trust">): string {
  return trust === "untrusted" ? `${transport}, untrusted` : transport;
}

/** Where in words, for a sentence. */
export function placeOf(placement: Class): string {
  switch (placement) {
    case "same core":
      return "on one core";
    case "same physical core":
      return "on one physical core";
    case "near":
      return "across near cores";
    case "far":
      return "across far cores";
    case "across cores":
      return "across cores";
  }
}
