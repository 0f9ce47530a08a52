/** Runs one peer once, in fresh processes: starts what it consists of, and gives what side 0 measured. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ringFor } from "../runner/cells.ts";
import { root } from "../runner/checkout.ts";
import { nativeLatency, nativeRate } from "../runner/native.ts";
import { ProgramFailed, runJson, start } from "../runner/programs.ts";
import { median } from "../runner/statistics.ts";
import { buildBoost, runBoost } from "./boost.ts";
import type { PeerFigures } from "./cells.ts";
import type { Medium, PeerJob, PeerResult } from "./ends/end.ts";
import { FABLE_NAME, type Peer } from "./list.ts";
import { buildZeroMq, zeromqPair } from "./zeromq.ts";

export interface RunOptions {
  readonly sizeBytes: number;
  readonly cores: readonly [number, number];
  readonly seconds: number;
  readonly path: string;
}

const TIMEOUT_MS = 60_000;
const ROUND_TRIPS = 10_000;
const BOOST_MESSAGES = 10_000_000;
/** Of a stream, in each pair of processes. */
const RUNS = 2;
/** Runs in all three runtimes; Node takes no TypeScript. */
const program = join(root, "zig-out/peers/end.mjs");

/** @throws Error if the bundler refuses. */
export function buildEnds(): void {
  mkdirSync(join(root, "zig-out/peers"), { recursive: true });
  const options = ["--bundle", "--format=esm", "--platform=node", "--target=node20", "--external:bun:ffi", "--log-level=warning"];
  const built = spawnSync(join(root, "node_modules/.bin/esbuild"), [join(root, "bench/peers/end.ts"), ...options, `--outfile=${program}`], {
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(`bench/peers/end.ts cannot be bundled: ${built.stderr ?? "run npm ci"}`);
}

/** Why a peer cannot be measured here, and what to do about it. */
export function unavailable(peer: Peer): string | undefined {
  if (spawnSync("taskset", ["--version"]).status !== 0) return "taskset is missing: apt-get install util-linux";
  if (peer.runtime === "node" && spawnSync("node", ["--version"]).status !== 0) return "node is missing: install Node 20";
  if (peer.medium === "zeromq" && !existsSync(join(root, "node_modules/zeromq"))) {
    return "the package zeromq is missing: npm install --no-save --ignore-scripts zeromq@6.8.0";
  }
  if (peer.runtime !== "native") return undefined;
  return peer.name.startsWith("boost") ? buildBoost() : peer.name.startsWith("ZeroMQ") ? buildZeroMq() : undefined;
}

export async function runPeer(peer: Peer, options: RunOptions): Promise<PeerFigures> {
  if (peer.medium !== undefined) return figures(await runScript(peer, peer.medium, options));
  if (peer.name === FABLE_NAME) return runOurs(options);
  if (peer.name.startsWith("boost")) return runSpsc(options);
  const { sizeBytes, cores, seconds, path } = options;
  rmSync(path, { force: true });
  const words = { cores: cores.join(","), size: sizeBytes, path, seconds, runs: RUNS };
  return figures(await runJson([zeromqPair, ...Object.entries(words).flatMap(([key, value]) => [`--${key}`, String(value)])], TIMEOUT_MS));
}

function figures({ p50_ns, rates }: PeerResult): PeerFigures {
  return { p50_ns, msgs_per_s: median(rates) };
}

/** Natively, with the same workload: one message at a time, numbers checked. */
async function runOurs({ sizeBytes, cores, seconds }: RunOptions): Promise<PeerFigures> {
  const common = { transport: "mempipe", trust: "trusted", size: sizeBytes, ring: ringFor(sizeBytes), cores: cores.join(","), runs: 1 };
  const { p50_ns } = await nativeLatency({ ...common, "round-trips": ROUND_TRIPS });
  const { msgs_per_s } = await nativeRate({ ...common, batch: 1, seconds, check: "sequence" });
  return { p50_ns, msgs_per_s };
}

/** The better of its two ways to consume. */
async function runSpsc({ cores }: RunOptions): Promise<PeerFigures> {
  const rates: number[] = [];
  for (const consume of ["all", "pop"] as const) {
    rates.push(median((await runBoost({ cores, batch: 1, messages: BOOST_MESSAGES, runs: RUNS, consume })).runs));
  }
  return { msgs_per_s: Math.max(...rates) };
}

async function runScript(peer: Peer, medium: Medium, options: RunOptions): Promise<PeerResult> {
  const job: Omit<PeerJob, "side"> = { medium, ...options, runs: RUNS };
  rmSync(options.path, { force: true });
  if (peer.startsOther === true) return runJson(command(peer, { ...job, side: 0 }), TIMEOUT_MS);
  const second = start(command(peer, { ...job, side: 1 }), TIMEOUT_MS);
  try {
    const [word, port] = (await second.firstLine).split(" ");
    if (word !== "ready") {
      await second.output;
      throw new ProgramFailed("the second end did not listen");
    }
    const first = runJson<PeerResult>(
      command(peer, { ...job, side: 0, ...(port === undefined ? {} : { port: Number(port) }) }),
      TIMEOUT_MS,
    );
    const failed = second.output.then(() => new Promise<never>(() => {}));
    return await Promise.race([first, failed]);
  } finally {
    second.kill();
  }
}

function command(peer: Peer, job: PeerJob): readonly string[] {
  const executable = peer.runtime === "node" ? "node" : join(root, "node_modules/.bin", peer.runtime);
  const flags = peer.runtime === "deno" ? ["run", "--quiet", "--no-check", "--allow-all"] : [];
  return [executable, ...flags, program, JSON.stringify(job)];
}
