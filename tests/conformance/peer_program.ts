/**
 * The other end in a process of its own: connects to the socket it is told, does what it is told, and says what happened in lines of JSON.
 *
 *     peer_program.ts SOCKET TRANSPORT TRUST write|read|hold|long|echo|move|exit
 */
import process from "node:process";
import type { TransportName, Trust } from "../../mod.ts";
import { loadNative } from "../../src/native/load.ts";
import { directConnect } from "../../src/xio/direct.ts";
import type { Handle } from "../../src/xio/handle.ts";
import { orderMoves, plainPlan, readMoving, writeMoving } from "../xio/switching.ts";
import { anySize, patterned, randomFrom } from "./matrix.ts";

const [path, transport, trust, job] = process.argv.slice(2);
const say = (event: string, rest: object = {}): void => console.log(JSON.stringify({ event, ...rest }));

const jobs: Readonly<Record<string, (handle: Handle) => Promise<void>>> = {
  /** Writes numbered messages until it is killed. */
  async write(handle) {
    const random = randomFrom(11);
    for (let number = 0;; number++) await handle.send(patterned(number, anySize(random, 20_000)));
  },
  /** Takes a few messages and then no more. */
  async read(handle) {
    for (let count = 0; count < 3; count++) await handle.receive();
    say("reading");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Commits one message and leaves one open. */
  async hold(handle) {
    handle.send(patterned(0, 50));
    handle.flush();
    const open = handle.getWriteBuf(100);
    open[0].bytes.fill(1);
    say("holding");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Commits one message, and half of a long one that finds no more room. */
  async long(handle) {
    void handle.send(patterned(0, 50));
    void handle.send(new Uint8Array(1 << 20));
    await new Promise((resolve) => setTimeout(resolve, 1));
    say("halfway");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Sends everything back, and ends when the other side does. */
  async echo(handle) {
    say("echoing");
    for await (const message of handle) await handle.send(message);
    const reason = await handle.close();
    say("closed", reason);
  },
  /** Writes, reads and orders moves at random, as the test does at its end; both sides tell how much they wrote. */
  async move(handle) {
    const plan = plainPlan(21, trust as Trust);
    let theirs: number | undefined;
    process.stdin.once("data", (text) => theirs = Number(String(text)));
    let ordering = true;
    await Promise.all([
      orderMoves(handle, plan, 1).finally(() => ordering = false),
      writeMoving(handle, plan, 1, () => !ordering).then((count) => say("wrote", { count })),
      readMoving(handle, plan, 0, () => theirs),
    ]);
    say("moved", { epoch: handle.epochs.outgoing.epoch });
    await handle.close();
    process.exit(0);
  },
  /** Is done without saying good-bye, but not without having sent. */
  async exit(handle) {
    for (let number = 0; number < 20; number++) handle.send(patterned(number, 10));
    handle.flush();
    say("leaving");
    process.exit(0);
  },
};

const handle = await directConnect(loadNative(), path, { transport: transport as TransportName, trust: trust as Trust, ringBytes: 16_384 });
await jobs[job](handle);
