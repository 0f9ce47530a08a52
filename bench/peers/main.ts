/**
 * FABLE beside what one would use today, on the same cores: `npm run bench:peers [-- --rounds N] [--peers TEXT] [--seconds S] [--cores A,B] [--out FOLDER]`.
 *
 * Writes peers.json and peers.md into bench/results and the README's table (with --out only the files, there). A peer that is missing is skipped
 * by name. Ctrl-C keeps what is finished.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { missing, root } from "../runner/checkout.ts";
import { describeEnvironment } from "../runner/environment.ts";
import { probe } from "../runner/native.ts";
import { endPrograms } from "../runner/programs.ts";
import { runRounds, type Task } from "../runner/rounds.ts";
import { cellsOf, lineOfAll, type Measured, type PeerFigures, skippedOf } from "./cells.ts";
import { labelOf, measures, OURS, type Peer, PEERS, SIZES } from "./list.ts";
import { markdown, type PeersReport, readmeBlock, withBlock } from "./report.ts";
import { buildEnds, runPeer, unavailable } from "./run.ts";

const REPEATS = 3;

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    peers: { type: "string", default: "" },
    seconds: { type: "string", default: "0.3" },
    cores: { type: "string", default: "0,1" },
    out: { type: "string" },
  },
});

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function numbers(): { readonly rounds: number; readonly seconds: number; readonly cores: readonly [number, number] } {
  const rounds = Number(options.rounds);
  const seconds = Number(options.seconds);
  const match = /^(\d+),(\d+)$/.exec(options.cores);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds is a whole number");
  if (!(seconds > 0)) throw new Error("--seconds is more than 0");
  if (match === null) throw new Error("--cores are two numbers as in 0,1");
  return { rounds, seconds, cores: [Number(match[1]), Number(match[2])] };
}

interface Planned {
  readonly peer: Peer;
  readonly size_bytes: number;
  readonly task: Task<PeerFigures>;
}

function plan(peers: readonly Peer[], folder: string, cores: readonly [number, number], seconds: number): readonly Planned[] {
  return peers.flatMap((peer) =>
    SIZES.filter((size) => measures(peer, size, "lat") || measures(peer, size, "thr")).map((size_bytes) => ({
      peer,
      size_bytes,
      task: {
        name: `${labelOf(peer)}, ${size_bytes} B`,
        async run() {
          const before = await probe(cores);
          const value = await runPeer(peer, { sizeBytes: size_bytes, cores, seconds, path: join(folder, "socket") });
          return { value, placement: { before, after: await probe(cores) } };
        },
      },
    }))
  );
}

async function compare(): Promise<boolean> {
  const { rounds, seconds, cores } = numbers();
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
    const planned = plan([...OURS.filter(({ ours }) => there.some((peer) => peer.ours === ours)), ...there], folder, cores, seconds);
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
  const text = markdown(report);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "peers.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(folder, "peers.md"), text);
  console.log(text);
  // The README shows a whole comparison or none.
  if (options.out !== undefined || options.peers !== "") return;
  const readme = join(root, "README.md");
  writeFileSync(readme, withBlock(readFileSync(readme, "utf8"), readmeBlock(report)));
}

try {
  process.exitCode = await compare() ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
