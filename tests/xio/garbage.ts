/** Making the collectors of both runtimes collect. */
import assert from "node:assert/strict";

/** So many of a kind, of which nearly all are collected when some are. */
export const HANDLES = 20;
/** Rounds of making garbage before the collector is given up on. */
const ROUNDS = 2000;

/** Makes garbage until what was given up before it has been collected, and finalizers had their turn. */
export async function collect(): Promise<void> {
  let collected = 0;
  const registry = new FinalizationRegistry(() => collected++);
  (() => {
    for (let count = 0; count < HANDLES; count++) registry.register({ count }, undefined);
  })();
  // The collectors leave alone what a stale register or stack slot may still refer to.
  for (let round = 0; collected < HANDLES * 0.8; round++) {
    assert.ok(round < ROUNDS, "nothing is collected");
    for (let count = 0; count < 50; count++) new Uint8Array(1 << 20).fill(1);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
}
