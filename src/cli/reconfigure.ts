/** `fable reconfigure`: moves a live channel to another transport, and says from where to where. */
import type { BrokerService } from "../naming/service.ts";
import type { FlowEntry } from "../naming/service.ts";
import type { TransportName } from "../transport/transport.ts";
import { CommandFailed } from "./failure.ts";
import { withNameService } from "./open.ts";
import type { Output } from "./output.ts";

export interface ReconfigureOptions {
  readonly socket?: string;
  readonly transport: TransportName;
  readonly ring?: number;
  /** In milliseconds. */
  readonly timeout: number;
}

/** Where a direction was and is. */
interface Move {
  readonly from: string;
  readonly to: string;
  readonly before: Place;
  readonly after: Place;
}

interface Place {
  readonly transport: TransportName;
  readonly epoch: number;
}

export async function reconfigure(output: Output, wanted: string, options: ReconfigureOptions): Promise<void> {
  await withNameService(options.socket, async (service) => {
    const before = findFlow(await service.flows(), wanted);
    const ring = options.ring === undefined ? {} : { ringBytes: options.ring };
    const start = performance.now();
    await service.reconfigureFlow(before.flow, options.transport, options.timeout, ring);
    const tookMs = Math.round((performance.now() - start) * 1000) / 1000;
    const moves = movesOf(before, await flowAfter(service, before));
    output.value({ flow: before.flow, transport: options.transport, took_ms: tookMs, directions: moves });
    for (const move of moves) output.line(sentenceOf(move));
  });
}

/** The flow of that name, or the only one whose name begins so. */
export function findFlow(flows: readonly FlowEntry[], wanted: string): FlowEntry {
  const exact = flows.find((entry) => entry.flow === wanted);
  if (exact !== undefined) return exact;
  const [found, ...others] = wanted === "" ? [] : flows.filter((entry) => entry.flow.startsWith(wanted));
  if (found === undefined) throw new CommandFailed(`no channel is called ${JSON.stringify(wanted)}`, "fable flows shows those there are");
  if (others.length === 0) return found;
  const names = [found, ...others].slice(0, 5).map((entry) => entry.flow);
  throw new CommandFailed(
    `${others.length + 1} channels begin with ${JSON.stringify(wanted)}: ${names.join(", ")}${others.length >= 5 ? ", …" : ""}`,
    "write enough of the name that only one is left",
  );
}

async function flowAfter(service: BrokerService, before: FlowEntry): Promise<FlowEntry> {
  const after = (await service.flows()).find((entry) => entry.flow === before.flow);
  if (after === undefined) throw new CommandFailed(`${before.flow} moved, and was closed since`);
  return after;
}

function movesOf(before: FlowEntry, after: FlowEntry): readonly Move[] {
  const [first, second] = before.names;
  return before.directions.map((direction, side) => {
    const now = after.directions[side] ?? direction;
    return {
      from: direction.from,
      to: side === 0 ? second : first,
      before: { transport: direction.transport, epoch: direction.epoch },
      after: { transport: now.transport, epoch: now.epoch },
    };
  });
}

function sentenceOf({ from, to, before, after }: Move): string {
  const way = `${from} to ${to}`;
  if (before.epoch === after.epoch) return `${way}: ${after.transport} already (epoch ${after.epoch})`;
  return `${way}: ${before.transport} (epoch ${before.epoch}) → ${after.transport} (epoch ${after.epoch})`;
}
