/** Orders to move a channel, as both sides of a client see them: asking the broker for one, and carrying out what it orders. */
import type { ErrorCode } from "../errors.ts";
import type { TransportName } from "../transport/transport.ts";
import { type Correspondence, due, LOST, unexpected } from "./correspondence.ts";
import type { HeldFlows } from "./held-flows.ts";
import { errorFrom, errorMessage, type Requests, type Responses } from "./protocol.ts";

/** How long a broker that is new may not know a flow yet, and how often that is looked at. */
const RESTORED_MS = 1500;
const RESTORED_LOOK_MS = 50;

export interface MoveOptions {
  /** Bytes of memory for each direction: a power of two. Without, as much as it has. */
  readonly ringBytes?: number;
}

/** Has the broker move a flow. A broker that dies meanwhile is asked again: an end that is there already has nothing to do. */
export async function orderMove(
  mail: Correspondence,
  flow: string,
  transport: TransportName,
  timeoutMs: number,
  options: MoveOptions,
): Promise<void> {
  const terms = due(timeoutMs);
  const more = options.ringBytes === undefined ? {} : { ring_bytes: options.ringBytes };
  const left = () => Math.max(0, Math.ceil(terms.deadline - performance.now()));
  // Until then, a broker that does not know the flow may be one that has not yet heard of it.
  let patience = -Infinity;
  for (;;) {
    if (!mail.online) await mail.reached(terms.deadline, undefined);
    const reply = await mail.tell((id) => ({ type: "reconfigure", id, flow, transport, ...more, timeout_ms: left() }), [], terms);
    if (reply === LOST) {
      patience = Math.min(performance.now() + RESTORED_MS, terms.deadline);
      continue;
    }
    if (reply.message.type === "done") return;
    if (reply.message.type !== "error") throw unexpected(reply.message);
    if (performance.now() >= patience) throw errorFrom(reply.message);
    await new Promise((resolve) => setTimeout(resolve, RESTORED_LOOK_MS));
  }
}

/** Carries an order out; `tell` hears what the broker is to be told, which may be before this returns. */
export function obeyOrder(flows: HeldFlows, message: Responses["reconfigure"], tell: (report: Requests["reconfigured"]) => void): void {
  const { flow, order, transport, reason, ring_bytes: ringBytes, drain_deadline_ms: drainDeadlineMs } = message;
  const report = (outcome: "done" | ErrorCode, why: string, remedy?: string): void =>
    tell({ type: "reconfigured", ...{ flow, order, outcome, message: why }, ...(remedy === undefined ? {} : { remedy }) });
  const limits = { ...(ringBytes === undefined ? {} : { ringBytes }), ...(drainDeadlineMs === undefined ? {} : { drainDeadlineMs }) };
  flows.obey(flow, { transport, reason, ...limits }, (error) => {
    if (error === undefined) return report("done", "");
    const { code, message: why, remedy } = errorMessage(1, error);
    report(code, why, remedy);
  });
}
