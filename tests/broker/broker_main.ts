/**
 * A broker and nothing else, for tests that want one in a process of its own without the rest of the command line:
 * `broker [--embedded] [--replace] [--idle MS] --socket PATH`. Says on stdout when it listens and why it left.
 */
import process from "node:process";
import { startDaemon } from "../../src/broker/daemon.ts";
import { loadNative } from "../../src/native/load.ts";

const words = process.argv.slice(2);
const option = (name: string) => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined);
const say = (line: Readonly<Record<string, unknown>>) => process.stdout.write(`${JSON.stringify(line)}\n`);
const socket = option("--socket");
const idle = option("--idle");

try {
  const daemon = await startDaemon(loadNative(), {
    ...(socket === undefined ? {} : { socket }),
    ...(idle === undefined ? {} : { idleMs: Number(idle) }),
    embedded: words.includes("--embedded"),
    replace: words.includes("--replace"),
  });
  say(daemon === undefined ? { event: "not-needed" } : { event: "listening", pid: process.pid });
  process.on("SIGTERM", () => void daemon?.close());
  process.on("SIGINT", () => void daemon?.close());
  if (daemon !== undefined) say({ event: "left", reason: await daemon.ended });
  process.exit(0);
} catch (error) {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  say({ event: "failed", code, message });
  process.exit(1);
}
