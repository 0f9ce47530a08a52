/**
 * What the operator laid down: which transports may be chosen, what is pinned, who may talk to whom. `file.ts` reads these rules from a policy
 * file; without one they are as here. Pure.
 */
import { type Transport, TRANSPORTS, type Trust } from "./facts.ts";

export interface Rules {
  /** Whether the broker moves channels by itself. */
  readonly mode: "auto" | "manual";
  /** What may be chosen; what an end or an operator asks for by name is not bound by it. */
  readonly transports: readonly Transport[];
  readonly maxRingBytes: number;
  /** Whether the broker may set the affinity of programs to bring two ends together or apart. */
  readonly affinity: boolean;
  /** How long open buffers may hold up a move that was ordered; undefined: as each end says itself. */
  readonly drainDeadlineMs: number | undefined;
  /** In order; the first that fits a connection counts. Without any, everybody may. */
  readonly connections: readonly ConnectionRule[];
  /** Per user, of what is named. */
  readonly quotas: Readonly<Partial<Record<QuotaName, number>>>;
}

export type QuotaName = "sessions" | "names" | "waiting" | "channels" | "memory_bytes";

/** Who connects to what, and how. */
export interface ConnectionRule {
  /** Names, `*` for any part of one; undefined: all. Whoever connects without a name has none that fits. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly allow: boolean;
  /** Never laxer than what the ends ask for. */
  readonly trust: Trust | undefined;
  /** This and no other. */
  readonly pin: Transport | undefined;
  /** Instead of the general list. */
  readonly transports: readonly Transport[] | undefined;
}

export const DEFAULT_RULES: Rules = {
  mode: "auto",
  transports: TRANSPORTS,
  maxRingBytes: 4_194_304,
  affinity: false,
  drainDeadlineMs: undefined,
  connections: [],
  quotas: {},
};

/** What holds for one connection. */
export interface Terms {
  readonly allow: boolean;
  readonly trust: Trust | undefined;
  readonly pin: Transport | undefined;
  readonly transports: readonly Transport[];
  readonly maxRingBytes: number;
}

/** The rules for a connection of these names. */
export function termsFor(rules: Rules, from: string | undefined, to: string): Terms {
  const rule = rules.connections.find((one) => matches(one.from, from) && matches(one.to, to));
  return {
    allow: rule?.allow ?? true,
    trust: rule?.trust,
    pin: rule?.pin,
    transports: rule?.transports ?? rules.transports,
    maxRingBytes: rules.maxRingBytes,
  };
}

/** Whether a name fits a pattern in which `*` stands for any letters, none included. */
export function matches(pattern: string | undefined, name: string | undefined): boolean {
  if (pattern === undefined || pattern === "*") return true;
  if (name === undefined) return false;
  const [first = "", ...rest] = pattern.split("*");
  if (!name.startsWith(first)) return false;
  if (rest.length === 0) return name.length === first.length;
  let at = first.length;
  const end = rest.pop() ?? "";
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - end.length >= at && name.endsWith(end);
}
