/**
 * The CPUs of threads that this broker set, and what they were before: in a file beside its key, so that the broker after one that was killed
 * gives back what that one could not. Nothing is set that could not be written down first. Files and kernel are handed in.
 */
import * as v from "valibot";
import type { BrokerIo } from "./broker.ts";
import { parseStart } from "./kernel.ts";

const cpus = v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8191))), v.minLength(1), v.maxLength(8192));
const loanSchema = v.object({
  tid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** When that process started: its pid may be somebody else's by now. */
  start: v.string(),
  before: cpus,
  set: cpus,
});
const fileSchema = v.array(loanSchema);
type Loan = v.InferOutput<typeof loanSchema>;

export interface LoansEvent {
  readonly event: "affinity-returned";
  /** Threads that have the CPUs again that a broker before this one took from them. */
  readonly threads: readonly number[];
}

export interface LoansIo extends Pick<BrokerIo, "read" | "affinity" | "confine"> {
  /** The file has this text from now on; without any, it is gone. False: it could not be written. */
  replace(path: string, text: string): boolean;
}

export class Loans {
  readonly #io: LoansIo;
  readonly #path: string;
  readonly #loans = new Map<number, Loan>();

  constructor(io: LoansIo, path: string) {
    this.#io = io;
    this.#path = path;
  }

  /** Sets the CPUs of a thread, or gives it back those that it had. False: it could not be done. */
  confine(tid: number, set: readonly number[]): boolean {
    const known = this.#loans.get(tid);
    const start = this.#startOf(tid);
    const before = known !== undefined && known.start === start ? known.before : this.#io.affinity(tid);
    if (start === undefined || before === undefined) return false;
    if (equal(set, before)) return this.#giveBack(tid, set);
    this.#loans.set(tid, { tid, start, before: [...before], set: [...set] });
    if (this.#write() && this.#io.confine(tid, set)) return true;
    if (known === undefined) this.#loans.delete(tid);
    else this.#loans.set(tid, known);
    this.#write();
    return false;
  }

  /** What a broker before this one left: given back where nobody set anything else since. */
  settle(log: (event: LoansEvent) => void): void {
    const text = this.#io.read(this.#path);
    if (text === undefined) return;
    const owed = parsed(text).filter((loan) => this.#stands(loan));
    const threads = owed.filter(({ tid, before }) => this.#io.confine(tid, before)).map(({ tid }) => tid);
    this.#write();
    if (threads.length > 0) log({ event: "affinity-returned", threads });
  }

  #giveBack(tid: number, before: readonly number[]): boolean {
    const done = this.#io.confine(tid, before);
    this.#loans.delete(tid);
    this.#write();
    return done;
  }

  /** What is still in place, and nothing else. */
  #write(): boolean {
    for (const loan of this.#loans.values()) if (this.#startOf(loan.tid) !== loan.start) this.#loans.delete(loan.tid);
    return this.#io.replace(this.#path, this.#loans.size === 0 ? "" : `${JSON.stringify([...this.#loans.values()])}\n`);
  }

  /** The same thread, and as the broker set it. */
  #stands(loan: Loan): boolean {
    return this.#startOf(loan.tid) === loan.start && equal(this.#io.affinity(loan.tid) ?? [], loan.set);
  }

  #startOf(tid: number): string | undefined {
    return parseStart(this.#io.read(`/proc/${tid}/stat`));
  }
}

/** A file that says anything else is a file without loans. */
function parsed(text: string): readonly Loan[] {
  try {
    const result = v.safeParse(fileSchema, JSON.parse(text));
    return result.success ? result.output : [];
  } catch {
    return [];
  }
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((cpu, at) => cpu === b[at]);
}
