/** What stands out for who has to choose: no transport is best everywhere, trust and runtimes have their price. */
import { median } from "../../runner/statistics.ts";
import {
  advantage,
  byDriver,
  byTransport,
  counterpart,
  groupBy,
  isShared,
  nameOfRow,
  rivals,
  type Row,
  settingKey,
  steady,
} from "../analysis.ts";
import { factor, list, percent, size } from "../format.ts";
import { EQUAL, main, plainly, type Surprise, throughputId } from "./finding.ts";

/** Whether one transport wins every setting; equal ones share a win. */
export const noSilverBullet: Surprise = (rows) => {
  const settings = [...groupBy(plainly(main(rows)), settingKey).values()].filter((group) =>
    new Set(group.map(({ transport }) => transport)).size > 1
  );
  if (settings.length < 2) return [];
  const wins = settings.map(winnersOf);
  const names = [...new Set(wins.flat())].sort(byTransport);
  const count = (name: string): number => wins.filter((winners) => winners.includes(name)).length;
  const ordered = names.toSorted((a, b) => count(b) - count(a));
  const best = ordered[0]!;
  if (count(best) === settings.length) {
    return [{
      sentence: `${best} is the best, or as good as the best, in all ${settings.length} settings that were measured.`,
      figure: "over-tcp",
    }];
  }
  const others = ordered.slice(1, 4).map((name) => `${name} in ${count(name)}`);
  return [{
    sentence:
      `No single transport wins everywhere: of ${settings.length} settings (placement and size, latency and throughput), ${best} is best or equal to the best in ${
        count(best)
      }`
      + `${others.length === 0 ? "" : `, ${list(others)}`}.`,
    figure: "over-tcp",
  }];
};

/** Transports whose figure is the best, or too close to it to tell. */
export function winnersOf(setting: readonly Row[]): readonly string[] {
  const better = (a: Row, b: Row): Row => ((a.kind === "lat" ? a.value < b.value : a.value > b.value) ? a : b);
  const best = setting.reduce(better);
  const near = (row: Row): boolean => {
    const apart = Math.max(row.value, best.value) / Math.min(row.value, best.value) - 1;
    return apart <= Math.max(EQUAL, row.spread, best.spread);
  };
  return [...new Set(setting.filter(near).map(({ transport }) => transport))];
}

export const untrustedCosts: Surprise = (rows) => {
  const lossesOf = (some: readonly Row[]): readonly number[] =>
    some.filter(({ trust }) => trust === "untrusted").flatMap((row) => {
      const trusted = counterpart(some, row, row.transport);
      const ratio = trusted === undefined || trusted === row ? undefined : advantage(trusted, row);
      return ratio === undefined ? [] : [row.kind === "lat" ? ratio - 1 : 1 - 1 / ratio];
    });
  const sentences = ["across", "same core"].flatMap((where) => {
    const own = plainly(main(rows)).filter(steady).filter(({ placement }) => (placement === "same core") === (where === "same core"));
    const groups = [...groupBy(own, ({ kind, size: bytes }) => `${kind}|${bytes}`).values()]
      .sort(([a], [b]) => (a!.kind === b!.kind ? a!.size - b!.size : a!.kind === "lat" ? -1 : 1));
    const parts = groups.flatMap((group) => {
      const losses = lossesOf(group);
      if (losses.length === 0) return [];
      const what = `${group[0]!.kind === "lat" ? "latency" : "throughput"} at ${size(group[0]!.size)}`;
      return [`${costText(median(losses), group[0]!.kind)} ${what}`];
    });
    return parts.length === 0
      ? []
      : [
        `${where === "across" ? "Across cores" : "On one core"}, not trusting the peer costs (in the median over transports) ${
          list(parts)
        }.`,
      ];
  });
  return sentences.map((sentence) => ({ sentence, figure: throughputId(rows) }));
};

/** What is within a percent and a half is nothing. */
function costText(loss: number, kind: "lat" | "thr"): string {
  const worse = kind === "lat" ? "more" : "less";
  const better = kind === "lat" ? "less" : "more";
  return Math.abs(loss) < 0.015 ? `0 % ${worse}` : `${percent(Math.abs(loss))} ${loss > 0 ? worse : better}`;
}

/** What JavaScript costs over native ends, at its best and at its worst. */
export const runtimesCost: Surprise = (rows) => {
  const all = rivals(rows).filter(steady).filter(({ trust, placement }) => trust !== "untrusted" && placement !== "same core");
  const drivers = [...new Set(all.map(({ driver }) => driver))].filter((driver) => driver !== "native").sort(byDriver);
  return drivers.flatMap((driver) => {
    const parts = all.filter((row) => row.driver === driver && isShared(row.transport)).flatMap((row) => {
      const native = all.find((other) =>
        settingKey(other) === settingKey({ ...row, driver: "native" }) && nameOfRow(other) === nameOfRow(row)
      );
      const ratio = native === undefined ? undefined : advantage({ ...native, driver }, row);
      return ratio === undefined ? [] : [{ row, ratio }];
    }).toSorted((a, b) => a.ratio - b.ratio);
    const [low, high] = [parts[0], parts.at(-1)];
    if (low === undefined || high === undefined || low === high) return [];
    const what = ({ row }: { readonly row: Row }): string =>
      `${row.transport}, ${row.kind === "lat" ? "latency" : "throughput"} at ${size(row.size)}`;
    const cost = ({ ratio }: { readonly ratio: number }): string => `${factor(ratio)} times`;
    return [{
      sentence: `Shared memory from ${driver} costs between ${cost(low)} (${what(low)}) and ${cost(high)} (${
        what(high)
      }) what it costs natively.`,
      figure: "over-line",
    }];
  });
};
