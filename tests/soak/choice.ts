/**
 * Choice running freely: programs with changing loads and one broker that moves their channels as it likes, while hogs come and go, threads are
 * confined and let go, what may be chosen changes, programs are stopped for a while or killed, and the broker is killed, all at random. Nothing
 * may be lost, and whoever survives must hear why.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Hog } from "../../src/cli/hog.ts";
import { loadNative } from "../../src/native/load.ts";
import { TRANSPORTS } from "../../src/policy/facts.ts";
import { type Program, type RuntimeName, RUNTIMES, seeded, sleep, World } from "../process/harness.ts";

const MAIN = "tests/soak/choice_main.ts";
const PAIRS = 4;
/** Between two disturbances, at most. */
const CALM_MS = 1500;
const LONGEST_STOP_MS = 2000;
/** What a survivor hears; the broker may be gone, too. */
const DEATHS: ReadonlySet<unknown> = new Set(["PEER_DEAD", "PEER_RESET"]);
/** A phase beside hogs, and the survivor's own stop. */
const END_MS = 120_000;
const CALIBRATE_S = 20;

export interface FreeChoice {
  readonly seconds: number;
  readonly phases: number;
  /** Directions that moved, as both ends of all channels counted them. */
  readonly moves: number;
  readonly disturbances: Readonly<Record<string, number>>;
}

interface Pair {
  readonly kind: "stream" | "request";
  readonly begins: Program;
  readonly follows: Program;
}

export async function freeChoice(minutes: number, seed: number, progress: (line: string) => void): Promise<FreeChoice> {
  const soak = new ChoiceSoak(seed);
  const began = performance.now();
  const until = began + minutes * 60_000;
  try {
    await soak.start();
    for (let told = began; performance.now() < until;) {
      await soak.disturb();
      if (performance.now() - told < 60_000) continue;
      told = performance.now();
      progress(`${Math.round((told - began) / 60_000)} of ${minutes} min, ${JSON.stringify(soak.disturbances)}`);
    }
    await soak.finish();
  } finally {
    await soak.close();
  }
  const { phases, moves, disturbances } = soak;
  if (moves === 0) throw new Error("nothing was ever moved: that was no test of choice");
  return { seconds: (performance.now() - began) / 1000, phases, moves, disturbances };
}

class ChoiceSoak {
  phases = 0;
  moves = 0;
  readonly disturbances: Record<string, number> = {};
  readonly #world = new World();
  readonly #library = loadNative().library;
  readonly #seed: number;
  readonly #random: () => number;
  readonly #hogs = new Map<number, Hog>();
  readonly #pairs: Pair[] = [];
  #broker: Program | undefined;
  #meetings = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seeded(seed);
  }

  async start(): Promise<void> {
    // By the built-in table, which is careful, hardly anything is worth a move.
    const calibrate = ["calibrate", "--seconds", String(CALIBRATE_S), "--socket", this.#world.socket];
    const { code } = await this.#world.run("bun", "src/cli/main.ts", calibrate).exited(END_MS);
    if (code !== 0) throw new Error("fable calibrate failed");
    this.#broker = await this.#world.broker();
    for (let pair = 0; pair < PAIRS; pair++) this.#pairs.push(await this.#meet());
  }

  async disturb(): Promise<void> {
    const often = [this.#hog, this.#confine, this.#hog, this.#confine, this.#stop, this.#rule];
    const deeds = [...often, ...often, ...often, this.#killEnd, this.#killEnd, this.#killBroker];
    const deed = deeds[this.#below(deeds.length)] ?? this.#hog;
    await deed.call(this);
    this.#mustRun();
    await sleep(this.#random() * CALM_MS);
  }

  /** Every channel ends in order: what was sent has come. */
  async finish(): Promise<void> {
    for (const hog of this.#hogs.values()) await hog.stop();
    for (const { begins } of this.#pairs) begins.tell("stop");
    for (const pair of this.#pairs) {
      const [sent, came] = [await this.#ended(pair.begins), await this.#ended(pair.follows)];
      if (sent["phases"] !== came["phases"]) throw new Error(`${String(sent["phases"])} phases were sent, ${String(came["phases"])} came`);
      if (came["code"] !== "PEER_CLOSED") throw new Error(`a channel that was closed ended with ${String(came["code"])}`);
    }
  }

  async close(): Promise<void> {
    for (const hog of this.#hogs.values()) await hog.stop();
    await this.#world.close();
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #count(deed: string): void {
    this.disturbances[deed] = (this.disturbances[deed] ?? 0) + 1;
  }

  async #meet(): Promise<Pair> {
    const number = ++this.#meetings;
    const kind = this.#random() < 0.5 ? "stream" : "request";
    const [trust, spins] = [this.#random() < 0.5 ? "trusted" : "untrusted", this.#random() < 0.3];
    const words = [`xio://choice/${number}`, trust, String(this.#seed * 1000 + number), ...(spins ? ["mempipe-spin"] : [])];
    const run = (role: string) => this.#world.run(this.#runtime(), MAIN, [role, ...words]);
    const follows = run(kind === "stream" ? "read" : "answer");
    await follows.next("listening", END_MS);
    const begins = run(kind === "stream" ? "write" : "ask");
    await Promise.all([begins.next("open", END_MS), follows.next("open", END_MS)]);
    return { kind, begins, follows };
  }

  #runtime(): RuntimeName {
    return RUNTIMES[this.#below(RUNTIMES.length)] ?? "bun";
  }

  #anybody(): Program {
    const pair = this.#pairs[this.#below(this.#pairs.length)] as Pair;
    return this.#random() < 0.5 ? pair.begins : pair.follows;
  }

  async #hog(): Promise<void> {
    const cpu = this.#below(2);
    const there = this.#hogs.get(cpu);
    this.#count(there === undefined ? "hog" : "hog left");
    await there?.stop();
    if (there === undefined) this.#hogs.set(cpu, new Hog(cpu));
    else this.#hogs.delete(cpu);
  }

  async #confine(): Promise<void> {
    this.#count("confined");
    this.#library.thread_confine(this.#anybody().pid, Uint32Array.of(1 + this.#below(3)), 1);
  }

  /** Mempipe is the best nearly everywhere: so that something moves, not everything is allowed all the time. */
  async #rule(): Promise<void> {
    this.#count("rules changed");
    const transports = TRANSPORTS.filter(() => this.#random() < 0.4);
    const rules = { transports: transports.length === 0 ? TRANSPORTS : transports, affinity: this.#random() < 0.5 };
    const path = join(this.#world.folder, "broker.policy.json");
    writeFileSync(`${path}.new`, JSON.stringify(rules));
    renameSync(`${path}.new`, path);
  }

  async #stop(): Promise<void> {
    this.#count("stopped");
    const program = this.#anybody();
    program.kill("SIGSTOP");
    await sleep(this.#random() * LONGEST_STOP_MS);
    program.kill("SIGCONT");
  }

  /** The survivor hears it; two others take their place. */
  async #killEnd(): Promise<void> {
    this.#count("end killed");
    const index = this.#below(this.#pairs.length);
    const pair = this.#pairs[index] as Pair;
    const [victim, survivor] = this.#random() < 0.5 ? [pair.begins, pair.follows] : [pair.follows, pair.begins];
    await victim.stop();
    const { code } = await this.#ended(survivor);
    if (!DEATHS.has(code)) throw new Error(`the survivor of a kill heard ${String(code)}`);
    this.#pairs[index] = await this.#meet();
  }

  async #killBroker(): Promise<void> {
    this.#count("broker killed");
    await this.#broker?.stop();
    await sleep(this.#random() * 300);
    this.#broker = await this.#world.broker(this.#runtime());
  }

  async #ended(program: Program): Promise<Readonly<Record<string, unknown>>> {
    const line = await program.next("ended", END_MS);
    this.phases += Number(line["phases"]);
    this.moves += Number(line["moves"]);
    const { code } = await program.exited(END_MS);
    if (code !== 0) throw new Error(`exit ${String(code)}: ${program.stderr}`);
    return line;
  }

  #mustRun(): void {
    for (const { kind, begins, follows } of this.#pairs) {
      for (const program of [begins, follows]) {
        if (program.exit !== undefined) {
          throw new Error(`an end of a ${kind} is gone: ${JSON.stringify([program.exit, ...program.lines])} ${program.stderr}`);
        }
      }
    }
  }
}
