/** Throughput by transport and size, trusted and not (the paper's figure 4). */
import { bytesPerSecondOf, byTransport, groupBy, nameOfRow, overTcp, rivals, type Row, type Setting } from "../analysis.ts";
import { bytesPerSecond, messagesPerSecond, size, times } from "../format.ts";
import { type Html, html, table } from "../html.ts";
import { bars, fillOf, type Lane, laneLabel, laneText } from "./bars.ts";
import { type Figure, legendHtml, type Panel } from "./figure.ts";
import { maybe, spreadText, untrustedCost } from "./latency.ts";

/** Below this size it is messages that count, above it bytes. */
const COUNTED_IN_BYTES = 1024;

const READING =
  html`One way, from the writer's first store to the reader's last check; the longest bar is the fastest. <em>Plain read</em> looks at every byte and checks the sequence
number; <em>verified</em> also compares every byte with what was sent, which for large messages is work of its own. ≈ marks an unsteady figure.`;
const LEGEND = legendHtml([
  ["shared", "shared memory"],
  ["kernel", "through the kernel"],
  ["striped", "striped: the peer is not trusted"],
  ["mark", "tick: the same, verified"],
]);

export function throughputFigure(all: readonly Row[], driver: string, first: boolean): Figure | undefined {
  const rows = rivals(all).filter((row) => row.kind === "thr" && row.driver === driver);
  if (rows.length === 0) return undefined;
  // Verified and plainly read figures of one setting share a picture.
  const groups = groupBy(rows, ({ placement, size: bytes, batch }) => `${placement}|${bytes}|${batch}`);
  const batches = new Set(rows.map(({ batch }) => batch)).size;
  return {
    id: `throughput-${driver}`,
    title: `Throughput by transport, ${driver} ends`,
    ...(first ? { text: READING, legend: LEGEND } : { text: "Read as the figure of the first driver, above." }),
    panels: [...groups.values()].map((group) => throughputPanel(group, batches > 1)),
    table: throughputTable(rows, driver),
  };
}

function throughputPanel(rows: readonly Row[], sayBatch: boolean): Panel {
  const setting: Setting = rows[0]!;
  const inBytes = setting.size >= COUNTED_IN_BYTES;
  const format = inBytes ? bytesPerSecond : messagesPerSecond;
  const valueOf = (row: Row): number => (inBytes ? bytesPerSecondOf(row) : row.value);
  const lanes = lanesOf(rows, valueOf, format);
  const title = `${size(setting.size)}${sayBatch ? `, batches of ${setting.batch}` : ""}`;
  const check = inBytes ? Math.max(0, ...rows.flatMap(({ checkBytesPerSecond }) => checkBytesPerSecond ?? [])) : 0;
  const best = rows.reduce((a, b) => (b.value > a.value ? b : a));
  const checks = new Set(rows.map((row) => row.check));
  const notes = [
    ...(checks.size === 1 ? [checks.has("plain") ? "plain read" : "verified"] : []),
    ...(check === 0 ? [] : [`the check alone: ${bytesPerSecond(check)}`]),
  ];
  return {
    title,
    group: setting.placement,
    ...(notes.length === 0 ? {} : { note: notes.join(" · ") }),
    picture: bars(
      `Throughput of ${lanes.length} transports, ${title}, ${setting.placement}: the fastest is ${nameOfRow(best)} with ${
        format(valueOf(best))
      }.`,
      lanes,
      inBytes ? "bytes a second" : "messages a second",
      format,
    ),
  };
}

/** A lane for each transport and trust: plain read if there is, verified as its tick. */
function lanesOf(rows: readonly Row[], valueOf: (row: Row) => number, format: (value: number) => string): readonly Lane[] {
  const groups = [...groupBy(rows, nameOfRow).values()].sort(([a], [b]) =>
    byTransport(a!.transport, b!.transport) || (a!.trust < b!.trust ? -1 : 1)
  );
  return groups.map((group, index) => {
    const main = group.find(({ check }) => check === "plain") ?? group[0]!;
    const verified = group.find(({ check }) => check !== "plain");
    return {
      name: nameOfRow(main),
      label: laneLabel(main, groups[index - 1]?.[0]),
      value: valueOf(main),
      text: laneText(main, format(valueOf(main))),
      fill: fillOf(main, true),
      ...(verified === undefined || verified === main ? {} : { tick: valueOf(verified) }),
    };
  });
}

function throughputTable(rows: readonly Row[], driver: string): Html {
  return table(
    `Throughput, ${driver} ends`,
    ["transport", "size", "placement", "check", "batch", "messages", "bytes", "times tcp", "untrusted costs", "expected spread"],
    rows.map((row) => [
      nameOfRow(row),
      size(row.size),
      row.placement,
      row.check === "plain" ? "plain read" : "verified",
      row.batch,
      messagesPerSecond(row.value),
      bytesPerSecond(bytesPerSecondOf(row)),
      maybe(overTcp(rows, row), times),
      untrustedCost(rows, row),
      spreadText(row),
    ]),
  );
}
