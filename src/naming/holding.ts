/** A name that a client holds: what it needs to have it again from the next broker. */
import type { Request } from "./protocol.ts";
import type { ListenOptions } from "./service.ts";

export interface Holding {
  readonly name: string;
  readonly share: boolean;
  ticket: string | undefined;
  listening: ListenOptions | undefined;
}

/** What a broker is told by whoever listens at a name. */
export function listenRequest(id: number, name: string, options: ListenOptions): Request {
  return {
    type: "listen",
    id,
    name,
    backlog: Math.min(65_535, Math.max(1, Math.floor(options.backlog))),
    trust: options.trust ?? "trusted",
  };
}
