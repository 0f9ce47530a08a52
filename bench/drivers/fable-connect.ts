/** Connecting by name: how long it takes until the handle is there, while the broker runs. Each connection carries a message both ways. */
import { connect, listen } from "../../mod.ts";
import { percentile } from "./clock.ts";
import type { Job, LatencyResult } from "./job.ts";

const NAME = "xio://bench/connect";
const WARM_UP = 20;

export async function connectByName(job: Job): Promise<LatencyResult> {
  const samples: number[] = [];
  for (let round = 0; round < WARM_UP + job.roundTrips; round++) {
    const began = performance.now();
    const handle = await connect(NAME, { socket: job.path, trust: job.trust, ringBytes: job.ringBytes });
    const took = performance.now() - began;
    if (round >= WARM_UP) samples.push(took * 1e6);
    const last = round + 1 === WARM_UP + job.roundTrips;
    await handle.send(last ? "last" : "more");
    const answer = await handle.receive();
    if (answer?.length !== 4) throw new Error("the connection does not work");
    await handle.close();
  }
  samples.sort((a, b) => a - b);
  const at = (fraction: number): number => percentile(samples, fraction);
  return { p50_ns: at(0.5), p99_ns: at(0.99), p999_ns: at(0.999), quantiles: [], round_trips: samples.length, block: 1 };
}

export async function acceptByName(job: Job, listening: () => void): Promise<undefined> {
  const listener = await listen(NAME, { socket: job.path, trust: job.trust, ringBytes: job.ringBytes });
  listening();
  for await (const handle of listener) {
    const message = await handle.receive();
    if (message !== undefined) await handle.send(message);
    // the other end closes when it has its answer
    await handle.closed;
    await handle.close();
    if (message !== undefined && new TextDecoder().decode(message) === "last") break;
  }
  await listener.close();
}
