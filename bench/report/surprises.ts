/**
 * What stands out, in sentences computed from the figures. Each is a pure function of the rows and says nothing where the data do not show it. Native ends
 * are spoken of, if there are any: drivers are compared in a sentence of their own.
 */
import { median } from "../runner/statistics.ts";
import {
  advantage,
  byDriver,
  bytesPerSecondOf,
  byTransport,
  CLASSES,
  counterpart,
  groupBy,
  isReference,
  isShared,
  nameOfRow,
  overLine,
  overTcp,
  placeOf,
  rivals,
  type Row,
  settingKey,
} from "./analysis.ts";
import { bytesPerSecond, counted, factor, list, percent, size, time } from "./format.ts";

export interface Finding {
  readonly sentence: string;
  /** Where on the page it is to be seen. */
  readonly figure: string;
}

export type Surprise = (rows: readonly Row[]) => readonly Finding[];

/** Two figures that differ less are called equal, unless their own spread is wider still. */
const EQUAL = 0.05;
const KIB_64 = 65_536;

export function mainDriver(rows: readonly Row[]): string {
  return rows.map(({ driver }) => driver).sort(byDriver)[0] ?? "native";
}

/** Rows of the main driver that carry messages. */
function main(rows: readonly Row[], kind?: "lat" | "thr"): readonly Row[] {
  const driver = mainDriver(rivals(rows));
  return rivals(rows).filter((row) => row.driver === driver && (kind === undefined || row.kind === kind));
}

/** Throughput is spoken of as read plainly, where it was. */
function plainly(rows: readonly Row[]): readonly Row[] {
  return rows.some(({ check }) => check === "plain") ? rows.filter((row) => row.kind === "lat" || row.check === "plain") : rows;
}

function latencyId(rows: readonly Row[]): string {
  return `latency-${mainDriver(rivals(rows))}`;
}

function throughputId(rows: readonly Row[]): string {
  return `throughput-${mainDriver(rivals(rows))}`;
}

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

export const spinningAcrossCores: Surprise = (rows) => {
  const found = plainly(main(rows, "thr")).filter(({ transport, trust, placement }) =>
    transport === "mempipe-spin" && trust !== "untrusted" && placement !== "same core"
  );
  return [...groupBy(found, ({ placement }) => placement).values()].flatMap((group) => {
    const ratios = group.flatMap((row) => {
      const ratio = overTcp(rows, row);
      return ratio === undefined ? [] : [{ ratio, at: size(row.size) }];
    });
    if (ratios.length === 0) return [];
    const texts = ratios.map(({ ratio, at }, index) => `${factor(ratio)} times ${index === 0 ? "as much as tcp " : ""}at ${at}`);
    return [{
      sentence: `${capital(placeOf(group[0]!.placement))}, mempipe-spin carries ${list(texts)}.`,
      figure: throughputId(rows),
    }];
  });
};

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

/** The paper: tcp loses to pipes and Unix sockets, except at 64 KiB. */
export const tcpAt64KiB: Surprise = (rows) => {
  const large = plainly(main(rows, "thr")).filter((row) => row.size === KIB_64 && ["tcp", "unix", "pipe"].includes(row.transport));
  return [...groupBy(large, settingKey).values()].flatMap((group) => {
    const [tcp, ...others] = ["tcp", "unix", "pipe"].map((name) => group.find(({ transport }) => transport === name));
    const rest = others.flatMap((row) => row ?? []);
    if (tcp === undefined || rest.length === 0) return [];
    const beaten = rest.filter((row) => row.value < tcp.value);
    const rate = (row: Row): string => `${row.transport} ${bytesPerSecond(bytesPerSecondOf(row))}`;
    const figures = `${[tcp, ...rest].map(rate).join(", ")}`;
    const where = placeOf(tcp.placement);
    const sentence = beaten.length === rest.length
      ? `At 64 KiB ${where}, tcp is faster than ${list(rest.map(({ transport }) => transport))}, as in the paper (${figures}).`
      : beaten.length === 0
      ? `At 64 KiB ${where}, tcp is not faster than ${list(rest.map(({ transport }) => transport))}, unlike in the paper (${figures}).`
      : `At 64 KiB ${where}, tcp is faster than ${list(beaten.map(({ transport }) => transport))} only (${figures}).`;
    return [{ sentence, figure: throughputId(rows) }];
  });
};

export const untrustedCosts: Surprise = (rows) => {
  const lossesOf = (some: readonly Row[]): readonly number[] =>
    some.filter(({ trust }) => trust === "untrusted").flatMap((row) => {
      const trusted = counterpart(some, row, row.transport);
      const ratio = trusted === undefined || trusted === row ? undefined : advantage(trusted, row);
      return ratio === undefined ? [] : [row.kind === "lat" ? ratio - 1 : 1 - 1 / ratio];
    });
  const sentences = ["across", "same core"].flatMap((where) => {
    const own = plainly(main(rows)).filter(({ placement }) => (placement === "same core") === (where === "same core"));
    const parts = [...groupBy(own, ({ kind, size: bytes }) => `${kind}|${bytes}`).values()].flatMap((group) => {
      const losses = lossesOf(group);
      if (losses.length === 0) return [];
      const what = `${group[0]!.kind === "lat" ? "latency" : "throughput"} at ${size(group[0]!.size)}`;
      return [`${costText(median(losses))} ${group[0]!.kind === "lat" ? "more" : "less"} ${what}`];
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

function costText(loss: number): string {
  return Math.abs(loss) < 0.015 ? "0 %" : percent(loss);
}

/** What sleeps between messages is woken faster on its own core than on another. */
export const blockingOnOneCore: Surprise = (rows) => {
  const lat = main(rows, "lat").filter(({ trust }) => trust !== "untrusted");
  const sleeping = (row: Row): boolean => row.transport !== "mempipe-spin" && row.transport !== "mempipe";
  const parts = lat.filter((row) => sleeping(row) && row.placement === "same core").flatMap((same) => {
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

export const comparingEveryByte: Surprise = (rows) => {
  const thr = main(rows, "thr").filter(({ placement }) => placement !== "same core");
  const parts = thr.filter(({ check }) => check === "plain").flatMap((plain) => {
    const full = thr.find((row) =>
      settingKey({ ...row, check: "plain" }) === settingKey(plain) && row.check !== "plain" && nameOfRow(row) === nameOfRow(plain)
    );
    const ratio = full === undefined ? undefined : advantage(plain, { ...full, check: "plain" });
    return ratio === undefined || full === undefined ? [] : [{ plain, full, ratio }];
  });
  const worst = parts.toSorted((a, b) => b.ratio - a.ratio)[0];
  if (worst === undefined || worst.ratio < 1 + EQUAL) return [];
  const { plain, full, ratio } = worst;
  return [{
    sentence:
      `Comparing every byte with what was sent costs up to ${percent(1 - 1 / ratio)} of throughput: ${nameOfRow(plain)} at ${
        size(plain.size)
      } ${placeOf(plain.placement)} `
      + `carries ${bytesPerSecond(bytesPerSecondOf(full))} verified, ${bytesPerSecond(bytesPerSecondOf(plain))} read plainly.`,
    figure: throughputId(rows),
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
    sentence: `The fastest message is ${nameOfRow(row)}'s: ${time(row.value)} for ${size(row.size)} ${placeOf(row.placement)}, ${
      factor(lines)
    } times what one cache line costs there.`,
    figure: "over-line",
  }];
};

/** What the machine's shape does to a cache line, it does far less to a socket. */
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
      `Distance counts where the kernel does not: from “${near}” to “${far}” a cache line costs ${
        factor(line)
      } times as much, ${most.name} ${factor(most.ratio)} times, `
      + `${least.name} ${factor(least.ratio)} times.`,
    figure: "core-pairs",
  }];
};

export const interruptAndLine: Surprise = (rows) => {
  const ipi = rows.find((row) => row.kind === "lat" && isReference(row.transport) && row.line !== undefined);
  const ratio = ipi === undefined ? undefined : overLine(ipi);
  if (ipi === undefined || ratio === undefined) return [];
  return [{
    sentence: `Waking another core cannot cost less than an interrupt: ${time(ipi.value)} ${placeOf(ipi.placement)}, ${
      factor(ratio)
    } times a cache line (${time(ipi.line ?? 0)}).`,
    figure: "over-line",
  }];
};

export const longTails: Surprise = (rows) => {
  const tails = main(rows, "lat").flatMap((row) => (row.p999 === undefined ? [] : [{ row, ratio: row.p999 / row.value }]));
  const worst = tails.toSorted((a, b) => b.ratio - a.ratio)[0];
  if (worst === undefined || worst.ratio < 3) return [];
  const { row, ratio } = worst;
  return [{
    sentence: `The longest tail is ${nameOfRow(row)}'s ${placeOf(row.placement)}: one message in a thousand takes ${time(row.p999 ?? 0)}, ${
      factor(ratio)
    } times the median (${time(row.value)}).`,
    figure: `distribution-${row.driver}`,
  }];
};

/** What JavaScript costs over native ends, at its best and at its worst. */
export const runtimesCost: Surprise = (rows) => {
  const all = rivals(rows).filter(({ trust, placement }) => trust !== "untrusted" && placement !== "same core");
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
    const cost = (
      { ratio }: { readonly ratio: number },
    ): string => (ratio < 1 ? `${percent(1 - ratio)} less than` : `${factor(ratio)} times`);
    return [{
      sentence: `Shared memory from ${driver} costs between ${cost(low)} (${what(low)}) and ${cost(high)} (${
        what(high)
      }) what it costs natively.`,
      figure: "over-line",
    }];
  });
};

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export const SURPRISES: readonly Surprise[] = [
  noSilverBullet,
  spinningOnOneCore,
  spinningAcrossCores,
  blockingOnOneCore,
  tcpAt64KiB,
  untrustedCosts,
  comparingEveryByte,
  nearTheHardware,
  interruptAndLine,
  distance,
  longTails,
  runtimesCost,
];

export function surprisesOf(rows: readonly Row[]): readonly Finding[] {
  return SURPRISES.flatMap((surprise) => surprise(rows));
}

/** How the rows of a report that no comparison uses are counted, in sentences. */
export function cautions(
  unsteady: number,
  changed: number,
  setAside: number,
  failed: number,
  unreadable: number,
  cells: number,
): readonly string[] {
  const sentence = (count: number, text: string): readonly string[] => (count === 0 ? [] : [text]);
  return [
    ...sentence(
      unsteady,
      `${counted(unsteady, "cell")} of ${cells.toLocaleString("en-US")} ${
        unsteady === 1 ? "is" : "are"
      } unsteady: not expected to come out within 15 % again.`,
    ),
    ...sentence(
      changed,
      `${counted(changed, "cell")} changed placement while measured, and ${changed === 1 ? "is" : "are"} compared with nothing.`,
    ),
    ...sentence(
      setAside,
      `${counted(setAside, "run")} ${setAside === 1 ? "was" : "were"} set aside, because the placement changed during ${
        setAside === 1 ? "it" : "them"
      }, and repeated.`,
    ),
    ...sentence(failed, `${counted(failed, "cell")} could not be measured.`),
    ...sentence(
      unreadable,
      `${counted(unreadable, "entry", "entries")} of the report could not be understood and ${unreadable === 1 ? "is" : "are"} left out.`,
    ),
  ];
}
