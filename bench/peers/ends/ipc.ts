/** What runtimes give parents and children: Bun.spawn's IPC and child_process.fork. Side 0 is the parent and starts side 1. */
import { fork } from "node:child_process";
import process from "node:process";
import { Message, type Opening, type PeerEnd, type PeerJob, wordOf } from "./end.ts";

/** As text: a number and as much padding as makes the message as long as the others. */
interface TextMessage {
  readonly n: number;
  readonly s: string;
}

const TEXT_BYTES = 24;

type Listener = (message: unknown) => void;

interface BunChild {
  send(message: unknown): void;
  kill(): void;
}

interface BunSpawn {
  spawn(options: {
    readonly cmd: readonly string[];
    readonly serialization: "json" | "advanced";
    readonly stdio: readonly ["ignore", "inherit", "inherit"];
    ipc(message: unknown): void;
  }): BunChild;
}

/** The child's command line: this program again, as side 1. */
function childJob(job: PeerJob): string {
  return JSON.stringify({ ...job, side: 1 });
}

export function bunSpawn(serialization: "json" | "advanced"): (opening: Opening) => Promise<PeerEnd> {
  return ({ job }) => {
    if (job.side === 1) return Promise.resolve(childEnd(job, serialization === "json"));
    let listener: Listener = () => {};
    const bun = (globalThis as unknown as { readonly Bun: BunSpawn }).Bun;
    const child = bun.spawn({
      cmd: [process.execPath, process.argv[1] ?? "", childJob(job)],
      serialization,
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => listener(message),
    });
    return Promise.resolve(
      new IpcEnd(job.sizeBytes, serialization === "json", (message) => child.send(message), (to) => listener = to, () => child.kill()),
    );
  };
}

export function forkAdvanced({ job }: Opening): Promise<PeerEnd> {
  if (job.side === 1) return Promise.resolve(childEnd(job, false));
  const child = fork(process.argv[1] ?? "", [childJob(job)], { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] });
  return Promise.resolve(
    new IpcEnd(job.sizeBytes, false, (message) => void child.send(message as object), (to) => child.on("message", to), () => child.kill()),
  );
}

function childEnd(job: PeerJob, text: boolean): PeerEnd {
  const send = process.send!.bind(process);
  process.on("disconnect", () => process.exit(1)); // the parent died
  return new IpcEnd(job.sizeBytes, text, (message) => void send(message), (to) => process.on("message", to), () => process.disconnect?.());
}

class IpcEnd implements PeerEnd {
  readonly windowed = true;
  readonly #message: Message;
  readonly #padding: string;
  readonly #text: boolean;
  readonly #post: (message: unknown) => void;
  readonly #listen: (listener: Listener) => void;
  readonly close: () => void;

  constructor(sizeBytes: number, text: boolean, post: (message: unknown) => void, listen: (listener: Listener) => void, close: () => void) {
    this.#message = new Message(sizeBytes);
    this.#padding = "x".repeat(Math.max(0, sizeBytes - TEXT_BYTES));
    this.#text = text;
    this.#post = post;
    this.#listen = listen;
    this.close = close;
  }

  send(word: number): undefined {
    this.#post(this.#text ? { n: word, s: this.#padding } : this.#message.with(word));
  }

  onWord(callback: (word: number) => void): void {
    if (this.#text) this.#listen((message) => callback((message as TextMessage).n));
    else this.#listen((message) => callback(wordOf(message as Uint8Array)));
  }
}
