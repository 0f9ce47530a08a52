/**
 * `fable calibrate`: measures what a message costs on this machine over each transport, by size, pattern, placement and load, and leaves the
 * table where the broker finds it. Two programs of this library measure each other; a broker of their own introduces them.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parsePressure } from "../broker/kernel.ts";
import { brokerPlace } from "../naming/place.ts";
import { allowedCpus } from "../native/affinity.ts";
import { loadNative } from "../native/load.ts";
import { type Transport, TRANSPORTS } from "../policy/facts.ts";
import { fingerprintOf } from "../policy/fingerprint.ts";
import { type CacheLine, fits, parseTable, type Table } from "../policy/table.ts";
import { type Sample, tableOf } from "./calibrate-plan.ts";
import { CommandFailed } from "./failure.ts";
import { formatNanoseconds } from "./format.ts";
import type { Output } from "./output.ts";

export interface CalibrateOptions {
  readonly socket?: string;
  readonly force?: true;
  readonly seconds: number;
  /** Without, all. */
  readonly transport?: readonly Transport[];
}

/** Beyond what was asked for: starting, moving, and cells that take as long as they take, which on a busy machine is long. */
const PATIENCE = 2;
const PATIENCE_MS = 120_000;

/** Pairs grow with the square of this: some two seconds. */
const MOST_CPUS = 24;
const LINE_ROUNDS = 20_000;
/** More waiting than this, and figures say more about whoever else is there. */
const BUSY = 0.1;

export async function calibrate(output: Output, options: CalibrateOptions): Promise<void> {
  const { library } = loadNative();
  const path = brokerPlace(library, options.socket).calibration;
  const machine = fingerprintOf(readText);
  const known = readText(path);
  const parsed = known === undefined ? undefined : parseTable(known);
  if (options.force !== true && parsed !== undefined && "table" in parsed && fits(parsed.table, machine)) {
    output.value({ path, measured: false, ...parsed.table });
    return output.line(`${path} is of this machine and this kernel, measured at ${parsed.table.made_at} (--force measures again).`);
  }
  const waits = parsePressure(readText("/proc/pressure/cpu")) ?? 0;
  if (waits > BUSY) {
    const often = Math.round(waits * 100);
    output.note(
      `This machine is busy (${often} % of the time somebody waits for a CPU): so will its table be. Measure again when it is quiet.`,
    );
  }
  const cpus = allowedCpus(library);
  const began = performance.now();
  const samples = await measured(output, options, cpus.slice(0, 2));
  const table = { ...tableOf(samples, machine, new Date().toISOString()), lines: linesOf(library, cpus.slice(0, MOST_CPUS)) };
  const checked = parseTable(JSON.stringify(table));
  if ("problem" in checked) {
    throw new CommandFailed(`the measured table is not usable: ${checked.problem}`, "run fable doctor, then try again");
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(table), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  output.value({ path, measured: true, ...table });
  await show(output, table);
  output.line(`${samples.length} samples in ${formatNanoseconds((performance.now() - began) * 1e6)}; the broker of ${path} decides by it.`);
}

type Library = ReturnType<typeof loadNative>["library"];

/** What a cache line costs between each two of some CPUs. */
function linesOf(library: Library, cpus: readonly number[]): readonly CacheLine[] {
  const picoseconds = new Uint32Array(1);
  return cpus.flatMap((a, index) =>
    cpus.slice(index + 1).flatMap((b) => {
      if (library.line_ns(a, b, LINE_ROUNDS, picoseconds) < 0) return [];
      return [{ cpus: [a, b] as const, ns: Math.max(1, Math.round((picoseconds[0] ?? 0) / 1000)) }];
    })
  );
}

type Line = { readonly event: string } & Readonly<Record<string, unknown>>;

/** Starts a broker and both ends, takes what they say, and ends them. */
async function measured(output: Output, options: CalibrateOptions, cpus: readonly number[]): Promise<readonly Sample[]> {
  const { seconds, transport = TRANSPORTS } = options;
  const folder = mkdtempSync(join(tmpdir(), "fable-calibrate-"));
  const socket = join(folder, "broker.sock");
  const policy = join(folder, "policy.json");
  writeFileSync(policy, `{ "mode": "manual" }`);
  const cast = new Cast({ ...process.env, FABLE_SOCKET: socket });
  const samples: Sample[] = [];
  try {
    await cast.start(["broker", "--socket", socket, "--policy", policy, "--json"]).heard("listening");
    const shared = ["--seconds", String(seconds), "--cpus", cpus.join(","), "--transports", transport.join(",")];
    await cast.start(["calibrate-end", "answer", ...shared]).heard("listening");
    await cast.start(["calibrate-end", "measure", ...shared]).heard("done", seconds * 1000 * PATIENCE + PATIENCE_MS, (line) => {
      if (line.event === "sample") samples.push(line as unknown as Sample);
      if (line.event === "skipped") output.note(`${String(line["transport"])} is left out: ${String(line["why"])}`);
      if (line.event === "progress") output.progress(`${String(line["done"])} of ${String(line["of"])} cells`);
    });
    output.progress("");
    return samples;
  } finally {
    cast.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Player {
  /** Resolves with the line of that event; rejects when the program ends before, or takes too long. */
  heard(event: string, timeoutMs?: number, each?: (line: Line) => void): Promise<Line>;
}

/** Programs of this command line that end with it. */
class Cast {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #ends: (() => void)[] = [];

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
    process.once("exit", () => this.end());
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  }

  start(args: readonly string[]): Player {
    const flags = process.execPath.includes("deno") ? ["run", "--quiet", "--allow-all"] : [];
    const program = process.argv[1] ?? fileURLToPath(import.meta.url);
    const child = spawn(process.execPath, [...flags, program, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...this.#environment },
    });
    this.#ends.push(() => void child.kill("SIGKILL"));
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const lines = createInterface({ input: child.stdout });
    return {
      heard: (event, timeoutMs = 15_000, each) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(
            () => reject(new CommandFailed(`a part of the calibration (${args[0] ?? ""}) took too long`)),
            timeoutMs,
          );
          const settle = (finish: () => void) => {
            clearTimeout(timer);
            finish();
          };
          child.on("exit", () => settle(() => reject(new CommandFailed(`a part of the calibration ended early: ${errors.trim()}`))));
          lines.on("line", (text) => {
            const line = JSON.parse(text) as Line;
            each?.(line);
            if (line.event === event) settle(() => resolve(line));
          });
        }),
    };
  }

  end(): void {
    for (const one of this.#ends.splice(0)) one();
  }
}

/** The costs of an idle machine, across cores, trusted: the rest is in the file. */
async function show(output: Output, table: Table): Promise<void> {
  const rows = table.rows.filter((row) => row.placement === "across" && row.load === "idle" && row.trust !== "untrusted");
  const sizes = rows[0]?.sizes_bytes ?? [];
  const header = [
    "TRANSPORT",
    "PATTERN",
    ...sizes.map((size) => (size < 1024 ? `${size} B` : size < 1_048_576 ? `${size / 1024} KiB` : `${size / 1_048_576} MiB`)),
  ];
  await output.table(header, rows.map((row) => [row.transport, row.pattern, ...row.ns.map((ns) => formatNanoseconds(ns))]));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
