/** What stands out in throughput: spinning, tcp at 64 KiB, and the cost of checking. */
import { advantage, bytesPerSecondOf, groupBy, nameOfRow, overTcp, placeOf, type Row, settingKey, steady } from "../analysis.ts";
import { bytesPerSecond, factor, list, percent, size } from "../format.ts";
import { EQUAL, main, plainly, type Surprise, throughputId } from "./finding.ts";

const KIB_64 = 65_536;

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

/** The paper: tcp loses to pipes and Unix sockets, except at 64 KiB. */
export const tcpAt64KiB: Surprise = (rows) => {
  const large = plainly(main(rows, "thr")).filter((row) => row.size === KIB_64 && ["tcp", "unix", "pipe"].includes(row.transport));
  return [...groupBy(large, settingKey).values()].flatMap((group) => {
    const [tcp, ...others] = ["tcp", "unix", "pipe"].map((name) => group.find(({ transport }) => transport === name));
    const rest = others.flatMap((row) => row ?? []);
    if (tcp === undefined || rest.length === 0) return [];
    const [beaten, lost] = [rest.filter((row) => faster(tcp, row)), rest.filter((row) => faster(row, tcp))];
    const names = (some: readonly Row[]): string => list(some.map(({ transport }) => transport));
    const figures = [tcp, ...rest].map((row) => `${row.transport} ${bytesPerSecond(bytesPerSecondOf(row))}`).join(", ");
    const verdict = beaten.length === rest.length
      ? `tcp is faster than ${names(rest)}, as in the paper`
      : lost.length === rest.length
      ? `tcp is slower than ${names(rest)}, unlike in the paper`
      : beaten.length + lost.length === 0
      ? `tcp is as fast as ${names(rest)}`
      : `tcp is ${beaten.length === 0 ? `slower than ${names(lost)}` : `faster than ${names(beaten)}`} only`;
    const sentence = `At 64 KiB ${placeOf(tcp.placement)}, ${verdict} (${figures}).`;
    return [{ sentence, figure: throughputId(rows) }];
  });
};

function faster(a: Row, b: Row): boolean {
  return a.value > b.value * (1 + Math.max(EQUAL, a.spread, b.spread));
}

export const comparingEveryByte: Surprise = (rows) => {
  const thr = main(rows, "thr").filter(steady).filter(({ placement }) => placement !== "same core");
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

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
