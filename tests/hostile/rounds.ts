/** Attack after attack by a process of its own on a victim that serves everybody; after each, the victim serves an honest client as if nothing had been. */
import { type Program, type RuntimeName, seeded, World } from "../process/harness.ts";
import { type Attack, ATTACKS } from "./attacks.ts";

const ATTACKER = "tests/hostile/attacker_main.ts";
const END = "tests/process/end_main.ts";
const HONEST = { seed: 5, maxBytes: 5000, pauseEvery: 0, pauseMs: 0 };

/** How a broker or an acceptor says no to a region; not, for example, by saying nothing until a deadline. */
const REFUSALS: readonly string[] = ["REFUSED", "PEER_FAULT", "VERSION"];

export interface AttackSettings {
  readonly transport: "mempipe" | "mempipe-spin" | "mempipe-futex" | "unix";
  readonly trust: "trusted" | "untrusted";
}

/** Attacker, victim and honest client, which know the victim's name. */
export class Siege {
  readonly victim: Program;
  readonly #attacker: Program;
  readonly #friend: Program;
  readonly #name: string;

  private constructor(world: World, victim: RuntimeName, attacker: RuntimeName) {
    this.#name = `xio://siege/${victim}-${attacker}`;
    this.victim = world.run(victim, END);
    this.#attacker = world.run(attacker, ATTACKER);
    this.#friend = world.run(attacker, END);
  }

  static async begin(world: World, victim: RuntimeName, attacker: RuntimeName): Promise<Siege> {
    const siege = new Siege(world, victim, attacker);
    siege.victim.tell({ op: "listen", name: siege.#name, options: { trust: "trusted" } });
    await siege.victim.next("listening");
    siege.victim.tell({ op: "bear" });
    return siege;
  }

  /** Throws what the victim or the attack did wrong. */
  async attack(attack: Attack, { transport, trust }: AttackSettings, seed: number): Promise<void> {
    this.#attacker.tell({ attack: attack.name, name: this.#name, transport, trust, seed });
    const { code } = await this.#attacker.next("attacked");
    if (attack.refused === true) {
      const refused = code === "CONNECTED" ? await this.#wasRefusedLate() : REFUSALS.includes(String(code));
      if (!refused) throw new Error(`"${attack.name}" was not refused but ended with ${String(code)}`);
      return;
    }
    if (code !== "CONNECTED") throw new Error(`"${attack.name}" did not get a channel: ${String(code)}`);
    const borne = await this.victim.next("borne");
    const allowed = attack.fault === true ? ["PEER_FAULT"] : ["PEER_FAULT", "PEER_DEAD", "PEER_CLOSED", "ENDED"];
    if (!allowed.includes(String(borne["code"]))) {
      throw new Error(`the victim ended "${attack.name}" with ${String(borne["code"])}, not ${allowed.join(" or ")}`);
    }
  }

  /** The acceptor verifies after the initiator was told yes: then its channel is over at once. */
  async #wasRefusedLate(): Promise<boolean> {
    const borne = await this.victim.next("borne", 1000).catch(() => undefined);
    return borne !== undefined && borne["code"] === "PEER_FAULT" && borne["messages"] === 0;
  }

  /** An honest client is served in full. */
  async friend(): Promise<void> {
    const count = 20;
    this.#friend.tell({ op: "connect", name: this.#name });
    await this.#friend.next("connected");
    this.#friend.tell({ op: "send", plan: HONEST, count });
    await this.#friend.next("sent");
    this.#friend.tell({ op: "close" });
    const closed = await this.#friend.next("closed");
    const borne = await this.victim.next("borne");
    if (borne["messages"] !== count || closed["delivered"] !== count) {
      throw new Error(`after an attack an honest client got ${String(borne["messages"])} of ${count} messages through`);
    }
  }
}

/** The attacks that make sense on a transport. */
export function attacksOn(transport: AttackSettings["transport"]): readonly Attack[] {
  return ATTACKS.filter((attack) => transport === "unix" ? attack.shared !== true : attack.kernel !== true);
}

/** Random attacks, for the fuzz run. Gives how many were survived. */
export async function attackRounds(rounds: number, seed: number): Promise<number> {
  const random = seeded(seed);
  const transports = ["mempipe", "mempipe-futex", "mempipe-spin", "unix"] as const;
  const pairs = [["bun", "deno"], ["deno", "bun"]] as const;
  let survived = 0;
  for (const [victim, attacker] of pairs) {
    const world = new World();
    try {
      await world.broker();
      const siege = await Siege.begin(world, victim, attacker);
      for (let round = 0; round < rounds / pairs.length; round++, survived++) {
        const transport = transports[Math.floor(random() * transports.length)] ?? "mempipe";
        const attacks = attacksOn(transport);
        const attack = attacks[Math.floor(random() * attacks.length)];
        if (attack === undefined) continue;
        await siege.attack(attack, { transport, trust: random() < 0.5 ? "trusted" : "untrusted" }, seed + round);
        if (round % 16 === 0) await siege.friend();
      }
    } finally {
      await world.close();
    }
  }
  return survived;
}
