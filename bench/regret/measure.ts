/** One cell of `fable bench regret`: every transport by hand, then the policy's choice beside the best. */
import { setTimeout as sleep } from "node:timers/promises";
import { Hog } from "../../src/cli/hog.ts";
import type { BrokerService, FlowEntry } from "../../src/naming/service.ts";
import { TRANSPORT_NAMES, type TransportName } from "../../src/transport/transport.ts";
import { probe } from "../runner/native.ts";
import { alike } from "../runner/placement.ts";
import { Told } from "../runner/told.ts";
import type { Answer, Lane, Order } from "./end.ts";
import { bestOf, judged, type RegretCell, type Scored, type Situation, steady, titleOf } from "./grid.ts";

export interface Effort {
  /** Of one run. */
  readonly seconds: number;
  /** Of every transport, to find the best. */
  readonly rounds: number;
  /** Of the best and of the policy's choice, each: so many, and at most so many where they differ much from one another. */
  readonly scores: number;
  readonly mostScores: number;
  /** At most so long the policy may take until it stays with a choice. */
  readonly settleMs: number;
  /** Cells whose placement changed are repeated so often. */
  readonly repeats: number;
}

/** The policy has settled when nothing moved for so long under load. */
const QUIET_MS = 600;
const MOVE_TIMEOUT_MS = 10_000;
const SETTLE_RUN_S = 0.2;

/** Two programs that have, for each cell, a channel by hand and one by policy: what the policy did in other cells is no part of this one. */
export class Ends {
  readonly #service: BrokerService;
  readonly #sides: readonly [Told<Order, Answer>, Told<Order, Answer>];
  readonly #flows = new Map<Lane, string>();

  constructor(service: BrokerService, environment: Readonly<Record<string, string>>) {
    this.#service = service;
    const start = (): Told<Order, Answer> => new Told("bun", "bench/regret/end.ts", environment);
    this.#sides = [start(), start()];
  }

  async meet(name: string, trust: "trusted" | "untrusted"): Promise<void> {
    const [caller, listener] = this.#sides;
    await Promise.all(this.#sides.map((side) => side.tell({ op: "part" })));
    await listener.tell({ op: "listen", name, trust });
    for (const lane of ["hand", "policy"] as const) {
      const [{ flow = "" }] = await Promise.all([
        caller.tell({ op: "meet", lane, name, trust }),
        listener.tell({ op: "meet", lane, name, trust }),
      ]);
      this.#flows.set(lane, flow);
      await this.#service.policy(lane === "hand" ? "manual" : "auto", flow);
    }
  }

  async pin(cores: readonly [number, number]): Promise<void> {
    for (const side of [0, 1] as const) await this.#sides[side].tell({ op: "pin", core: cores[side] });
  }

  async move(transport: TransportName): Promise<void> {
    await this.#service.reconfigureFlow(this.#flows.get("hand") ?? "", transport, MOVE_TIMEOUT_MS);
  }

  /** Messages or round trips per second. */
  async run(lane: Lane, { pattern, size_bytes }: Situation, seconds: number): Promise<number> {
    const order = (side: 0 | 1) => ({ op: "run", lane, pattern, sizeBytes: size_bytes, seconds, side }) as const;
    const answers = await Promise.all([this.#sides[0].tell(order(0)), this.#sides[1].tell(order(1))]);
    return answers.find(({ perS }) => perS !== undefined)?.perS ?? Number.NaN;
  }

  async entry(lane: Lane): Promise<FlowEntry> {
    const flow = this.#flows.get(lane);
    const found = (await this.#service.flows()).find((entry) => entry.flow === flow);
    if (found === undefined) throw new Error("the broker lost a channel");
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sides.map((side) => side.stop()));
  }
}

let meetings = 0;

export async function measureCell(ends: Ends, situation: Situation, effort: Effort): Promise<RegretCell> {
  for (let attempt = 0;; attempt++) {
    const before = await probe(situation.cores);
    const cell = await measureOnce(ends, situation, effort);
    const after = await probe(situation.cores);
    if (alike({ before, after }) || attempt === effort.repeats) return { ...cell, placement_before_ns: before, placement_after_ns: after };
  }
}

async function measureOnce(
  ends: Ends,
  situation: Situation,
  effort: Effort,
): Promise<Omit<RegretCell, "placement_before_ns" | "placement_after_ns">> {
  await ends.pin(situation.cores);
  await ends.meet(`xio://regret/${++meetings}`, situation.trust);
  const hog = situation.hog === null ? undefined : new Hog(situation.hog);
  try {
    const rates = await everyTransport(ends, situation, effort);
    const best = bestOf(rates);
    await ends.move(best);
    const epochs = epochsOf(await ends.entry("policy"));
    await settle(ends, situation, effort);
    const scored = await score(ends, situation, effort);
    const entry = await ends.entry("policy");
    return {
      ...situation,
      best,
      chosen: entry.directions[0]?.transport ?? best,
      why: entry.reason,
      rates: Object.fromEntries(Object.entries(rates).map(([name, runs]) => [name, Math.max(...runs)])),
      ...judged(rates[best] ?? [], scored),
      moves: epochsOf(entry) - epochs,
    };
  } catch (error) {
    throw new Error(`${titleOf(situation)}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await hog?.stop();
  }
}

async function everyTransport(
  ends: Ends,
  situation: Situation,
  { rounds, seconds }: Effort,
): Promise<Readonly<Partial<Record<TransportName, readonly number[]>>>> {
  const rates: Partial<Record<TransportName, number[]>> = {};
  const possible = TRANSPORT_NAMES.filter((name) => name !== "vmsplice-coop" || situation.trust === "trusted");
  for (let round = 0; round < rounds; round++) {
    for (const transport of round % 2 === 0 ? possible : possible.toReversed()) {
      await ends.move(transport);
      (rates[transport] ??= []).push(await ends.run("hand", situation, seconds));
    }
  }
  return rates;
}

async function score(ends: Ends, situation: Situation, { scores, mostScores, seconds }: Effort): Promise<Scored> {
  const runs: Record<Lane, number[]> = { hand: [], policy: [] };
  const scored: Scored = { best: runs.hand, policy: runs.policy };
  for (let turn = 0; turn < scores || (turn < mostScores && !steady(scored)); turn++) {
    for (const lane of turn % 2 === 0 ? ["policy", "hand"] as const : ["hand", "policy"] as const) {
      runs[lane].push(await ends.run(lane, situation, seconds));
    }
  }
  return scored;
}

/** Load until the policy stays where it is. */
async function settle(ends: Ends, situation: Situation, { settleMs }: Effort): Promise<void> {
  const began = performance.now();
  let epochs = -1;
  let since = began;
  while (performance.now() - began < settleMs && performance.now() - since < QUIET_MS) {
    await ends.run("policy", situation, SETTLE_RUN_S);
    const now = epochsOf(await ends.entry("policy"));
    if (now !== epochs) since = performance.now();
    epochs = now;
    await sleep(1);
  }
}

function epochsOf(entry: FlowEntry): number {
  return entry.directions.reduce((sum, { epoch }) => sum + epoch, 0);
}
