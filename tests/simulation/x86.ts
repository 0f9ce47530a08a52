/**
 * x86-TSO: each processor runs its program in order, but its stores pass through a first-in-first-out buffer that empties whenever it
 * likes. Loads look into the processor's own buffer first. A fence waits until the buffer is empty; so does a system call (the kernel
 * takes locks). membarrier happens at an instant when both buffers are empty: since a buffer may empty at any time, that is the same as
 * emptying the other processor's buffer by force.
 *
 * Reduction: instructions that touch registers only are invisible to the other end; they run at once, as part of the step before. So does
 * putting a store into the buffer, but only in programs without membarrier: a membarrier of the other end tells a store that is already in
 * the buffer (it becomes visible) from one still to be executed (it does not).
 */

import { type Emit, Machine, type Scenario } from "./machine.ts";
import type { Instruction } from "./program.ts";
import * as op from "./program.ts";

/** More than any scenario puts in: the buffer is never full. */
const BUFFER_STORES = 24;

export class X86 extends Machine {
  readonly model = "x86-TSO";

  private readonly storesAtOnce: boolean;

  constructor(scenario: Scenario) {
    super(scenario, BUFFER_STORES);
    this.storesAtOnce = !scenario.programs.some((each) => each.instructions.some((instruction) => instruction.kind === op.MEMBARRIER));
  }

  successors(state: Uint8Array, emit: Emit): void {
    for (const t of [0, 1]) {
      this.begin(state);
      if (this.flush(t)) this.finish(t, emit);
      this.begin(state);
      if (this.execute(t)) this.finish(t, emit);
    }
  }

  private begin(state: Uint8Array): void {
    this.next.set(state);
    this.broken = "";
  }

  private finish(t: number, emit: Emit): void {
    this.normalise(t);
    emit(this.next, this.broken);
  }

  /** The oldest store leaves the buffer. */
  private flush(t: number): boolean {
    const s = this.next, count = this.threadAt[t]! + 1, at = this.pendingAt(t);
    const stores = s[count]!;
    if (stores === 0) return false;
    const address = s[at]!, value = s[at + 1]!;
    s.copyWithin(at, at + 2, at + 2 * stores);
    s[at + 2 * stores - 2] = s[at + 2 * stores - 1] = 0;
    s[count] = stores - 1;
    this.storeToMemory(t, address, value);
    return true;
  }

  private execute(t: number): boolean {
    const s = this.next, at = this.threadAt[t]!, pc = s[at]!, stores = s[at + 1]!;
    const instruction = this.program(t).instructions[pc]!, registers = this.registers[t]!;
    switch (instruction.kind) {
      case op.STORE:
        this.buffer(t, instruction, registers);
        if (this.describing) {
          const [name, text] = this.shown(this.address(instruction.place!, registers), instruction.value!.of(registers));
          this.say(t, `stores ${name} := ${text}, not visible yet`);
        }
        break;
      case op.LOAD: {
        const address = this.address(instruction.place!, registers);
        const value = this.forwarded(t, stores, address) ?? s[this.cell(address)]!;
        registers[instruction.into] = value;
        if (this.describing) this.say(t, `loads ${this.shown(address, value).join(": ")}`);
        break;
      }
      case op.FENCE:
        if (stores > 0) return false;
        this.say(t, "fence: its stores are visible");
        break;
      case op.MEMBARRIER:
        if (stores > 0 || s[this.threadAt[1 - t]! + 1]! > 0) return false;
        this.say(t, "membarrier: the stores of both are visible");
        break;
      case op.RECEIVE:
        if (this.systemCall(t, instruction, registers) === "no") return false;
        break;
      case op.SEND:
      case op.WAKE:
      case op.WAIT: {
        if (stores > 0) return false;
        const outcome = this.systemCall(t, instruction, registers);
        if (outcome === "no") return false;
        if (outcome === "stay") return true;
        break;
      }
      default:
        return false; // END
    }
    s[at] = pc + 1;
    return true;
  }

  /** The newest store to the same cell in the processor's own buffer. */
  private forwarded(t: number, stores: number, address: number): number | undefined {
    const at = this.pendingAt(t), cell = this.cell(address);
    for (let i = stores - 1; i >= 0; i--) if (this.cell(this.next[at + 2 * i]!) === cell) return this.next[at + 2 * i + 1]!;
    return undefined;
  }

  private buffer(t: number, instruction: Instruction, registers: Uint8Array): void {
    const s = this.next, count = this.threadAt[t]! + 1, at = this.pendingAt(t), stores = s[count]!;
    if (stores === BUFFER_STORES) throw new Error("the store buffer is too small for this scenario");
    s[at + 2 * stores] = this.address(instruction.place!, registers);
    s[at + 2 * stores + 1] = instruction.value!.of(registers);
    s[count] = stores + 1;
  }

  protected normalise(t: number): boolean {
    const s = this.next, at = this.threadAt[t]!, registers = this.registers[t]!;
    for (;;) {
      const pc = s[at]!, instruction = this.program(t).instructions[pc]!;
      if (op.isLocal(instruction.kind)) s[at] = this.local(instruction, pc, registers);
      else if (instruction.kind === op.STORE && this.invisible(instruction)) s[at] = pc + 1;
      else if (instruction.kind === op.STORE && this.storesAtOnce) {
        this.buffer(t, instruction, registers);
        s[at] = pc + 1;
      } else break;
    }
    this.canonical(t);
    return true;
  }

  protected pendingSleepWords(end: number, t: number, visit: (at: number) => void): void {
    const at = this.pendingAt(t), words = this.scenario.generations[end]!.words;
    for (let i = this.next[this.threadAt[t]! + 1]! - 1; i >= 0; i--) if (words.includes(this.next[at + 2 * i]!)) visit(at + 2 * i + 1);
  }
}
