/**
 * Requests and responses: many under way at once, answered in whatever order.
 *
 *     bun examples/request.ts serve
 *     deno run --allow-ffi examples/request.ts 7 30 12
 */
import process from "node:process";
import { connect, type Handle, listen } from "../mod.ts";

interface Request {
  readonly id: number;
  readonly n: number;
}

interface Response {
  readonly id: number;
  readonly result: number;
}

const decoder = new TextDecoder();

/** Asks over a handle; each question gets the answer with its number. */
class Client {
  readonly #handle: Handle;
  readonly #waiting = new Map<number, (result: number) => void>();
  #lastId = 0;

  constructor(handle: Handle) {
    this.#handle = handle;
    void this.#read();
  }

  ask(n: number): Promise<number> {
    const id = ++this.#lastId;
    this.#handle.send(JSON.stringify({ id, n } satisfies Request));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async #read(): Promise<void> {
    for await (const message of this.#handle) {
      const { id, result } = JSON.parse(decoder.decode(message)) as Response;
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    }
  }
}

function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

async function serve(handle: Handle): Promise<void> {
  for await (const message of handle) {
    const { id, n } = JSON.parse(decoder.decode(message)) as Request;
    await handle.send(JSON.stringify({ id, result: fibonacci(n) } satisfies Response));
  }
  await handle.close();
}

const words = process.argv.slice(2);
if (words[0] === "serve") {
  const listener = await listen("xio://fibonacci");
  console.log(`listening at ${listener.name}`);
  for await (const handle of listener) void serve(handle);
} else {
  await using handle = await connect("xio://fibonacci");
  const client = new Client(handle);
  const results = await Promise.all(words.map((word) => client.ask(Number(word))));
  console.log(results.join(" "));
}
