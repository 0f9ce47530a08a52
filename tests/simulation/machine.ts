/**
 * What both memory models share: the layout of a state, the kernel's part (doorbells, futex), and what the checker watches while memory
 * changes. A state is one row of bytes, so that millions of them can be kept and compared:
 *
 *   memory cells | bell[2] asleep[2] rung[2] | consumed[rings] | for each end: pc, pending, registers, pending × 2 bytes
 *
 * `pending` is the model's own: a store buffer, or instructions finished ahead of their turn.
 *
 * States that no future can tell apart are one state: registers nobody reads again are zero; generations of sleep words, which are only
 * ever compared for equality, are renumbered to leave no gaps (so there is no bound on how often an end sleeps); a doorbell holds a byte or
 * none, since a woken end takes all; stores to words nobody loads are no steps.
 */

import type { Instruction, MemoryMap, Place, Program } from "./program.ts";
import * as op from "./program.ts";

export interface Scenario {
  readonly name: string;
  readonly map: MemoryMap;
  /** One program for each end. */
  readonly programs: readonly [Program, Program];
  /** For each end (or for none), what carries its sleep generations: words and registers (by name) of either end that hold sleep words. */
  readonly generations: readonly Generations[];
  /** How a trace shows a value in ring cell or word `name`. */
  readonly shows?: (name: string, value: number) => string;
}

export interface Generations {
  readonly words: readonly number[];
  readonly registers: readonly [readonly string[], readonly string[]];
  /** The register in which the end itself counts, unshifted. */
  readonly counter: string;
}

const BELL = 0, ASLEEP = 2, RUNG = 4, CONSUMED = 6;
/** Futex states of an end. */
const AWAKE = 0, SLEEPING = 1, WOKEN = 2;

/** Called for each successor: the state is scratch, the caller copies it. `broken` is what the step violated, or "". */
export type Emit = (next: Uint8Array, broken: string) => void;

export abstract class Machine {
  abstract readonly model: string;
  readonly scenario: Scenario;
  readonly stateBytes: number;
  /** Set while a trace is printed: `said` then describes each emitted step. */
  describing = false;
  said = "";
  /** Successors dropped because a guessed branch went the other way: they are no end. */
  dropped = 0;
  protected readonly next: Uint8Array;
  protected broken = "";
  protected readonly kernel: number;
  protected readonly threadAt: readonly [number, number];
  /** The registers of each end in `next`: one view each, because making a view costs more than most steps. */
  protected readonly registers: readonly [Uint8Array, Uint8Array];
  private readonly cells: Uint8Array;
  private readonly unread: readonly boolean[];
  /** For each end's generations: state offsets that hold sleep words, and the offset of the counter. */
  private readonly sleepWordsAt: readonly (readonly number[])[];
  private readonly counterAt: readonly number[];

  protected constructor(scenario: Scenario, pendingMax: number) {
    this.scenario = scenario;
    this.cells = op.cellTable(scenario.map);
    this.kernel = op.cellCount(scenario.map);
    const first = this.kernel + CONSUMED + scenario.map.rings.length;
    const second = first + 2 + scenario.programs[0].registers.length + 2 * pendingMax;
    this.threadAt = [first, second];
    const used = second + 2 + scenario.programs[1].registers.length + 2 * pendingMax;
    this.stateBytes = Math.ceil(used / 4) * 4;
    this.next = new Uint8Array(this.stateBytes);
    const view = (t: number): Uint8Array => {
      const at = this.registersAt(t);
      return this.next.subarray(at, at + scenario.programs[t]!.registers.length);
    };
    this.registers = [view(0), view(1)];
    const all = [...scenario.programs[0].instructions, ...scenario.programs[1].instructions];
    this.unread = scenario.map.words.map((_, word) =>
      !all.some((i) => (i.kind === op.LOAD || i.kind === op.WAIT) && i.place!.base === word)
    );
    const register = (t: number, name: string): number => this.registersAt(t) + scenario.programs[t]!.registers.indexOf(name);
    this.sleepWordsAt = scenario.generations.map((g, end) => [
      ...g.words,
      this.kernel + RUNG + 1 - end,
      ...[0, 1].flatMap((t) =>
        g.registers[t]!.filter((name) => scenario.programs[t]!.registers.includes(name)).map((name) => register(t, name))
      ),
    ]);
    this.counterAt = scenario.generations.map((g, end) => register(end, g.counter));
  }

  initial(): Uint8Array {
    this.next.fill(0);
    this.normalise(0);
    this.normalise(1);
    return this.next.slice();
  }

  abstract successors(state: Uint8Array, emit: Emit): void;
  /** Brings `next` to its canonical form after end `t` took a step; false: the state cannot exist (a wrong guess). */
  protected abstract normalise(t: number): boolean;

  /** Generations in the pending part of an end: calls `visit` with the offset of each sleep word of end `end` there. */
  protected abstract pendingSleepWords(end: number, t: number, visit: (at: number) => void): void;

  /** Makes states equal that behave equally (see above). Called at the end of `normalise`. */
  protected canonical(t: number): void {
    const s = this.next, at = this.registersAt(t), live = this.program(t).live[s[this.threadAt[t]!]!]!;
    for (let i = this.program(t).registers.length - 1; i >= 0; i--) if ((live >> i & 1) === 0) s[at + i] = 0;
    for (let end = 0; end < this.counterAt.length; end++) this.renumber(end);
  }

  private renumber(end: number): void {
    const s = this.next, words = this.sleepWordsAt[end]!, counter = this.counterAt[end]!;
    let seen = 1 | 1 << s[counter]!;
    for (const at of words) seen |= 1 << (s[at]! >> 3);
    const see = (at: number): void => void (seen |= 1 << (s[at]! >> 3));
    for (const t of [0, 1]) this.pendingSleepWords(end, t, see);
    if ((seen & seen + 1) === 0) return; // no gap
    const rank = (generation: number): number => {
      let below = 0;
      for (let bits = seen & (1 << generation) - 1; bits !== 0; bits &= bits - 1) below++;
      return below;
    };
    const change = (at: number): void => void (s[at] = rank(s[at]! >> 3) << 3 | (s[at]! & 7));
    s[counter] = rank(s[counter]!);
    words.forEach(change);
    for (const t of [0, 1]) this.pendingSleepWords(end, t, change);
  }

  /** A store nobody can ever see. */
  protected invisible(instruction: Instruction): boolean {
    return this.unread[instruction.place!.base] === true;
  }

  /** Both programs reached their `end`, with nothing pending. */
  finished(state: Uint8Array): boolean {
    return [0, 1].every((t) => {
      const at = this.threadAt[t]!;
      return state[at + 1] === 0 && this.program(t).instructions[state[at]!]!.kind === op.END;
    });
  }

  /** What each end of a stuck state is doing, for the message. */
  where(state: Uint8Array): string {
    return [0, 1].map((t) => `${this.program(t).name} at "${this.program(t).instructions[state[this.threadAt[t]!]!]!.text}"`).join(", ");
  }

  protected program(t: number): Program {
    return this.scenario.programs[t]!;
  }

  protected registersAt(t: number): number {
    return this.threadAt[t]! + 2;
  }

  protected pendingAt(t: number): number {
    return this.threadAt[t]! + 2 + this.program(t).registers.length;
  }

  protected address(place: Place, registers: Uint8Array): number {
    return place.index === undefined ? place.base : place.base + place.index.of(registers);
  }

  protected cell(address: number): number {
    return this.cells[address]!;
  }

  protected say(t: number, text: string): void {
    if (this.describing) this.said = `${this.program(t).name.padEnd(7)} ${text}`;
  }

  /** "reader.sleep", and the value as the scenario shows it. */
  protected shown(address: number, value: number): readonly [string, string] {
    const name = op.addressName(this.scenario.map, address);
    return [name, this.scenario.shows?.(name, value) ?? String(value)];
  }

  /** A store becomes visible to the other end. The checker sees to it that the writer leaves unread cells alone. */
  protected storeToMemory(t: number, address: number, value: number): void {
    const map = this.scenario.map;
    if (address >= map.words.length) {
      const ring = Math.floor((address - map.words.length) / map.positions);
      const position = (address - map.words.length) % map.positions;
      const before = position - map.rings[ring]!.cells;
      if (before >= this.next[this.kernel + CONSUMED + ring]!) {
        this.broken ||= `${this.program(t).name} overwrites ${op.addressName(map, address - map.rings[ring]!.cells)} before it was read`;
      }
    }
    this.next[this.cells[address]!] = value;
    if (!this.describing) return;
    const [name, text] = this.shown(address, value);
    this.say(t, `${name} := ${text} is now visible`);
  }

  /** Local instructions that finish in program order: returns the next pc. */
  protected local(instruction: Instruction, pc: number, registers: Uint8Array): number {
    switch (instruction.kind) {
      case op.SET:
        registers[instruction.into] = instruction.value!.of(registers);
        return pc + 1;
      case op.BRANCH:
        return instruction.value === undefined || instruction.value.of(registers) !== 0 ? instruction.target : pc + 1;
      case op.CHECK:
        if (instruction.value!.of(registers) === 0) this.broken ||= instruction.text;
        return pc + 1;
      case op.CONSUMED:
        this.next[this.kernel + CONSUMED + instruction.target] = instruction.value!.of(registers);
        return pc + 1;
      default:
        throw new Error(`${instruction.text} is not local`);
    }
  }

  /** System calls, on `next`. "no": it cannot return now; "stay": it went to sleep; "done": it returned. */
  protected systemCall(t: number, instruction: Instruction, registers: Uint8Array): "no" | "stay" | "done" {
    const s = this.next, bell = this.kernel + BELL, asleep = this.kernel + ASLEEP, peer = 1 - t;
    switch (instruction.kind) {
      case op.SEND:
        this.checkRing(t, instruction.value!.of(registers));
        s[bell + peer] = 1;
        this.say(t, "sends a byte into the doorbell");
        return "done";
      case op.RECEIVE:
        if (s[bell + t] === 0) return "no";
        s[bell + t] = 0;
        this.say(t, "wakes: there was a byte in its doorbell");
        return "done";
      case op.WAKE:
        this.checkRing(t, instruction.value!.of(registers));
        if (s[asleep + peer] === SLEEPING) s[asleep + peer] = WOKEN;
        this.say(t, "calls futex_wake");
        return "done";
      case op.WAIT:
        if (s[asleep + t] === SLEEPING) return "no";
        if (s[asleep + t] === WOKEN) {
          s[asleep + t] = AWAKE;
          this.say(t, "wakes from futex_wait");
          return "done";
        }
        if (s[this.cell(this.address(instruction.place!, registers))] !== instruction.value!.of(registers)) {
          this.say(t, "calls futex_wait, which returns at once: the word has changed");
          return "done";
        }
        s[asleep + t] = SLEEPING;
        this.say(t, "sleeps in futex_wait");
        return "stay";
      default:
        throw new Error(`${instruction.text} is not a system call`);
    }
  }

  /** A sleeper is rung once for an announcement it made; so the doorbell never gets more bytes than there were announcements. */
  private checkRing(t: number, word: number): void {
    const rung = this.kernel + RUNG + t;
    if ((word & 7) === 0) this.broken ||= `${this.program(t).name} rings while the other end is awake`;
    if (this.next[rung] === word) this.broken ||= `${this.program(t).name} rings twice for one announcement`;
    this.next[rung] = word;
  }
}
