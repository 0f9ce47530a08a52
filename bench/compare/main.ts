/**
 * Whole commands beside each other: `npm run bench:compare`; `bun bench/compare/main.ts --help` has its options. `fable cat` of a file against
 * `cat | cat` and socat, how long it takes to start, and `fable bench thr` over each transport. Ctrl-C keeps what is finished.
 */
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { count, flag, optionsOf, text } from "../../scripts/lib/options.ts";
import { TRANSPORTS } from "../../src/cli/words.ts";
import { missing, root } from "../runner/checkout.ts";
import { describeEnvironment } from "../runner/environment.ts";
import { endPrograms, start } from "../runner/programs.ts";
import { benching, type Command, type Group, moving, type Places, starting } from "./commands.ts";
import { provide, timesOf } from "./hyperfine.ts";
import { type CompareReport, limitsOf, markdown, notTimed, timed, type TimedGroup } from "./report.ts";

const GIB = 2 ** 30;
const QUICK_BYTES = 2 ** 27;
const MESSAGES = 2_000_000;
const QUICK_MESSAGES = 200_000;
const BENCH_SIZE_BYTES = 4096;
const BLOCK_BYTES = 2 ** 22;
const COMMAND_TIMEOUT_MS = 300_000;
const BROKER_START_MS = 10_000;
const BROKER_LIFE_MS = 3_600_000;
/** An embedded broker without guests stays for two seconds. */
const BROKER_LEAVES_MS = 2500;

const options = optionsOf({
  command: "bun bench/compare/main.ts",
  what: "Whole commands beside each other: writes compare.json and compare.md. Exit 1 if a must was missed or could not be measured.",
  options: {
    quick: flag("a smaller file and fewer messages"),
    only: text("TEXT", "only groups with it in their titles", ""),
    rounds: count("rounds of all commands (default: 3, 1 if quick)", undefined, 1),
    runs: count("runs of each command in a round (default: 3, 2 if quick)", undefined, 1),
    out: text("FOLDER", "where the files go (default: bench/results)", undefined),
  },
  examples: ["npm run bench:compare", "bun bench/compare/main.ts --quick --only start --out /tmp/compare"],
});

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Random, because a kernel or a disk may be clever with zeros. Gives its hash. */
function makeFile(path: string, bytes: number): string {
  const hash = createHash("sha256");
  const block = new Uint8Array(BLOCK_BYTES);
  const fd = openSync(path, "wx", 0o600);
  try {
    for (let at = 0; at < bytes; at += BLOCK_BYTES) {
      randomFillSync(block);
      hash.update(block);
      for (let done = 0; done < block.length;) done += writeSync(fd, block, done);
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no TCP port is free");
  return address.port;
}

/** Empty if the command works and moves the right bytes; else what is wrong with it. */
async function wrongWith(command: Command, places: Places, hash: string): Promise<string> {
  rmSync(places.sum, { force: true });
  try {
    await start(
      ["sh", "-c", command.checked ?? (command.mayFail === true ? `${command.line} || test $? = 1` : command.line)],
      COMMAND_TIMEOUT_MS,
    ).output;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (command.checked === undefined) return "";
  const got = readFileSync(places.sum, "utf8").split(" ")[0];
  return got === hash ? "" : "other bytes arrived than were sent";
}

let interrupted = false;

/** What was finished is written, and what was made removed. */
function endOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      interrupted = true;
      endPrograms();
    });
  }
}

async function measure(
  groups: readonly Group[],
  places: Places,
  hash: string,
  rounds: number,
  runs: number,
): Promise<readonly TimedGroup[]> {
  const all = groups.flatMap(({ commands }) => commands);
  const wrong = new Map<Command, string>();
  for (const command of all.filter(({ checksItself }) => checksItself !== true)) {
    if (interrupted) break;
    say(`checking ${command.name}`);
    const reason = await wrongWith(command, places, hash);
    if (reason !== "") wrong.set(command, reason);
  }
  const times = new Map<Command, number[]>(all.map((command) => [command, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? all : [...all].reverse();
    for (const command of order) {
      if (interrupted || wrong.has(command)) continue;
      say(`round ${round + 1}/${rounds}: ${command.name}`);
      try {
        times.get(command)!.push(...await timesOf(command, runs, 1, places.folder));
      } catch (error) {
        if (!interrupted) wrong.set(command, error instanceof Error ? error.message : String(error));
      }
    }
  }
  return groups.map(({ title, bytes, commands }) => ({
    title,
    ...(bytes === undefined ? {} : { bytes }),
    commands: commands.map((command) => {
      // Where this checkout lies is nobody's business.
      const line = command.line.replaceAll(`${root}/`, "");
      const reason = wrong.get(command) ?? (times.get(command)!.length === 0 ? "not reached before it was ended" : undefined);
      return reason === undefined
        ? timed(command.name, line, times.get(command)!, bytes)
        : notTimed(command.name, line, reason);
    }),
  }));
}

async function compare(): Promise<boolean> {
  const wrong = missing(["bun"]) ?? provide(["hyperfine", "socat"]);
  if (wrong !== undefined) throw new Error(wrong);
  endOnSignals();
  const { quick, out = join(root, "bench/results") } = options;
  const bytes = quick ? QUICK_BYTES : GIB;
  const environment = await describeEnvironment();
  const folder = mkdtempSync(join(tmpdir(), "fable-compare-"));
  try {
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < bytes * 1.1) throw new Error(`${folder} has no room for a file of ${bytes} bytes: name another folder in $TMPDIR`);
    const file = join(folder, "file");
    const places: Places = {
      fable: join(root, "bin/fable"),
      folder,
      file,
      sum: join(folder, "sum"),
      broker: join(folder, "broker.sock"),
      tcpPort: await freePort(),
    };
    const hash = makeFile(file, bytes);
    const broker = start([places.fable, "broker", "--socket", places.broker], BROKER_LIFE_MS);
    await Promise.race([broker.firstLine, sleep(BROKER_START_MS)]);
    const groups = [
      moving(places, bytes),
      starting(places),
      benching(places, TRANSPORTS, quick ? QUICK_MESSAGES : MESSAGES, BENCH_SIZE_BYTES),
    ];
    const wanted = groups.filter(({ title }) => title.toLowerCase().includes(options.only.toLowerCase()));
    const measured = await measure(wanted, places, hash, options.rounds ?? (quick ? 1 : 3), options.runs ?? (quick ? 2 : 3));
    const report: CompareReport = { environment, quick, groups: measured, limits: limitsOf(measured) };
    const tables = markdown(report);
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "compare.json"), `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(join(out, "compare.md"), tables);
    console.log(tables);
    broker.kill();
    // Brokers that were started on demand leave by themselves; their folders are theirs until then.
    await sleep(BROKER_LEAVES_MS);
    return report.limits.every(({ holds }) => holds);
  } finally {
    endPrograms();
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await compare() ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
