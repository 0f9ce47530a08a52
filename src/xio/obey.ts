/** What the broker orders a channel's end to do: move to another transport, on an operator's word or by policy. */
import type { NameService } from "../naming/service.ts";
import { transportByName } from "../transport/registry.ts";
import type { Connection } from "./connection.ts";
import { DEFAULT_TIMEOUT_MS } from "./options.ts";

/** Both ends get the order and each sees to both directions: what is done already is no work. Answers how to stop. */
export function obeyBroker(names: Pick<NameService, "onReconfigure">, flow: string, connection: Connection): () => void {
  return names.onReconfigure(flow, ({ transport, reason, ringBytes = 0, drainDeadlineMs }, settle) => {
    if (drainDeadlineMs !== undefined) connection.outbox.crossing.limit(drainDeadlineMs);
    const stop = connection.attention.follow(() => connection.channel.listen(), DEFAULT_TIMEOUT_MS);
    const order = { transport: transportByName(transport), direction: "both", ringBytes, reason } as const;
    connection.obey(order, { timeoutMs: DEFAULT_TIMEOUT_MS }, (error) => {
      stop();
      settle(error);
    });
  });
}
