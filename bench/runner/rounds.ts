/**
 * Runs measurements in rounds: every task once per round, in reversed order every other round, so that slow changes of the machine hit all of
 * them alike. What was measured while the placement changed is set aside and repeated.
 */
import { alike, classOf, lineOf, type Placement, type PlacementClass } from "./placement.ts";

export interface Sample<T> {
  readonly value: T;
  readonly placement: Placement;
}

export interface Task<T> {
  readonly name: string;
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
}

export interface RoundsOptions {
  readonly rounds: number;
  /** Only samples of this placement count; undefined: any, as long as it does not change. */
  readonly placement?: PlacementClass;
  /** How often a sample may be repeated. */
  readonly repeats: number;
  readonly progress: (done: number, of: number, task: string) => void;
  /** True: stop after the current task, and give what there is. */
  readonly stopped: () => boolean;
}

export async function runRounds<T>(tasks: readonly Task<T>[], options: RoundsOptions): Promise<readonly Outcome<T>[]> {
  const outcomes = tasks.map((task) => ({
    task: task.name,
    samples: [] as Sample<T>[],
    setAside: [] as Sample<T>[],
    error: undefined as string | undefined,
  }));
  const total = tasks.length * options.rounds;
  let done = 0;
  for (let round = 0; round < options.rounds; round++) {
    const forth = round % 2 === 0;
    const order = forth ? tasks.keys() : [...tasks.keys()].reverse();
    for (const index of order) {
      if (options.stopped()) return finished(outcomes);
      const outcome = outcomes[index]!;
      options.progress(done++, total, tasks[index]!.name);
      if (outcome.error === undefined) outcome.error = await sampleOnce(tasks[index]!, forth, options, outcome.samples, outcome.setAside);
    }
  }
  return finished(outcomes);
}

function finished<T>(
  outcomes: readonly { task: string; samples: Sample<T>[]; setAside: Sample<T>[]; error: string | undefined }[],
): readonly Outcome<T>[] {
  return outcomes.map(({ error, ...outcome }) => error === undefined ? outcome : { ...outcome, error });
}

async function sampleOnce<T>(
  task: Task<T>,
  forth: boolean,
  options: RoundsOptions,
  counted: Sample<T>[],
  setAside: Sample<T>[],
): Promise<string | undefined> {
  for (let attempt = 0; attempt <= options.repeats; attempt++) {
    try {
      const sample = await task.run(forth);
      if (counts(sample.placement, options.placement)) {
        counted.push(sample);
        return undefined;
      }
      setAside.push(sample);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (options.stopped()) return undefined;
  }
  return undefined;
}

function counts(placement: Placement, wanted: PlacementClass | undefined): boolean {
  if (!alike(placement)) return false;
  return wanted === undefined || classOf(placement.before === null ? null : lineOf(placement)) === wanted;
}
