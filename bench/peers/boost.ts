/** Builds and runs boost_spsc.cpp; says which Debian package is missing if it cannot. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "../runner/checkout.ts";
import { runJson } from "../runner/programs.ts";

const source = join(root, "bench/peers/boost_spsc.cpp");
const folder = join(root, "zig-out/peers");
const binary = join(folder, "boost_spsc");
/** The same kind of CPU that the native core is built for. */
const flags = ["-O3", "-std=c++17", ...(process.arch === "x64" ? ["-march=x86-64-v2"] : [])];

export interface BoostRun {
  readonly boost: string;
  readonly capacity: number;
  /** Messages per second. */
  readonly runs: readonly number[];
}

/** Undefined if it is built, else the sentence that says why not. */
export function buildBoost(): string | undefined {
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return undefined;
  if (spawnSync("g++", ["--version"]).status !== 0) return "g++ is missing: apt-get install g++ libboost-dev";
  if (!existsSync("/usr/include/boost/lockfree/spsc_queue.hpp")) return "boost's headers are missing: apt-get install libboost-dev";
  mkdirSync(folder, { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  const built = spawnSync("g++", [...flags, "-o", fresh, source], { encoding: "utf8" });
  if (built.status !== 0) return `boost_spsc.cpp does not compile: ${built.stderr.split("\n")[0]}`;
  renameSync(fresh, binary);
  return undefined;
}

export interface BoostOptions {
  readonly cores: readonly [number, number];
  readonly batch: number;
  readonly messages: number;
  readonly runs: number;
  /** How the consumer takes messages: one by one, or all that are there. */
  readonly consume?: "all" | "pop";
  /** Messages in the queue: 1024 of 64 bytes are as much memory as our default ring. */
  readonly capacity?: number;
}

export function runBoost(options: BoostOptions): Promise<BoostRun> {
  const { cores, batch, messages, runs, consume = "all", capacity = 1024 } = options;
  const words = { cores: cores.join(","), batch, messages, runs, consume, capacity };
  return runJson([binary, ...Object.entries(words).flatMap(([key, value]) => [`--${key}`, String(value)])], 120_000);
}
