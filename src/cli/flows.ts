/** `fable flows`: the live channels, one row for each direction. */
import type { FlowDirection, FlowEntry } from "../naming/service.ts";
import { formatBytes, formatCount, formatNanoseconds, formatRate } from "./format.ts";
import { withNameService } from "./open.ts";
import type { Output } from "./output.ts";

export interface FlowsOptions {
  readonly socket?: string;
}

/** Rates need two looks; this long apart. */
const WINDOW_MS = 250;

const HEADER = [
  "FLOW",
  "FROM",
  "TO",
  "TRANSPORT",
  "TRUST",
  "EPOCH",
  "MESSAGES",
  "BYTES",
  "RATE",
  "WAKE-UPS",
  "BLOCKED",
  "PLACEMENT",
  "REASON",
];

export async function flows(output: Output, options: FlowsOptions): Promise<void> {
  const entries = await withNameService(options.socket, (service) => service.flows({ windowMs: WINDOW_MS }));
  output.value(entries);
  if (entries.length === 0 && output.terminal) output.line("No channels are open.");
  else await output.table(HEADER, entries.flatMap((entry) => entry.directions.map((direction) => row(entry, direction, output.terminal))));
}

/** Figures with units on a terminal, plain numbers for scripts. */
function row(entry: FlowEntry, direction: FlowDirection, terminal: boolean): readonly string[] {
  const [first, second] = entry.names;
  const to = direction.from === first ? second : first;
  const figures = terminal
    ? [
      formatCount(direction.messages),
      formatBytes(direction.bytes),
      formatRate(direction.msgs_per_s),
      formatCount(direction.wakeups),
      formatNanoseconds(direction.blocked_ns),
    ]
    : [direction.messages, direction.bytes, direction.msgs_per_s, direction.wakeups, direction.blocked_ns].map(String);
  return [
    entry.flow,
    direction.from,
    to,
    direction.transport,
    direction.trust,
    String(direction.epoch),
    ...figures,
    direction.placement,
    entry.reason,
  ];
}
