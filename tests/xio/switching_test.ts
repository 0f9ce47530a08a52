/** A channel in one process that moves at random under load, between all transports, with both ends giving orders. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { channelPair } from "../../mod.ts";
import { DEFAULT_PLAN, orderMoves, readMoving, type SwitchPlan, writeMoving } from "./switching.ts";

const EPOCHS = 20;

for (const trust of ["trusted", "untrusted"] as const) {
  for (const seed of [1, 2]) {
    describe(`moves at random, ${trust}, seed ${seed}`, () => {
      test("nothing is lost, repeated, reordered or torn", async () => {
        const transports = DEFAULT_PLAN.transports.filter((transport) => trust === "trusted" || transport !== "vmsplice-coop");
        // So many epochs, not so many orders: on a busy machine most orders are superseded.
        const plan: SwitchPlan = { ...DEFAULT_PLAN, seed, transports, epochs: EPOCHS };
        const [left, right] = channelPair({ trust, drainDeadlineMs: seed * 2 });
        let ordering = 2;
        const sent: (number | undefined)[] = [undefined, undefined];
        const write = async (way: number): Promise<void> => {
          sent[way] = await writeMoving(way === 0 ? left : right, plan, way, () => ordering === 0);
        };
        const order = async (salt: number): Promise<void> => {
          try {
            await orderMoves(salt === 0 ? left : right, plan, salt);
          } finally {
            ordering--;
          }
        };
        await Promise.all([
          order(0),
          order(1),
          write(0),
          write(1),
          readMoving(right, plan, 0, () => sent[0]),
          readMoving(left, plan, 1, () => sent[1]),
        ]);
        assert.ok(left.epochs.outgoing.epoch >= EPOCHS && right.epochs.outgoing.epoch >= EPOCHS);
        const reasons = await Promise.all([left.close(), right.close()]);
        assert.deepEqual([reasons[0].delivered, reasons[1].delivered], [reasons[0].sent, reasons[1].sent]);
      });
    });
  }
}

test("what was read before a move counts as delivered when the channel closes, although a cursor still stands there", async () => {
  const [left, right] = channelPair({ drainDeadlineMs: 1000 });
  for (let n = 0; n < 6; n++) await left.send(Uint8Array.of(n));
  await right.waitReadable();
  const buffers = right.getReadBuf(5);
  assert.ok(right.reader().next());
  await left.reconfigure("unix");
  while (right.epochs.incoming.transport !== "unix") await new Promise((resolve) => setTimeout(resolve, 1));
  right.release(buffers);
  const [reason] = await Promise.all([left.close(), right.close()]);
  assert.deepEqual([reason.sent, reason.delivered], [6, 6]);
});

test("moves that get there are never too many", async () => {
  const [left, right] = channelPair();
  for (let n = 0; n < 40; n++) await left.reconfigure(n % 2 === 0 ? "mempipe-spin" : "mempipe");
  assert.deepEqual([left.epochs.outgoing.epoch, left.epochs.incoming.epoch], [40, 40]);
  await Promise.all([left.close(), right.close()]);
});
