/** One end of a peer, in Bun, Deno or Node: `end.ts JOB`. Side 1 prints "ready" (and its port) when it listens, side 0 its result. */
import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Medium, Opening, PeerEnd, PeerJob } from "./ends/end.ts";
import { bunSpawn, forkAdvanced } from "./ends/ipc.ts";
import { bunSocket, denoSocket, netSocket } from "./ends/stream.ts";
import { webSocket } from "./ends/websocket.ts";
import { worker, workerJob } from "./ends/worker.ts";
import { zeroMq } from "./ends/zeromq.ts";
import { answer, Beginner } from "./work.ts";

const OPENERS: Readonly<Record<Medium, (opening: Opening) => Promise<PeerEnd>>> = {
  // Only where the native library can be loaded.
  "fable": async (opening) => (await import("./ends/fable.ts")).fable(opening),
  "bun-socket": bunSocket,
  "deno-socket": denoSocket,
  "net-socket": netSocket,
  "spawn-json": bunSpawn("json"),
  "spawn-advanced": bunSpawn("advanced"),
  "fork-advanced": forkAdvanced,
  "websocket": webSocket,
  "worker": worker,
  "zeromq": zeroMq,
};

/** For the last message to leave. */
const FAREWELL_MS = 50;

/** This thread alone, once all others were started: compilers, collectors and I/O threads stay where the scheduler puts them. */
function pin(core: number): void {
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1) ?? "";
  const { status, stderr } = spawnSync("taskset", ["-pc", `${core}`, thread], { encoding: "utf8" });
  if (status !== 0) throw new Error(`cannot stay on core ${core}: ${stderr ?? "taskset is missing"}`);
}

async function main(job: PeerJob): Promise<void> {
  const end = await OPENERS[job.medium]({ job, listening: (port) => console.log(port === undefined ? "ready" : `ready ${port}`) });
  if (job.side === 1) {
    const ended = answer(end, job);
    pin(job.cores[1]);
    await ended;
    await end.close();
    return;
  }
  pin(job.cores[0]);
  const result = await new Beginner(end, job, () => Number(process.hrtime.bigint())).run();
  console.log(JSON.stringify(result));
  await sleep(FAREWELL_MS);
  await end.close();
}

async function run(): Promise<void> {
  const threadJob = await workerJob();
  try {
    await main(threadJob ?? JSON.parse(process.argv[2] ?? "") as PeerJob);
    // A worker ends with its process, which has its result.
    if (threadJob === undefined) process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? error.stack ?? error.message : String(error));
    process.exit(1);
  }
}

// Not awaited: a worker of Deno gets no message before its module has been evaluated.
void run();
