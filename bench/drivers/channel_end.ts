/**
 * One end of a JavaScript benchmark cell, in whichever runtime runs it:
 *
 *     channel_end.ts first|second WORKLOAD SOCKET_PATH '{"sizeBytes":64,…}'
 *
 * "second" listens and serves, "first" connects, measures and prints one JSON object. The two make a direct channel, without a broker, so that
 * nothing but the channel is measured. Every message carries its sequence number and one checked word per cache line.
 */
import { loadNative } from "../../src/native/load.ts";
import { directConnect, directListen } from "../../src/xio/direct.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { type Settings, settingsOf, type Side } from "./settings.ts";
import { workloads } from "./workloads.ts";

const [side, workload, path, json] = processArguments();
const settings = settingsOf(json);
const native = loadNative();
if (settings.core >= 0) native.library.pin(settings.core);
const run = workloads[workload];
if (run === undefined) throw new Error(`no such workload: ${workload} (${Object.keys(workloads).join(", ")})`);
const handle = await open(side, path, settings);
const result = await run[side](handle, settings, native);
await handle.close();
if (result !== undefined) console.log(JSON.stringify(result));

async function open(as: Side, at: string, with_: Settings): Promise<Handle> {
  const options = { ringBytes: with_.ringBytes, trust: with_.trust, transport: with_.transport };
  if (as === "first") return await directConnect(native, at, options);
  const listener = directListen(native, at, options);
  console.log("listening");
  const accepted = await listener.accept();
  listener.close();
  return accepted;
}

function processArguments(): [Side, string, string, string] {
  const all = (globalThis as { process?: { argv: string[] } }).process?.argv.slice(2) ?? [];
  const [as, what, where, how = "{}"] = all;
  if ((as !== "first" && as !== "second") || what === undefined || where === undefined) {
    throw new Error("usage: channel_end.ts first|second WORKLOAD SOCKET_PATH [JSON]");
  }
  return [as, what, where, how];
}
