/**
 * A channel under load that keeps moving: every form of writing and reading at once, in both directions, while somebody orders moves at random.
 * Everything that is sent must come once, in order and intact. The same seed does the same.
 */
import assert from "node:assert/strict";
import { type Handle, isFableError, type ReadBuffer, type TransportName, type WriteBuffer } from "../../mod.ts";
import { anySize, patterned, randomFrom, TRANSPORTS } from "../conformance/matrix.ts";

export interface SwitchPlan {
  readonly seed: number;
  readonly transports: readonly TransportName[];
  /** Messages each way go on until so many moves were ordered by each end, */
  readonly moves: number;
  /** or, if this is given, until the direction that it writes has moved so often. Many an order comes to nothing: another one replaces it. */
  readonly epochs?: number;
  readonly maxBytes: number;
  readonly ringBytes: readonly number[];
}

export const DEFAULT_PLAN: Omit<SwitchPlan, "seed"> = {
  transports: TRANSPORTS,
  moves: 300,
  maxBytes: 1 << 20,
  ringBytes: [0, 0, 0, 4096, 65_536, 262_144],
};

/** A short plan of everything that ends of that trust may do. */
export function plainPlan(seed: number, trust: "trusted" | "untrusted", moves = 60): SwitchPlan {
  const transports = DEFAULT_PLAN.transports.filter((transport) => trust === "trusted" || transport !== "vmsplice-coop");
  return { ...DEFAULT_PLAN, seed, transports, moves };
}

type Random = (below: number) => number;

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Sizes of the messages of one direction: both sides of it know them. */
function sizes(plan: SwitchPlan, way: number): () => number {
  const random = randomFrom(plan.seed * 2 + way);
  return () => anySize(random, random(50) === 0 ? plan.maxBytes : 20_000);
}

/** Writes numbered messages in every form until `done`; how many. */
export async function writeMoving(handle: Handle, plan: SwitchPlan, way: number, done: () => boolean): Promise<number> {
  const random = randomFrom(plan.seed * 7 + way);
  const next = sizes(plan, way);
  const open: { readonly buffers: readonly WriteBuffer[]; readonly number: number; readonly size: number }[] = [];
  const finish = (at: number): void => {
    const [{ buffers, number, size }] = open.splice(at, 1);
    fillAndCommit(handle, buffers, patterned(number, size), random);
  };
  let number = 0;
  for (; !done(); number++) {
    const size = next();
    // Buffers stay open for a while, are filled late and committed in any order.
    while (open.length > 0 && (open.length > 6 || random(3) === 0)) finish(random(open.length));
    const form = random(8);
    if (form < 3) {
      let buffers = handle.getWriteBuf(size);
      while (buffers.length === 0) {
        if (open.length > 0) finish(random(open.length));
        else await handle.waitWritable();
        buffers = handle.getWriteBuf(size);
      }
      // Room that is not needed, or never was.
      if (random(10) === 0) cancelOne(handle, random);
      open.push({ buffers, number, size });
    } else if (form === 3 && open.length === 0 && await writeByCursor(handle, patterned(number, size), random)) {
      // done
    } else {
      const sent = handle.send(patterned(number, size));
      // What is sent waits behind open buffers; to wait for it would be for ever.
      if (open.length === 0 && random(4) !== 0) await sent;
      else void sent?.catch(() => {});
    }
    if (random(16) === 0) handle.flush();
    if (random(4) === 0) await turn();
    // A queue is bounded.
    if (number % 200 === 199) {
      while (open.length > 0) finish(0);
      await handle.send(patterned(++number, next()));
    }
  }
  while (open.length > 0) finish(0);
  handle.flush();
  return number;
}

function fillAndCommit(handle: Handle, buffers: readonly WriteBuffer[], message: Uint8Array, random: Random): void {
  let from = 0;
  for (const buffer of buffers) buffer.bytes.set(message.subarray(from, from += buffer.size));
  if (random(2) === 0) assert.ok(handle.commit(buffers));
  else for (const buffer of [...buffers].reverse()) handle.commit(buffer);
}

function cancelOne(handle: Handle, random: Random): void {
  const extra = handle.getWriteBuf(random(500));
  handle.release(extra);
}

/** False: too long for a cursor now. */
async function writeByCursor(handle: Handle, message: Uint8Array, random: Random): Promise<boolean> {
  const writer = handle.writer();
  for (;;) {
    if (message.length > writer.maxBytes) return false;
    const at = writer.reserve(message.length);
    if (at < 0) {
      await writer.wait();
      continue;
    }
    const { bytes } = writer;
    // A turn with something reserved, while the channel may want to move.
    if (random(8) === 0) await turn();
    bytes.set(message, at);
    writer.commit(message.length);
    return true;
  }
}

/** Reads in every form and compares, until `count` says how many there are and they came. */
export async function readMoving(handle: Handle, plan: SwitchPlan, way: number, count: () => number | undefined): Promise<number> {
  const random = randomFrom(plan.seed * 11 + way);
  const next = sizes(plan, way);
  const held: { readonly buffers: readonly ReadBuffer[]; readonly message: Uint8Array }[] = [];
  const giveBack = (at: number): void => {
    const [{ buffers, message }] = held.splice(at, 1);
    assert.deepEqual(Buffer.concat(buffers.map(({ bytes }) => bytes)), Buffer.from(message), `held message of ${message.length} bytes`);
    handle.release(buffers);
  };
  let number = 0;
  const check = (bytes: Uint8Array): void => {
    const right = patterned(number, next());
    if (bytes.length !== right.length || Buffer.compare(bytes, right) !== 0) {
      assert.fail(`message ${number} of way ${way}: ${bytes.length} bytes came, ${right.length} were sent`);
    }
    number++;
  };
  while (number !== count()) {
    const form = random(4);
    if (form === 0) {
      const message = handle.tryReceive();
      if (message !== undefined) check(message);
      else await somethingOrDone(handle, held, giveBack);
    } else if (form === 1) {
      const reader = handle.reader();
      let any = false;
      for (let most = random(20) + 1; most > 0 && reader.next(); most--) {
        check(reader.bytes.slice(reader.offset, reader.offset + reader.length));
        any = true;
      }
      if (!any) await somethingOrDone(handle, held, giveBack);
    } else {
      const buffers = handle.getReadBuf(random(10) + 1);
      if (buffers.length === 0) {
        if (held.length > 0) giveBack(random(held.length));
        else await somethingOrDone(handle, held, giveBack);
      }
      let message: ReadBuffer[] = [];
      for (const buffer of buffers) {
        message.push(buffer);
        if (!buffer.last) continue;
        const right = patterned(number, next());
        number++;
        held.push({ buffers: message, message: right });
        message = [];
      }
      if (message.length > 0) assert.fail("half a message was lent");
      while (held.length > 12 || (held.length > 0 && random(3) === 0)) giveBack(random(held.length));
    }
    if (random(6) === 0) await turn();
  }
  while (held.length > 0) giveBack(0);
  return number;
}

async function somethingOrDone(
  handle: Handle,
  held: readonly unknown[],
  giveBack: (at: number) => void,
): Promise<void> {
  if (held.length > 0) giveBack(0);
  await handle.waitReadable({ timeoutMs: 2 }).catch((error: unknown) => {
    if (!isFableError(error, "TIMEOUT")) throw error;
  });
}

/** Orders moves at random; how many came about, and how many were told to be refused or replaced. */
export async function orderMoves(handle: Handle, plan: SwitchPlan, salt: number, each: () => void = () => {}): Promise<number> {
  const random = randomFrom(plan.seed * 13 + salt);
  let moved = 0;
  const goesOn = (order: number): boolean => plan.epochs === undefined ? order < plan.moves : handle.epochs.outgoing.epoch < plan.epochs;
  for (let order = 0; goesOn(order); order++) {
    const transport = plan.transports[random(plan.transports.length)];
    const direction = (["both", "outgoing", "incoming"] as const)[random(3)];
    const ringBytes = plan.ringBytes[random(plan.ringBytes.length)];
    const abort = random(12) === 0 ? { signal: AbortSignal.timeout(random(3)) } : {};
    const done = handle.reconfigure(transport, { direction, ringBytes, timeoutMs: 20_000, ...abort }).then(
      () => void moved++,
      (error: unknown) => {
        if (isFableError(error, "SUPERSEDED") || isFableError(error, "ABORTED") || isFableError(error, "REFUSED")) return;
        throw error;
      },
    );
    // Mostly one after the other; now and then the next one comes before this is done.
    if (random(4) !== 0) await done;
    else {
      done.catch(() => {});
      await turn();
    }
    each();
  }
  return moved;
}
