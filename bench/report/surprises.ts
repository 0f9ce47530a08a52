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

/** What a reader is to be careful with, counted. */
export interface Cautions {
  readonly cells: number;
  readonly unsteady: number;
  readonly changed: number;
  readonly setAside: number;
  readonly failed: number;
  readonly skipped: number;
  readonly unreadable: number;
  readonly interrupted: boolean;
}

export function cautions({ cells, unsteady, changed, setAside, failed, skipped, unreadable, interrupted }: Cautions): readonly string[] {
  const are = (count: number): string => (count === 1 ? "is" : "are");
  const were = (count: number): string => (count === 1 ? "was" : "were");
  const sentence = (count: number, text: string): readonly string[] => (count === 0 ? [] : [text]);
  return [
    ...(interrupted ? ["The run was ended early: what was finished by then is here."] : []),
    ...sentence(
      unsteady,
      `${counted(unsteady, "cell")} of ${cells.toLocaleString("en-US")} ${
        are(unsteady)
      } unsteady: not expected to come out within 15 % again.`,
    ),
    ...sentence(changed, `${counted(changed, "cell")} changed placement while measured, and ${are(changed)} compared with nothing.`),
    ...sentence(
      setAside,
      `${counted(setAside, "run")} ${were(setAside)} set aside, because the placement changed or was not that of most, and repeated.`,
    ),
    ...sentence(failed, `${counted(failed, "cell")} could not be measured.`),
    ...sentence(
      skipped,
      `${counted(skipped, "cell")} ${were(skipped)} left out, because this machine or this kind of cell does not allow it.`,
    ),
    ...sentence(
      unreadable,
      `${counted(unreadable, "entry", "entries")} of the report could not be understood and ${are(unreadable)} left out.`,
    ),
  ];
}
