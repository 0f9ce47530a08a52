/**
 * Ways to break the protocol. Each takes away one thing that the protocol relies on, and names the models in which the checker must find
 * the damage. Some things matter on arm64 only: x86 keeps stores in order, and loads.
 */

import type { Change } from "./protocol.ts";
import type { Options } from "./records.ts";

export interface Mutation {
  readonly name: string;
  readonly failsOn: readonly ("x86-TSO" | "arm64")[];
  /** What is wrong with the outcome. */
  readonly finds: RegExp;
  readonly change?: Change;
  readonly options?: Partial<Options>;
}

const WRITER = 0, READER = 1;
const both = ["x86-TSO", "arm64"] as const, arm64 = ["arm64"] as const;
const stuck = /nothing more can happen/, torn = /torn/, stale = /not the next one/, overwritten = /before it was read/;

function tagged(line: string, tag: string): boolean {
  return line.split(/\s+/).includes(`@${tag}`);
}

/** The lines with this tag become others; `only` limits it to an end. */
function edit(tag: string, to: (line: string) => readonly string[], only?: number): Change {
  return (lines, end) => only !== undefined && end !== only ? lines : lines.flatMap((line) => tagged(line, tag) ? to(line) : [line]);
}

function drop(tag: string, only?: number): Change {
  return edit(tag, () => [], only);
}

function plain(tag: string, only: number): Change {
  return edit(tag, (line) => [line.replace(/^(load|store)\.\w+/, "$1")], only);
}

function insertAfter(label: string, line: string, only: number): Change {
  return (lines, end) => end === only ? lines.flatMap((each) => each === `${label}:` ? [each, line] : [each]) : lines;
}

function chain(...changes: readonly Change[]): Change {
  return (lines, end) => changes.reduce((now, change) => change(now, end), lines);
}

export const MUTATIONS: readonly Mutation[] = [
  // waiting
  { name: "the waiter does not call membarrier", failsOn: both, finds: stuck, change: drop("barrier") },
  { name: "only the reader's wait has its membarrier", failsOn: both, finds: stuck, change: drop("barrier", WRITER) },
  { name: "only the writer's wait has its membarrier", failsOn: both, finds: stuck, change: drop("barrier", READER) },
  { name: "the waiter fences itself instead of calling membarrier", failsOn: both, finds: stuck, change: edit("barrier", () => ["fence"]) },
  {
    name: "membarrier refused, and the ringer does not fence",
    failsOn: both,
    finds: stuck,
    options: { barrier: "fence" },
    change: drop("ringer-fence"),
  },
  {
    name: "membarrier refused, and the waiter does not fence",
    failsOn: both,
    finds: stuck,
    options: { barrier: "fence" },
    change: drop("barrier"),
  },
  { name: "the reader does not look again before it sleeps", failsOn: both, finds: stuck, change: drop("recheck", READER) },
  { name: "the writer does not look again before it sleeps", failsOn: both, finds: stuck, change: drop("recheck", WRITER) },
  {
    name: "the waiter announces itself only after it looked again",
    failsOn: both,
    finds: stuck,
    change: chain(
      edit("announce", () => []),
      edit("sleep", (line) => [`store.release my.sleep = gen << 3 | 1`, line], READER),
      edit("sleep", (line) => [`store.release my.sleep = gen << 3 | 2`, line], WRITER),
    ),
  },
  { name: "a new sleep reuses the old generation", failsOn: both, finds: stuck, change: edit("generation", () => ["set gen = 1"]) },
  // as a look from elsewhere in the program would, while the event loop sleeps
  {
    name: "the announcement is taken back while asleep",
    failsOn: both,
    finds: stuck,
    change: edit("sleep", (line) => ["store.release my.sleep = gen << 3", line]),
  },
  { name: "released is not published before sleeping", failsOn: both, finds: stuck, change: edit("idle", () => ["goto rest"]) },
  {
    name: "the writer sleeps with a batch laid out and not published",
    failsOn: both,
    finds: stuck,
    options: { batch: 4 },
    change: drop("flush-before-sleep"),
  },
  // ringing
  {
    name: "ringing is decided before publishing",
    failsOn: both,
    finds: stuck,
    change: chain(
      drop("sleep-load", WRITER),
      insertAfter("flush", "load w = peer.sleep", WRITER),
      insertAfter("finish", "load w = peer.sleep", WRITER),
    ),
  },
  { name: "rung_word is not compared", failsOn: both, finds: /rings twice/, change: drop("rung-compare") },
  {
    name: "whoever publishes rings, asleep or not",
    failsOn: both,
    finds: /is awake/,
    change: (lines) => lines.filter((line) => !line.startsWith("if (w &")),
  },
  {
    name: "futex: rung_word is stored after futex_wake",
    failsOn: both,
    finds: stuck,
    options: { sleep: "futex" },
    change: (lines) =>
      lines.flatMap((line) => tagged(line, "rung") ? [] : line.startsWith("wake w") ? [line, "store.release my.rung = w"] : [line]),
  },
  {
    name: "futex: a ring between the second look and the sleep is not noticed",
    failsOn: both,
    finds: stuck,
    options: { sleep: "futex" },
    change: drop("old-compare"),
  },
  // publishing
  { name: "the header is stored without release", failsOn: arm64, finds: torn, change: plain("publish", WRITER) },
  {
    name: "the header is loaded without acquire",
    failsOn: arm64,
    finds: torn,
    change: chain(plain("header-load", READER), plain("recheck", READER)),
  },
  { name: "the next header is not zeroed", failsOn: both, finds: stale, change: drop("clear", WRITER) },
  {
    name: "the next header is zeroed after publishing",
    failsOn: both,
    finds: stale,
    change: chain(drop("clear", WRITER), edit("publish", (line) => [line, "store ring[pos] = 0"], WRITER)),
  },
  {
    name: "the header is published before the payload",
    failsOn: both,
    finds: torn,
    options: { batch: 1 },
    change: (lines, end) => {
      if (end !== WRITER) return lines;
      const payload = lines.flatMap((line) =>
        line.includes("@payload") ? [line.replace("pos +", "published + pad +").replaceAll("word(m,", "word(m - 1,")] : []
      );
      return lines.flatMap((line) =>
        line.includes("@payload")
          ? []
          : line.includes("@publish")
          ? [line, payload[0]!, "if cells(m - 1) == 2 goto whole", payload[1]!, "whole:"]
          : [line]
      );
    },
  },
  { name: "the writer keeps no room for the zeroed header", failsOn: both, finds: overwritten, options: { reserveCells: 0 } },
  // releasing
  {
    name: "the reader releases a message before it copied it",
    failsOn: both,
    finds: overwritten,
    change: (lines, end) => {
      const at = lines.findIndex((line) => line.includes("@copy"));
      return end === READER ? [...lines.slice(0, at), "store.release my.released = pos + stride(h)", ...lines.slice(at)] : lines;
    },
  },
  { name: "released is stored without release", failsOn: arm64, finds: overwritten, change: plain("release", READER) },
  // closing
  {
    name: "the state is looked at after the records",
    failsOn: both,
    finds: /reported before the last/,
    options: { closes: "writer" },
    change: chain(drop("state-load", READER), edit("header-load", (line) => [line, "load.acquire gone = peer.state"], READER)),
  },
  {
    name: "whoever closes does not ring",
    failsOn: both,
    finds: stuck,
    options: { closes: "reader" },
    change: edit("state", (line) => [line, "goto left"], READER),
  },
  {
    name: "a change of state has no barrier of its own where membarrier is refused",
    failsOn: both,
    finds: stuck,
    options: { closes: "reader", barrier: "fence" },
    change: drop("state-fence", READER),
  },
];

/** Orders the code keeps although the models show that nothing depends on them; that none of these fails shows that the checker can tell. */
export const HARMLESS: readonly { readonly name: string; readonly change: Change }[] = [
  {
    name: "the announcement is a plain store (the membarrier orders it)",
    change: chain(plain("announce", WRITER), plain("announce", READER)),
  },
  { name: "waking is announced by a plain store", change: chain(plain("awake", WRITER), plain("awake", READER)) },
  {
    name: "released is loaded without acquire (stores wait for the branch that depends on it)",
    change: chain(plain("space-load", WRITER), plain("recheck", WRITER)),
  },
];
