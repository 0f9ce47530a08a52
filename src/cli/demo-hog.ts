/**
 * The part of the demo in which the policy has the word: two programs ask and answer over a channel that spins, a CPU each. Then a program that is
 * always busy comes to one of the CPUs, and the channel goes to where its ends sleep; it leaves, and the channel goes back.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { loadNative } from "../native/load.ts";
import { connect, listen } from "../xio/context.ts";
import type { Handle } from "../xio/handle.ts";
import type { Actor, Stage } from "./demo-stage.ts";
import { formatCount, formatNanoseconds } from "./format.ts";
import { Hog } from "./hog.ts";
import { nowNs, say } from "./lines.ts";
import type { Output } from "./output.ts";
import type { FoundRuntime } from "./runtimes.ts";

const NAME = "xio://demo/answers";
const SPIN = "mempipe-spin";
const REQUEST_BYTES = 64;
const WAIT_MS = 15_000;
/** How long a state is shown before the next thing happens. */
const SHOW_MS = 1000;
/** How long the policy may take; on a quiet machine it takes less than one. */
const PATIENCE_MS = 8000;
/** The CPU to which the hog comes. */
const HOG_CPU = 1;

/** What became of the channel, times since the hog came or went; null: the policy left it where it was. */
export type Healed =
  | { readonly skipped: string }
  | { readonly cpu: number; readonly arrived: Moved | null; readonly left: Moved | null; readonly requests: unknown };

interface Moved {
  readonly to: unknown;
  readonly took_ns: number;
}

export async function playHog(
  output: Output,
  stage: Stage,
  cast: { readonly bun: FoundRuntime; readonly deno: FoundRuntime },
): Promise<Healed> {
  if (availableParallelism() <= HOG_CPU) return skip(output, "it takes two CPUs");
  const answerer = stage.start("answerer", cast.deno, ["demo-end", "answerer"]);
  await answerer.line("listening");
  const asker = stage.start("asker", cast.bun, ["demo-end", "asker"]);
  await asker.line("connected");
  const busy = await untilCalm(asker);
  if (busy !== undefined) return skip(output, `the CPUs are busy as it is, and the policy chose ${busy}`);
  const hog = new Hog(HOG_CPU);
  let arrived: Moved | null;
  try {
    arrived = await moved(asker, nowNs());
    await pause(SHOW_MS);
  } finally {
    await hog.stop();
  }
  const left = arrived === null ? null : await moved(asker, nowNs());
  asker.kill("SIGTERM");
  const { requests } = await asker.line("asked");
  output.line(
    `${output.colours.bold("hog")}       a busy program came to CPU ${HOG_CPU}: ${sentence(arrived)}; it left: ${sentence(left)}; ${
      formatCount(Number(requests))
    } answers checked meanwhile`,
  );
  return { cpu: HOG_CPU, arrived, left, requests };
}

/** Waits until the channel spins and stays so: programs that start are a load, too. Else where it is. */
async function untilCalm(asker: Actor): Promise<string | undefined> {
  let at = SPIN;
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until;) {
    const move = await asker.take("moved", SHOW_MS);
    if (move === undefined && at === SPIN) return undefined;
    if (move !== undefined) at = String(move["to"]);
  }
  return at;
}

function skip(output: Output, skipped: string): Healed {
  output.line(`${output.colours.bold("hog")}       was skipped: ${skipped}`);
  return { skipped };
}

function sentence(move: Moved | null): string {
  return move === null
    ? `the policy left the channel as it was for ${PATIENCE_MS / 1000} s`
    : `to ${String(move.to)} after ${formatNanoseconds(move.took_ns)}`;
}

/** The next move of the asker's direction, and how long after `sinceNs` it was. */
async function moved(asker: Actor, sinceNs: number): Promise<Moved | null> {
  const line = await asker.take("moved", PATIENCE_MS);
  return line === undefined ? null : { to: line["to"], took_ns: Math.max(0, Number(line["at_ns"]) - sinceNs) };
}

/** `demo-end asker`: asks until it is told to stop by SIGTERM, which ends it after the answer it waits for. */
export async function asker(): Promise<void> {
  loadNative().library.pin(0);
  const handle = await connect(NAME, { transport: SPIN, timeoutMs: WAIT_MS });
  handle.onReconfiguration(({ phase, direction, to }) => {
    if (phase === "moved" && direction === "outgoing") say("moved", { to, at_ns: nowNs() });
  });
  let stopped = false;
  process.once("SIGTERM", () => (stopped = true));
  say("connected");
  const request = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(request.buffer);
  let requests = 0;
  for (; !stopped; requests++) {
    view.setUint32(0, requests, true);
    await handle.send(request);
    const answer = await handle.receive({ timeoutMs: WAIT_MS });
    if (answer === undefined || new DataView(answer.buffer, answer.byteOffset).getUint32(0, true) !== requests) {
      throw new Error(`the answer to request ${requests} is wrong`);
    }
    // Signals and timers come between two turns of the event loop, which answers that are there at once never give it.
    if (requests % 1000 === 0) await pause(0);
  }
  say("asked", { requests });
  await handle.close();
}

/** `demo-end answerer`. */
export async function answerer(): Promise<void> {
  loadNative().library.pin(HOG_CPU);
  const listener = await listen(NAME, { timeoutMs: WAIT_MS });
  say("listening");
  const handle: Handle = await listener.accept({ timeoutMs: WAIT_MS });
  for await (const request of handle) await handle.send(request);
  await handle.close();
  await listener.close();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
