/**
 * A real web server (nginx, say) fed from a channel. For each visitor the gateway opens a TCP connection to the server, commits the buffers
 * in which requests arrived into it, and what comes back into the channel.
 *
 *     bun examples/http-from-channel.ts gateway tcp://127.0.0.1:80
 *     deno run --allow-ffi examples/http-from-channel.ts get /index.html
 */
import process from "node:process";
import { connect, type Endpoint, type Handle, listen, type OutsideName } from "../mod.ts";

const NAME = "xio://web";

/** Moves everything that arrives at one end into the other: bytes or messages, a channel or a socket. */
async function pump(from: Endpoint, to: Endpoint): Promise<void> {
  while (await from.waitReadable()) {
    for (const buffer of from.getReadBuf()) {
      while (!to.commit(buffer)) await to.waitWritable();
    }
    to.flush();
  }
  await from.receive(); // nothing comes any more; throws if that was no good end
  await to.closeWrite();
}

async function serve(visitor: Handle, address: OutsideName): Promise<void> {
  await using _ = visitor;
  await using server = await connect(address);
  await Promise.all([pump(visitor, server), pump(server, visitor)]);
  const { bytesReceived, inPlaceBytes, translatedBytes } = server.stats();
  console.log(`requests: ${inPlaceBytes} bytes in place, ${translatedBytes} copied; responses: ${bytesReceived} bytes`);
}

const [what, argument] = process.argv.slice(2);

if (what === "gateway") {
  const listener = await listen(NAME);
  console.log(`${listener.name} leads to ${argument}`);
  for await (const visitor of listener) {
    serve(visitor, argument as OutsideName).catch((error: Error) => console.error(error.message));
  }
} else {
  await using handle = await connect(NAME);
  handle.send(`GET ${argument ?? "/"} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const message of handle) parts.push(message);
  process.stdout.write(await new Response(new Blob(parts)).bytes());
}
