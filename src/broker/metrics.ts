/** What the broker knows as Prometheus text (exposition format 0.0.4): its own figures, and one line per direction of each flow. Pure. */
import type { Responses } from "../naming/protocol.ts";

type FlowLine = Responses["flows"]["entries"][number];
type Direction = FlowLine["directions"][number];

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly value: (direction: Direction) => number;
}

const FAMILIES: readonly Family[] = [
  { name: "fable_flow_messages_total", type: "counter", help: "Messages sent.", value: ({ messages }) => messages },
  { name: "fable_flow_bytes_total", type: "counter", help: "Bytes of messages sent.", value: ({ bytes }) => bytes },
  { name: "fable_flow_wakeups_total", type: "counter", help: "Times the writer woke its reader.", value: ({ wakeups }) => wakeups },
  {
    name: "fable_flow_blocked_seconds_total",
    type: "counter",
    help: "Time the writer waited for room.",
    value: (direction) => direction.blocked_ns / 1e9,
  },
  { name: "fable_flow_epoch", type: "gauge", help: "Transports the direction has had before this one.", value: ({ epoch }) => epoch },
];

/** What only ever grows, of the broker's own figures. */
const COUNTERS: ReadonlySet<string> = new Set(["policy_rounds", "policy_spent_us", "policy_moves"]);

export function metricsText(stats: Readonly<Record<string, number>>, flows: readonly FlowLine[]): string {
  const own = Object.entries(stats).flatMap(([name, value]) => {
    const counts = COUNTERS.has(name);
    const full = `fable_broker_${name}${counts ? "_total" : ""}`;
    return [`# TYPE ${full} ${counts ? "counter" : "gauge"}`, `${full} ${value}`];
  });
  const families = FAMILIES.flatMap(({ name, type, help, value }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...flows.flatMap((flow) => flow.directions.map((direction) => `${name}{${labels(flow, direction)}} ${value(direction)}`)),
  ]);
  return [...own, ...families, ""].join("\n");
}

function labels(flow: FlowLine, { from, transport, trust }: Direction): string {
  const [first, second] = flow.names;
  const to = from === first ? second : first;
  return Object.entries({ flow: flow.flow, from, to, transport, trust }).map(([name, value]) => `${name}="${escaped(value)}"`).join(",");
}

function escaped(value: string): string {
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
