/**
 * Rounds of killing: two programs with a channel for each transport are brought into one state of a move, or of writing and sleeping without one; then
 * the writer, the reader or the broker is killed, and what the survivors do is looked at. Every kill is a case for each transport.
 *
 * A survivor lives on through all rounds of its runtime: whatever it does not give back shows in the end.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TRANSPORT_NAMES, type TransportName, type Trust } from "../../src/transport/transport.ts";
import { descriptors, grownDescriptors, type Line, type Program, type RuntimeName, sleep, usage, type World } from "./harness.ts";
import type { MovesOrder } from "./moves_main.ts";

const MAIN = "tests/process/moves_main.ts";
/** Deno makes itself one pair of sockets, at a moment of its own choosing. */
const OWN_DESCRIPTORS: Readonly<Record<RuntimeName, number>> = { bun: 0, deno: 2 };
const EVERYTHING_MS = 20_000;
/** More than the paths of two epochs hold. */
const STREAM_MESSAGES = 4000;
/** A round in which somebody was late and nothing else was wrong is repeated: on a busy machine a process may not run for so long. */
const ATTEMPTS = 3;
const LATE = /: noticed after \d+ ms$/;

/** Where a move is: what the writer and the reader are in the middle of. */
export const STATES = ["offered", "ready", "late", "draining", "crossed", "retiring", "asleep", "flowing"] as const;
/** Without a move. */
export const POINTS = ["reserved", "wrapping", "half sent", "asleep", "flowing"] as const;
export const VICTIMS = ["writer", "reader", "broker"] as const;
export type State = (typeof STATES)[number];
export type Point = (typeof POINTS)[number];
export type Victim = (typeof VICTIMS)[number];

export interface Round {
  readonly state: State | Point;
  readonly victim: Victim;
  /** Of the writer and the reader. */
  readonly runtimes: readonly [RuntimeName, RuntimeName];
  readonly trust: Trust;
  /** From each transport to the one so many places later; 0: no move. */
  readonly shift: number;
}

export function describeRound({ state, victim, runtimes, trust, shift }: Round): string {
  const where = shift === 0 ? state : `${state}, each to the transport ${shift} on`;
  return `${where}: the ${victim} dies (${runtimes.join(" to ")}, ${trust})`;
}

/** Those that ends of such trust may use. */
export function transportsOf(trust: Trust): readonly TransportName[] {
  return TRANSPORT_NAMES.filter((name) => trust === "trusted" || name !== "vmsplice-coop");
}

/** Both ends, and how many messages the reader must get; undefined: any number of the first ones. */
interface Scene {
  readonly writer: Program;
  readonly reader: Program;
  readonly from: readonly TransportName[];
  readonly to: readonly TransportName[];
  readonly round: Round;
  messages: readonly number[] | undefined;
  /** The reader reads to the end already. */
  reading: boolean;
}

/** What "where" answers. */
interface Where {
  readonly epochs: readonly { readonly outgoing: Place; readonly incoming: Place }[];
  readonly counts: readonly number[];
}
interface Place {
  readonly epoch: number;
  readonly transport: TransportName;
}

async function tell(program: Program, order: MovesOrder): Promise<Line> {
  program.tell(order);
  return await program.next(`${order.op} done`, EVERYTHING_MS);
}

type Reach = (scene: Scene) => Promise<void>;

const sent = async (scene: Scene, count: number): Promise<void> => {
  await tell(scene.writer, { op: "send", count });
  scene.messages = scene.from.map((_, id) => (scene.messages?.[id] ?? 0) + count);
};
const move: Reach = async ({ writer, to }) => void await tell(writer, { op: "move", transports: to });
const until = async ({ writer }: Scene, state: NonNullable<MovesOrder["state"]>): Promise<void> => {
  await tell(writer, { op: "reach", state });
};
const moves = ({ round }: Scene): boolean => round.shift !== 0;

const reach: Readonly<Record<State | Point, Reach>> = {
  /** The reader knows nothing of it yet. */
  async offered(scene) {
    await sent(scene, 10);
    process.kill(scene.reader.pid, "SIGSTOP");
    await move(scene);
    await until(scene, "pending");
  },
  /** The reader has accepted, and an open buffer keeps the marker back. */
  async ready(scene) {
    await sent(scene, 10);
    await tell(scene.writer, { op: "hold" });
    await move(scene);
    await until(scene, "ready");
  },
  /** The move has overtaken what a cursor reserved. */
  async late(scene) {
    await sent(scene, 10);
    await tell(scene.writer, { op: "place" });
    await move(scene);
    await until(scene, "moved");
  },
  /** Messages in the old path, a marker, messages in the new one. */
  async draining(scene) {
    await sent(scene, 10);
    await move(scene);
    await until(scene, "moved");
    await sent(scene, 5);
  },
  async crossed(scene) {
    await sent(scene, 10);
    await tell(scene.reader, { op: "take", count: 10 });
    await move(scene);
    await until(scene, "drained");
    await sent(scene, 5);
  },
  /** Both programs still use memory of the old path. */
  async retiring(scene) {
    await sent(scene, 10);
    await tell(scene.reader, { op: "lend", count: 4 });
    await tell(scene.writer, { op: "hold" });
    await move(scene);
    await until(scene, "moved");
    await tell(scene.reader, { op: "take", count: 6 });
    await until(scene, "drained");
  },
  /** The one that stays waits in its event loop: a reader for messages, a writer for room. */
  async asleep(scene) {
    if (scene.round.victim === "reader") {
      await tell(scene.writer, { op: "flood" });
      await sleep(30);
      scene.messages = undefined;
      if (moves(scene)) await move(scene);
      if (moves(scene)) await until(scene, "moved");
    } else {
      await sent(scene, 10);
      await read(scene);
      if (moves(scene)) await move(scene);
      if (moves(scene)) await until(scene, "drained");
    }
    await sleep(120);
  },
  async flowing(scene) {
    await read(scene);
    await tell(scene.writer, { op: "flood" });
    scene.messages = undefined;
    await sleep(5);
    if (moves(scene)) await move(scene);
    await sleep(scene.round.trust === "trusted" ? 3 : 8);
  },
  /** A message is filled and not committed. */
  async reserved(scene) {
    await sent(scene, 30);
    await tell(scene.writer, { op: "hold" });
  },
  async wrapping(scene) {
    await read(scene);
    const { counts } = await tell(scene.writer, { op: "wrap" });
    scene.messages = counts as readonly number[];
    await sleep(30);
  },
  async "half sent"(scene) {
    await sent(scene, 10);
    await tell(scene.writer, { op: "send-half" });
  },
};

async function read(scene: Scene): Promise<void> {
  scene.reading = true;
  await tell(scene.reader, { op: "finish" });
}

/** One world with its broker, and the programs that survive. */
export class Kills {
  readonly #world: World;
  readonly #survivors = new Map<
    RuntimeName,
    { readonly program: Program; rounds: number; before: { descriptors: number; regions: number } }
  >();
  readonly #spare = new Map<RuntimeName, Program>();
  #broker: Program | undefined;
  #names = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** What is wrong; empty: nothing. */
  async run(round: Round): Promise<readonly string[]> {
    let wrong: readonly string[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      wrong = await this.#attempt(round);
      if (wrong.length === 0 || !wrong.every((sentence) => LATE.test(sentence))) break;
    }
    return wrong;
  }

  async #attempt(round: Round): Promise<readonly string[]> {
    this.#broker ??= await this.#nextBroker();
    const stays = round.runtimes[round.victim === "writer" ? 1 : 0];
    const survivor = this.#survivor(stays);
    const other = this.#fresh(round.runtimes[round.victim === "writer" ? 0 : 1]);
    try {
      return [...await this.#round(round, survivor, other), ...await this.#leaks(stays, round)];
    } catch (error) {
      // The next round has another one.
      this.#survivors.delete(stays);
      await survivor.stop();
      throw error;
    } finally {
      await other.stop();
      this.#world.programs.splice(this.#world.programs.indexOf(other), 1);
    }
  }

  async #round(round: Round, survivor: Program, other: Program): Promise<readonly string[]> {
    const [writer, reader] = round.victim === "writer" ? [other, survivor] : [survivor, other];
    const from = transportsOf(round.trust);
    const to = from.map((_, id) => from[(id + round.shift) % from.length]);
    const scene: Scene = { writer, reader, from, to, round, messages: undefined, reading: false };
    await this.#connect(scene, survivor, other);
    await reach[round.state](scene);
    const wrong = round.victim === "broker" ? await this.#killBroker(scene) : await this.#killEnd(scene, other, survivor);
    const closed = await tell(survivor, { op: "close" });
    return closed["wrong"] === undefined ? wrong : [...wrong, String(closed["wrong"])];
  }

  async #connect({ from, round }: Scene, survivor: Program, other: Program): Promise<void> {
    const name = `xio://kills/${++this.#names}`;
    const options = { trust: round.trust, drainDeadlineMs: round.state === "late" || round.state === "retiring" ? 0 : 60_000 };
    await tell(survivor, { op: "listen", name, options, count: from.length });
    survivor.tell({ op: "accept", count: from.length });
    await tell(other, { op: "connect", name, options, transports: from });
    await survivor.next("accept done");
  }

  async #killEnd(scene: Scene, victim: Program, survivor: Program): Promise<string[]> {
    const { state, shift } = scene.round;
    const reads = survivor === scene.reader;
    if (!reads) await tell(survivor, { op: "watch" });
    let at = Date.now();
    victim.kill();
    if (state === "offered" && reads) {
      await victim.exited();
      at = Date.now();
      process.kill(survivor.pid, "SIGCONT");
    }
    if (reads && !scene.reading) await tell(survivor, { op: "finish" });
    const wrong: string[] = [];
    for (const _ of scene.from) {
      const over = await survivor.next("over", EVERYTHING_MS);
      const id = Number(over["id"]);
      const complain = (what: string): void => void wrong.push(`${scene.from[id]} to ${scene.to[id]}: ${what}`);
      if (over["code"] !== "PEER_DEAD") complain(`ended with ${String(over["code"])}`);
      if (over["wrong"] !== undefined) complain(String(over["wrong"]));
      if (Number(over["at"]) - at > limitMs(scene)) complain(`noticed after ${Number(over["at"]) - at} ms`);
      const messages = scene.messages?.[id];
      if (reads && messages !== undefined && over["messages"] !== messages) {
        complain(`${String(over["messages"])} of ${messages} messages came`);
      }
      if (!reads && shift !== 0 && !["moved", "CLOSED"].includes(String(over["outcome"]))) {
        complain(`the order ended with ${String(over["outcome"])}`);
      }
    }
    return wrong;
  }

  /** Nobody notices: the move comes to its end, and everything that is sent comes. */
  async #killBroker(scene: Scene): Promise<string[]> {
    const { writer, reader, round } = scene;
    const heard = [writer.lines.length, reader.lines.length];
    this.#broker?.kill();
    await this.#broker?.exited();
    if (round.state === "offered") process.kill(reader.pid, "SIGCONT");
    await tell(writer, { op: "commit" });
    await tell(writer, { op: "send", count: 5 });
    const where = await tell(writer, { op: "where" });
    const counts = where["counts"] as readonly number[];
    // What it took before counts, too.
    const before = (await tell(reader, { op: "where" }))["counts"] as readonly number[];
    const { wrong } = await tell(reader, { op: "take", count: Math.max(...counts) - Math.max(...before) });
    await until(scene, "drained");
    const complaints = [...await differences(scene), ...(wrong === undefined ? [] : [String(wrong)])];
    const later = [...writer.lines.slice(heard[0]), ...reader.lines.slice(heard[1])];
    complaints.push(...later.filter(({ event }) => event === "over").map((line) => JSON.stringify(line)));
    this.#broker = await this.#nextBroker();
    return complaints;
  }

  /**
   * The reader is stopped in mid-switch, while the writer goes on for as long as there is room; then it goes on, too. What is wrong; empty: nothing.
   */
  async stop(round: Round, stoppedMs: number): Promise<readonly string[]> {
    const { runtimes, trust, shift } = round;
    const [writer, reader] = [this.#fresh(runtimes[0]), this.#fresh(runtimes[1])];
    const from = transportsOf(trust);
    const to = from.map((_, id) => from[(id + shift) % from.length]);
    const scene: Scene = { writer, reader, from, to, round, messages: undefined, reading: false };
    this.#broker ??= await this.#nextBroker();
    await this.#connect(scene, reader, writer);
    reader.tell({ op: "take", count: STREAM_MESSAGES });
    writer.tell({ op: "send", count: STREAM_MESSAGES });
    await sleep(5);
    await move(scene);
    process.kill(reader.pid, "SIGSTOP");
    await sleep(stoppedMs);
    process.kill(reader.pid, "SIGCONT");
    const [taken] = await Promise.all([reader.next("take done", EVERYTHING_MS), writer.next("send done", EVERYTHING_MS)]);
    await until(scene, "drained");
    const wrong = [...await differences(scene), ...(taken["wrong"] === undefined ? [] : [String(taken["wrong"])])];
    await Promise.all([writer.stop(), reader.stop()]);
    this.#world.programs.splice(0, this.#world.programs.length, ...this.#world.programs.filter((one) => one !== writer && one !== reader));
    return wrong;
  }

  /** One that moves no channel by itself, in the place of whichever is there. */
  async #nextBroker(): Promise<Program> {
    const policy = join(this.#world.folder, "policy.json");
    writeFileSync(policy, JSON.stringify({ mode: "manual" }));
    return await this.#world.broker("bun", "--replace", "--policy", policy);
  }

  /** The program of that runtime that survives. */
  #survivor(runtime: RuntimeName): Program {
    let one = this.#survivors.get(runtime);
    if (one === undefined) {
      one = { program: this.#world.run(runtime, MAIN), rounds: 0, before: { descriptors: 0, regions: 0 } };
      this.#survivors.set(runtime, one);
    }
    return one.program;
  }

  /** One that was started a round before it is needed, because that takes long. */
  #fresh(runtime: RuntimeName): Program {
    const program = this.#spare.get(runtime) ?? this.#world.run(runtime, MAIN);
    this.#spare.set(runtime, this.#world.run(runtime, MAIN));
    return program;
  }

  /** What the survivor holds more than after its first round. Not while it may still be about to find the next broker. */
  async #leaks(runtime: RuntimeName, { victim }: Round): Promise<readonly string[]> {
    if (victim === "broker") return [];
    const survivor = this.#survivors.get(runtime)!;
    const { pid } = survivor.program;
    if (survivor.rounds++ === 0) {
      await sleep(50);
      survivor.before = usage(pid);
      return [];
    }
    const grown = await grownDescriptors(pid, survivor.before.descriptors + OWN_DESCRIPTORS[runtime]);
    const regions = usage(pid).regions - survivor.before.regions;
    if (grown <= 0 && regions <= 0) return [];
    return [`${runtime} keeps ${grown} descriptors and ${regions} mappings: ${descriptors(pid).join(", ")}`];
  }
}

/** Whether both ends say that each channel is where it was to go, and that as many messages came as were sent. */
async function differences({ writer, reader, from, to }: Scene): Promise<string[]> {
  const [out, into] = [await tell(writer, { op: "where" }), await tell(reader, { op: "where" })] as unknown as readonly Where[];
  return to.flatMap((name, id) => {
    const mine = JSON.stringify({ ...out.epochs[id].outgoing, messages: out.counts[id] });
    const theirs = JSON.stringify({ ...into.epochs[id].incoming, messages: into.counts[id] });
    return mine === theirs && out.epochs[id].outgoing.transport === name
      ? []
      : [`${from[id]} to ${name}: one end is at ${mine}, the other at ${theirs}`];
  });
}

/** A death is noticed within 100 ms by who waits; where a move has to be ended, or messages are to be read first, within 200. */
function limitMs({ round: { state, shift } }: Scene): number {
  return shift === 0 && (state === "asleep" || state === "flowing") ? 100 : 200;
}
