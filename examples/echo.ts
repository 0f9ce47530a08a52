/**
 * An echo. In two terminals, in whichever runtimes:
 *
 *     bun examples/echo.ts listen
 *     deno run --allow-ffi examples/echo.ts hello there
 */
import process from "node:process";
import { connect, listen } from "../mod.ts";

const words = process.argv.slice(2);

if (words[0] === "listen") {
  const listener = await listen("xio://echo");
  console.log(`listening at ${listener.name}`);
  for await (const handle of listener) {
    void (async () => {
      for await (const message of handle) await handle.send(message);
      console.log(`${handle.peer.name} is done: ${(await handle.close()).received} messages`);
    })();
  }
} else {
  await using handle = await connect("xio://echo");
  for (const word of words) handle.send(word);
  await handle.closeWrite();
  for await (const message of handle) console.log(new TextDecoder().decode(message));
}
