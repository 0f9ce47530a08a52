/** Real doorbells in the event loop of the runtime that runs this test, and programs that end, or do not, because of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadNative } from "../../src/native/load.ts";
import { here, runProgram } from "./programs.ts";

const { library, runtime } = loadNative();
const STREAM = 1;

function doorbell(): { readonly ours: number; readonly theirs: number; close(): void } {
  const pair = new Int32Array(2);
  assert.equal(library.socketpair(STREAM, pair), 0);
  const [ours = -1, theirs = -1] = pair;
  return { ours, theirs, close: () => (library.close(ours), library.close(theirs)) };
}

function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const next = (left: number) => (left === 0 ? resolve() : runtime.nextTurn(() => next(left - 1)));
    next(count);
  });
}

/** Lets the event loop turn until `happened`, at most for ten seconds. */
async function eventually(happened: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!happened() && Date.now() < deadline) await turns(1);
  assert.ok(happened());
}

describe("watchDoorbell", () => {
  test("reports every byte that was rung, in however many calls", async () => {
    const bell = doorbell();
    let bytes = 0;
    const watch = runtime.watchDoorbell(bell.ours, (count) => (bytes += count), () => assert.fail("no hang-up"));
    assert.equal(library.write(bell.theirs, new Uint8Array(1), 1), 1);
    await eventually(() => bytes === 1);
    assert.equal(library.write(bell.theirs, new Uint8Array(1000), 1000), 1000);
    await eventually(() => bytes === 1001);
    watch.close();
    bell.close();
  });

  test("consumes what was rung before it watched", async () => {
    const bell = doorbell();
    library.write(bell.theirs, new Uint8Array(2), 2);
    let bytes = 0;
    const watch = runtime.watchDoorbell(bell.ours, (count) => (bytes += count), () => {});
    await eventually(() => bytes === 2);
    assert.ok(library.read(bell.ours, new Uint8Array(8), 8) < 0, "nothing is left to read");
    watch.close();
    bell.close();
  });

  test("says once that the other side is gone", async () => {
    const bell = doorbell();
    let hangUps = 0;
    const watch = runtime.watchDoorbell(bell.ours, () => {}, () => hangUps++);
    library.close(bell.theirs);
    await eventually(() => hangUps > 0);
    await turns(20);
    assert.equal(hangUps, 1);
    watch.close();
    await turns(20);
    assert.equal(hangUps, 1);
    library.close(bell.ours);
  });

  test("a reset is a hang-up too", async () => {
    const bell = doorbell();
    let hangUps = 0;
    runtime.watchDoorbell(bell.ours, () => {}, () => hangUps++);
    library.write(bell.ours, new Uint8Array(1), 1); // unread when the other side closes: the kernel answers ECONNRESET
    library.close(bell.theirs);
    await eventually(() => hangUps === 1);
    library.close(bell.ours);
  });

  test("closing a watch leaves the descriptor open and working", async () => {
    const bell = doorbell();
    let calls = 0;
    const watch = runtime.watchDoorbell(bell.ours, () => calls++, () => calls++);
    await turns(2);
    watch.close();
    watch.close();
    await turns(2);
    assert.equal(library.write(bell.theirs, new Uint8Array(1), 1), 1);
    await turns(20);
    assert.equal(calls, 0);
    assert.equal(library.read(bell.ours, new Uint8Array(8), 8), 1);
    assert.equal(library.write(bell.ours, new Uint8Array(3), 3), 3);
    assert.equal(library.read(bell.theirs, new Uint8Array(8), 8), 3);
    bell.close();
  });

  test("the watched end can still ring", async () => {
    const bell = doorbell();
    const watch = runtime.watchDoorbell(bell.ours, () => {}, () => {});
    await turns(2);
    assert.equal(library.write(bell.ours, new Uint8Array(1), 1), 1);
    assert.equal(library.read(bell.theirs, new Uint8Array(8), 8), 1);
    watch.close();
    bell.close();
  });

  test("a descriptor that is none is refused at once", () => {
    assert.throws(() => runtime.watchDoorbell(1_000_000, () => {}, () => {}), /EBADF/);
  });

  test("no descriptor is lost over a thousand watches", async () => {
    const first = doorbell();
    first.close();
    for (let round = 0; round < 10; round++) {
      const bells = Array.from({ length: 100 }, doorbell);
      const watches = bells.map(({ ours }) => runtime.watchDoorbell(ours, () => {}, () => {}));
      await turns(2);
      for (const watch of watches) watch.close();
      await turns(2);
      for (const bell of bells) bell.close();
    }
    // The lowest free descriptors are the same ones again.
    const last = doorbell();
    last.close();
    assert.deepEqual([last.ours, last.theirs], [first.ours, first.theirs]);
  });
});

describe("nextTurn", () => {
  test("runs after microtasks, and lets I/O in between", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      runtime.nextTurn(() => (order.push("turn"), resolve()));
      queueMicrotask(() => order.push("microtask"));
    });
    assert.deepEqual(order, ["microtask", "turn"]);
    const bell = doorbell();
    let rung = false;
    const watch = runtime.watchDoorbell(bell.ours, () => (rung = true), () => {});
    library.write(bell.theirs, new Uint8Array(1), 1);
    await turns(1000);
    assert.ok(rung, "a thousand turns did not starve the doorbell");
    watch.close();
    bell.close();
  });
});

describe(`a program in ${here} with no other permission than --allow-ffi`, () => {
  const program = (mode: string, timeoutMs?: number) =>
    runProgram(here, "tests/runtime/doorbell_program.ts", [mode], timeoutMs === undefined ? {} : { timeoutMs });

  test("ends while a hundred unref'd watches are open", async () => {
    assert.deepEqual(await program("unref"), { exitCode: 0, stdout: "watching\n", stderr: "" });
  });

  test("is kept alive by a ref'd watch until that lets go", async () => {
    assert.deepEqual(await program("ref"), { exitCode: 0, stdout: "rung\n", stderr: "" });
  });

  test("does not end while a watch is ref'd", async () => {
    assert.equal((await program("stay", 1500)).exitCode, null);
  });

  test("ends when ref'd watches are closed", async () => {
    assert.deepEqual(await program("close"), { exitCode: 0, stdout: "closed\n", stderr: "" });
  });

  test("spends nothing on a hundred idle watches", async () => {
    const { stdout } = await program("idle");
    assert.match(stdout, /^\d+\n$/);
    // CPU time, not time on the clock: looking at them every 10 ms would take more.
    assert.ok(Number(stdout) < 20, `${stdout.trim()} ms of CPU in one second`);
  });
});
