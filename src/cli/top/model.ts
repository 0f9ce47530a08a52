/**
 * What `fable top` knows and what a key does to it. Pure: samples and keys go in, a new state and perhaps an order come out; top.ts looks at the
 * broker and the keyboard, view.ts draws.
 */
import type { FlowDirection, FlowEntry } from "../../naming/service.ts";
import { TRANSPORT_NAMES, type TransportName } from "../../transport/transport.ts";
import { type Sort, SORTS } from "../words.ts";

/** One direction of a flow, with what it did since the sample before. */
export interface Row {
  /** Flow and side: stays the same from sample to sample. */
  readonly key: string;
  readonly flow: string;
  readonly from: string;
  readonly to: string;
  readonly pids: readonly [number, number];
  readonly direction: FlowDirection;
  /** Undefined in the first sample that has it. */
  readonly messagesPerS: number | undefined;
  readonly bytesPerS: number | undefined;
  /** Part of the time that its writer stood still, 0 to 1. */
  readonly blocked: number | undefined;
  readonly wakeupsPerS: number | undefined;
  readonly reason: string;
  readonly since: string;
}

export interface Sample {
  readonly atMs: number;
  readonly flows: readonly FlowEntry[];
}

/** What the keys do now. */
export type Mode =
  | { readonly is: "table" }
  | { readonly is: "filter"; readonly before: string }
  | { readonly is: "move"; readonly flow: string }
  | { readonly is: "explain"; readonly flow: string }
  | { readonly is: "help" };

export interface State {
  readonly rows: readonly Row[];
  readonly flows: number;
  readonly sort: Sort;
  readonly reversed: boolean;
  readonly filter: string;
  /** Key of the selected row, kept while rows change places. */
  readonly selected: string | undefined;
  readonly mode: Mode;
  readonly paused: boolean;
  readonly intervalMs: number;
  /** One sentence about the last thing that happened. */
  readonly notice: string;
}

/** What the program has to do besides drawing. */
export type Effect =
  | { readonly do: "quit" }
  | { readonly do: "suspend" }
  | { readonly do: "look" }
  | { readonly do: "explain"; readonly flow: string }
  | { readonly do: "move"; readonly flow: string; readonly transport: TransportName };

export const MIN_INTERVAL_MS = 250;
export const MAX_INTERVAL_MS = 60_000;

export function begin(intervalMs: number, sort: Sort, filter: string): State {
  return {
    rows: [],
    flows: 0,
    sort,
    reversed: false,
    filter,
    selected: undefined,
    mode: { is: "table" },
    paused: false,
    intervalMs,
    notice: "",
  };
}

/** The rows of `sample`, with rates since `before`. */
export function rowsOf(sample: Sample, before: Sample | undefined): readonly Row[] {
  const known = new Map(before?.flows.map((entry) => [entry.flow, entry]));
  const elapsedS = before === undefined ? 0 : (sample.atMs - before.atMs) / 1000;
  return sample.flows.flatMap((entry) =>
    entry.directions.map((direction, side): Row => {
      const earlier = elapsedS > 0 ? known.get(entry.flow)?.directions[side] : undefined;
      const perS = (pick: (of: FlowDirection) => number): number | undefined =>
        earlier === undefined ? undefined : Math.max(0, (pick(direction) - pick(earlier)) / elapsedS);
      const blockedNs = perS(({ blocked_ns }) => blocked_ns);
      return {
        key: `${entry.flow} ${side}`,
        flow: entry.flow,
        from: direction.from,
        to: entry.names[side === 0 ? 1 : 0],
        pids: entry.pids,
        direction,
        messagesPerS: perS(({ messages }) => messages),
        bytesPerS: perS(({ bytes }) => bytes),
        blocked: blockedNs === undefined ? undefined : Math.min(1, blockedNs / 1e9),
        wakeupsPerS: perS(({ wakeups }) => wakeups),
        reason: entry.reason,
        since: entry.since,
      };
    })
  );
}

/** The state with a new sample's rows. */
export function sampled(state: State, sample: Sample, before: Sample | undefined): State {
  return kept({ ...state, rows: rowsOf(sample, before), flows: sample.flows.length });
}

/** What is shown: filtered and sorted. */
export function visible(state: State): readonly Row[] {
  const wanted = state.filter.toLowerCase();
  const rows = wanted === "" ? [...state.rows] : state.rows.filter((row) => textOf(row).includes(wanted));
  const sign = state.reversed ? -1 : 1;
  return rows.sort((a, b) => sign * compare(a, b, state.sort) || (a.key < b.key ? -1 : 1));
}

function textOf(row: Row): string {
  return `${row.flow} ${row.from} ${row.to} ${row.direction.transport} ${row.direction.placement} ${row.pids.join(" ")}`.toLowerCase();
}

/** Largest figures first, words from a to z. */
function compare(a: Row, b: Row, sort: Sort): number {
  const figure = (row: Row): number | undefined => {
    if (sort === "rate") return row.messagesPerS;
    if (sort === "bytes") return row.bytesPerS;
    return sort === "blocked" ? row.blocked : row.wakeupsPerS;
  };
  if (sort === "flow") return a.flow < b.flow ? -1 : a.flow > b.flow ? 1 : 0;
  if (sort === "transport") return TRANSPORT_NAMES.indexOf(a.direction.transport) - TRANSPORT_NAMES.indexOf(b.direction.transport);
  return (figure(b) ?? -1) - (figure(a) ?? -1);
}

/** What a key does. Keys are names ("up", "escape") or what they write. */
export function pressed(state: State, key: string): { readonly state: State; readonly effect?: Effect } {
  if (key === "ctrl-c") return { state, effect: { do: "quit" } };
  if (key === "ctrl-z") return { state, effect: { do: "suspend" } };
  switch (state.mode.is) {
    case "filter":
      return { state: typed(state, key, state.mode.before) };
    case "move":
      return chosen(state, key, state.mode.flow);
    case "explain":
    case "help":
      return { state: key === "q" || key === "escape" || key === "enter" || key === "e" || key === "?" ? inTable(state) : state };
    default:
      return inTablePressed({ ...state, notice: "" }, key);
  }
}

function inTablePressed(state: State, key: string): { readonly state: State; readonly effect?: Effect } {
  const flow = state.rows.find((row) => row.key === state.selected)?.flow;
  switch (key) {
    case "q":
      return { state, effect: { do: "quit" } };
    case "up":
    case "k":
      return { state: step(state, -1) };
    case "down":
    case "j":
      return { state: step(state, 1) };
    case "page-up":
      return { state: step(state, -10) };
    case "page-down":
      return { state: step(state, 10) };
    case "s":
      return { state: { ...state, sort: SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length] ?? "rate" } };
    case "r":
      return { state: { ...state, reversed: !state.reversed } };
    case "/":
      return { state: { ...state, mode: { is: "filter", before: state.filter } } };
    case "p":
    case " ":
      return { state: { ...state, paused: !state.paused } };
    case "+":
      return { state: paced(state, 2) };
    case "-":
      return { state: paced(state, 0.5) };
    case "m":
      return { state: flow === undefined ? state : { ...state, mode: { is: "move", flow } } };
    case "e":
    case "enter":
      return flow === undefined ? { state } : { state: { ...state, mode: { is: "explain", flow } }, effect: { do: "explain", flow } };
    case "?":
    case "h":
      return { state: { ...state, mode: { is: "help" } } };
    default:
      return { state, ...(key === "ctrl-l" ? { effect: { do: "look" } as const } : {}) };
  }
}

function paced(state: State, factor: number): State {
  return { ...state, intervalMs: Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, Math.round(state.intervalMs * factor))) };
}

function typed(state: State, key: string, before: string): State {
  if (key === "enter") return inTable(state);
  if (key === "escape") return kept(inTable({ ...state, filter: before }));
  if (key === "backspace") return kept({ ...state, filter: state.filter.slice(0, -1) });
  return key.length === 1 && key >= " " && state.filter.length < 60 ? kept({ ...state, filter: state.filter + key }) : state;
}

function chosen(state: State, key: string, flow: string): { readonly state: State; readonly effect?: Effect } {
  if (key === "escape" || key === "q") return { state: inTable(state) };
  const transport = /^[1-9]$/.test(key) ? TRANSPORT_NAMES[Number(key) - 1] : undefined;
  if (transport === undefined) return { state };
  return { state: { ...inTable(state), notice: `moving ${flow} to ${transport} …` }, effect: { do: "move", flow, transport } };
}

function inTable(state: State): State {
  return { ...state, mode: { is: "table" } };
}

/** The selection stays on its row; if that is gone, it goes to the first. */
function kept(state: State): State {
  const rows = visible(state);
  return rows.some((row) => row.key === state.selected) ? state : { ...state, selected: rows[0]?.key };
}

function step(state: State, by: number): State {
  const rows = visible(state);
  const at = rows.findIndex((row) => row.key === state.selected);
  return { ...state, selected: rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.key };
}
