/**
 * Runs measurements in rounds: every task once per round, in reversed order every other round, so that slow changes of the machine hit all of
 * them alike. What was measured while the placement changed is set aside and repeated; so is, if asked for, what was measured at another
 * placement than most.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { alike, classOf, lineOf, type Placement, type PlacementClass } from "./placement.ts";

export interface Sample<T> {
  readonly value: T;
  readonly placement: Placement;
}

export interface Task<T> {
  readonly name: string;
  /** Instead of those of all. */
  readonly rounds?: number;
  /** Tasks of one group run on the same cores: what is the usual placement there is found out for them together. */
  readonly group?: string;
  /** What a line costs there now. */
  probe?(): Promise<number | null>;
  /** `forth` is false in every other round: what consists of two measurements does them in the other order. */
  run(forth: boolean): Promise<Sample<T>>;
}

export interface Outcome<T> {
  readonly task: string;
  readonly samples: readonly Sample<T>[];
  /** Measured and not counted, because the placement changed meanwhile or was not the wanted one. */
  readonly setAside: readonly Sample<T>[];
  /** Why a task ended early. */
  readonly error?: string;
  /** That reason is the machine's, or of the kind of cell: nothing went wrong. */
  readonly impossible?: true;
}

export interface RoundsOptions {
  readonly rounds: number;
  /** Only samples of this placement count; "most": of the one that most samples of the group had; undefined: any, as long as it does not change. */
  readonly placement?: PlacementClass | "most";
  /** With "most": the placement of a group that counts instead, if the machine comes back to it in time. */
  readonly preferred?: ReadonlyMap<string, PlacementClass>;
  /** How often a sample may be repeated. */
  readonly repeats: number;
  readonly progress: (done: number, of: number, task: string) => void;
  /** True: stop after the current task, and give what there is. */
  readonly stopped: () => boolean;
}

/** Thrown by a task that this machine, or its trust, does not allow. */
export class NotPossible extends Error {
  override readonly name = "NotPossible";
}

interface Work<T> {
  readonly task: Task<T>;
  samples: Sample<T>[];
  setAside: Sample<T>[];
  error: Error | undefined;
}

export async function runRounds<T>(tasks: readonly Task<T>[], options: RoundsOptions): Promise<readonly Outcome<T>[]> {
  const works = tasks.map((task): Work<T> => ({ task, samples: [], setAside: [], error: undefined }));
  const roundsOf = ({ task }: Work<T>): number => task.rounds ?? options.rounds;
  const total = works.reduce((sum, work) => sum + roundsOf(work), 0);
  let done = 0;
  for (let round = 0; round < Math.max(0, ...works.map(roundsOf)); round++) {
    const forth = round % 2 === 0;
    for (const work of forth ? works : [...works].reverse()) {
      if (options.stopped()) return works.map(outcomeOf);
      if (round >= roundsOf(work)) continue;
      options.progress(done++, total, work.task.name);
      if (work.error === undefined) await sampleOnce(work, forth, options);
    }
  }
  if (options.placement === "most") await settleAll(works, roundsOf, options);
  return works.map(outcomeOf);
}

function outcomeOf<T>({ task, samples, setAside, error }: Work<T>): Outcome<T> {
  return {
    task: task.name,
    samples,
    setAside,
    ...(error === undefined ? {} : { error: error.message }),
    ...(error?.name === "NotPossible" ? { impossible: true as const } : {}),
  };
}

async function sampleOnce<T>(work: Work<T>, forth: boolean, options: RoundsOptions): Promise<void> {
  for (let attempt = 0; attempt <= options.repeats; attempt++) {
    if (await attemptOnce(work, forth, options, options.placement === "most" ? undefined : options.placement)) return;
    if (options.stopped()) return;
  }
}

/** True if there is nothing to repeat: the sample counts, or the task failed. */
async function attemptOnce<T>(work: Work<T>, forth: boolean, options: RoundsOptions, wanted: PlacementClass | undefined): Promise<boolean> {
  try {
    const sample = await work.task.run(forth);
    const good = counts(sample.placement, wanted);
    (good ? work.samples : work.setAside).push(sample);
    return good;
  } catch (error) {
    // a program that was ended by whoever stops this did not fail
    if (!options.stopped()) work.error = error instanceof Error ? error : new Error(String(error));
    return true;
  }
}

function counts(placement: Placement, wanted: PlacementClass | undefined): boolean {
  return alike(placement) && (wanted === undefined || placementClass(placement) === wanted);
}

function placementClass(placement: Placement): PlacementClass {
  return classOf(placement.before === null ? null : lineOf(placement));
}

// ---- the usual placement ----

/** Looks, and pauses between them, until the usual placement of a group is given up; what others are compared with is worth more of them. */
const LOOKS = 40;
const PREFERRED_LOOKS = 120;
const PAUSE_MS = 500;
/** A task with fewer samples has not been measured at a placement. */
const FEWEST = 3;

async function settleAll<T>(works: readonly Work<T>[], roundsOf: (work: Work<T>) => number, options: RoundsOptions): Promise<void> {
  for (const [name, group] of Map.groupBy(works, ({ task }) => task.group ?? "")) {
    const usual = usualPlacement(group.flatMap(({ samples }) => samples.map(({ placement }) => placement)));
    const preferred = options.preferred?.get(name);
    if (preferred !== undefined && await settle(group, preferred, PREFERRED_LOOKS, roundsOf, options)) continue;
    if (usual !== undefined) await settle(group, usual, LOOKS, roundsOf, options);
  }
}

/** Only samples of one placement count from here on, and what is missing is measured. False if there were not enough for some task. */
async function settle<T>(
  group: readonly Work<T>[],
  wanted: PlacementClass,
  looks: number,
  roundsOf: (work: Work<T>) => number,
  options: RoundsOptions,
): Promise<boolean> {
  const patience = { looks };
  for (const work of group) {
    const [counted, rest] = parted([...work.samples, ...work.setAside], ({ placement }) => counts(placement, wanted));
    work.samples = counted;
    work.setAside = rest;
  }
  for (const work of group) await refill(work, roundsOf(work), wanted, patience, options);
  return group.every((work) => work.error !== undefined || work.samples.length >= Math.min(FEWEST, roundsOf(work)));
}

function parted<T>(all: readonly T[], belongs: (one: T) => boolean): readonly [T[], T[]] {
  return [all.filter(belongs), all.filter((one) => !belongs(one))];
}

/** The class of most of them. */
export function usualPlacement(placements: readonly Placement[]): PlacementClass | undefined {
  const counted = [...Map.groupBy(placements, placementClass)].sort(([, a], [, b]) => b.length - a.length);
  return counted[0]?.[0];
}

/** Takes the samples that a task lacks, whenever the placement is right. */
async function refill<T>(
  work: Work<T>,
  rounds: number,
  usual: PlacementClass,
  patience: { looks: number },
  options: RoundsOptions,
): Promise<void> {
  let attempts = (rounds - work.samples.length) * (options.repeats + 1);
  while (work.samples.length < rounds && attempts-- > 0 && work.error === undefined && !options.stopped()) {
    if (!await placedAs(work.task, usual, patience, options)) return;
    options.progress(work.samples.length, rounds, `${work.task.name} again`);
    await attemptOnce(work, work.samples.length % 2 === 0, options, usual);
  }
}

async function placedAs<T>(task: Task<T>, usual: PlacementClass, patience: { looks: number }, options: RoundsOptions): Promise<boolean> {
  if (task.probe === undefined) return true;
  while (patience.looks > 0 && !options.stopped()) {
    if (classOf(await task.probe()) === usual) return true;
    patience.looks--;
    await sleep(PAUSE_MS);
  }
  return false;
}
