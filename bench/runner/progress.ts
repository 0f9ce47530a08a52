/** What `fable bench` says before and while it measures: how many cells, how long each and all of them, and how much of that is left. */
import type { CellPlan } from "./cells.ts";

export type Progress = (done: number, of: number, cell: string) => void;

export const nothing: Progress = () => {};

/** Start, warm-up and placement probes of one run, in seconds. */
const OVERHEAD_S = { native: 0.25, javascript: 0.1 };
/** How often a run of JavaScript takes the time of one: it warms up in runs that grow. */
const WARM_UP_RUNS = { lat: 5.5, thr: 2.5 };
/** Where nobody watches, a line every so often. */
const QUIET_MS = 30_000;

/** Seconds. */
function secondsOf({ kind, driver, seconds, rounds }: CellPlan): number {
  return rounds * (driver === "native" ? OVERHEAD_S.native + seconds : OVERHEAD_S.javascript + seconds * WARM_UP_RUNS[kind]);
}

/** One sentence. With `--messages` nobody knows how long they take. */
export function announcement(cells: readonly CellPlan[]): string {
  const runs = cells.reduce((sum, { rounds }) => sum + rounds, 0);
  const what = `${cells.length} ${cells.length === 1 ? "cell" : "cells"}, ${runs} runs`;
  const messages = cells[0]?.messages;
  const each = messages === undefined ? `of ${cells[0]?.seconds ?? 0} s` : `of ${messages} messages`;
  const total = cells.reduce((sum, cell) => sum + secondsOf(cell), 0);
  const perCell = cells.length === 0 ? 0 : total / cells.length;
  return `${what} ${each}: about ${duration(perCell)} per cell and ${duration(total)} in all; Ctrl-C keeps what is finished`;
}

/** Other work on the cores that are measured. */
const BUSY = 0.4;

/** One sentence if other work will spoil what is measured. */
export function busyness(load: number, cores: number): string | undefined {
  if (load < BUSY * cores) return undefined;
  return `other work is under way here (load ${load.toFixed(1)} on ${cores} ${
    cores === 1 ? "core" : "cores"
  }): expect slower and unsteady figures`;
}

export function duration(seconds: number): string {
  const rounded = Math.max(1, Math.ceil(seconds));
  if (rounded < 120) return `${rounded} s`;
  return rounded < 7200 ? `${Math.ceil(rounded / 60)} min` : `${(rounded / 3600).toFixed(1)} h`;
}

interface Sink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Overwrites itself on a terminal; elsewhere says something now and then. */
export class ProgressLine {
  readonly #sink: Sink;
  readonly #now: () => number;
  readonly #began: number;
  #said: number;

  constructor(sink: Sink, now: () => number = Date.now) {
    this.#sink = sink;
    this.#now = now;
    this.#began = now();
    this.#said = this.#began;
  }

  show(done: number, of: number, cell: string): void {
    const text = `${done}/${of} ${this.#left(done, of)}${cell}`;
    if (this.#sink.isTTY === true) {
      this.#sink.write(`\r\x1b[K${text}`);
    } else if (this.#now() - this.#said >= QUIET_MS) {
      this.#said = this.#now();
      this.#sink.write(`${text}\n`);
    }
  }

  clear(): void {
    if (this.#sink.isTTY === true) this.#sink.write("\r\x1b[K");
  }

  #left(done: number, of: number): string {
    return done === 0 ? "" : `${duration((this.#now() - this.#began) / done * (of - done) / 1000)} left, `;
  }
}
