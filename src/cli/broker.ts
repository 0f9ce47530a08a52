/** `fable broker`: the name service in the foreground, until a signal, a successor, or (embedded) until nobody needs it. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { type Daemon, type DaemonOptions, type Leaving, startDaemon } from "../broker/daemon.ts";
import { loadNative } from "../native/load.ts";
import { describeProblems, parseRules } from "../policy/file.ts";
import { CommandFailed, errorCode } from "./failure.ts";
import type { Output } from "./output.ts";
import { UsageError } from "./usage.ts";

export interface BrokerOptions {
  readonly socket?: string;
  readonly policy?: string;
  readonly metricsSocket?: string;
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
  if (options.parent !== undefined) throw new UsageError("this version cannot join a higher name service yet", help);
  if (options.replace === true && options.embedded === true) {
    throw new UsageError("--replace and --embedded exclude each other: an embedded broker gives way to others", help);
  }
  const { socket, replace, embedded } = options;
  if (options.policy !== undefined) checkPolicy(output, options.policy);
  const daemon = await startDaemon(loadNative(), {
    ...(socket === undefined ? {} : { socket }),
    ...(replace === undefined ? {} : { replace }),
    ...(embedded === undefined ? {} : { embedded }),
    ...(options.policy === undefined ? {} : { policyPath: resolve(options.policy) }),
    log: (record) => tell(output, record),
  });
  if (daemon === undefined) {
    output.line("Another broker serves this socket already.");
    output.jsonLine({ event: "unneeded" });
    return;
  }
  const stopMetrics = options.metricsSocket === undefined ? undefined : await serve(daemon, options.metricsSocket);
  const stop = () => void daemon.close();
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  output.line(`Serving ${daemon.socket} (process ${process.pid}).`);
  output.jsonLine({ event: "listening", socket: daemon.socket, pid: process.pid });
  const reason = await daemon.ended;
  stopMetrics?.();
  process.off("SIGTERM", stop);
  process.off("SIGINT", stop);
  output.line(`The broker of ${daemon.socket} ${FAREWELLS[reason]}.`);
  output.jsonLine({ event: "left", reason });
}

async function serve(daemon: Daemon, path: string): Promise<() => void> {
  const { serveMetrics } = await import("./metrics-socket.ts");
  try {
    return await serveMetrics(resolve(path), () => daemon.metrics());
  } catch (error) {
    await daemon.close();
    throw error;
  }
}

/** A broker does not begin with rules that are wrong: all that is wrong with them, each with its line. */
function checkPolicy(output: Output, path: string): void {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(
      `the policy file ${path} cannot be read (${errorCode(error) ?? "unknown"})`,
      "docs/policy.md says what it may say",
    );
  }
  const result = parseRules(text);
  if (!("problems" in result)) return;
  output.note(describeProblems(path, result.problems));
  const count = result.problems.length === 1 ? "a mistake" : `${result.problems.length} mistakes`;
  throw new CommandFailed(`the policy file ${path} has ${count}`, "docs/policy.md says what it may say");
}

type LogRecord = Parameters<NonNullable<DaemonOptions["log"]>>[0];

/** One line for each decision. */
function tell(output: Output, record: LogRecord): void {
  output.jsonLine({ at: new Date().toISOString(), ...record });
  const time = new Date().toISOString().slice(11, 23);
  if ("flow" in record) {
    const what = record.event === "refused" ? `could not be moved to ${record.transport}: ${record.reason}` : record.reason;
    output.line(`${time} ${record.flow} (${record.names.join(" – ")}): ${what}`);
  } else if (record.event === "policy-loaded") output.line(`${time} the rules of ${record.path} hold from now on`);
  else if (record.event === "affinity-returned") {
    output.line(`${time} threads ${record.threads.join(", ")} have their CPUs again, which a broker before this one had taken`);
  } else if (record.event === "calibration-loaded") output.line(`${time} decides by the table that was measured at ${record.made_at}`);
  else output.note(`${time} ${record.path} was not taken, what held before goes on:\n${record.problems}`);
}
