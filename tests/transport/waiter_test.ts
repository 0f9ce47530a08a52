/** The waiter over a fake native core: when it looks, when it lets others have their turn, when it sleeps, and what it keeps alive. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { READABLE, WAIT_ENTRY_HANDLE, WAIT_ENTRY_READY, WAIT_ENTRY_WANT, WAIT_ENTRY_WORDS, WRITABLE } from "../../src/native/generated.ts";
import type { Library } from "../../src/native/library.ts";
import type { Native } from "../../src/native/native.ts";
import { mempipe, mempipeSpin } from "../../src/transport/mempipe.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { type Waitable, Waiter } from "../../src/transport/waiter.ts";

interface Poll {
  readonly handles: readonly number[];
  readonly wanted: readonly number[];
  readonly spinNs: number;
  readonly announce: number;
}

/** A native core of which only the waiting exists, and an event loop whose turns the test makes. */
class Stage {
  readonly polls: Poll[] = [];
  readonly awoken: number[] = [];
  /** What is ready, by handle. */
  readonly ready = new Map<number, number>();
  readonly turns: (() => void)[] = [];
  readonly waiter: Waiter;
  /** What the clock says, in milliseconds, if it stands still. */
  now: number | undefined;

  constructor() {
    const library: Pick<Library, "poll" | "awake"> = {
      poll: (entries, count, spinNs, announce) => this.#poll(entries, count, spinNs, announce),
      awake: (handle) => this.awoken.push(handle) * 0,
    };
    const runtime = { nextTurn: (task: () => void): void => void this.turns.push(task) };
    this.waiter = new Waiter({ library, runtime, blocks: new Uint32Array(0) } as unknown as Native, () => this.now ?? Date.now());
  }

  #poll(entries: Uint32Array, count: number, spinNs: number, announce: number): number {
    const handles: number[] = [];
    const wanted: number[] = [];
    let found = 0;
    for (let slot = 0; slot < count; slot++) {
      const at = slot * WAIT_ENTRY_WORDS;
      handles.push(entries[at + WAIT_ENTRY_HANDLE]);
      wanted.push(entries[at + WAIT_ENTRY_WANT]);
      const bits = (this.ready.get(handles[slot]) ?? 0) & wanted[slot];
      entries[at + WAIT_ENTRY_READY] = bits;
      if (bits !== 0) found++;
    }
    this.polls.push({ handles, wanted, spinNs, announce });
    return found;
  }

  /** Runs all microtasks that are due, and those they lead to. */
  async microtasks(): Promise<void> {
    for (let count = 0; count < 500; count++) await undefined;
  }

  /** One turn of the event loop. */
  async turn(): Promise<void> {
    for (const task of this.turns.splice(0)) task();
    await this.microtasks();
  }

  async untilAsleep(): Promise<void> {
    await this.microtasks();
    while (this.turns.length > 0 && !this.announced) await this.turn();
  }

  get announced(): boolean {
    return this.polls.at(-1)?.announce === 1;
  }
}

class FakeChannel implements Waitable {
  readonly handle: number;
  readonly moves: { readonly incoming: Transport; readonly outgoing: Transport };
  spins = true;
  keepsAlive = true;
  awaitsEnd = false;
  slot = -1;
  wanted = 0;
  dirtyQueued = false;
  flushes = 0;
  ref = false;
  readonly got: number[] = [];
  /** What the program does when it is told. */
  then: () => void = () => {};

  constructor(handle: number, transport: Transport = mempipe) {
    this.handle = handle;
    this.moves = { incoming: transport, outgoing: transport };
  }

  readonly onReady = (ready: number): void => {
    this.got.push(ready);
    this.then();
  };

  setRef(on: boolean): void {
    this.ref = on;
  }

  endTurn(): void {
    this.flushes++;
  }
}

describe("looking", () => {
  test("nothing is looked at while nobody waits", async () => {
    const stage = new Stage();
    await stage.microtasks();
    assert.equal(stage.polls.length, 0);
    assert.equal(stage.turns.length, 0);
  });

  test("what is ready is told once, in a microtask, and waiting for it ends", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(7);
    stage.ready.set(7, READABLE | WRITABLE);
    stage.waiter.want(channel, READABLE);
    assert.deepEqual(channel.got, []);
    await stage.microtasks();
    assert.deepEqual(channel.got, [READABLE]);
    assert.equal(stage.polls.length, 1);
    assert.equal(stage.turns.length, 0);
  });

  test("all who wait are looked at together, and who stays keeps its place in the table", async () => {
    const stage = new Stage();
    const channels = Array.from({ length: 30 }, (_, index) => new FakeChannel(100 + index));
    for (const channel of channels) stage.waiter.want(channel, READABLE);
    stage.ready.set(103, READABLE);
    stage.ready.set(129, READABLE);
    await stage.microtasks();
    assert.equal(stage.polls[0].handles.length, 30);
    assert.deepEqual(channels.filter((channel) => channel.got.length > 0).map((channel) => channel.handle), [103, 129]);
    const { handles, wanted } = stage.polls[1];
    assert.deepEqual([...handles].sort(), channels.map((channel) => channel.handle).filter((handle) => handle !== 103 && handle !== 129));
    assert.ok(wanted.every((want) => want === READABLE));
    for (const channel of channels) assert.equal(channel.slot, handles.indexOf(channel.handle));
  });

  test("reading and writing are waited for independently", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.waiter.want(channel, READABLE);
    stage.waiter.want(channel, WRITABLE);
    stage.ready.set(1, WRITABLE);
    await stage.microtasks();
    assert.deepEqual(channel.got, [WRITABLE]);
    assert.equal(stage.polls.at(-1)?.wanted[0], READABLE);
    stage.waiter.unwant(channel, READABLE);
    assert.equal(channel.slot, -1);
  });

  test("batches are flushed at the end of the turn, once, and before every look", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.waiter.flushLater(channel);
    stage.waiter.flushLater(channel);
    assert.equal(channel.flushes, 0);
    await stage.microtasks();
    assert.equal(channel.flushes, 1);
    stage.waiter.want(channel, READABLE);
    stage.waiter.flushLater(channel);
    await Promise.resolve();
    assert.equal(channel.flushes, 2, "by the look, which came first");
  });
});

describe("sleeping", () => {
  test("after glances, in a turn of its own: one spin, announced; then nothing until a doorbell rings", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.waiter.want(channel, READABLE);
    await stage.microtasks();
    assert.ok(stage.polls.length > 20, "glances");
    assert.ok(stage.polls.every((poll) => poll.spinNs === 0 && poll.announce === 0));
    assert.equal(stage.turns.length, 1);
    await stage.turn();
    const last = stage.polls.at(-1)!;
    assert.equal(last.announce, 1);
    assert.ok(last.spinNs > 0);
    assert.equal(stage.turns.length, 0);
    const asleep = stage.polls.length;
    await stage.microtasks();
    assert.equal(stage.polls.length, asleep, "no look while asleep");
    stage.ready.set(1, READABLE);
    stage.waiter.rung();
    await stage.microtasks();
    assert.deepEqual(channel.got, [READABLE]);
  });

  test("a new wait wakes it: announcements are taken back by the look and made again", async () => {
    const stage = new Stage();
    const first = new FakeChannel(1);
    stage.waiter.want(first, READABLE);
    await stage.untilAsleep();
    const second = new FakeChannel(2);
    stage.ready.set(2, READABLE);
    stage.waiter.want(second, READABLE);
    await stage.microtasks();
    assert.deepEqual(second.got, [READABLE]);
    await stage.untilAsleep();
    assert.deepEqual(stage.polls.at(-1), { ...stage.polls.at(-1)!, handles: [1], announce: 1 });
  });

  test("who leaves while it sleeps takes its announcement back", async () => {
    const stage = new Stage();
    const [stays, leaves] = [new FakeChannel(1), new FakeChannel(2)];
    stage.waiter.want(stays, READABLE);
    stage.waiter.want(leaves, READABLE);
    await stage.untilAsleep();
    stage.waiter.unwant(leaves, READABLE);
    assert.deepEqual(stage.awoken, [2]);
    stage.waiter.forget(stays);
    assert.deepEqual(stage.awoken, [2, 1]);
  });

  test("an end that shares this thread is never spun for", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    channel.spins = false;
    stage.waiter.want(channel, READABLE);
    await stage.untilAsleep();
    assert.ok(stage.polls.every((poll) => poll.spinNs === 0));
  });

  test("a transport that is to spin does not sleep, but lets the event loop turn; after a tenth of a second without news it sleeps", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1, mempipeSpin);
    let now = stage.now = 1000;
    stage.waiter.want(channel, READABLE);
    await stage.microtasks();
    for (let round = 0; round < 2; round++) {
      for (let turn = 0; turn < 20; turn++) {
        assert.equal(stage.turns.length, 1);
        await stage.turn();
        stage.now = now += 4;
      }
      assert.equal(stage.announced, false);
      stage.ready.set(1, READABLE);
      await stage.turn();
      assert.deepEqual(channel.got.splice(0), [READABLE]);
      stage.ready.clear();
      stage.waiter.want(channel, READABLE);
      await stage.microtasks();
    }
    await stage.turn();
    assert.equal(stage.announced, false);
    stage.now = now + 101;
    await stage.turn();
    assert.equal(stage.announced, true);
    assert.deepEqual(stage.turns, []);
    stage.ready.set(1, READABLE);
    stage.waiter.rung();
    await stage.microtasks();
    assert.deepEqual(channel.got, [READABLE]);
  });
});

describe("fairness", () => {
  test("messages without end leave room for timers and sockets", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.ready.set(1, READABLE);
    let turns = 0;
    // Each message is waited for again, as by a program that answers it.
    channel.then = () => stage.waiter.want(channel, READABLE);
    stage.waiter.want(channel, READABLE);
    for (let round = 0; round < 200 && turns < 3; round++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const task of stage.turns.splice(0)) {
        turns++;
        task();
      }
    }
    stage.ready.clear();
    channel.then = () => {};
    await stage.untilAsleep();
    assert.ok(turns >= 3);
    assert.ok(channel.got.length > 100, "and are told between them");
  });
});

describe("keeping the process alive", () => {
  test("exactly while somebody waits", async () => {
    const stage = new Stage();
    const [waits, idle] = [new FakeChannel(1), new FakeChannel(2)];
    stage.waiter.want(waits, READABLE);
    await stage.untilAsleep();
    assert.deepEqual([waits.ref, idle.ref], [true, false]);
    stage.ready.set(1, READABLE);
    stage.waiter.rung();
    await stage.microtasks();
    await stage.turn();
    assert.equal(waits.ref, false);
  });

  test("not for a handle that was unref'd, also while it waits", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.waiter.want(channel, READABLE);
    await stage.untilAsleep();
    channel.keepsAlive = false;
    stage.waiter.refChanged(channel);
    assert.equal(channel.ref, false);
    channel.keepsAlive = true;
    stage.waiter.refChanged(channel);
    assert.equal(channel.ref, true);
  });

  test("for somebody who waits for the end", () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    channel.awaitsEnd = true;
    stage.waiter.refChanged(channel);
    assert.equal(channel.ref, true);
    stage.waiter.forget(channel);
    assert.equal(channel.ref, false);
  });

  test("a wait that is given up lets go", async () => {
    const stage = new Stage();
    const channel = new FakeChannel(1);
    stage.waiter.want(channel, READABLE);
    await stage.untilAsleep();
    stage.waiter.unwant(channel, READABLE);
    await stage.turn();
    assert.equal(channel.ref, false);
  });
});
