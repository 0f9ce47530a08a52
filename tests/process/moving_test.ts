/** Two processes, one in each runtime, and a channel between them that both move at random under load: nothing is lost, repeated, reordered or torn. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { loadNative } from "../../src/native/load.ts";
import { directListen } from "../../src/xio/direct.ts";
import { orderMoves, plainPlan, readMoving, writeMoving } from "../xio/switching.ts";
import { RUNTIMES, World } from "./harness.ts";

for (const [turn, trust] of (["trusted", "untrusted"] as const).entries()) {
  describe(`moves at random between processes, ${trust}`, () => {
    test(`here and in ${RUNTIMES[1 - turn]}`, { timeout: 60_000 }, async () => {
      const world = new World();
      const path = join(world.folder, "direct.sock");
      const listener = directListen(loadNative(), path, { trust });
      try {
        const program = world.run(RUNTIMES[1 - turn]!, "tests/conformance/peer_program.ts", [path, "mempipe", trust, "move"]);
        const handle = await listener.accept();
        const plan = plainPlan(21, trust);
        let ordering = true;
        let theirs: number | undefined;
        await Promise.all([
          orderMoves(handle, plan, 0).finally(() => ordering = false),
          writeMoving(handle, plan, 0, () => !ordering).then((count) => program.tell(count)),
          program.next("wrote", 50_000).then(({ count }) => theirs = Number(count)),
          readMoving(handle, plan, 1, () => theirs),
        ]);
        const moved = await program.next("moved");
        assert.ok(Number(moved["epoch"]) > 5 && handle.epochs.outgoing.epoch > 5);
        await handle.close();
        assert.deepEqual(await program.exited(), { code: 0, signal: null });
      } finally {
        listener.close();
        await world.close();
      }
    });
  });
}
