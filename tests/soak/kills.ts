/**
 * The full product of tests/process/kill_test.ts: every state of a move, every victim, every pair of runtimes, from every transport to every other one,
 * in a random order; and readers that are stopped for ten seconds in mid-switch.
 */
import { type RuntimeName, RUNTIMES, seeded, World } from "../process/harness.ts";
import { describeRound, Kills, type Round, STATES, transportsOf, VICTIMS } from "../process/kills.ts";

const STOPPED_MS = 10_000;
const PROGRESS = 50;
const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = RUNTIMES.flatMap((writer) =>
  RUNTIMES.map((reader) => [writer, reader] as const)
);

/** At most so many rounds of the product. `record` is told each state and victim with what went wrong first. */
export async function soakKills(seed: number, most: number, record: (name: string, wrong: string | undefined) => void): Promise<void> {
  const world = new World();
  const kills = new Kills(world);
  const tally = new Map<string, { rounds: number; wrong: string | undefined }>();
  try {
    const rounds = product(seed).slice(0, most);
    for (const [number, round] of rounds.entries()) {
      if (number % PROGRESS === 0) console.log(`  rounds of killing: ${number} of ${rounds.length}`);
      const name = `${round.state}: the ${round.victim} dies`;
      const one = tally.get(name) ?? { rounds: 0, wrong: undefined };
      tally.set(name, one);
      one.rounds++;
      const wrong = await kills.run(round).catch((error: unknown) => [error instanceof Error ? error.message : String(error)]);
      if (wrong.length === 0) continue;
      const what = `${describeRound(round)}: ${wrong.join("; ")}`;
      console.log(`  ${what}`);
      one.wrong ??= what;
    }
    for (const [name, { rounds, wrong }] of tally) record(`${name}, ${rounds} rounds of all transports`, wrong);
    for (const [turn, runtimes] of PAIRS.entries()) {
      const round: Round = {
        state: "flowing",
        victim: "reader",
        runtimes,
        trust: turn % 2 === 0 ? "trusted" : "untrusted",
        shift: 1 + 2 * turn,
      };
      const wrong = await kills.stop(round, STOPPED_MS).catch((error: unknown) => [error instanceof Error ? error.message : String(error)]);
      record(
        `a reader stopped for ${STOPPED_MS / 1000} s in mid-switch, ${runtimes.join(" to ")}`,
        wrong.length === 0 ? undefined : wrong.join("; "),
      );
    }
  } finally {
    await world.close();
  }
}

function product(seed: number): readonly Round[] {
  const random = seeded(seed);
  const rounds: Round[] = [];
  for (const trust of ["trusted", "untrusted"] as const) {
    for (const victim of VICTIMS) {
      for (const state of STATES) {
        // Without the broker they would go on for ever, or end before it is looked at.
        if (victim === "broker" && (state === "asleep" || state === "flowing" || state === "crossed")) continue;
        for (const runtimes of PAIRS) {
          for (let shift = 1; shift < transportsOf(trust).length; shift++) rounds.push({ state, victim, runtimes, trust, shift });
        }
      }
    }
  }
  for (let last = rounds.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [rounds[last], rounds[other]] = [rounds[other], rounds[last]];
  }
  return rounds;
}
