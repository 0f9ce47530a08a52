/** Who is compared with whom. Pure. */
import type { Driver } from "../runner/cells.ts";
import type { Medium } from "./ends/end.ts";

export type PeerRuntime = "bun" | "deno" | "node" | "native";

export interface Peer {
  readonly name: string;
  readonly runtime: PeerRuntime;
  /** Undefined: a native program of its own. */
  readonly medium?: Medium;
  /** Side 0 starts side 1 by itself, as a child or a thread. */
  readonly startsOther?: true;
  /** Which of ours it is compared with: the same runtime's, and for Node, where FABLE does not run, Deno's (the same engine). */
  readonly ours: Driver;
}

export const SIZES = [64, 4096, 65_536] as const;

export const FABLE_NAME = "FABLE";

const script = (name: string, runtime: "bun" | "deno" | "node", medium: Medium, startsOther?: true): Peer => ({
  name,
  runtime,
  medium,
  ours: runtime === "node" ? "deno" : runtime,
  ...(startsOther === undefined ? {} : { startsOther }),
});

/** Ours: what each peer is compared with, measured in the same rounds. */
export const OURS: readonly Peer[] = [
  script(FABLE_NAME, "bun", "fable"),
  script(FABLE_NAME, "deno", "fable"),
  { name: FABLE_NAME, runtime: "native", ours: "native" },
];

export const PEERS: readonly Peer[] = [
  script("Bun.spawn IPC (json)", "bun", "spawn-json", true),
  script("Bun.spawn IPC (advanced)", "bun", "spawn-advanced", true),
  script("Bun.connect, Unix", "bun", "bun-socket"),
  script("node:net, Unix", "bun", "net-socket"),
  script("WebSocket, loopback", "bun", "websocket"),
  script("worker postMessage", "bun", "worker", true),
  script("Deno.connect, Unix", "deno", "deno-socket"),
  script("node:net, Unix", "deno", "net-socket"),
  script("child_process.fork (advanced)", "deno", "fork-advanced", true),
  script("WebSocket, loopback", "deno", "websocket"),
  script("worker postMessage", "deno", "worker", true),
  script("node:net, Unix", "node", "net-socket"),
  script("child_process.fork (advanced)", "node", "fork-advanced", true),
  script("worker postMessage", "node", "worker", true),
  script("zeromq.js, ipc", "node", "zeromq"),
  { name: "ZeroMQ, ipc", runtime: "native", ours: "native" },
  { name: "boost spsc_queue", runtime: "native", ours: "native" },
];

/** boost's ring has one message size, fixed when it is compiled, and nobody who waits. */
export function measures(peer: Peer, sizeBytes: number, kind: "lat" | "thr"): boolean {
  return peer.name !== "boost spsc_queue" || (sizeBytes === 64 && kind === "thr");
}

export function labelOf(peer: Peer): string {
  return `${peer.name} (${peer.runtime})`;
}
