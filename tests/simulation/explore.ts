/**
 * Visits every reachable state of a machine, breadth first, so that the first violation found has a shortest trace. A state nobody can
 * leave is a violation, unless both ends have finished: that is how a lost wake-up shows. When all is well, the graph of states is also
 * checked to have no cycle: then every execution ends, and ends well.
 */

import type { Machine } from "./machine.ts";

export interface Result {
  readonly scenario: string;
  readonly model: string;
  readonly states: number;
  readonly steps: number;
  /** Longest distance from the start. */
  readonly depth: number;
  /** Final states, all of them good ones. */
  readonly ends: number;
  readonly violation: Violation | undefined;
}

export interface Violation {
  readonly what: string;
  /** One line a step, from the start. */
  readonly trace: readonly string[];
}

/** States in one growing array, found by hash (open addressing); each with its parent. */
class States {
  count = 0;
  parents: Int32Array = new Int32Array(1 << 12);
  private readonly words: number;
  private rows: Uint32Array;
  private bytes: Uint8Array;
  private slots: Int32Array = new Int32Array(1 << 14).fill(-1);
  private readonly candidate: Uint32Array;
  private readonly candidateBytes: Uint8Array;

  constructor(stateBytes: number) {
    this.words = stateBytes / 4;
    this.rows = new Uint32Array(this.words << 12);
    this.bytes = new Uint8Array(this.rows.buffer);
    this.candidate = new Uint32Array(this.words);
    this.candidateBytes = new Uint8Array(this.candidate.buffer);
  }

  /** Index of the state; the caller sees by `count` whether it is new. */
  add(state: Uint8Array, parent: number): number {
    this.candidateBytes.set(state);
    let slot = hash(this.candidate) & (this.slots.length - 1);
    for (let at; (at = this.slots[slot]!) >= 0; slot = (slot + 1) & (this.slots.length - 1)) if (this.equals(at)) return at;
    if (this.count === this.parents.length) this.grow();
    this.rows.set(this.candidate, this.count * this.words);
    this.parents[this.count] = parent;
    this.slots[slot] = this.count++;
    if (this.count * 2 > this.slots.length) this.rehash();
    return this.count - 1;
  }

  read(index: number, into: Uint8Array): void {
    const from = index * this.words * 4;
    for (let i = 0; i < into.length; i++) into[i] = this.bytes[from + i]!;
  }

  private equals(index: number): boolean {
    const from = index * this.words;
    for (let i = 0; i < this.words; i++) if (this.rows[from + i] !== this.candidate[i]) return false;
    return true;
  }

  private grow(): void {
    const rows = new Uint32Array(this.rows.length * 2), parents = new Int32Array(this.parents.length * 2);
    rows.set(this.rows);
    parents.set(this.parents);
    this.rows = rows;
    this.bytes = new Uint8Array(rows.buffer);
    this.parents = parents;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1), mask = slots.length - 1;
    for (let at = 0; at < this.count; at++) {
      let slot = hash(this.rows.subarray(at * this.words, (at + 1) * this.words)) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = at;
    }
    this.slots = slots;
  }
}

function hash(words: Uint32Array): number {
  let h = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    h = Math.imul(h ^ words[i]!, 0x85ebca6b);
    h ^= h >>> 15;
  }
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Steps of the graph, for the search of cycles. */
class Edges {
  count = 0;
  from: Int32Array = new Int32Array(1 << 14);
  to: Int32Array = new Int32Array(1 << 14);

  add(from: number, to: number): void {
    if (this.count === this.from.length) {
      const grownFrom = new Int32Array(this.count * 2), grownTo = new Int32Array(this.count * 2);
      grownFrom.set(this.from);
      grownTo.set(this.to);
      this.from = grownFrom;
      this.to = grownTo;
    }
    this.from[this.count] = from;
    this.to[this.count++] = to;
  }
}

/** `statesMax` bounds the search: beyond it the run fails, since "all states" would not be true. */
export function explore(machine: Machine, statesMax: number): Result {
  const states = new States(machine.stateBytes), edges = new Edges();
  const current = new Uint8Array(machine.stateBytes);
  let at = 0, depth = 0, levelEnd = 1, ends = 0, left = 0;
  let found: { readonly what: string; readonly from: number; readonly broken: boolean } | undefined;
  states.add(machine.initial(), -1);
  const emit = (next: Uint8Array, broken: string): void => {
    left++;
    if (broken !== "") found ??= { what: broken, from: at, broken: true };
    else edges.add(at, states.add(next, at));
  };
  for (; at < states.count && found === undefined; at++) {
    if (at === levelEnd) {
      levelEnd = states.count;
      depth++;
    }
    states.read(at, current);
    left = 0;
    const dropped = machine.dropped;
    machine.successors(current, emit);
    if (found !== undefined || left > 0 || machine.dropped > dropped) continue;
    if (machine.finished(current)) ends++;
    else found = { what: `nothing more can happen: ${machine.where(current)}`, from: at, broken: false };
    if (states.count > statesMax) throw new Error(`${machine.scenario.name}: more than ${statesMax} states`);
  }
  if (states.count > statesMax) throw new Error(`${machine.scenario.name}: more than ${statesMax} states`);
  if (found === undefined && !acyclic(states.count, edges)) {
    found = { what: "an execution need not end: the states have a cycle", from: 0, broken: false };
  }
  const violation = found === undefined ? undefined : { what: found.what, trace: trace(machine, states, found.from, found.broken) };
  return { scenario: machine.scenario.name, model: machine.model, states: states.count, steps: edges.count, depth, ends, violation };
}

/** Takes away, again and again, the states no step leads to; a cycle would remain. */
function acyclic(count: number, edges: Edges): boolean {
  const entering = new Int32Array(count), first = new Int32Array(count + 1), sorted = new Int32Array(edges.count);
  for (let i = 0; i < edges.count; i++) {
    entering[edges.to[i]!]!++;
    first[edges.from[i]! + 1]!++;
  }
  for (let i = 0; i < count; i++) first[i + 1]! += first[i]!;
  const fill = first.slice();
  for (let i = 0; i < edges.count; i++) sorted[fill[edges.from[i]!]!++] = edges.to[i]!;
  const ready = new Int32Array(count);
  let have = 0, taken = 0;
  for (let i = 0; i < count; i++) if (entering[i] === 0) ready[have++] = i;
  for (; taken < have; taken++) {
    const from = ready[taken]!;
    for (let i = first[from]!; i < first[from + 1]!; i++) if (--entering[sorted[i]!]! === 0) ready[have++] = sorted[i]!;
  }
  return taken === count;
}

/** Replays the way to state `last` and says each step; with `broken`, also the step from there that breaks a rule. */
function trace(machine: Machine, states: States, last: number, broken: boolean): readonly string[] {
  const way: number[] = [];
  for (let index = last; index >= 0; index = states.parents[index]!) way.unshift(index);
  const lines: string[] = [], from = new Uint8Array(machine.stateBytes), to = new Uint8Array(machine.stateBytes);
  machine.describing = true;
  for (let i = 0; i + 1 < way.length; i++) {
    states.read(way[i]!, from);
    states.read(way[i + 1]!, to);
    let said = "";
    machine.successors(from, (next, wrong) => {
      if (said === "" && wrong === "" && next.every((byte, b) => byte === to[b])) said = machine.said;
    });
    lines.push(said);
  }
  if (broken) {
    states.read(last, from);
    let said = "";
    machine.successors(from, (_, wrong) => {
      if (said === "" && wrong !== "") said = machine.said;
    });
    lines.push(said);
  }
  machine.describing = false;
  return lines;
}
