/**
 * What each user holds of the broker, and the limits that keep one from starving the others. Pure: no I/O, no clock. Everything charged is
 * given back by whoever charged it, so that sums of an idle broker are zero (a test holds that line).
 */
import { FableError } from "../errors.ts";

/** Per user. */
export interface Quotas {
  readonly sessions: number;
  readonly names: number;
  /** Connects and registrations that wait for somebody or something. */
  readonly waiting: number;
  /** Ends of channels. */
  readonly channels: number;
  /** Rings and control regions. */
  readonly memoryBytes: number;
}

export type Resource = keyof Quotas;

export const DEFAULT_QUOTAS: Quotas = { sessions: 1024, names: 16_384, waiting: 1024, channels: 8192, memoryBytes: 16 * 2 ** 30 };

const WORDS: Readonly<Record<Resource, (limit: number) => string>> = {
  sessions: (limit) => `${limit} connections to the broker`,
  names: (limit) => `${limit} names`,
  waiting: (limit) => `${limit} requests that wait`,
  channels: (limit) => `${limit} ends of channels`,
  memoryBytes: (limit) => `${limit} bytes of shared memory`,
};

export type Usage = { -readonly [K in Resource]: number };

export class Accounts {
  /** May change while it runs; who already has more keeps it. */
  quotas: Quotas;
  readonly #users = new Map<number, Usage>();

  constructor(quotas: Quotas) {
    this.quotas = quotas;
  }

  /** Takes all of it or throws QUOTA and takes nothing. */
  charge(uid: number, amounts: Partial<Usage>): void {
    const usage = this.usage(uid);
    for (const [resource, amount] of entries(amounts)) {
      if (usage[resource] + amount <= this.quotas[resource]) continue;
      throw new FableError("QUOTA", `user ${uid} already has as much as one may have: ${WORDS[resource](this.quotas[resource])}`, {
        remedy: "close some, or ask the operator of the broker for a higher quota",
      });
    }
    for (const [resource, amount] of entries(amounts)) usage[resource] += amount;
    this.#users.set(uid, usage);
  }

  giveBack(uid: number, amounts: Partial<Usage>): void {
    const usage = this.#users.get(uid);
    if (usage === undefined) return;
    for (const [resource, amount] of entries(amounts)) usage[resource] = Math.max(0, usage[resource] - amount);
    if (Object.values(usage).every((amount) => amount === 0)) this.#users.delete(uid);
  }

  usage(uid: number): Usage {
    return this.#users.get(uid) ?? { sessions: 0, names: 0, waiting: 0, channels: 0, memoryBytes: 0 };
  }

  /** Users that hold anything. */
  get users(): number {
    return this.#users.size;
  }
}

function entries(amounts: Partial<Usage>): readonly (readonly [Resource, number])[] {
  return Object.entries(amounts) as [Resource, number][];
}
