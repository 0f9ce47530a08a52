/**
 * The language in which the model writes the protocol down: one instruction a line, read into a table that both memory models execute.
 *
 *   label:
 *   load[.acquire] register = place          store[.release] place = expression
 *   set register = expression                if expression goto label · goto label
 *   fence                                    a full barrier
 *   membarrier                               a full barrier here, and one where the other processor is
 *   send w · receive                         a byte into the peer's doorbell · sleep until there is one, and take all
 *   wake w · wait place == expression        futex_wake on the word this end rang with · futex_wait
 *   check expression : what is broken        looks at finished instructions only; no part of the protocol
 *   consumed ring = expression               tells the checker up to where the reader no longer needs the ring
 *   end                                      the program has done its work
 *
 * A place is a word (`writer.sleep`) or a cell of a ring at an absolute position (`ring[pos+1]`; it wraps by itself). A line may end in
 * `@tag`: mutations name lines by their tags. Expressions are JavaScript over registers (bytes) and the helpers of a scenario.
 */

export const LOAD = 0,
  STORE = 1,
  SET = 2,
  BRANCH = 3,
  FENCE = 4,
  MEMBARRIER = 5,
  SEND = 6,
  RECEIVE = 7,
  WAKE = 8,
  WAIT = 9,
  CHECK = 10,
  CONSUMED = 11,
  END = 12;

/** Instructions that neither touch memory nor call the kernel. */
export function isLocal(kind: number): boolean {
  return kind === SET || kind === BRANCH || kind === CHECK || kind === CONSUMED;
}

export interface Expression {
  readonly text: string;
  /** Bit set of the registers it reads. */
  readonly reads: number;
  readonly of: (registers: Uint8Array) => number;
}

export interface Place {
  readonly text: string;
  /** Address of the word, or of position 0 of the ring. */
  readonly base: number;
  /** -1 for a word, else which ring. */
  readonly ring: number;
  readonly index: Expression | undefined;
}

export interface Instruction {
  readonly kind: number;
  readonly text: string;
  readonly tag: string;
  /** Register written by LOAD and SET, else -1. */
  readonly into: number;
  readonly place: Place | undefined;
  /** Value stored or set, condition of BRANCH (none: always) and CHECK, word of WAIT, SEND and WAKE. */
  readonly value: Expression | undefined;
  /** Acquire of a load, release of a store. */
  readonly ordered: boolean;
  readonly target: number;
}

export interface Program {
  readonly name: string;
  readonly registers: readonly string[];
  readonly instructions: readonly Instruction[];
  /** For each instruction, the registers (bit set) somebody may still read from there on. */
  readonly live: Int32Array;
}

/** Where words and rings live. Addresses are bytes: words first, then a stretch of absolute positions for each ring. */
export interface MemoryMap {
  readonly words: readonly string[];
  readonly rings: readonly { readonly name: string; readonly cells: number }[];
  /** Positions a ring may reach in a scenario. */
  readonly positions: number;
}

export type Helpers = Readonly<Record<string, number | ((...values: number[]) => number)>>;

export function ringBase(map: MemoryMap, ring: number): number {
  return map.words.length + ring * map.positions;
}

/** Cell index for each address: this is where positions wrap. */
export function cellTable(map: MemoryMap): Uint8Array {
  const table = new Uint8Array(256);
  let cell = 0;
  for (; cell < map.words.length; cell++) table[cell] = cell;
  map.rings.forEach((ring, at) => {
    const base = ringBase(map, at);
    if (base + map.positions > 256) throw new Error("a scenario needs more than 256 addresses");
    for (let position = 0; position < map.positions; position++) table[base + position] = cell + position % ring.cells;
    cell += ring.cells;
  });
  return table;
}

export function cellCount(map: MemoryMap): number {
  return map.rings.reduce((sum, ring) => sum + ring.cells, map.words.length);
}

/** "writer.sleep", or "ring[7] (cell 1)": how traces call an address. */
export function addressName(map: MemoryMap, address: number): string {
  if (address < map.words.length) return map.words[address]!;
  const ring = Math.floor((address - map.words.length) / map.positions);
  const position = (address - map.words.length) % map.positions;
  return `${map.rings[ring]!.name}[${position}] (cell ${position % map.rings[ring]!.cells})`;
}

export function assemble(name: string, source: string, map: MemoryMap, helpers: Helpers): Program {
  const lines = source.split("\n").map((line) => line.replace(/\/\/.*$/, "").trim()).filter((line) => line !== "");
  const labels = new Map<string, number>();
  const texts: string[] = [];
  for (const line of lines) {
    const label = /^(\w+):$/.exec(line);
    if (label === null) texts.push(line);
    else if (labels.has(label[1]!)) throw new Error(`${name}: label ${label[1]} twice`);
    else labels.set(label[1]!, texts.length);
  }
  const registers = [...new Set(texts.flatMap((text) => /^(?:load(?:\.\w+)?|set) (\w+) =/.exec(text)?.[1] ?? []))];
  if (registers.length > 30) throw new Error(`${name}: too many registers`);
  const assembler = { name, registers, labels, map, helpers };
  const instructions = texts.map((text) => instruction(assembler, text));
  return { name, registers, instructions, live: liveness(instructions) };
}

function liveness(instructions: readonly Instruction[]): Int32Array {
  const live = new Int32Array(instructions.length);
  for (let changed = true; changed;) {
    changed = false;
    instructions.forEach((each, pc) => {
      let set = each.kind === END || (each.kind === BRANCH && each.value === undefined) ? 0 : live[pc + 1]!;
      if (each.kind === BRANCH) set |= live[each.target]!;
      if (each.into >= 0) set &= ~(1 << each.into);
      set |= (each.value?.reads ?? 0) | (each.place?.index?.reads ?? 0);
      if (set === live[pc]) return;
      live[pc] = set;
      changed = true;
    });
  }
  return live;
}

interface Assembler {
  readonly name: string;
  readonly registers: readonly string[];
  readonly labels: ReadonlyMap<string, number>;
  readonly map: MemoryMap;
  readonly helpers: Helpers;
}

const EMPTY = { into: -1, place: undefined, value: undefined, ordered: false, target: -1 } as const;
const BARE: Readonly<Record<string, number>> = { fence: FENCE, membarrier: MEMBARRIER, receive: RECEIVE, end: END };

function instruction(a: Assembler, line: string): Instruction {
  const tagged = /^(.*?)(?:\s+@([\w-]+))?$/.exec(line)!;
  const text = tagged[1]!.replace(/\s+/g, " ");
  const common = { ...EMPTY, text, tag: tagged[2] ?? "" };
  const bare = BARE[text];
  if (bare !== undefined) return { ...common, kind: bare };
  let m: RegExpExecArray | null;
  if ((m = /^load(\.acquire)? (\w+) = (.+)$/.exec(text)) !== null) {
    return { ...common, kind: LOAD, into: a.registers.indexOf(m[2]!), place: place(a, m[3]!), ordered: m[1] !== undefined };
  }
  if ((m = /^store(\.release)? (.+?) = (.+)$/.exec(text)) !== null) {
    return { ...common, kind: STORE, place: place(a, m[2]!), value: expression(a, m[3]!), ordered: m[1] !== undefined };
  }
  if ((m = /^set (\w+) = (.+)$/.exec(text)) !== null) {
    return { ...common, kind: SET, into: a.registers.indexOf(m[1]!), value: expression(a, m[2]!) };
  }
  if ((m = /^(?:if (.+) )?goto (\w+)$/.exec(text)) !== null) {
    const target = a.labels.get(m[2]!);
    if (target === undefined) throw new Error(`${a.name}: no label ${m[2]}`);
    return { ...common, kind: BRANCH, value: m[1] === undefined ? undefined : expression(a, m[1]), target };
  }
  if ((m = /^(send|wake) (\w+)$/.exec(text)) !== null) {
    return { ...common, kind: m[1] === "send" ? SEND : WAKE, value: expression(a, m[2]!) };
  }
  if ((m = /^wait (\S+) == (.+)$/.exec(text)) !== null) {
    return { ...common, kind: WAIT, place: place(a, m[1]!), value: expression(a, m[2]!) };
  }
  if ((m = /^check (.+?) : (.+)$/.exec(text)) !== null) return { ...common, kind: CHECK, text: m[2]!, value: expression(a, m[1]!) };
  if ((m = /^consumed (\w+) = (.+)$/.exec(text)) !== null) {
    return { ...common, kind: CONSUMED, target: ringIndex(a, m[1]!), value: expression(a, m[2]!) };
  }
  throw new Error(`${a.name}: cannot read "${line}"`);
}

function ringIndex(a: Assembler, ring: string): number {
  const at = a.map.rings.findIndex((each) => each.name === ring);
  if (at < 0) throw new Error(`${a.name}: no ring ${ring}`);
  return at;
}

function place(a: Assembler, text: string): Place {
  const m = /^(\w+)\[(.+)\]$/.exec(text);
  if (m !== null) {
    const ring = ringIndex(a, m[1]!);
    return { text, base: ringBase(a.map, ring), ring, index: expression(a, m[2]!) };
  }
  const word = a.map.words.indexOf(text);
  if (word < 0) throw new Error(`${a.name}: no word ${text}`);
  return { text, base: word, ring: -1, index: undefined };
}

/** Compiled, because a state space evaluates some expressions tens of millions of times. */
function expression(a: Assembler, text: string): Expression {
  let reads = 0;
  const code = text.replace(/[A-Za-z_]\w*/g, (word) => {
    const register = a.registers.indexOf(word);
    if (register >= 0) {
      reads |= 1 << register;
      return `r[${register}]`;
    }
    if (a.helpers[word] === undefined) throw new Error(`${a.name}: "${word}" in "${text}" is neither a register nor a helper`);
    return typeof a.helpers[word] === "number" ? String(a.helpers[word]) : `h.${word}`;
  });
  const make = new Function("h", `return (r) => Number(${code});`) as (h: Helpers) => (r: Uint8Array) => number;
  return { text, reads, of: make(a.helpers) };
}
