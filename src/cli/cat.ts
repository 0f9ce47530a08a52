/**
 * `fable cat`: stdin to a channel, a channel to stdout, as `nc -U` is for sockets. The connecting side ends when both directions have ended or
 * the peer has closed; the listening side also when the peer has half-closed, everything is out, and its own stdin is quiet. Nothing is lost
 * silently: what the peer did not take is a failure.
 */
import process from "node:process";
import { isFableError } from "../errors.ts";
import { parseName } from "../naming/uri.ts";
import { loadNative } from "../native/load.ts";
import type { TransportName, Trust } from "../transport/transport.ts";
import { connect, listen } from "../xio/context.ts";
import type { Handle } from "../xio/handle.ts";
import type { ClosedReason } from "../xio/outcomes.ts";
import { type Moved, pumpIn, pumpOut } from "./cat-pump.ts";
import { CommandFailed } from "./failure.ts";
import { formatBytes, formatBytesPerSecond, formatCount } from "./format.ts";
import type { Output as Words } from "./output.ts";
import { Stdio } from "./stdio.ts";
import { UsageError } from "./usage.ts";

export interface CatOptions {
  readonly listen?: true;
  readonly socket?: string;
  readonly transport?: TransportName;
  readonly trust?: Trust;
  readonly ring?: number;
  readonly timeout: number;
  /** Commander's --no-wait. */
  readonly wait: boolean;
  readonly stats?: true;
}

/** Eight pieces of the size at which a system call, a message and a wake-up cost little beside the copy they make, and a cache still holds one. */
const RING_BYTES = 4 << 20;
const CHUNK_BYTES = 512 * 1024;
const DRAIN_DEADLINE_MS = 3_600_000;
/** Of stdin, once the peer has half-closed. */
const QUIET_MS = 100;

export async function cat(output: Words, name: string, options: CatOptions): Promise<void> {
  checkName(name);
  const handle = await open(name, options);
  const sent: Moved = { bytes: 0, messages: 0 };
  const received: Moved = { bytes: 0, messages: 0 };
  const start = performance.now();
  const restore = endOnSignals(handle);
  const stdio = new Stdio(loadNative());
  try {
    await move(handle, stdio, options, sent, received);
  } finally {
    restore();
    stdio.close();
    await handle.close({ drainDeadlineMs: 0 });
    if (options.stats === true) output.note(summary(sent, received, (performance.now() - start) / 1000, handle));
  }
}

/** A name that cannot be one is a mistake on the command line, not a failure. */
function checkName(name: string): void {
  try {
    parseName(name);
  } catch (error) {
    if (isFableError(error, "BAD_NAME")) throw new UsageError(error.message, error.remedy);
    throw error;
  }
}

async function open(name: string, options: CatOptions): Promise<Handle> {
  const common = {
    ringBytes: options.ring ?? RING_BYTES,
    timeoutMs: options.timeout * 1000,
    ...(options.socket === undefined ? {} : { socket: options.socket }),
    ...(options.trust === undefined ? {} : { trust: options.trust }),
  };
  if (options.listen !== true) {
    return connect(name, { ...common, wait: options.wait, ...(options.transport === undefined ? {} : { transport: options.transport }) });
  }
  const listener = await listen(name, { ...common, backlog: 1 });
  try {
    return await listener.accept();
  } finally {
    // One connection is all a cat can serve; others are told so by the name being free again.
    await listener.close();
  }
}

/** Both directions, until the rule above says that it is over. */
async function move(handle: Handle, stdio: Stdio, options: CatOptions, sent: Moved, received: Moved): Promise<void> {
  const input = stdio.input();
  const output = stdio.output();
  // A quarter of the ring is the longest message that needs no fragments.
  const chunkBytes = Math.min(CHUNK_BYTES, (options.ring ?? RING_BYTES) / 4);
  const up = ending(pumpIn(handle, input, chunkBytes, sent));
  const down = ending(pumpOut(handle, output, received));
  const over = handle.closed;
  try {
    const first = await Promise.race([
      down.then(() => "down" as const),
      Promise.all([up, down]).then(() => "both" as const),
      over.then(() => "over" as const),
    ]);
    // Whatever ended first, what has arrived is written out.
    if (!await down) throw new CommandFailed("");
    if (first === "down") await Promise.race([options.listen === true ? quiet(up, sent) : up, over]);
    const reason = await finish(handle);
    judge(reason);
  } finally {
    input.close();
    output.close();
  }
}

/** What stdin already had for the peer still goes to it: until stdin ends or has nothing for a moment. */
async function quiet(up: Promise<boolean>, sent: Moved): Promise<void> {
  for (;;) {
    const before = sent.bytes;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), QUIET_MS)));
    const ended = await Promise.race([up.then(() => true), silence]);
    clearTimeout(timer);
    if (ended || sent.bytes === before) return;
  }
}

/** A direction that fails because the channel ended has ended; the reason is judged once, at the end. */
async function ending(pump: Promise<boolean>): Promise<boolean> {
  try {
    return await pump;
  } catch (error) {
    if (["PEER_CLOSED", "PEER_DEAD", "PEER_FAULT", "CLOSED", "ENDED"].some((code) => isFableError(error) && error.code === code)) {
      return true;
    }
    throw error;
  }
}

/** The peer's reason if it has one, else ours, after everything was delivered. */
async function finish(handle: Handle): Promise<ClosedReason> {
  return handle.close({ drainDeadlineMs: DRAIN_DEADLINE_MS });
}

function judge(reason: ClosedReason): void {
  const lost = reason.sent - reason.delivered;
  if (reason.code === "PEER_DEAD" || reason.code === "PEER_FAULT") throw new CommandFailed(reason.message);
  if (lost > 0) throw new CommandFailed(reason.message);
}

/** A signal closes the channel first, so that the peer sees an end and not a death; then it does what it always does. */
function endOnSignals(handle: Handle): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const removers = signals.map((signal) => {
    const onSignal = () => {
      restore();
      void handle.close({ drainDeadlineMs: 0 }).then(() => process.kill(process.pid, signal));
    };
    process.on(signal, onSignal);
    return () => void process.off(signal, onSignal);
  });
  const restore = () => {
    for (const remove of removers) remove();
  };
  return restore;
}

function summary(sent: Moved, received: Moved, seconds: number, handle: Handle): string {
  const part = (word: string, { bytes, messages }: Moved) =>
    `${word} ${formatBytes(bytes)} in ${formatCount(messages)} messages (${formatBytesPerSecond(bytes / seconds)})`;
  return `${part("sent", sent)}, ${part("received", received)}, over ${handle.transport}, ${handle.trust}, in ${seconds.toFixed(3)} s`;
}
