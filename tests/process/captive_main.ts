/**
 * One end of a conversation that never comes back to its event loop: it blocks its thread, or looks in a loop without a pause, in the main
 * thread or in a worker. Every message is checked to be the next one; the steps of the channel's moves are told as the loop sees them.
 *
 *     captive_main.ts ROLE WAY NAME [TRANSPORT] [worker]
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import { connect, type Handle, listen, type TransportName, xpollSync } from "../../mod.ts";

/** "silent": waits for a message that never comes. */
type Role = "ask" | "answer" | "silent";
/** How it waits: in the cursors' blocking form, in xpollSync, or not at all. */
type Way = "wait" | "xpoll" | "spin";

interface Job {
  readonly role: Role;
  readonly way: Way;
  readonly name: string;
  readonly transport: TransportName | undefined;
}

const SIZE_BYTES = 64;

/** At once, also from a thread whose streams wait for the event loop. */
function say(event: string, value: object = {}): void {
  writeSync(1, `${JSON.stringify({ event, ...value })}\n`);
}

async function open({ role, name, transport }: Job): Promise<Handle> {
  if (role !== "answer") return await connect(name, transport === undefined ? {} : { transport });
  const listener = await listen(name);
  say("listening");
  return await listener.accept({ timeoutMs: 15_000 });
}

const waits: Record<Way, (handle: Handle) => () => void> = {
  wait(handle) {
    const reader = handle.reader();
    return () => void reader.waitSync();
  },
  xpoll: (handle) => () => void xpollSync([handle]),
  spin: () => () => {},
};

function tellSteps(handle: Handle): void {
  while (handle.reconfigurations.waiting > 0) {
    const step = handle.reconfigurations.take();
    if (step?.phase === "moved") say("moved", { direction: step.direction, to: step.to, reason: step.reason });
  }
}

/** Until the channel ends. */
function converse(handle: Handle, { role, way }: Job): void {
  const [reader, writer, wait] = [handle.reader(), handle.writer(), waits[way](handle)];
  const [question, answer] = [new Uint8Array(SIZE_BYTES), new Uint8Array(SIZE_BYTES)];
  const post = (message: Uint8Array): void => {
    while (!writer.post(message)) writer.waitSync();
  };
  for (let count = 0;; count++) {
    tellSteps(handle);
    new DataView(question.buffer).setUint32(0, count, true);
    if (role === "ask") post(question);
    let length = -1;
    while ((length = reader.take(answer)) < 0) {
      if (reader.ended) return say("ended", { count });
      wait();
    }
    const number = new DataView(answer.buffer).getUint32(0, true);
    if (length !== SIZE_BYTES || number !== count) {
      return say("error", { message: `message ${count} is number ${number} of ${length} bytes` });
    }
    if (role === "answer") post(answer);
  }
}

async function run(job: Job): Promise<void> {
  const handle = await open(job);
  say("open", { flow: handle.flow, transport: handle.transport });
  converse(handle, job);
}

const scope = globalThis as unknown as {
  addEventListener(type: "message", listener: (event: { readonly data: Job }) => void): void;
};

// Deno does not say it the way Bun does.
if (isMainThread && !("WorkerGlobalScope" in globalThis)) {
  const [role, way, name = "", transport, where] = process.argv.slice(2);
  const job: Job = {
    role: role as Role,
    way: way as Way,
    name,
    transport: transport === undefined || transport === "" ? undefined : transport as TransportName,
  };
  if (where === "worker") new Worker(import.meta.url, { type: "module" }).postMessage(job);
  else await run(job);
} else {
  scope.addEventListener("message", ({ data }) => void run(data));
}
