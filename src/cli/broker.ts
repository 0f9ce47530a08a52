/** `fable broker`: the name service in the foreground, until a signal, a successor, or (embedded) until nobody needs it. */
import process from "node:process";
import { type Leaving, startDaemon } from "../broker/daemon.ts";
import { loadNative } from "../native/load.ts";
import type { Output } from "./output.ts";
import { UsageError } from "./usage.ts";

export interface BrokerOptions {
  readonly socket?: string;
  readonly policy?: string;
  readonly parent?: string;
  readonly replace?: true;
  readonly embedded?: true;
}

const FAREWELLS: Readonly<Record<Leaving, string>> = {
  idle: "left: nobody needed it any more",
  replaced: "left: another broker took over",
  shutdown: "left: it was told to",
  closed: "stopped",
};

export async function broker(output: Output, options: BrokerOptions): Promise<void> {
  const help = 'see "fable broker --help"';
  if (options.policy !== undefined) {
    throw new UsageError("this version has no policy files yet: every end is treated as it asks, and other users as untrusted", help);
  }
  if (options.parent !== undefined) throw new UsageError("this version cannot join a higher name service yet", help);
  if (options.replace === true && options.embedded === true) {
    throw new UsageError("--replace and --embedded exclude each other: an embedded broker gives way to others", help);
  }
  const { socket, replace, embedded } = options;
  const daemon = await startDaemon(loadNative(), {
    ...(socket === undefined ? {} : { socket }),
    ...(replace === undefined ? {} : { replace }),
    ...(embedded === undefined ? {} : { embedded }),
  });
  if (daemon === undefined) {
    output.line("Another broker serves this socket already.");
    output.jsonLine({ event: "unneeded" });
    return;
  }
  const stop = () => void daemon.close();
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  output.line(`Serving ${daemon.socket} (process ${process.pid}).`);
  output.jsonLine({ event: "listening", socket: daemon.socket, pid: process.pid });
  const reason = await daemon.ended;
  process.off("SIGTERM", stop);
  process.off("SIGINT", stop);
  output.line(`The broker of ${daemon.socket} ${FAREWELLS[reason]}.`);
  output.jsonLine({ event: "left", reason });
}
