/**
 * One end of a conversation, or of a stream, that goes on until it is told to stop: every message is checked to be the next one. Says when the
 * channel moves. For tests of the policy, which move it and its threads about from outside.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { connect, type Handle, listen, type TransportName } from "../../mod.ts";

interface Start {
  readonly role: "ask" | "answer" | "stream" | "drain";
  readonly name: string;
  readonly transport?: TransportName;
  readonly trust?: "trusted" | "untrusted";
  readonly sizeBytes: number;
}

let messages = 0;
let stopping = false;

function say(event: string, value: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...value })}\n`);
}

function fill(message: Uint8Array, count: number): void {
  new DataView(message.buffer).setUint32(0, count, true);
}

function check(message: Uint8Array, sizeBytes: number): void {
  const count = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  if (message.byteLength !== sizeBytes || count !== messages) {
    throw new Error(`message ${messages} is number ${count} with ${message.byteLength} bytes`);
  }
}

const roles: Record<Start["role"], (handle: Handle, sizeBytes: number) => Promise<void>> = {
  async ask(handle, sizeBytes) {
    const message = new Uint8Array(sizeBytes);
    while (!stopping) {
      fill(message, messages);
      await handle.send(message);
      const answer = await handle.receive();
      if (answer === undefined) return;
      check(answer, sizeBytes);
      messages += 1;
    }
  },
  async answer(handle, sizeBytes) {
    for await (const message of handle) {
      check(message, sizeBytes);
      messages += 1;
      await handle.send(message);
    }
  },
  async stream(handle, sizeBytes) {
    const message = new Uint8Array(sizeBytes);
    while (!stopping) {
      fill(message, messages);
      await handle.send(message);
      messages += 1;
    }
  },
  async drain(handle, sizeBytes) {
    for await (const message of handle) {
      check(message, sizeBytes);
      messages += 1;
    }
  },
};

async function start({ role, name, transport, trust, sizeBytes }: Start): Promise<void> {
  const options = {
    ...(trust === undefined ? {} : { trust }),
    ...(transport === undefined ? {} : { transport }),
  };
  let handle: Handle;
  if (role === "answer" || role === "drain") {
    const listener = await listen(name, trust === undefined ? {} : { trust });
    say("listening");
    handle = await listener.accept({ timeoutMs: 15_000 });
  } else {
    handle = await connect(name, options);
  }
  handle.onReconfiguration(({ phase, direction, to, reason }) => {
    if (phase === "moved" && direction === "outgoing") say("moved", { to, reason, messages });
  });
  say("open", { flow: handle.flow, transport: handle.transport });
  try {
    await roles[role](handle, sizeBytes);
    const closed = await handle.close();
    say("closed", { messages, code: closed.code });
  } catch (error) {
    say("error", { message: String(error), messages });
  }
  process.exit(0);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line) as Partial<Start> & { readonly op: string };
  if (order.op === "start") void start(order as Start);
  else if (order.op === "count") say("count", { messages });
  else stopping = true;
});
say("ready");
