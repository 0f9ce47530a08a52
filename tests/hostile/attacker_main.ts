/**
 * A program that plays the other end of a channel and cheats: its regions are its own, made without the library, and it writes to them what it
 * likes. It is told one attack at a time on stdin, and says what came of it.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { isFableError } from "../../mod.ts";
import { connectNameService } from "../../src/naming/client.ts";
import type { OfferedDescriptors } from "../../src/naming/service.ts";
import type { FirstTransport } from "../../src/naming/transports.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Trust } from "../../src/transport/transport.ts";
import { seeded, sleep } from "../process/harness.ts";
import { type Attack, ATTACKS, type Stage } from "./attacks.ts";
import { closeDescriptor, HONEST_SEALS, openFile, region, SEAL_FUTURE_WRITE, writeIdentity } from "./libc.ts";

interface Order {
  readonly attack: string;
  readonly name: string;
  readonly trust: Trust;
  readonly transport: FirstTransport;
  readonly seed: number;
}

const RING_BYTES = 65_536;
const STREAM = 1;
const PACKETS = 5;
const TRANSPORT_CODES: Readonly<Record<FirstTransport, number>> = { mempipe: 1, "mempipe-spin": 2, "mempipe-futex": 3, unix: 4 };
const native = loadNative();
const service = await connectNameService(native);
service.setRef(true);

async function attack(order: Order): Promise<string> {
  const what = ATTACKS.find((candidate) => candidate.name === order.attack);
  if (what === undefined) throw new Error(`no attack "${order.attack}"`);
  const stage = makeStage(what, order);
  let code = "CONNECTED";
  try {
    const grant = await service.connect({
      to: order.name,
      trust: order.trust,
      transport: order.transport,
      ringBytes: RING_BYTES,
      maxMessageBytes: 1 << 20,
      timeoutMs: 3000,
      prepare: () => stage.offered,
    });
    for (const fd of [grant.controlFd, grant.ringFd, grant.pidFd]) if (fd !== undefined && fd >= 0) closeDescriptor(fd);
    await what.act?.(stage);
    // Long enough for a victim that looks every millisecond, before the sockets close.
    await sleep(what.fault === true ? 50 : 5);
  } catch (error) {
    if (!isFableError(error)) throw error;
    code = error.code;
  }
  for (const fd of stage.descriptors) closeDescriptor(fd);
  return code;
}

/** Regions and sockets of one attack, wrong in the way the attack wants, else as an honest end would make them. */
function makeStage(what: Attack, order: Order): Stage & { readonly offered: OfferedDescriptors; readonly descriptors: readonly number[] } {
  const shared = order.transport !== "unix";
  const seals = what.seals ?? HONEST_SEALS;
  const ringSeals = what.ringSeals ?? (order.trust === "trusted" ? HONEST_SEALS & ~SEAL_FUTURE_WRITE : HONEST_SEALS);
  const control = region(
    what.controlBytes ?? 4096,
    (view) =>
      writeIdentity(view, { transport: TRANSPORT_CODES[order.transport], trust: order.trust === "trusted" ? 1 : 2, ...what.identity }),
    seals,
  );
  const ring = region(what.ringBytes ?? RING_BYTES, () => {}, ringSeals);
  const [doorbell, theirDoorbell] = socketPair(STREAM);
  const [link, theirLink] = socketPair(PACKETS);
  const [data, theirData] = socketPair(STREAM);
  const wrong = what.wrongDescriptor === undefined ? undefined : wrongDescriptor(what.wrongDescriptor);
  return {
    control,
    ring,
    doorbell,
    data,
    link,
    random: seeded(order.seed),
    write: (fd, bytes) => native.library.write(fd, bytes, bytes.byteLength),
    offered: {
      controlFd: what.swap === true ? ring.fd : wrong ?? control.fd,
      doorbellFd: theirDoorbell,
      linkFd: theirLink,
      ...(shared ? { ringFd: what.swap === true ? control.fd : what.same === true ? control.fd : ring.fd } : { dataFd: theirData }),
    },
    descriptors: [control.fd, ring.fd, doorbell, theirDoorbell, link, theirLink, data, theirData, ...(wrong === undefined ? [] : [wrong])],
  };
}

function socketPair(kind: number): readonly [number, number] {
  const pair = new Int32Array(2);
  if (native.library.socketpair(kind, pair) < 0) throw new Error("no sockets left");
  return [pair[0] ?? -1, pair[1] ?? -1];
}

function wrongDescriptor(kind: "file" | "socket" | "null"): number {
  if (kind === "socket") {
    const [one, other] = socketPair(STREAM);
    closeDescriptor(other);
    return one;
  }
  return openFile(kind === "file" ? process.execPath : "/dev/null");
}

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const order = JSON.parse(line) as Order;
  try {
    say({ event: "attacked", attack: order.attack, code: await attack(order) });
  } catch (error) {
    say({ event: "error", message: error instanceof Error ? error.stack : String(error) });
  }
}
process.exit(0);

function say(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
