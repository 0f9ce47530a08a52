/**
 * A one-way stream as side 0 sees it: runs that warm up, then runs that count. Before each run side 1 is told how many messages come;
 * afterwards it says when it had checked the last one, and how many were wrong.
 */
import type { Job, StreamResult } from "./job.ts";

export interface Writing {
  now(): number;
  /** One control message to side 1. */
  announce(messages: number): Promise<void>;
  /** `messages` messages, the first with sequence `first`. */
  write(messages: number, first: number): Promise<void>;
  /** Side 1's answer: when it was done, and how many messages were wrong. */
  answer(): Promise<{ readonly endNs: number; readonly wrong: number }>;
}

const WARM_UP_RUNS = 4;
const FIRST_MESSAGES = 2_000;
const MOST_MESSAGES = 200_000_000;

export async function streamRuns(job: Job, writing: Writing): Promise<StreamResult> {
  let messages = job.messages ?? FIRST_MESSAGES;
  const rates: number[] = [];
  for (let run = 0; run < WARM_UP_RUNS + job.runs; run++) {
    const rate = await streamRun(messages, writing);
    if (run >= WARM_UP_RUNS) rates.push(rate);
    // Each run of the warm-up is longer, so that the compilers see the loop long enough; the last one decides.
    else if (job.messages === undefined) {
      messages = Math.round(Math.min(rate * job.seconds * Math.min(1, (run + 1) / WARM_UP_RUNS), MOST_MESSAGES));
    }
  }
  await writing.announce(0);
  return { rates, messages };
}

async function streamRun(messages: number, writing: Writing): Promise<number> {
  await writing.announce(messages);
  const startNs = writing.now();
  await writing.write(messages, 0);
  const { endNs, wrong } = await writing.answer();
  if (wrong !== 0) throw new Error(`${wrong} of ${messages} messages arrived damaged or out of order`);
  return messages * 1e9 / (endNs - startNs);
}
