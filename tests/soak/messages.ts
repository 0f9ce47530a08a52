/**
 * So many messages in each combination, in parts: the combination with the fewest comes next, with another seed and another size of ring, so that
 * a soak of any length has been everywhere.
 */
import { type RuntimeName, World } from "../process/harness.ts";
import { type Combination, COMBINATIONS, describeCombination, PAIRS, SoakPair } from "./combinations.ts";
import type { Ledger } from "./ledger.ts";

const PART_MESSAGES = 100_000;
/** By part. Messages longer than a quarter of the ring go in pieces, so each size is another mixture; in 4 MiB all are whole. */
const RINGS_BYTES = [64, 4096, 1024, 4096, 256, 4096, 1024, 4096].map((kib) => kib << 10);
/** At least so many messages a second, else something hangs. */
const SLOWEST_PER_S = 500;
const REPORT_MS = 60_000;

export interface MessageSoak {
  /** In each combination. */
  readonly messages: number;
  readonly seed: number;
  /** No new part is begun after so long. */
  readonly minutes: number;
  /** Only the combinations whose name contains this. */
  readonly only: string | undefined;
}

interface Task {
  readonly name: string;
  readonly runtimes: readonly [RuntimeName, RuntimeName];
  readonly combination: Combination;
  wrong: string | undefined;
}

/** Tells `record` of each combination what came of it, and gives how many are not through. */
export async function soakMessages(
  plan: MessageSoak,
  ledger: Ledger,
  record: (name: string, result: object, wrong: string | undefined) => void,
): Promise<number> {
  const tasks = tasksOf(plan.only);
  const soak = new Soaking(plan, ledger, tasks);
  try {
    await soak.run();
  } finally {
    await soak.close();
  }
  let unfinished = 0;
  for (const { name, wrong } of tasks) {
    if (wrong === undefined && ledger.done(name) < plan.messages) unfinished++;
    else record(name, ledger.accounts.get(name) ?? {}, wrong);
  }
  return unfinished;
}

function tasksOf(only = ""): readonly Task[] {
  const tasks = PAIRS.flatMap((runtimes) =>
    COMBINATIONS.map((combination): Task => (
      { name: `${runtimes.join(" to ")} > ${describeCombination(combination)}`, runtimes, combination, wrong: undefined }
    ))
  );
  return tasks.filter(({ name }) => name.includes(only));
}

class Soaking {
  readonly #plan: MessageSoak;
  readonly #ledger: Ledger;
  readonly #tasks: readonly Task[];
  readonly #pairs = new Map<string, SoakPair>();
  #world: World | undefined;

  constructor(plan: MessageSoak, ledger: Ledger, tasks: readonly Task[]) {
    this.#plan = plan;
    this.#ledger = ledger;
    this.#tasks = tasks;
  }

  async run(): Promise<void> {
    const began = performance.now();
    const before = this.#done();
    for (let told = began, task = this.#next(); task !== undefined; task = this.#next()) {
      await this.#part(task);
      const now = performance.now();
      if (now - told >= REPORT_MS) {
        told = now;
        this.#report(this.#done() - before, now - began);
      }
      if (now - began >= this.#plan.minutes * 60_000) return;
    }
  }

  async close(): Promise<void> {
    await this.#world?.close();
  }

  /** The one with the fewest messages, of those that are not through and have not failed. */
  #next(): Task | undefined {
    let next: Task | undefined;
    let fewest = this.#plan.messages;
    for (const task of this.#tasks) {
      const done = this.#ledger.done(task.name);
      if (task.wrong !== undefined || done >= fewest) continue;
      next = task;
      fewest = done;
    }
    return next;
  }

  async #part(task: Task): Promise<void> {
    const done = this.#ledger.done(task.name);
    const messages = Math.min(PART_MESSAGES, this.#plan.messages - done);
    const seed = this.#plan.seed + Math.floor(done / PART_MESSAGES);
    const ringBytes = RINGS_BYTES[seed % RINGS_BYTES.length];
    try {
      const pair = await this.#pairOf(task.runtimes);
      const result = await pair.run(task.combination, messages, seed, 60_000 + 1000 * messages / SLOWEST_PER_S, ringBytes);
      if (result.wrong === undefined) return this.#ledger.add(task.name, result);
      task.wrong = result.wrong;
    } catch (error) {
      task.wrong = error instanceof Error ? error.message : String(error);
    }
    task.wrong += ` (again: --only ${JSON.stringify(task.name)} --messages ${messages} --seed ${seed})`;
    await this.#dismiss(task.runtimes);
  }

  async #pairOf(runtimes: readonly [RuntimeName, RuntimeName]): Promise<SoakPair> {
    if (this.#world === undefined) {
      this.#world = new World();
      await this.#world.broker();
    }
    let pair = this.#pairs.get(runtimes.join());
    if (pair === undefined) this.#pairs.set(runtimes.join(), pair = new SoakPair(this.#world, runtimes));
    return pair;
  }

  /** Who failed is not asked again. */
  async #dismiss(runtimes: readonly [RuntimeName, RuntimeName]): Promise<void> {
    await this.#pairs.get(runtimes.join())?.stop();
    this.#pairs.delete(runtimes.join());
  }

  #done(): number {
    return this.#tasks.reduce((sum, { name }) => sum + Math.min(this.#ledger.done(name), this.#plan.messages), 0);
  }

  #report(messages: number, ms: number): void {
    const all = this.#tasks.length * this.#plan.messages;
    const done = this.#done();
    const leftMin = messages === 0 ? "?" : Math.ceil((all - done) * ms / messages / 60_000);
    console.log(
      `  messages: ${(100 * done / all).toFixed(1)} % of ${all}, ${Math.round(1000 * messages / ms)} a second, about ${leftMin} min left`,
    );
  }
}
