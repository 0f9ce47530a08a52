/** What stands out in latency: spinning and sleeping, hardware and distance, tails. */
import { median } from "../../runner/statistics.ts";
import { byTransport, CLASSES, counterpart, groupBy, isReference, nameOfRow, overLine, placeOf, type Row, steady } from "../analysis.ts";
import { counted, factor, list, size, time } from "../format.ts";
import { latencyId, main, sleeps, type Surprise } from "./finding.ts";

export const spinningOnOneCore: Surprise = (rows) => {
  const spin = main(rows, "lat").find(({ transport, placement }) => transport === "mempipe-spin" && placement === "same core");
  const tcp = spin === undefined ? undefined : counterpart(main(rows, "lat"), spin, "tcp");
  if (spin === undefined || tcp === undefined || spin.value < 2 * tcp.value) return [];
  return [{
    sentence: `Spinning on one core is pathological: mempipe-spin takes ${time(spin.value)} a message, ${
      factor(spin.value / tcp.value)
    } times as long as tcp (${time(tcp.value)}).`,
    figure: latencyId(rows),
  }];
};

/** What sleeps between messages is woken faster on its own core than on another. */
export const blockingOnOneCore: Surprise = (rows) => {
  const lat = main(rows, "lat").filter(({ trust }) => trust !== "untrusted");
  const parts = lat.filter((row) => sleeps(row) && row.placement === "same core").flatMap((same) => {
    const across = lat.filter((row) =>
      row.transport === same.transport && row.size === same.size && row.placement !== "same core" && row.driver === same.driver
    );
    if (across.length === 0) return [];
    const value = median(across.map((row) => row.value));
    return [{ name: same.transport, same: same.value, across: value, ratio: value / same.value }];
  });
  const best = parts.toSorted((a, b) => b.ratio - a.ratio)[0];
  if (best === undefined || best.ratio < 1.5) return [];
  const ratios = parts.map(({ ratio }) => ratio);
  const all = parts.length < 2
    ? ""
    : `; over all transports that sleep, ${factor(Math.min(...ratios))} to ${factor(Math.max(...ratios))} times`;
  return [{
    sentence: `A blocking flow is ${factor(best.ratio)} times faster on one core than across two (${best.name}: ${
      time(best.same)
    } against ${time(best.across)} one way${all}).`,
    figure: latencyId(rows),
  }];
};

export const nearTheHardware: Surprise = (rows) => {
  const best = main(rows, "lat")
    .flatMap((row) => {
      const lines = overLine(row);
      return lines === undefined ? [] : [{ row, lines }];
    })
    .toSorted((a, b) => a.row.value - b.row.value)[0];
  if (best === undefined) return [];
  const { row, lines } = best;
  return [{
    sentence: `The fastest message is ${nameOfRow(row)}'s: ${steady(row) ? "" : "about "}${time(row.value)} for ${size(row.size)} ${
      placeOf(row.placement)
    }, ${factor(lines)} times what one cache line costs there.`,
    figure: "over-line",
  }];
};

export const interruptAndLine: Surprise = (rows) => {
  const ipi = rows.find((row) => row.kind === "lat" && isReference(row.transport) && row.line !== undefined);
  const ratio = ipi === undefined ? undefined : overLine(ipi);
  if (ipi === undefined || ratio === undefined) return [];
  const asleep = main(rows, "lat").filter((row) => row.placement === ipi.placement && sleeps(row)).toSorted((a, b) => a.value - b.value)[0];
  const beside = asleep === undefined
    ? ""
    : `; the fastest transport that sleeps, ${nameOfRow(asleep)}, takes ${factor(asleep.value / ipi.value)} times as long`;
  const idle = ipi.cells.flatMap(({ idle_p50_ns: ns }) => ns ?? []);
  const alone = idle.length === 0 ? "" : ` (the call by itself, interrupting nobody, ${time(median(idle))})`;
  return [{
    sentence: `An interrupt from core to core (ipi) takes ${time(ipi.value)}${alone} ${placeOf(ipi.placement)}, ${
      factor(ratio)
    } times a cache line (${time(ipi.line ?? 0)})${beside}.`,
    figure: "over-line",
  }];
};

/** What distance does to a cache line, and how much of that reaches each transport. */
export const distance: Surprise = (rows) => {
  const lat = main(rows, "lat").filter(({ trust }) => trust !== "untrusted");
  const places = CLASSES.filter((placement) => lat.some((row) => row.placement === placement && row.line !== undefined));
  const [near, far] = [places[0], places.at(-1)];
  if (near === undefined || far === undefined || near === far) return [];
  const ratioOf = (transport: string, pick: (row: Row) => number | undefined): number | undefined => {
    const find = (placement: string) => lat.find((row) => row.transport === transport && row.placement === placement);
    const [a, b] = [find(near), find(far)].map((row) => (row === undefined ? undefined : pick(row)));
    return a === undefined || b === undefined ? undefined : b / a;
  };
  const names = [...new Set(lat.map(({ transport }) => transport))].sort(byTransport);
  const moved = names.flatMap((name) => {
    const ratio = ratioOf(name, ({ value }) => value);
    return ratio === undefined ? [] : [{ name, ratio }];
  }).toSorted((a, b) => b.ratio - a.ratio);
  const line = names.map((name) => ratioOf(name, (row) => row.line)).find((ratio) => ratio !== undefined);
  if (line === undefined || moved.length < 2) return [];
  const [most, least] = [moved[0]!, moved.at(-1)!];
  return [{
    sentence:
      `From “${near}” to “${far}” cores a cache line costs ${factor(line)} times as much, ${most.name} ${factor(most.ratio)} times, `
      + `${least.name} ${factor(least.ratio)} times.`,
    figure: "core-pairs",
  }];
};

/** A virtual machine's cores wander over the host's: the same two are near now and far a second later. */
export const wanderingCores: Surprise = (rows) => {
  const seen = rows.flatMap((row) =>
    row.cells.map(({ cores }) => ({ pair: cores.toSorted((a, b) => a - b).join(" and "), placement: row.placement }))
  )
    .filter(({ placement }) => placement !== "same core" && placement !== "across cores");
  const moved = [...groupBy(seen, ({ pair }) => pair).entries()].filter(([, cells]) =>
    new Set(cells.map(({ placement }) => placement)).size > 1
  );
  const [first] = moved.toSorted(([, a], [, b]) => b.length - a.length);
  if (first === undefined) return [];
  const [pair, cells] = first;
  const counts = CLASSES.flatMap((placement) => {
    const count = cells.filter((cell) => cell.placement === placement).length;
    return count === 0 ? [] : [`“${placement}” in ${counted(count, "cell")}`];
  });
  const others = moved.length === 1 ? "" : `, and so did ${counted(moved.length - 1, "other pair")}`;
  return [{ sentence: `The numbers of cores do not say where they are: ${pair} were ${list(counts)}${others}.`, figure: "core-pairs" }];
};

export const longTails: Surprise = (rows) => {
  const tails = main(rows, "lat").filter(steady).flatMap((row) => (row.p999 === undefined ? [] : [{ row, ratio: row.p999 / row.value }]));
  const worst = tails.toSorted((a, b) => b.ratio - a.ratio)[0];
  if (worst === undefined || worst.ratio < 3) return [];
  const { row, ratio } = worst;
  return [{
    sentence: `The longest tail is ${nameOfRow(row)}'s ${placeOf(row.placement)}: one message in a thousand takes ${time(row.p999 ?? 0)}, ${
      factor(ratio)
    } times the median (${time(row.value)}).`,
    figure: row.cells.some(({ quantiles }) => quantiles.length > 1) ? `distribution-${row.driver}` : latencyId(rows),
  }];
};
