/** What programs that a command starts say to it: one line of JSON for each event, with times of the clock that all processes share. */
import process from "node:process";
import { loadNative } from "../native/load.ts";

export function say(event: string, value: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...value })}\n`);
}

export function nowNs(): number {
  return Number(loadNative().library.now_ns());
}
