/** The broker's figures for Prometheus, over HTTP at a Unix socket: `curl --unix-socket PATH http://fable/metrics`. */
import { chmodSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { CommandFailed, errorCode } from "./failure.ts";

/** Serves until the function it answers is called. */
export async function serveMetrics(path: string, text: () => string): Promise<() => void> {
  const server = createServer((request, response) => {
    const found = request.method === "GET" && (request.url === "/metrics" || request.url === "/");
    response.writeHead(found ? 200 : 404, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(found ? text() : "Only /metrics is here.\n");
  });
  removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once(
      "error",
      (error) => reject(new CommandFailed(`${path} cannot be served (${errorCode(error) ?? "unknown"})`, "choose another path")),
    );
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return () => {
    server.close();
    rmSync(path, { force: true });
  };
}

/** A broker that crashed left its socket. Nothing else is removed. */
function removeStale(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new CommandFailed(`${path} exists and is no socket`, "choose another path");
  rmSync(path);
}
