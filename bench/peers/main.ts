/**
 * FABLE beside what one would use today, on the same cores: `npm run bench:peers`; `bun bench/peers/main.ts --help` has its options. A peer that is
 * missing is skipped by name. Ctrl-C keeps what is finished.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { count, optionsOf, seconds, text } from "../../scripts/lib/options.ts";
import { parseCores, UsageError } from "../../src/cli/usage.ts";
import { missing, root } from "../runner/checkout.ts";
import { describeEnvironment } from "../runner/environment.ts";
import { probe } from "../runner/native.ts";
import { endPrograms } from "../runner/programs.ts";
import { withBlock } from "../runner/readme.ts";
import { runRounds, type Task } from "../runner/rounds.ts";
import { cellsOf, lineOfAll, type Measured, type PeerFigures, skippedOf } from "./cells.ts";
import { labelOf, measures, OURS, type Peer, PEERS, SIZES } from "./list.ts";
import { markdown, MARKERS, type PeersReport, readmeLines } from "./report.ts";
import { buildEnds, runPeer, unavailable } from "./run.ts";

const REPEATS = 3;

const options = optionsOf({
  command: "bun bench/peers/main.ts",
  what:
    "FABLE beside what one would use today: writes peers.json, peers.md and the README's table. Exit 1 if a peer that is there was not measured.",
  options: {
    rounds: count("runs of each peer", 3, 1),
    peers: text("TEXT", "only those with it in their names; the README stays as it is", ""),
    seconds: seconds("of one run", 0.3),
    cores: { value: "A,B", what: "of the two ends", parse: twoCores, otherwise: [0, 1] as const },
    out: text("FOLDER", "where the files go, without the README (default: bench/results, and the README)", undefined),
  },
  examples: ["npm run bench:peers", "bun bench/peers/main.ts --peers websocket --rounds 1 --out /tmp/peers"],
});

function twoCores(given: string): readonly [number, number] {
  const cores = parseCores(given);
  if (typeof cores === "string") throw new UsageError(`"${given}" names no cores; write two numbers as in 0,1`);
  return cores;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

interface Planned {
  readonly peer: Peer;
  readonly size_bytes: number;
  readonly task: Task<PeerFigures>;
}

function plan(peers: readonly Peer[], folder: string, cores: readonly [number, number], runS: number): readonly Planned[] {
  return peers.flatMap((peer) =>
    SIZES.filter((size) => measures(peer, size, "lat") || measures(peer, size, "thr")).map((size_bytes) => ({
      peer,
      size_bytes,
      task: {
        name: `${labelOf(peer)}, ${size_bytes} B`,
        async run() {
          const before = await probe(cores);
          const value = await runPeer(peer, { sizeBytes: size_bytes, cores, seconds: runS, path: join(folder, "socket") });
          return { value, placement: { before, after: await probe(cores) } };
        },
      },
    }))
  );
}

async function compare(): Promise<boolean> {
  const { rounds, seconds: runS, cores } = options;
  const wrong = missing(["bun", "deno"]);
  if (wrong !== undefined) throw new Error(wrong);
  buildEnds();
  const asked = PEERS.filter((peer) => labelOf(peer).toLowerCase().includes(options.peers.toLowerCase()));
  const absent = asked.map((peer) => ({ peer, reason: unavailable(peer) })).filter(({ reason }) => reason !== undefined);
  for (const { peer, reason } of absent) say(`${labelOf(peer)} is left out: ${reason}`);
  const there = asked.filter((peer) => !absent.some((one) => one.peer === peer));
  const folder = mkdtempSync(join(tmpdir(), "fable-peers-"));
  let interrupted = false;
  process.once("SIGINT", () => {
    interrupted = true;
    endPrograms();
  });
  try {
    const environment = await describeEnvironment();
    if (environment.load_before > 0.5) say(`the machine is busy (load ${environment.load_before.toFixed(2)}): expect noise`);
    const planned = plan([...OURS.filter(({ ours }) => there.some((peer) => peer.ours === ours)), ...there], folder, cores, runS);
    const outcomes = await runRounds(planned.map(({ task }) => task), {
      rounds,
      repeats: REPEATS,
      progress: (done, of, task) => say(`${done + 1}/${of} ${task}`),
      stopped: () => interrupted,
    });
    const measured: readonly Measured[] = planned.map(({ peer, size_bytes }, index) => ({ peer, size_bytes, outcome: outcomes[index]! }));
    const isOurs = ({ peer }: Measured): boolean => OURS.includes(peer);
    const report: PeersReport = {
      environment,
      rounds,
      line_ns: lineOfAll(measured),
      peers: cellsOf(measured.filter(isOurs), measured.filter((one) => !isOurs(one)), cores),
      skipped: [
        ...absent.map(({ peer, reason = "" }) => ({ peer: peer.name, runtime: peer.runtime, reason })),
        ...skippedOf(measured),
      ],
    };
    write(report);
    return skippedOf(measured).length === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(report: PeersReport): void {
  const folder = options.out ?? join(root, "bench/results");
  const tables = markdown(report);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "peers.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(folder, "peers.md"), tables);
  console.log(tables);
  // The README shows a whole comparison or none.
  if (options.out !== undefined || options.peers !== "") return;
  const readme = join(root, "README.md");
  writeFileSync(readme, withBlock(readFileSync(readme, "utf8"), MARKERS, readmeLines(report)));
}

try {
  process.exitCode = await compare() ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
