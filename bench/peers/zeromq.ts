/** Builds zeromq_pair.cpp; says which Debian package is missing if it cannot. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "../runner/checkout.ts";

const source = join(root, "bench/peers/zeromq_pair.cpp");
const folder = join(root, "zig-out/peers");
export const zeromqPair = join(folder, "zeromq_pair");

/** Undefined if it is built, else the sentence that says why not. */
export function buildZeroMq(): string | undefined {
  if (existsSync(zeromqPair) && statSync(zeromqPair).mtimeMs > statSync(source).mtimeMs) return undefined;
  if (spawnSync("g++", ["--version"]).status !== 0) return "g++ is missing: apt-get install g++ libzmq3-dev";
  if (!existsSync("/usr/include/zmq.h")) return "ZeroMQ's headers are missing: apt-get install libzmq3-dev";
  mkdirSync(folder, { recursive: true });
  const fresh = `${zeromqPair}.${process.pid}`;
  const built = spawnSync("g++", ["-O3", "-std=c++17", "-o", fresh, source, "-lzmq"], { encoding: "utf8" });
  if (built.status !== 0) return `zeromq_pair.cpp does not compile: ${built.stderr.split("\n")[0]}`;
  renameSync(fresh, zeromqPair);
  return undefined;
}
