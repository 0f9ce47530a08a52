/**
 * What is explored. SMALL is part of `npm test`; LARGE takes minutes and is run by hand: `bun tests/simulation/show.ts large`.
 *
 * Six cells make a lap with records of two and three cells; the message lengths are chosen so that the second lap's headers fall on old
 * payload (2 1 1), on an old header (2 1 2), behind a PAD (1 2 1 2), and so that the ring runs full (2 2 1 1, 1 1 1 1).
 */

import { Arm64 } from "./arm64.ts";
import type { Machine, Scenario } from "./machine.ts";
import { exchange, oneWay } from "./protocol.ts";
import type { Options } from "./records.ts";
import { X86 } from "./x86.ts";

export const BASE: Options = {
  name: "one way",
  messages: [2, 1, 1],
  batch: 1,
  ringCells: 6,
  reserveCells: 2,
  releaseCells: 3,
  sleep: "doorbell",
  barrier: "membarrier",
};

/** One small record fits (3 cells) or two do (5): the ends wait for space and for data at once. */
const EXCHANGE: Options = { ...BASE, name: "exchange", reserveCells: 1, releaseCells: 1 };

export interface Exploration {
  readonly scenario: Scenario;
  readonly options: Options;
}

function one(change: Partial<Options>): Exploration {
  const options = { ...BASE, ...change };
  return { options, scenario: oneWay({ ...options, name: title(options) }) };
}

function both(change: Partial<Options>): Exploration {
  const options = { ...EXCHANGE, ...change };
  return { options, scenario: exchange({ ...options, name: title(options) }) };
}

/** "one way, 2 1 1 words, ring 6 cells, doorbell, membarrier". */
function title(o: Options): string {
  const batch = o.batch > 1 ? `, ${o.batch} a batch` : "", closes = o.closes === undefined ? "" : `, ${o.closes} closes`;
  return `${o.name}, ${o.messages.join(" ")} words, ring ${o.ringCells} cells${batch}${closes}, ${o.sleep}, ${o.barrier}`;
}

export const SMALL: readonly Exploration[] = [
  one({}),
  one({ sleep: "futex" }),
  one({ barrier: "fence" }),
  one({ sleep: "futex", barrier: "fence" }),
  one({ messages: [2, 1, 2] }),
  one({ messages: [1, 2, 1, 2], batch: 2 }),
  one({ messages: [2, 2, 1, 1], batch: 2 }),
  one({ messages: [1, 1, 1, 1], sleep: "futex" }),
  one({ closes: "writer" }),
  one({ closes: "writer", sleep: "futex", barrier: "fence" }),
  one({ closes: "reader", messages: [2, 2, 1, 1] }),
  both({ messages: [1], ringCells: 3 }),
  both({ messages: [1, 1], ringCells: 5 }),
  both({ messages: [1, 1], ringCells: 3, barrier: "fence" }),
];

export const LARGE: readonly Exploration[] = [
  ...[[2, 1, 1], [2, 1, 2], [1, 2, 1, 2], [2, 2, 1, 1], [1, 1, 1, 1], [2, 1, 1, 1]].flatMap((messages) =>
    ([1, 2] as const).flatMap((batch) =>
      (["doorbell", "futex"] as const).flatMap((sleep) =>
        (["membarrier", "fence"] as const).map((barrier) => one({ messages, batch, sleep, barrier }))
      )
    )
  ),
  ...(["writer", "reader"] as const).flatMap((closes) =>
    (["doorbell", "futex"] as const).flatMap((sleep) =>
      (["membarrier", "fence"] as const).map((barrier) => one({ messages: [2, 2, 1, 1], closes, sleep, barrier }))
    )
  ),
  ...(["doorbell", "futex"] as const).flatMap((sleep) =>
    (["membarrier", "fence"] as const).flatMap((barrier) =>
      [3, 5].map((ringCells) => both({ messages: [1, 1], ringCells, sleep, barrier }))
    )
  ),
  both({ messages: [1, 1, 1], ringCells: 3 }),
];

export function machines(scenario: Scenario): readonly Machine[] {
  return [new X86(scenario), new Arm64(scenario)];
}
