/**
 * How fast the policy reacts: both ends of a spinning channel are put on one core and apart again, then a hog comes to one end's core and goes.
 * Prints, for each round and each change, the milliseconds until both directions had moved, and each move with its reason.
 */
import process from "node:process";
import { count, optionsOf, text } from "../../scripts/lib/options.ts";
import { Hog } from "../../src/cli/hog.ts";
import { parseWord } from "../../src/cli/usage.ts";
import { confine } from "../../src/native/affinity.ts";
import { loadNative } from "../../src/native/load.ts";
import { type Program, type RuntimeName, RUNTIMES, sleep, World } from "../../tests/process/harness.ts";

const { rounds, runtimes, transport: asked } = optionsOf({
  command: "bun bench/policy/reaction.ts",
  what: "How fast the policy reacts when ends come to one core or apart, and when a hog comes or goes: a line of JSON for each change.",
  options: {
    rounds: count("of all changes", 5, 1),
    runtimes: {
      value: "A,B",
      what: "of the two ends: bun or deno",
      parse: (given: string): readonly RuntimeName[] => given.split(",").map((name) => parseWord(name, RUNTIMES)),
      otherwise: ["bun", "bun"] as const,
    },
    transport: text("NAME", "where the channel begins, or auto", "mempipe-spin"),
  },
  examples: ["bun bench/policy/reaction.ts --rounds 1", "bun bench/policy/reaction.ts --runtimes bun,deno --transport auto"],
});
const { library } = loadNative();
/** Until nothing more is expected to happen. */
const WATCH_MS = 3000;
const TALKER = "tests/process/talker_main.ts";

interface Move {
  readonly to: string;
  readonly after_ms: number;
  readonly reason: string;
}

interface Change {
  readonly change: string;
  /** Until the last of the first moves of both directions; null: nothing moved. */
  readonly after_ms: number | null;
  /** Of each direction. */
  readonly moves: readonly (readonly Move[])[];
  readonly msgs_per_s: number;
}

async function round(): Promise<readonly Change[]> {
  const world = new World();
  try {
    await world.broker("bun");
    const [first = "bun", second = first] = runtimes;
    const [asker, answerer] = [world.run(first, TALKER), world.run(second, TALKER)];
    answerer.tell({ op: "start", role: "answer", name: "xio://react", sizeBytes: 64 });
    await answerer.next("listening");
    const transport = asked === "auto" ? {} : { transport: asked };
    asker.tell({ op: "start", role: "ask", name: "xio://react", sizeBytes: 64, ...transport });
    await Promise.all([asker.next("open"), answerer.next("open")]);
    const place = (a: number, b: number) => {
      confine(library, asker.pid, [a]);
      confine(library, answerer.pid, [b]);
    };
    let hog: Hog | undefined;
    const changes: Change[] = [];
    for (
      const [change, make] of [
        ["apart", () => place(0, 1)],
        ["on one core", () => place(0, 0)],
        ["apart again", () => place(0, 1)],
        ["a hog comes", () => {
          hog = new Hog(1);
        }],
        ["the hog leaves", () => void hog?.stop()],
      ] as const
    ) changes.push(await observe(change, make, [asker, answerer]));
    asker.tell({ op: "stop" });
    await Promise.all([asker.exited(), answerer.exited()]);
    return changes;
  } finally {
    await world.close();
  }
}

async function observe(change: string, make: () => void, ends: readonly Program[]): Promise<Change> {
  const [asker] = ends as [Program, Program];
  const counted = async () => {
    asker.tell({ op: "count" });
    return Number((await asker.next("count", 60_000))["messages"]);
  };
  const [before, lines] = [await counted(), ends.map((end) => end.lines.length)];
  const began = Date.now();
  make();
  await sleep(WATCH_MS);
  const messages = await counted() - before;
  const elapsed = Date.now() - began;
  const moved = ends.map((end, index) => end.lines.slice(lines[index]).filter((line) => line.event === "moved"));
  const moves = moved.map((list) =>
    list.map((line): Move => ({ to: String(line["to"]), after_ms: Number(line["at"]) - began, reason: String(line["reason"]) }))
  );
  return {
    change,
    after_ms: moves.every((list) => list.length === 0) ? null : Math.max(...moves.map(([first]) => first?.after_ms ?? Infinity)),
    moves,
    msgs_per_s: Math.round((messages * 1000) / elapsed),
  };
}

for (let number = 0; number < rounds; number++) {
  for (const change of await round()) console.log(JSON.stringify({ round: number, ...change }));
}
process.exit(0);
