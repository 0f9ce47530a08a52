/** One side of many channels with a little traffic each, for sampling.ts. */
import process from "node:process";
import { connect, type Handle, listen } from "../../mod.ts";

const [role = "", count = "1000", perS = "10"] = process.argv.slice(2);
const NAME = "xio://many";
const handles: Handle[] = [];
const say = (event: string) => process.stdout.write(`${JSON.stringify({ event })}\n`);

if (role === "listen") {
  const listener = await listen(NAME, { ringBytes: 4096, backlog: 64 });
  say("listening");
  while (handles.length < Number(count)) handles.push(await listener.accept());
  for (const handle of handles) {
    void (async () => {
      for await (const message of handle) if (message.byteLength === 0) return;
    })();
  }
} else {
  while (handles.length < Number(count)) handles.push(await connect(NAME, { ringBytes: 4096 }));
  // A slice of them every 10 ms, so that all have their turn as often as was asked for.
  const slice = Math.max(1, Math.round((handles.length * Number(perS)) / 100));
  const message = new Uint8Array(64);
  let at = 0;
  setInterval(() => {
    for (let done = 0; done < slice; done++) handles[at++ % handles.length]?.trySend(message);
  }, 10);
}
say("ready");
