/**
 * arm64 (Armv8, multi-copy atomic): each processor keeps a window of instructions and finishes them in any order that the architecture
 * allows. Memory is one array, because a store that one other processor sees is seen by all.
 *
 *   - a load takes its value as soon as its address is known, also ahead of branches not yet decided (speculation), but not ahead of an
 *     earlier acquire load or barrier, nor of an earlier load or store of the same cell (an earlier store of its own hands over its value);
 *   - a store becomes visible once its address and value are known, all earlier branches are decided, all earlier addresses are known and
 *     earlier accesses of the same cell are done; a release store: once everything before it is done;
 *   - an acquire load is the weaker kind (LDAPR): it may pass an earlier release store;
 *   - a barrier waits for everything before it, and holds back everything after it. membarrier takes place when the other processor has
 *     finished nothing ahead of its turn: the interrupt it stands for arrives between two instructions;
 *   - sending a byte orders what precedes it (the socket's lock is released after it) and nothing after it; the futex calls are full barriers.
 *
 * A state keeps only what was finished ahead of its turn, from the oldest unfinished instruction up to the last finished one; the rest of
 * the window follows from the program. Where a branch is undecided, both ways are tried when a load beyond it is finished; once the branch
 * is decided, the wrong guess is dropped (its twin with the right guess is another state).
 */

import { type Emit, Machine, type Scenario } from "./machine.ts";
import type { Instruction } from "./program.ts";
import * as op from "./program.ts";

/** Instructions in the window, also those that touch registers only. */
const WINDOW = 20;
const DONE = 0x80;

/** What lies between the oldest unfinished instruction and the one looked at. */
interface View {
  /** Bit set: registers whose value is known there. */
  known: number;
  /** A branch before is undecided. */
  undecided: boolean;
  /** Address bases with an unfinished access of unknown address; and whether there is any. */
  unknown: number[];
  /** Unfinished accesses: cell, and the value of a store (-1 unknown, -2 a load). */
  cells: number[];
  values: number[];
}

export class Arm64 extends Machine {
  readonly model = "arm64";
  private readonly path = new Uint8Array(WINDOW + 1);
  private readonly files: Uint8Array[] = Array.from({ length: WINDOW + 2 }, () => new Uint8Array(32));
  private readonly guessed = new Uint8Array(32);
  private state: Uint8Array = new Uint8Array(0);
  private emit: Emit = () => {};

  constructor(scenario: Scenario) {
    super(scenario, WINDOW);
  }

  successors(state: Uint8Array, emit: Emit): void {
    this.state = state;
    this.emit = emit;
    for (const t of [0, 1]) {
      this.copyRegisters(state, t, this.files[0]!);
      this.look(t, 0, state[this.threadAt[t]!]!, { known: -1, undecided: false, unknown: [], cells: [], values: [] }, 0);
    }
  }

  private copyRegisters(state: Uint8Array, t: number, to: Uint8Array): void {
    const at = this.registersAt(t);
    for (let i = this.registers[t]!.length - 1; i >= 0; i--) to[i] = state[at + i]!;
  }

  /** Walks the window from slot `slot`, finishing what may be finished. `file` is the register file in use; a fork takes the next. */
  private look(t: number, slot: number, pc: number, view: View, file: number): void {
    const instructions = this.program(t).instructions, finished = this.state[this.threadAt[t]! + 1]!, at = this.pendingAt(t);
    const registers = this.files[file]!;
    for (; slot < WINDOW; slot++) {
      const instruction = instructions[pc]!, kind = instruction.kind;
      this.path[slot] = pc;
      const done = slot < finished && (this.state[at + 2 * slot]! & DONE) !== 0;
      if (kind === op.LOAD) {
        if (done) this.know(view, instruction, registers, this.state[at + 2 * slot + 1]!);
        else {
          this.tryLoad(t, slot, instruction, view, registers);
          if (instruction.ordered) return;
          this.pend(view, instruction, registers, -2);
          view.known &= ~(1 << instruction.into);
        }
      } else if (kind === op.STORE) {
        if (!done && !this.invisible(instruction)) {
          this.tryStore(t, slot, instruction, view, registers);
          this.pend(view, instruction, registers, this.known(view, instruction.value!.reads) ? instruction.value!.of(registers) : -1);
        }
      } else if (kind === op.SET) {
        if (this.known(view, instruction.value!.reads)) this.know(view, instruction, registers, instruction.value!.of(registers));
        else view.known &= ~(1 << instruction.into);
      } else if (kind === op.BRANCH) {
        if (instruction.value === undefined || this.known(view, instruction.value.reads)) {
          pc = instruction.value === undefined || instruction.value.of(registers) !== 0 ? instruction.target : pc + 1;
          continue;
        }
        view.undecided = true;
        if (slot + 1 < finished) {
          pc = this.state[at + 2 * slot + 2]! & ~DONE;
          continue;
        }
        const twin = this.files[file + 1]!;
        for (const way of [instruction.target, pc + 1]) {
          twin.set(registers);
          this.look(t, slot + 1, way, { ...view, unknown: [...view.unknown], cells: [...view.cells], values: [...view.values] }, file + 1);
        }
        return;
      } else if (kind === op.SEND) {
        if (!done && slot === 0) this.call(t, instruction, registers);
      } else if (!op.isLocal(kind)) {
        if (slot === 0) this.call(t, instruction, registers);
        return;
      }
      pc++;
    }
  }

  private known(view: View, reads: number): boolean {
    return (reads & ~view.known) === 0;
  }

  private know(view: View, instruction: Instruction, registers: Uint8Array, value: number): void {
    registers[instruction.into] = value;
    view.known |= 1 << instruction.into;
  }

  private pend(view: View, instruction: Instruction, registers: Uint8Array, value: number): void {
    const place = instruction.place!;
    if (place.index !== undefined && !this.known(view, place.index.reads)) view.unknown.push(place.base);
    else {
      view.cells.push(this.cell(this.address(place, registers)));
      view.values.push(value);
    }
  }

  private tryLoad(t: number, slot: number, instruction: Instruction, view: View, registers: Uint8Array): void {
    const place = instruction.place!;
    if (place.index !== undefined && !this.known(view, place.index.reads)) return;
    if (view.unknown.includes(place.base)) return;
    const address = this.address(place, registers), cell = this.cell(address);
    let value = this.state[cell]!;
    const same = view.cells.lastIndexOf(cell);
    if (same >= 0) {
      value = view.values[same]!;
      if (value < 0) return;
    }
    this.finishSlot(t, slot, value);
    if (this.describing) {
      const ahead = slot === 0 ? "" : view.undecided ? " (guessing ahead)" : " (ahead of its turn)";
      this.say(t, `loads ${this.shown(address, value).join(": ")}${ahead}`);
    }
    this.hand(t);
  }

  private tryStore(t: number, slot: number, instruction: Instruction, view: View, registers: Uint8Array): void {
    const place = instruction.place!;
    if (instruction.ordered ? slot > 0 : view.undecided || view.unknown.length > 0) return;
    if (!this.known(view, instruction.value!.reads) || (place.index !== undefined && !this.known(view, place.index.reads))) return;
    const address = this.address(place, registers);
    if (view.cells.includes(this.cell(address))) return;
    this.finishSlot(t, slot, 0);
    this.storeToMemory(t, address, instruction.value!.of(registers));
    if (this.describing && slot > 0) this.said += " (ahead of its turn)";
    this.hand(t);
  }

  /** Barriers and system calls: only when they are the oldest unfinished instruction. */
  private call(t: number, instruction: Instruction, registers: Uint8Array): void {
    if (instruction.kind === op.END) return;
    if (instruction.kind === op.MEMBARRIER && this.state[this.threadAt[1 - t]! + 1]! > 0) return;
    this.finishSlot(t, 0, 0);
    if (instruction.kind === op.FENCE) this.say(t, "fence: everything before is done");
    else if (instruction.kind === op.MEMBARRIER) this.say(t, "membarrier: everything before is done, on both processors");
    else {
      const outcome = this.systemCall(t, instruction, registers);
      if (outcome === "no") return;
      if (outcome === "stay") { // asleep: the instruction is not finished
        this.next[this.threadAt[t]! + 1] = 0;
        this.next[this.pendingAt(t)] = 0;
      }
    }
    this.hand(t);
  }

  /** Starts a successor in which the instruction in `slot` is finished, with `value` if it is a load. */
  private finishSlot(t: number, slot: number, value: number): void {
    this.next.set(this.state);
    this.broken = "";
    const count = this.threadAt[t]! + 1, at = this.pendingAt(t);
    const finished = this.next[count]!;
    for (let i = finished; i <= slot; i++) this.next[at + 2 * i] = this.path[i]!;
    this.next[at + 2 * slot]! |= DONE;
    this.next[at + 2 * slot + 1] = value;
    if (slot >= finished) this.next[count] = slot + 1;
  }

  private hand(t: number): void {
    if (this.normalise(t)) this.emit(this.next, this.broken);
    else this.dropped++;
  }

  /** Retires finished instructions from the front, then drops the state if a branch in the window was guessed wrong. */
  protected normalise(t: number): boolean {
    const s = this.next, at = this.threadAt[t]!, window = this.pendingAt(t), registers = this.registers[t]!;
    const instructions = this.program(t).instructions, had = s[at + 1]!;
    let from = 0;
    for (;;) {
      const pc = s[at]!, instruction = instructions[pc]!, inWindow = from < had;
      if (instruction.kind === op.STORE && this.invisible(instruction)) s[at] = pc + 1;
      else if (op.isLocal(instruction.kind)) s[at] = this.local(instruction, pc, registers);
      else if (inWindow && (s[window + 2 * from]! & DONE) !== 0) {
        if (instruction.kind === op.LOAD) registers[instruction.into] = s[window + 2 * from + 1]!;
        s[at] = pc + 1;
      } else break;
      if (inWindow) from++;
      if (from < had && (s[window + 2 * from]! & ~DONE) !== s[at]) return false;
    }
    s.copyWithin(window, window + 2 * from, window + 2 * had);
    s.fill(0, window + 2 * (had - from), window + 2 * had);
    s[at + 1] = had - from;
    if (had > from && !this.guessesHold(t)) return false;
    this.canonical(t);
    return true;
  }

  protected pendingSleepWords(end: number, t: number, visit: (at: number) => void): void {
    const at = this.pendingAt(t), words = this.scenario.generations[end]!.words, instructions = this.program(t).instructions;
    for (let i = this.next[this.threadAt[t]! + 1]! - 1; i >= 0; i--) {
      const entry = this.next[at + 2 * i]!, instruction = instructions[entry & ~DONE]!;
      if ((entry & DONE) !== 0 && instruction.kind === op.LOAD && words.includes(instruction.place!.base)) visit(at + 2 * i + 1);
    }
  }

  private guessesHold(t: number): boolean {
    const s = this.next, window = this.pendingAt(t), count = s[this.threadAt[t]! + 1]!, instructions = this.program(t).instructions;
    const registers = this.guessed;
    this.copyRegisters(s, t, registers);
    let known = -1;
    for (let slot = 0; slot + 1 < count; slot++) {
      const entry = s[window + 2 * slot]!, pc = entry & ~DONE, instruction = instructions[pc]!;
      if (instruction.kind === op.LOAD && (entry & DONE) !== 0) {
        registers[instruction.into] = s[window + 2 * slot + 1]!;
        known |= 1 << instruction.into;
      } else if (instruction.kind === op.LOAD) known &= ~(1 << instruction.into);
      else if (instruction.kind === op.SET) {
        if ((instruction.value!.reads & ~known) !== 0) known &= ~(1 << instruction.into);
        else {
          registers[instruction.into] = instruction.value!.of(registers);
          known |= 1 << instruction.into;
        }
      } else if (instruction.kind === op.BRANCH && instruction.value !== undefined && (instruction.value.reads & ~known) === 0) {
        const goes = instruction.value.of(registers) !== 0 ? instruction.target : pc + 1;
        if (goes !== (s[window + 2 * slot + 2]! & ~DONE)) return false;
      }
    }
    return true;
  }
}
