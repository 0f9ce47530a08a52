/** A worker that opens the port it is given and sends everything back; "block" makes it wait by blocking its thread. */
import { openPort, xpollSync } from "../../mod.ts";
import type { Handle } from "../../src/xio/handle.ts";

interface Job {
  readonly port: { readonly fd: number };
  readonly way: "events" | "block";
}

async function echo(handle: Handle): Promise<void> {
  for await (const message of handle) await handle.send(message);
  await handle.close();
}

/** Without an event loop: nothing here ever yields. */
function echoBlocking(handle: Handle): void {
  while (!handle.ended) {
    xpollSync([handle]);
    for (let message = handle.tryReceive(); message !== undefined; message = handle.tryReceive()) {
      while (!handle.trySend(message)) handle.writer().waitSync();
    }
    handle.flush();
  }
}

const scope = globalThis as unknown as {
  addEventListener(type: "message", listener: (event: { readonly data: Job }) => void): void;
  postMessage(message: string): void;
  close(): void;
};

scope.addEventListener("message", async ({ data }) => {
  const handle = await openPort(data.port);
  if (data.way === "events") await echo(handle);
  else echoBlocking(handle);
  await handle.close();
  scope.postMessage("done");
});
