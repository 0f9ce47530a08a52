/** bench/peers, what of it needs no other process: framing, the workload's own protocol, cells, and that the README shows what was measured. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cellsOf, figureOf, type Measured, type PeerCell, skippedOf } from "../../bench/peers/cells.ts";
import { Message, type PeerEnd, type PeerJob, wordOf, Words } from "../../bench/peers/ends/end.ts";
import { OURS, type Peer, PEERS } from "../../bench/peers/list.ts";
import { markdown, MARKERS, type PeersReport, readmeLines } from "../../bench/peers/report.ts";
import { answer, Beginner } from "../../bench/peers/work.ts";
import { blockOf, withBlock } from "../../bench/runner/readme.ts";
import { root } from "../../scripts/lib/checkout.ts";

const JOB: PeerJob = { medium: "net-socket", side: 0, sizeBytes: 64, cores: [0, 1], path: "", seconds: 0.01, runs: 2 };

/** Two ends in one thread; `damage` may change what one of them says. */
function pair(windowed: boolean, damage: (word: number) => number = (word) => word): readonly [PeerEnd, PeerEnd] {
  const callbacks: ((word: number) => void)[] = [() => {}, () => {}];
  let underWay = 0;
  const end = (own: 0 | 1): PeerEnd => ({
    windowed,
    send(word) {
      underWay++;
      assert.ok(!windowed || underWay <= 4096 + 8, `${underWay} messages under way`);
      const said = own === 0 ? damage(word) : word;
      setTimeout(() => {
        underWay--;
        callbacks[1 - own]!(said);
      }, 0);
      // Now and then it asks to wait, as streams do.
      return !windowed && word % 7 === 0 ? new Promise((resolve) => setTimeout(resolve, 0)) : undefined;
    },
    onWord: (callback) => void (callbacks[own] = callback),
    close() {},
  });
  return [end(0), end(1)];
}

/** A tenth of a second passes between two looks. */
function fakeClock(): () => number {
  let now = 0;
  return () => now += 1e8;
}

describe("peers", () => {
  test("words are found however a stream is cut", () => {
    for (const size of [8, 24, 64, 1000]) {
      const count = 50;
      const stream = new Uint8Array(size * count);
      const message = new Message(size);
      for (let n = 0; n < count; n++) stream.set(message.with(n), n * size);
      for (let step = 1; step < 3 * size; step = step * 2 + 1) {
        const words = new Words(size);
        const seen: number[] = [];
        // Views into something larger, as chunks are.
        for (let at = 0; at < stream.length; at += step) words.push(stream.subarray(at, at + step), (word) => void seen.push(word));
        assert.deepEqual(seen, Array.from({ length: count }, (_, n) => n), `${size} B in pieces of ${step}`);
      }
    }
    assert.equal(wordOf(new Message(16).with(-2.5)), -2.5);
  });

  for (const windowed of [true, false]) {
    test(`ping-pong and streams agree about what came, ${windowed ? "acknowledged" : "with backpressure"}`, async () => {
      const [first, second] = pair(windowed);
      const answered = answer(second, { ...JOB, side: 1 });
      const { p50_ns, rates } = await new Beginner(first, JOB, fakeClock()).run();
      await answered;
      // A look at the end of each block of 16 round trips, and one at its beginning by whoever decides when it is enough.
      assert.equal(p50_ns % (1e8 / 32), 0);
      assert.equal(rates.length, 2);
      assert.ok(rates.every((rate) => rate > 0));
    });
  }

  test("a message out of order is an error", async () => {
    // Numbers of a ping-pong come one by one; in a stream 3 comes twice, and nothing as 4.
    let streaming = false;
    const [first, second] = pair(false, (word) => {
      if (word < 0) streaming = true;
      return streaming && word === 4 ? 3 : word;
    });
    void answer(second, { ...JOB, side: 1 });
    await assert.rejects(new Beginner(first, JOB, fakeClock()).run(), /out of order/);
  });

  const placement = { before: 50, after: 60 };
  const measured = (peer: Peer, figures: readonly [number, number][], error?: string): Measured => ({
    peer,
    size_bytes: 64,
    outcome: {
      task: "",
      samples: figures.map(([p50_ns, msgs_per_s]) => ({ value: { p50_ns, msgs_per_s }, placement })),
      setAside: [],
      ...(error === undefined ? {} : { error }),
    },
  });
  const named = (name: string, runtime: string): Peer => PEERS.find((peer) => peer.name.startsWith(name) && peer.runtime === runtime)!;
  const ours = [measured(OURS[0]!, [[250, 4e6], [150, 6e6], [200, 5e6]]), measured(OURS[1]!, [[500, 1e6]])];

  test("ratios are of medians, and above 1 where FABLE is better", () => {
    const theirs = [measured(named("Bun.spawn IPC (json)", "bun"), [[20_000, 5e5]]), measured(named("node:net", "node"), [[250, 2e6]])];
    const cells = cellsOf(ours, theirs, [0, 1]);
    const of = (peer: string, kind: string): PeerCell => cells.find((cell) => cell.peer.startsWith(peer) && cell.kind === kind)!;
    assert.equal(of("Bun.spawn", "lat").ratio, 100);
    assert.equal(of("Bun.spawn", "thr").ratio, 10);
    // Node's are compared with Deno's.
    assert.deepEqual([of("node:net", "lat").ratio, of("node:net", "thr").ratio], [0.5, 0.5]);
    assert.deepEqual(of("node:net", "thr").ours, { transport: "mempipe", driver: "deno", value: 1e6 });
    assert.deepEqual([of("FABLE", "lat").runs, of("FABLE", "lat").p50_ns, of("FABLE", "lat").ours], [[250, 150, 200], 200, undefined]);
    assert.deepEqual([of("FABLE", "lat").placement_before_ns, of("FABLE", "lat").placement_after_ns], [50, 60]);
    assert.equal(figureOf(of("FABLE", "thr")), 5e6);
  });

  test("who could not be measured is named with the reason", () => {
    const [skipped] = skippedOf([measured(named("zeromq", "node"), [], "exit code 1\nno such module\nat line 1")]);
    assert.deepEqual(skipped, { peer: "zeromq.js, ipc", runtime: "node", reason: "64 B: exit code 1: no such module" });
  });

  test("the README's block is replaced, and only that", () => {
    const report = reportOf(cellsOf(ours, [measured(named("Bun.spawn IPC (json)", "bun"), [[20_000, 5e5]])], [0, 1]));
    const lines = readmeLines(report);
    const { begin, end } = MARKERS;
    const block = `${begin}\n\n${lines.join("\n")}\n\n${end}`;
    assert.equal(withBlock(`before\n${begin}\nold\n${end}\nafter\n`, MARKERS, lines), `before\n${block}\nafter\n`);
    assert.deepEqual(blockOf(`before\n${block}\nafter`, MARKERS), lines);
    assert.throws(() => withBlock("no markers", MARKERS, lines), /lacks the markers/);
    assert.match(block, /\| Bun\.spawn IPC \(json\) +\| bun +\| 100× · 10× +\| – · – /);
    assert.match(block, /\| \*\*FABLE\*\* +\| bun +\| 200 ns · 5\.00 M\/s/);
    assert.doesNotMatch(block, /acknowledgement/);
    const stalled = reportOf(cellsOf(ours, [measured(named("Bun.spawn IPC (json)", "bun"), [[22e6, 5e5]])], [0, 1]));
    assert.match(readmeLines(stalled).at(-1) ?? "", /acknowledgement.* Bun\.spawn IPC \(json\) \(bun\) at 64 B: 22\.0 ms\.$/);
    const page = markdown({ ...report, skipped: [{ peer: "zeromq.js, ipc", runtime: "node", reason: "missing" }] });
    assert.match(page, /^- zeromq\.js, ipc \(node\): missing$/m);
    assert.match(page, /200 ns \(150 ns–250 ns\)/);
  });

  test("README shows what bench/results/peers.json says", () => {
    const file = join(root, "bench/results/peers.json");
    assert.ok(existsSync(file), "npm run bench:peers writes it");
    const report = JSON.parse(readFileSync(file, "utf8")) as PeersReport;
    assert.deepEqual(blockOf(readFileSync(join(root, "README.md"), "utf8"), MARKERS), readmeLines(report));
    assert.equal(readFileSync(join(root, "bench/results/peers.md"), "utf8"), markdown(report));
  });
});

function reportOf(peers: readonly PeerCell[]): PeersReport {
  const environment = {
    date: "2026-01-02T03:04:05Z",
    revision: "abc",
    cpus: 2,
    cpu: "Some CPU",
    virtualization: "none seen",
    kernel: "6.1",
  };
  return { environment: { ...environment, bun: "1", deno: "2" }, rounds: 3, line_ns: 55, peers, skipped: [] } as unknown as PeersReport;
}
