/** `fable top` without a terminal: what keys do, and what is drawn. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import picocolors from "picocolors";
import { keysOf } from "../../src/cli/top/keys.ts";
import { begin, pressed, rowsOf, type Sample, sampled, type State, visible } from "../../src/cli/top/model.ts";
import { draw, fit, type Screen, wrap } from "../../src/cli/top/view.ts";
import type { FlowEntry } from "../../src/naming/service.ts";
import type { TransportName } from "../../src/transport/transport.ts";

function flow(name: string, messages: number, bytes: number, transport: TransportName = "mempipe", blockedNs = 0): FlowEntry {
  const names = [`xio://${name}/client`, `xio://${name}/server`] as const;
  const direction = (side: 0 | 1, of: number) => ({
    from: names[side],
    transport,
    trust: "trusted" as const,
    epoch: 2,
    messages: of,
    bytes,
    msgs_per_s: 0,
    wakeups: messages / 10,
    blocked_ns: blockedNs,
    placement: "near",
  });
  return {
    flow: name,
    names,
    pids: [10, 20],
    directions: [direction(0, messages), direction(1, messages / 2)],
    reason: `${transport}, because both ends are on this host and can share memory`,
    since: "2026-01-01T00:00:00.000Z",
  };
}

const first: Sample = { atMs: 1000, flows: [flow("aa-1", 100, 1000), flow("bb-2", 0, 0, "tcp")] };
const second: Sample = {
  atMs: 3000,
  flows: [flow("aa-1", 2100, 5000, "mempipe", 1e9), flow("bb-2", 40, 90_000, "tcp"), flow("cc-3", 7, 7)],
};

function live(): State {
  return sampled(sampled(begin(1000, "rate", ""), first, undefined), second, first);
}

function press(state: State, ...keys: readonly string[]): State {
  return keys.reduce((now, key) => pressed(now, key).state, state);
}

function shown(state: State): readonly string[] {
  return visible(state).map(({ key }) => key);
}

describe("samples", () => {
  test("give rates since the one before, and none for what is new", () => {
    const [there, back, ...rest] = rowsOf(second, first);
    assert.deepEqual([there?.messagesPerS, there?.bytesPerS, there?.blocked, there?.wakeupsPerS], [1000, 2000, 0.5, 100]);
    assert.equal(back?.messagesPerS, 500);
    assert.equal(rest.at(-1)?.messagesPerS, undefined);
    assert.ok(rowsOf(first, undefined).every((row) => row.messagesPerS === undefined));
  });

  test("counts that go back, of a flow that was restored, are no negative rate", () => {
    assert.equal(rowsOf(first, { ...second, atMs: 0 })[0]?.messagesPerS, 0);
  });
});

describe("keys", () => {
  test("sort, reverse and filter what is shown", () => {
    assert.deepEqual(shown(live()), ["aa-1 0", "aa-1 1", "bb-2 0", "bb-2 1", "cc-3 0", "cc-3 1"]);
    assert.deepEqual(shown(press(live(), "s")).slice(0, 2), ["bb-2 0", "bb-2 1"]);
    assert.deepEqual(shown(press(live(), "r"))[0], "cc-3 0");
    assert.deepEqual(shown(press(live(), "/", "t", "c", "p", "enter")), ["bb-2 0", "bb-2 1"]);
    assert.deepEqual(shown(press(live(), "/", "t", "c", "x", "backspace", "escape")).length, 6);
  });

  test("q in a filter is a letter, elsewhere the end", () => {
    assert.equal(press(live(), "/", "q").filter, "q");
    assert.deepEqual(pressed(live(), "q").effect, { do: "quit" });
    assert.deepEqual(pressed(press(live(), "/"), "ctrl-c").effect, { do: "quit" });
  });

  test("the selection stays on its row while rows change places, and goes on when it is gone", () => {
    const state = press(live(), "down", "down");
    assert.equal(state.selected, "bb-2 0");
    assert.equal(sampled(state, { atMs: 4000, flows: [...second.flows].reverse() }, second).selected, "bb-2 0");
    assert.equal(sampled(state, { atMs: 4000, flows: [second.flows[2]!] }, second).selected, "cc-3 0");
    assert.equal(press(live(), ...Array<string>(20).fill("down")).selected, "cc-3 1");
    assert.equal(sampled(state, { atMs: 4000, flows: [] }, second).selected, undefined);
  });

  test("m and a digit order a move, anything else does not", () => {
    const moving = press(live(), "m");
    assert.deepEqual(pressed(moving, "5").effect, { do: "move", flow: "aa-1", transport: "tcp" });
    assert.equal(pressed(moving, "0").effect, undefined);
    assert.equal(pressed(moving, "escape").state.mode.is, "table");
    assert.equal(pressed(sampled(live(), { atMs: 9000, flows: [] }, second), "m").state.mode.is, "table");
  });

  test("the pace stays within its limits", () => {
    assert.equal(press(live(), ...Array<string>(9).fill("-")).intervalMs, 250);
    assert.equal(press(live(), ...Array<string>(9).fill("+")).intervalMs, 60_000);
  });

  test("are read from what a terminal sends", () => {
    assert.deepEqual(keysOf("\x1b[A\x1bOBq\x1b[5~\x1b[99~\r\x7f\x03é"), [
      "up",
      "down",
      "q",
      "page-up",
      "enter",
      "backspace",
      "ctrl-c",
      "é",
    ]);
    assert.deepEqual(keysOf("\x1b"), ["escape"]);
  });
});

describe("the screen", () => {
  const plain = picocolors.createColors(false);
  const screen = (columns: number, lines: number): Screen => ({ columns, lines, colours: plain, clock: "12:00:00", explanation: [] });
  const many = sampled(begin(1000, "flow", ""), {
    atMs: 0,
    flows: Array.from({ length: 100 }, (_, index) => flow(`f-${String(index).padStart(3, "0")}`, index, index)),
  }, undefined);

  test("has exactly its lines, and none is too long, in every mode and size", () => {
    for (
      const state of [
        live(),
        many,
        press(live(), "m"),
        press(live(), "e"),
        press(live(), "?"),
        press(live(), "/", "x"),
        begin(500, "rate", ""),
      ]
    ) {
      for (const [columns, lines] of [[80, 24], [40, 6], [200, 60], [132, 43]] as const) {
        const drawn = draw(state, screen(columns, lines));
        assert.equal(drawn.length, lines, `${state.mode.is} ${columns}x${lines}`);
        for (const line of drawn) assert.ok(line.length <= columns, `${line.length} > ${columns}: ${line}`);
      }
    }
  });

  test("at 80 columns names flow, ends, transport and rates; more where there is room", () => {
    const [, header, row] = draw(live(), screen(80, 24));
    assert.match(header!, /FLOW +DIRECTION +TRANSPORT +MSG\/S +BYTES\/S BLOCK EPOCH$/);
    assert.match(row!, /^> aa-1 +aa-1\/client → .* mempipe +1\.00 k +2\.00 kB +50% +2$/);
    assert.match(draw(live(), screen(200, 24))[1]!, /TRUST +PLACEMENT +REASON/);
  });

  test("explains a flow in plain words, whatever the colours", () => {
    const drawn = draw(press(live(), "e"), { ...screen(80, 24), colours: picocolors.createColors(true), explanation: ["because of that"] });
    assert.ok(drawn.includes("because of that"));
    assert.ok(drawn.every((line) => !line.includes("?[")), "an escape sequence was taken for text");
    assert.match(drawn.join("\n"), /processes 10 and 20.*\naa-1\/client → aa-1\/server\n {2}mempipe, trusted, epoch 2, near/s);
  });

  test("scrolls to the selected row", () => {
    const down = press(many, ...Array<string>(12).fill("page-down"));
    assert.ok(draw(down, screen(80, 24)).some((line) => line.startsWith("> f-060")));
  });

  test("shows no control characters of others", () => {
    assert.equal(fit("a\x1b[31mb\nc", 20), "a?[31mb?c");
    const bad = sampled(begin(1000, "rate", ""), { atMs: 0, flows: [flow("x\x1b[2J", 1, 1)] }, undefined);
    assert.ok(draw(bad, screen(80, 24)).every((line) => !/\p{Cc}/u.test(line)));
  });

  test("wraps sentences", () => {
    assert.deepEqual(wrap("one two three", 8), ["one two", "  three"]);
  });
});
