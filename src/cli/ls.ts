/** `fable ls`: the names the broker knows. */
import type { NameEntry } from "../naming/service.ts";
import { withNameService } from "./open.ts";
import type { Output } from "./output.ts";

export interface LsOptions {
  readonly socket?: string;
}

export async function ls(output: Output, options: LsOptions): Promise<void> {
  const names = await withNameService(options.socket, (service) => service.names());
  output.value(names);
  if (names.length === 0 && output.terminal) output.line("No names are registered.");
  else await output.table(["NAME", "LISTENING", "PID", "UID", "SINCE"], names.map(row));
}

function row(entry: NameEntry): readonly string[] {
  return [entry.name, entry.listening ? "yes" : "no", String(entry.pid), String(entry.uid), entry.since];
}
