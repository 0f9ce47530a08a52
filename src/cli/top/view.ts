/**
 * The screen of `fable top` as lines of text, right at 80 × 24 and without colour: what is selected has a mark, what is cut an ellipsis. Pure.
 */
import { TRANSPORT_NAMES } from "../../transport/transport.ts";
import { formatBytes, formatCount, formatNanoseconds, formatRate } from "../format.ts";
import type { Colours } from "../output.ts";
import { SORTS } from "../words.ts";
import { type Row, type State, visible } from "./model.ts";

export interface Screen {
  readonly columns: number;
  readonly lines: number;
  readonly colours: Colours;
  /** As people read it. */
  readonly clock: string;
  /** Of the flow that is explained: lines about it, or undefined while they are fetched. */
  readonly explanation: readonly string[] | undefined;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly right: boolean;
  /** Columns with a larger one go first when there is no room. */
  readonly rank: number;
  text(row: Row): string;
}

const GAP = 1;
const MARK = 2;
const MIN_WAY = 20;

const COLUMNS: readonly Column[] = [
  { title: "FLOW", width: 10, right: false, rank: 0, text: (row) => row.flow },
  { title: "TRANSPORT", width: 13, right: false, rank: 0, text: (row) => row.direction.transport },
  { title: "MSG/S", width: 8, right: true, rank: 1, text: (row) => figure(row.messagesPerS, formatRate).replace("/s", "") },
  { title: "BYTES/S", width: 9, right: true, rank: 2, text: (row) => figure(row.bytesPerS, formatBytes) },
  { title: "BLOCK", width: 5, right: true, rank: 3, text: (row) => figure(row.blocked, (part) => `${Math.round(part * 100)}%`) },
  { title: "WAKE/S", width: 7, right: true, rank: 5, text: (row) => figure(row.wakeupsPerS, formatRate).replace("/s", "") },
  { title: "EPOCH", width: 5, right: true, rank: 4, text: (row) => String(row.direction.epoch) },
  { title: "TRUST", width: 9, right: false, rank: 6, text: (row) => row.direction.trust },
  { title: "PLACEMENT", width: 16, right: false, rank: 7, text: (row) => row.direction.placement },
  { title: "REASON", width: 40, right: false, rank: 8, text: (row) => row.reason },
];

/** Exactly `lines` lines, none longer than `columns`. */
export function draw(state: State, screen: Screen): readonly string[] {
  const { columns, lines, colours } = screen;
  const body = bodyOf(state, screen, lines - 3);
  const filled = [head(state, screen), ...body, ...Array.from({ length: Math.max(0, lines - 3 - body.length) }, () => "")];
  const foot = [colours.dim(fit(state.notice === "" ? selectedReason(state) : state.notice, columns)), fit(keys(state), columns)];
  return [...filled.slice(0, lines - 2), ...foot].slice(0, lines);
}

function head(state: State, { columns, colours, clock }: Screen): string {
  const total = (pick: (row: Row) => number | undefined): number => state.rows.reduce((sum, row) => sum + (pick(row) ?? 0), 0);
  const channels = `${formatCount(state.flows)} ${state.flows === 1 ? "channel" : "channels"}`;
  const traffic = `${formatRate(total((row) => row.messagesPerS)).replace("/s", " msg/s")}, ${
    formatBytes(total((row) => row.bytesPerS))
  }/s`;
  const order = `by ${state.sort}${state.reversed ? ", reversed" : ""}${state.filter === "" ? "" : `, with "${state.filter}"`}`;
  const pace = state.paused ? "paused" : `every ${state.intervalMs / 1000} s`;
  return colours.bold(fit(`fable top · ${channels} · ${traffic} · ${order} · ${pace} · ${clock}`, columns));
}

function bodyOf(state: State, screen: Screen, room: number): readonly string[] {
  if (state.mode.is === "help") return HELP.map((line) => fit(line, screen.columns)).slice(0, room);
  if (state.mode.is === "move") return choices(state.mode.flow, screen).slice(0, room);
  if (state.mode.is === "explain") return explained(state.rows, state.mode.flow, screen).slice(0, room);
  return tableOf(state, screen, room);
}

function tableOf(state: State, { columns, colours }: Screen, room: number): readonly string[] {
  const shown = columnsFor(columns);
  const way = columns - MARK - shown.reduce((sum, { width }) => sum + width + GAP, 0);
  const line = (flow: string, direction: string, rest: (column: Column) => string): string => {
    const [first, ...others] = shown;
    return [
      pad(flow, first?.width ?? 0, false),
      pad(direction, way, false),
      ...others.map((column) => pad(rest(column), column.width, column.right)),
    ]
      .join(" ".repeat(GAP));
  };
  const rows = visible(state);
  const at = Math.max(0, rows.findIndex((row) => row.key === state.selected));
  const from = Math.min(Math.max(0, at - (room - 2)), Math.max(0, rows.length - (room - 1)));
  const header = colours.bold(fit(`  ${line("FLOW", "DIRECTION", (column) => column.title)}`, columns));
  if (rows.length === 0) {
    return [header, fit(state.filter === "" ? "  No channels are open." : `  No channel has "${state.filter}".`, columns)];
  }
  return [
    header,
    ...rows.slice(from, from + room - 1).map((row) => {
      const text = fit(`${row.key === state.selected ? ">" : " "} ${line(row.flow, wayOf(row), (column) => column.text(row))}`, columns);
      return row.key === state.selected ? colours.bold(text) : text;
    }),
  ];
}

/** As many as fit, the important ones first, in their order. */
function columnsFor(columns: number): readonly Column[] {
  let shown = COLUMNS;
  const width = (): number => MARK + shown.reduce((sum, column) => sum + column.width + GAP, 0) + MIN_WAY;
  for (let rank = 8; rank > 0 && width() > columns; rank--) shown = shown.filter((column) => column.rank < rank);
  return shown;
}

function wayOf({ from, to }: Row): string {
  return `${short(from)} → ${short(to)}`;
}

function short(name: string): string {
  return name.replace(/^xio:\/\//, "");
}

function choices(flow: string, { columns, colours }: Screen): readonly string[] {
  return [
    colours.bold(fit(`Move ${flow} to`, columns)),
    "",
    ...TRANSPORT_NAMES.map((name, index) => fit(`  ${index + 1}  ${name}`, columns)),
  ];
}

function explained(rows: readonly Row[], flow: string, { columns, colours, explanation }: Screen): readonly string[] {
  const own = rows.filter((row) => row.flow === flow);
  const [first] = own;
  if (first === undefined) return [`${flow} is closed.`];
  const facts = own.flatMap((row) => [
    `${short(row.from)} → ${short(row.to)}`,
    `  ${row.direction.transport}, ${row.direction.trust}, epoch ${row.direction.epoch}, ${row.direction.placement}`,
    `  ${formatCount(row.direction.messages)} messages, ${formatBytes(row.direction.bytes)}; blocked ${
      formatNanoseconds(row.direction.blocked_ns)
    }, ${formatCount(row.direction.wakeups)} wake-ups`,
  ]);
  const more = explanation ?? ["…"];
  return [
    colours.bold(fit(`${flow}, processes ${first.pids.join(" and ")}`, columns)),
    ...wrap(`${first.reason}, since ${first.since}`, columns),
    ...facts.map((line) => fit(line, columns)),
    ...more.flatMap((line) => wrap(line, columns)),
  ];
}

function selectedReason(state: State): string {
  const row = state.rows.find(({ key }) => key === state.selected);
  return row === undefined ? "" : `${row.flow}: ${row.reason}`;
}

function keys(state: State): string {
  switch (state.mode.is) {
    case "filter":
      return `filter: ${state.filter}_   (Enter keeps it, Escape does not)`;
    case "move":
      return `1 to ${TRANSPORT_NAMES.length}: move both directions   Escape: leave it as it is`;
    case "explain":
    case "help":
      return "Escape: back to the table";
    default:
      return "↑↓ select  s sort  r reverse  / filter  m move  e explain  p pause  ? help  q";
  }
}

const HELP: readonly string[] = [
  "",
  "  One row for each direction of each channel, with what it did since the last look.",
  "",
  "  ↑ ↓ j k      select a row               PgUp PgDn  ten rows at once",
  `  s            sort by the next of ${SORTS.join(", ")}`,
  "  r            the other way round",
  "  /            show only rows with a text in flow, names, transport, placement or pids",
  "  m            move the selected channel to another transport",
  "  e, Enter     why it is as it is: facts, candidates, predicted costs",
  "  p, space     stop looking, go on       + -        look less, more often",
  "  q, Ctrl-C    quit                      Ctrl-Z     suspend",
  "",
  "  MSG/S, BYTES/S and WAKE/S are of the writing end; BLOCK is the part of the time it stood still.",
];

function figure(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "-" : format(value);
}

/** Cut to `width`, what others named without control characters. */
export function fit(text: string, width: number): string {
  const plain = text.replace(/\p{Cc}/gu, "?");
  return plain.length <= width ? plain : `${plain.slice(0, Math.max(0, width - 1))}…`;
}

function pad(text: string, width: number, right: boolean): string {
  const cut = fit(text, width);
  return right ? cut.padStart(width) : cut.padEnd(width);
}

/** Words in lines of at most `width`, continued lines indented. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => fit(each, width));
}
