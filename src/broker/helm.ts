/** Gives the broker's steering what it needs of the broker. */
import type { BrokerIo, BrokerOptions } from "./broker.ts";
import type { Reconfigurations } from "./reconfigurations.ts";
import type { Report } from "./report.ts";
import { Steering } from "./steering.ts";
import type { Table } from "./table.ts";

/** How long the ends have for a move of the policy's. */
const ORDER_MS = 5000;

/** Steering for a broker, over what the broker has. */
export function steeringOf(
  io: Pick<BrokerIo, "now" | "cpuTime" | "after" | "counters" | "read" | "affinity" | "confine">,
  broker: Pick<BrokerOptions, "rulebook" | "virtualised" | "log">,
  table: Pick<Table, "flows">,
  report: Pick<Report, "observersOf">,
  moves: Pick<Reconfigurations, "order" | "concerns">,
): Steering {
  const { rulebook, virtualised } = broker;
  return new Steering({
    flows: () => table.flows.whole(),
    now: () => io.now(),
    cpuTime: () => io.cpuTime(),
    after: (ms, task) => io.after(ms, task),
    observers: (flow) => report.observersOf(flow),
    counters: (observers) => io.counters(observers),
    kernel: io,
    confine: (tid, cpus) => io.confine(tid, cpus),
    order: (flow, transport, ringBytes, done) => moves.order(flow, transport, ringBytes, ORDER_MS, done),
    busy: (flow) => moves.concerns(flow),
    rules: () => rulebook.rules,
    model: () => rulebook.model,
    virtualised,
    log: (record) => broker.log(record),
  });
}
