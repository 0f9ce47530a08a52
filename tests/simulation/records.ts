/**
 * The records of the model. A cell stands for 8 bytes of ring and holds one byte: kind and stride in its lower half, as a header does, and
 * in its upper half whose it is, which only the checker looks at. Payload words have a lower half as well: each of them would pass for the
 * header of a message. So whoever takes an old payload word for a header does not stumble, but is caught.
 */

import type { Helpers } from "./program.ts";

export interface Options {
  readonly name: string;
  /** Payload words (1 or 2) of each message; at most four messages. */
  readonly messages: readonly number[];
  /** Messages per publication. */
  readonly batch: number;
  /** Ring size, and what the writer always keeps free. */
  readonly ringCells: number;
  readonly reserveCells: number;
  /** The reader tells the writer at the latest when it has newly read so many cells. */
  readonly releaseCells: number;
  readonly sleep: "doorbell" | "futex";
  /** "fence": where membarrier is refused, ringer and waiter both use a full barrier. */
  readonly barrier: "membarrier" | "fence";
  /** Which end's state word the other watches as well: the writer's, who half-closes, or the reader's, who leaves after one message. */
  readonly closes?: "writer" | "reader";
}

const MESSAGE = 1, PAD = 2, END = 3;

export function layout(o: Options): Helpers {
  if (o.messages.length > 4) throw new Error("the upper half of a cell tells four messages apart");
  const cell = (whose: number, kind: number, stride: number): number => whose << 4 | kind << 2 | stride;
  const cells = (m: number): number => 1 + o.messages[m]!;
  const header = (m: number): number => cell(m + 1, MESSAGE, cells(m));
  const padHeader = (stride: number): number => cell(0, PAD, stride);
  const endHeader = cell(0, END, 1);
  /** A record never straddles the end of the ring: cells of PAD before message m at position pos. */
  const padding = (pos: number, m: number): number => {
    const rest = o.ringCells - pos % o.ringCells;
    return rest < cells(m) ? rest : 0;
  };
  const expected = (pos: number, n: number): number => {
    if (n >= o.messages.length) return endHeader;
    return padding(pos, n) > 0 ? padHeader(padding(pos, n)) : header(n);
  };
  return {
    MESSAGES: o.messages.length,
    RELEASE: o.releaseCells,
    ENDHEADER: endHeader,
    KIND_PAD: PAD,
    KIND_END: END,
    cells,
    header,
    padHeader,
    padding,
    expected,
    word: (m, i) => cell(8 + 2 * m! + i!, MESSAGE, 2),
    kind: (h) => h! >> 2 & 3,
    stride: (h) => h! & 3,
    room: (pos, released) => o.ringCells - o.reserveCells - (pos! - released!),
    flushes: (m) => m! % o.batch === 0 || m === o.messages.length ? 1 : 0,
  };
}

/** How traces show a cell or a word. */
export function shows(name: string, value: number): string {
  if (name.endsWith(".sleep") || name.endsWith(".rung")) {
    const wants = ["awake", "waits for data", "waits for space", "waits for data and space"][value & 3]!;
    return value === 0 ? "0" : `sleep ${value >> 3}, ${wants}`;
  }
  if (!name.includes("[") || value === 0) return String(value);
  const whose = value >> 4, kind = value >> 2 & 3;
  if (whose >= 8) return `word ${(whose - 8) % 2} of message ${whose - 8 >> 1}`;
  return kind === MESSAGE ? `header of message ${whose - 1}` : `header of ${kind === PAD ? "a PAD" : "the END"}`;
}
