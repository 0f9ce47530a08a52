/**
 * Every way two programs can talk: which runtimes, which transport, how far they trust each other, how they wait. One pair of programs runs all
 * combinations of its runtimes one after the other, each with a channel of its own.
 */
import { DEFAULT_RING_BYTES } from "../../src/xio/options.ts";
import type { Program, RuntimeName, World } from "../process/harness.ts";
import type { TrafficPlan } from "../process/traffic.ts";

const END = "tests/process/end_main.ts";
const MAX_BYTES = 1 << 20;

export interface Combination {
  readonly transport: "mempipe" | "mempipe-futex" | "mempipe-spin" | "unix";
  readonly trust: "trusted" | "untrusted" | "n/a";
  /** In the event loop, or blocking the thread: on the doorbell, the futex or in a spin, as the transport has it. */
  readonly how: "loop" | "block";
}

export const PAIRS: readonly (readonly [RuntimeName, RuntimeName])[] = [["bun", "bun"], ["bun", "deno"], ["deno", "bun"], ["deno", "deno"]];

export const COMBINATIONS: readonly Combination[] = [
  ...(["mempipe", "mempipe-futex", "mempipe-spin"] as const).flatMap((transport) =>
    (["trusted", "untrusted"] as const).flatMap((trust) =>
      (["loop", "block"] as const).map((how): Combination => ({ transport, trust, how }))
    )
  ),
  { transport: "unix", trust: "n/a", how: "loop" },
  { transport: "unix", trust: "n/a", how: "block" },
];

export interface CombinationResult extends Combination {
  readonly writer: RuntimeName;
  readonly reader: RuntimeName;
  readonly messages: number;
  readonly bytes: number;
  readonly seconds: number;
  /** What went wrong, if something did. */
  readonly wrong?: string;
}

export function describeCombination({ transport, trust, how }: Combination): string {
  return `${transport}, ${trust}, ${how === "loop" ? "in the event loop" : "blocking"}`;
}

/** Two programs that are told one combination after the other. */
export class SoakPair {
  readonly #writer: Program;
  readonly #reader: Program;
  readonly #runtimes: readonly [RuntimeName, RuntimeName];
  readonly #name: string;
  #listening = false;

  constructor(world: World, runtimes: readonly [RuntimeName, RuntimeName]) {
    this.#runtimes = runtimes;
    this.#name = `xio://soak/${runtimes.join("-")}`;
    this.#writer = world.run(runtimes[0], END);
    this.#reader = world.run(runtimes[1], END);
  }

  async run(
    combination: Combination,
    messages: number,
    seed: number,
    limitMs: number,
    ringBytes = DEFAULT_RING_BYTES,
  ): Promise<CombinationResult> {
    const { transport, trust, how } = combination;
    if (!this.#listening) {
      this.#reader.tell({ op: "listen", name: this.#name });
      await this.#reader.next("listening");
      this.#listening = true;
    }
    const plan: TrafficPlan = { seed, maxBytes: MAX_BYTES, pauseEvery: Math.max(100, messages / 40), pauseMs: 4 };
    this.#reader.tell({ op: "accept" });
    this.#writer.tell({ op: "connect", name: this.#name, options: { transport, ringBytes, ...(trust === "n/a" ? {} : { trust }) } });
    await Promise.all([this.#reader.next("accepted"), this.#writer.next("connected")]);
    const start = performance.now();
    this.#reader.tell({ op: "receive", plan, count: messages, how });
    this.#writer.tell({ op: "send", plan, count: messages, how });
    const [received] = await Promise.all([this.#reader.next("received", limitMs), this.#writer.next("sent", limitMs)]);
    const seconds = (performance.now() - start) / 1000;
    // The reader's end gives the last messages back; the writer's waits for that.
    this.#writer.tell({ op: "close" });
    this.#reader.tell({ op: "close" });
    const [closed] = await Promise.all([this.#writer.next("closed"), this.#reader.next("closed")]);
    const wrong = verdict(received, closed, messages);
    const [writer, reader] = this.#runtimes;
    return {
      ...combination,
      writer,
      reader,
      messages: Number(received["messages"]),
      bytes: Number(received["bytes"]),
      seconds,
      ...(wrong === undefined ? {} : { wrong }),
    };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#writer.stop(), this.#reader.stop()]);
  }
}

function verdict(
  received: Readonly<Record<string, unknown>>,
  closed: Readonly<Record<string, unknown>>,
  messages: number,
): string | undefined {
  if (received["wrong"] !== undefined) return String(received["wrong"]);
  if (received["messages"] !== messages) return `${String(received["messages"])} of ${messages} messages came`;
  if (closed["sent"] !== messages || closed["delivered"] !== messages) {
    return `counted ${String(closed["sent"])} sent and ${String(closed["delivered"])} delivered`;
  }
  return undefined;
}
