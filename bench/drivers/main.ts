/** One end of a benchmark, in Bun or in Deno: `main.ts JOB`. Side 1 prints "ready", side 0 its result; anything wrong ends with exit code 1. */
import process from "node:process";
import { FableError } from "../../src/errors.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Native } from "../../src/native/native.ts";
import { check } from "../../src/native/status.ts";
import { directConnect, directListen } from "../../src/xio/direct.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { answerSocket, beginSocket } from "../peers/socket-work.ts";
import { openSocket } from "../peers/socket.ts";
import { nowNs } from "./clock.ts";
import { acceptByName, connectByName } from "./fable-connect.ts";
import { pingFable, pongFable } from "./fable-ping.ts";
import { readStream, writeStream } from "./fable-stream.ts";
import { isStream, type Job, type JobResult, NOT_POSSIBLE, READY } from "./job.ts";

async function main(job: Job): Promise<void> {
  const native = loadNative();
  if (job.core !== undefined) check(native.library, native.library.pin(job.core), `stay on core ${job.core}`);
  const result = job.medium === "socket" ? await overSocket(native, job) : await overFable(native, job);
  if (result !== undefined) console.log(JSON.stringify(result));
}

async function overSocket(native: Native, job: Job): Promise<JobResult | undefined> {
  const end = await openSocket(job.side, job.path, () => console.log(READY));
  const now = (): number => nowNs(native);
  const result = job.side === 0 ? await beginSocket(end, job, now) : await answerSocket(end, job, now);
  end.close();
  return result ?? undefined;
}

async function overFable(native: Native, job: Job): Promise<JobResult | undefined> {
  if (job.workload === "connect") return job.side === 0 ? connectByName(job) : acceptByName(job, () => console.log(READY));
  const handle = await meet(native, job);
  const result = job.side === 0 ? await begin(native, handle, job) : await answer(native, handle, job);
  await handle.close();
  return result ?? undefined;
}

function begin(native: Native, handle: Handle, job: Job): Promise<JobResult> {
  return isStream(job.workload) ? writeStream(native, handle, job) : pingFable(handle, job, () => nowNs(native));
}

function answer(native: Native, handle: Handle, job: Job): Promise<void> {
  return isStream(job.workload) ? readStream(native, handle, job) : pongFable(handle, job);
}

async function meet(native: Native, job: Job): Promise<Handle> {
  const options = { trust: job.trust, ringBytes: job.ringBytes, maxMessageBytes: Math.max(job.sizeBytes, 1 << 20) };
  if (job.side === 0) return directConnect(native, job.path, { ...options, transport: job.transport });
  const listener = directListen(native, job.path, options);
  console.log(READY);
  const handle = await listener.accept();
  listener.close();
  return handle;
}

try {
  await main(JSON.parse(process.argv[2] ?? "") as Job);
  // sockets of either runtime may linger; nothing is left to be done
  process.exit(0);
} catch (error) {
  const impossible = error instanceof FableError && error.code === "UNSUPPORTED_TRANSPORT";
  console.error(error instanceof Error && !impossible ? error.stack ?? error.message : String(error));
  process.exit(impossible ? NOT_POSSIBLE : 1);
}
