/** Two processes and a channel between them that both move at random under load. */
import { join } from "node:path";
import type { Trust } from "../../mod.ts";
import { type RuntimeName, World } from "../process/harness.ts";

/** For each move, at the slowest: a machine may be busy. */
const MOVE_MS = 200;
const LEAST_MS = 60_000;
const MAIN = "tests/soak/wander_main.ts";

export interface Wandered {
  readonly messages: readonly number[];
  readonly moved: readonly number[];
  readonly lateBuffers: readonly number[];
  readonly seconds: number;
}

/** At least `moves` moves in all, half of them of either direction. Throws what went wrong. */
export async function wander(runtimes: readonly [RuntimeName, RuntimeName], trust: Trust, seed: number, moves: number): Promise<Wandered> {
  const world = new World();
  const limitMs = LEAST_MS + moves * MOVE_MS;
  const start = performance.now();
  try {
    const path = join(world.folder, "wander.sock");
    const words = [path, trust, String(seed), String(Math.ceil(moves / 2))];
    const first = world.run(runtimes[0], MAIN, ["listen", ...words]);
    await first.next("listening");
    const second = world.run(runtimes[1], MAIN, ["connect", ...words]);
    const both = [first, second];
    const messages = await Promise.all(both.map(async (program, index) => {
      const count = Number((await program.next("wrote", limitMs))["count"]);
      both[1 - index].tell(count);
      return count;
    }));
    const ends = await Promise.all(both.map((program) => program.next("moved", limitMs)));
    for (const program of both) {
      const { code } = await program.exited(LEAST_MS);
      if (code !== 0) throw new Error(`exit ${String(code)}: ${program.stderr}`);
    }
    const received = ends.map((line) => Number(line["received"])).reverse();
    if (received.join() !== messages.join()) {
      throw new Error(`${messages.join(" and ")} messages were sent, ${received.join(" and ")} came`);
    }
    return {
      messages,
      moved: ends.map((line) => Number(line["epochs"])),
      lateBuffers: ends.map((line) => Number(line["lateBuffers"])),
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await world.close();
  }
}
