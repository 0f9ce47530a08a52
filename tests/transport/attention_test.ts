/** What a thread attends to while it blocks or looks in vain: how often, for how long a wait may last, and which descriptor wakes it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Attention } from "../../src/transport/attention.ts";

class Desk {
  looks = 0;
  patienceMs = Infinity;
  readonly wakeFd: number;

  constructor(wakeFd: number) {
    this.wakeFd = wakeFd;
  }

  attend(): void {
    this.looks++;
  }
}

describe("attention", () => {
  test("with nothing to attend to, waits are as long as they are", () => {
    const attention = new Attention(() => 0);
    assert.deepEqual([attention.wakeFd, attention.timeoutMs(Infinity), attention.timeoutMs(7.2)], [-1, -1, 8]);
    assert.equal(attention.due(1000), false);
  });

  test("one desk wakes a wait that lasts for ever; several are looked at in turn", () => {
    const attention = new Attention(() => 0);
    attention.add(new Desk(-1));
    assert.deepEqual([attention.wakeFd, attention.timeoutMs(Infinity)], [-1, -1]);
    attention.add(new Desk(7));
    assert.equal(attention.wakeFd, 7);
    assert.ok(attention.timeoutMs(Infinity) > 0);
  });

  test("a desk without patience bounds waits", () => {
    const attention = new Attention(() => 0);
    const desk = new Desk(-1);
    attention.add(desk);
    desk.patienceMs = 250;
    assert.deepEqual([attention.timeoutMs(Infinity), attention.timeoutMs(20)], [250, 20]);
  });

  test("who never sleeps looks every few milliseconds, and a vain look costs nothing in between", () => {
    let now = 0;
    let asked = 0;
    const attention = new Attention(() => (asked++, now));
    const desk = new Desk(3);
    attention.add(desk);
    for (; now < 100; now += 0.001) attention.vain();
    assert.ok(desk.looks >= 10 && desk.looks <= 20, `${desk.looks} looks in 100 ms`);
    assert.ok(asked < 200, `${asked} looks at the clock in 100,000`);
    assert.deepEqual([attention.due(now + 6), attention.due(now + 7)], [true, false]);
  });

  test("a channel that moves is followed until it is there, or its time is over", () => {
    let now = 0;
    let steps = 0;
    const attention = new Attention(() => now);
    const stop = attention.follow(() => steps++, 50);
    attention.follow(() => steps += 100, 5);
    attention.attend();
    assert.equal(steps, 101);
    assert.ok(attention.timeoutMs(Infinity) <= 10);
    now = 20;
    attention.attend();
    assert.equal(steps, 102);
    stop();
    assert.equal(attention.timeoutMs(Infinity), -1);
  });
});
