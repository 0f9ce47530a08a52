/**
 * The project's figures in one run: `npm run bench:figures`; `bun bench/figures.ts --help` has its options.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { count, flag, optionsOf, text } from "../scripts/lib/options.ts";
import { nativeRows } from "./figures/native-rows.ts";
import { pathRows } from "./figures/path-rows.ts";
import { type FiguresReport, markdown, MARKERS, readmeLines } from "./figures/report.ts";
import { resultOf, type Row, taskOf } from "./figures/row.ts";
import { scriptRows } from "./figures/script-rows.ts";
import { buildBoost } from "./peers/boost.ts";
import { missing, root } from "./runner/checkout.ts";
import { describeEnvironment } from "./runner/environment.ts";
import { endPrograms, start } from "./runner/programs.ts";
import { withBlock } from "./runner/readme.ts";
import { runRounds } from "./runner/rounds.ts";

const REPEATS = 6;
const CORES = [0, 1] as const;
const BROKER_START_MS = 10_000;
const BROKER_LIFE_MS = 3_600_000;

const options = optionsOf({
  command: "bun bench/figures.ts",
  what: "The project's figures in one run: writes figures.json and figures.md. Exit 1 if a must was missed or could not be measured.",
  options: {
    rounds: count("runs of each row", 5, 1),
    rows: text("TEXT", "only rows with it in their titles", ""),
    "any-placement": flag("take rounds in which a cache line is slow between the cores, too"),
    out: text("FOLDER", "where the files go (default: bench/results)", undefined),
  },
  examples: ["npm run bench:figures", "bun bench/figures.ts --rows 'round trip' --rounds 3 --out /tmp/figures"],
});

function rowsWanted(broker: string): readonly Row[] {
  const wrongBoost = buildBoost();
  if (wrongBoost !== undefined) say(`left out, because ${wrongBoost}: the rows against boost`);
  return [...nativeRows(CORES), ...scriptRows(CORES, broker), ...pathRows(CORES)]
    .filter(({ title }) => wrongBoost === undefined || !title.includes("boost"))
    .filter(({ title, cell }) => `${title} ${cell}`.toLowerCase().includes(options.rows.toLowerCase()));
}

/** A broker of this run's own, which the rows that connect by name use. */
async function startBroker(path: string): Promise<() => void> {
  const broker = start([join(root, "bin/fable"), "broker", "--socket", path], BROKER_LIFE_MS);
  await Promise.race([broker.firstLine, sleep(BROKER_START_MS)]);
  return broker.kill;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function figures(): Promise<boolean> {
  const wrong = missing(["bun", "deno"]);
  if (wrong !== undefined) throw new Error(wrong);
  const { rounds } = options;
  const folder = mkdtempSync(join(tmpdir(), "fable-figures-"));
  const socket = join(folder, "broker.sock");
  const rows = rowsWanted(socket);
  const endBroker = rows.some(({ title }) => title.startsWith("connect")) ? await startBroker(socket) : () => {};
  let interrupted = false;
  process.once("SIGINT", () => {
    interrupted = true;
    endPrograms();
  });
  try {
    const environment = await describeEnvironment();
    if (environment.load_before > 0.5) say(`the machine is busy (load ${environment.load_before.toFixed(2)}): expect noise`);
    const outcomes = await runRounds(rows.map(taskOf), {
      rounds,
      repeats: REPEATS,
      ...(options["any-placement"] ? {} : { placement: "near" }),
      progress: (done, of, task) => say(`${done + 1}/${of} ${task}`),
      stopped: () => interrupted,
    });
    const report: FiguresReport = { environment, rounds, rows: rows.map((row, index) => resultOf(row, outcomes[index]!)) };
    write(report);
    return report.rows.every(({ verdict }) => verdict === "reached" || verdict === "must");
  } finally {
    endBroker();
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(report: FiguresReport): void {
  const table = markdown(report);
  const out = options.out ?? join(root, "bench/results");
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "figures.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(out, "figures.md"), table);
  console.log(table);
  // The README shows all figures or none.
  if (options.out !== undefined || options.rows !== "") return;
  const readme = join(root, "README.md");
  writeFileSync(readme, withBlock(readFileSync(readme, "utf8"), MARKERS, readmeLines(report)));
}

try {
  process.exitCode = await figures() ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
