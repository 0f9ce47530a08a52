/**
 * What sampling costs: a broker with many flows that all have a little traffic, for some seconds. Prints how many rounds it made, what one
 * took, and which share of a core that was (must: at most 0.01).
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { count, optionsOf } from "../../scripts/lib/options.ts";
import { withNameService } from "../../src/cli/open.ts";
import { sleep, World } from "../../tests/process/harness.ts";

const options = optionsOf({
  command: "bun bench/policy/sampling.ts",
  what: "What sampling costs a broker with many flows that all have a little traffic: one line of JSON.",
  options: {
    flows: count("channels", 1000, 1),
    "per-second": count("messages per second on each", 10, 1),
    seconds: count("to watch", 10, 1),
  },
  examples: ["bun bench/policy/sampling.ts", "bun bench/policy/sampling.ts --flows 100 --per-second 100 --seconds 5"],
});

/** CPU time of the broker's main thread, in nanoseconds. */
function ranNs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]);
}

const world = new World();
try {
  const broker = await world.broker("bun");
  const more = [String(options.flows), String(options["per-second"])];
  const listener = world.run("bun", "bench/policy/many_main.ts", ["listen", ...more]);
  await listener.next("listening");
  const connector = world.run("bun", "bench/policy/many_main.ts", ["connect", ...more]);
  await Promise.all([listener.next("ready", 120_000), connector.next("ready", 120_000)]);
  const look = () =>
    withNameService(world.socket, async (service) => ({ stats: await service.stats(), ran: ranNs(broker.pid), at: performance.now() }));
  // The first rounds are run by an interpreter.
  await sleep(3000);
  const before = await look();
  await sleep(options.seconds * 1000);
  const after = await look();
  const elapsedMs = after.at - before.at;
  const difference = (name: string) => (after.stats[name] ?? 0) - (before.stats[name] ?? 0);
  const [rounds, spentUs] = [difference("policy_rounds"), difference("policy_spent_us")];
  console.log(JSON.stringify({
    flows: after.stats["flows"],
    msgs_per_s_per_flow: options["per-second"],
    seconds: elapsedMs / 1000,
    rounds,
    round_us: Math.round(spentUs / Math.max(1, rounds)),
    period_ms: Math.round(elapsedMs / Math.max(1, rounds)),
    share_of_a_core: Number((spentUs / (elapsedMs * 1000)).toPrecision(3)),
    broker_share_of_a_core: Number(((after.ran - before.ran) / (elapsedMs * 1e6)).toPrecision(3)),
  }));
} finally {
  await world.close();
}
process.exit(0);
