/**
 * What stands out, in sentences computed from the figures. Each is a pure function of the rows and says nothing where the data do not show it. Native ends
 * are spoken of, if there are any: drivers are compared in a sentence of their own.
 */
import type { Row } from "./analysis.ts";
import { counted } from "./format.ts";
import { noSilverBullet, runtimesCost, untrustedCosts } from "./surprises/choice.ts";
import type { Finding, Surprise } from "./surprises/finding.ts";
import {
  blockingOnOneCore,
  distance,
  interruptAndLine,
  longTails,
  nearTheHardware,
  spinningOnOneCore,
  wanderingCores,
} from "./surprises/latency.ts";
import { comparingEveryByte, spinningAcrossCores, tcpAt64KiB } from "./surprises/throughput.ts";

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
  wanderingCores,
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
