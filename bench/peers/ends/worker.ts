/**
 * postMessage between the main thread and a worker: of node:worker_threads in Bun and Node, a Web Worker in Deno, which is faster there. Bytes are
 * cloned, not transferred.
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import { parentPort, Worker as NodeWorker, workerData } from "node:worker_threads";
import { Message, type Opening, type PeerEnd, type PeerJob, wordOf } from "./end.ts";

/** What both kinds of worker and the thread they run in have in common. */
interface Port {
  post(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
  close(): void;
}

interface WebPort {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  terminate?(): void;
}

const own = globalThis as unknown as WebPort & { readonly WorkerGlobalScope?: abstract new() => object };

/** The job of the thread this is; undefined in a main thread. */
export async function workerJob(): Promise<PeerJob | undefined> {
  if ("Deno" in globalThis) {
    const inWorker = own.WorkerGlobalScope !== undefined && globalThis instanceof own.WorkerGlobalScope;
    if (!inWorker) return undefined;
    return await new Promise((resolve) => own.onmessage = ({ data }) => resolve(data as PeerJob));
  }
  return parentPort === null ? undefined : workerData as PeerJob;
}

export async function worker({ job }: Opening): Promise<PeerEnd> {
  const port = job.side === 1 ? outer() : await inner({ ...job, side: 1 });
  return new WorkerEnd(port, job.sizeBytes);
}

/** In a worker: the way to the main thread. */
function outer(): Port {
  if ("Deno" in globalThis) {
    const port = webPort(own);
    return {
      ...port,
      listen(listener) {
        port.listen(listener);
        own.postMessage(null); // what comes earlier is lost
      },
    };
  }
  const port = parentPort!;
  return { post: (message) => port.postMessage(message), listen: (listener) => void port.on("message", listener), close: () => {} };
}

/** A worker, and the way to it. */
async function inner(job: PeerJob): Promise<Port> {
  const program = process.argv[1] ?? "";
  if ("Deno" in globalThis) {
    const thread = new Worker(pathToFileURL(program).href, { type: "module" });
    const ready = new Promise((resolve) => thread.onmessage = resolve);
    thread.postMessage(job);
    await ready;
    return webPort(thread as unknown as WebPort);
  }
  const thread = new NodeWorker(program, { workerData: job });
  thread.on("error", (error) => {
    throw error;
  });
  return {
    post: (message) => thread.postMessage(message),
    listen: (listener) => void thread.on("message", listener),
    close: () => void thread.terminate(),
  };
}

function webPort(port: WebPort): Port {
  return {
    post: (message) => port.postMessage(message),
    listen: (listener) => port.onmessage = ({ data }) => listener(data),
    close: () => port.terminate?.(),
  };
}

class WorkerEnd implements PeerEnd {
  readonly windowed = true;
  readonly #port: Port;
  readonly #message: Message;

  constructor(port: Port, sizeBytes: number) {
    this.#port = port;
    this.#message = new Message(sizeBytes);
  }

  send(word: number): undefined {
    this.#port.post(this.#message.with(word));
  }

  onWord(callback: (word: number) => void): void {
    this.#port.listen((message) => callback(wordOf(message as Uint8Array)));
  }

  close(): void {
    this.#port.close();
  }
}
