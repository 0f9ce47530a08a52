/** The sentences of the report: each says what made-up cells show, with their figures, and is silent where they show nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { advantage, counterpart, overLine, overTcp, placementOf, rowsOf } from "../../bench/report/analysis.ts";
import { withRatios } from "../../bench/report/figures/peers.ts";
import { type ReadCell, readReport } from "../../bench/report/input.ts";
import { page } from "../../bench/report/page.ts";
import { peerFindings } from "../../bench/report/peer-findings.ts";
import { cautions, surprisesOf } from "../../bench/report/surprises.ts";
import { noSilverBullet, runtimesCost, untrustedCosts, winnersOf } from "../../bench/report/surprises/choice.ts";
import type { Surprise } from "../../bench/report/surprises/finding.ts";
import {
  blockingOnOneCore,
  distance,
  interruptAndLine,
  longTails,
  nearTheHardware,
  spinningOnOneCore,
  wanderingCores,
} from "../../bench/report/surprises/latency.ts";
import { comparingEveryByte, spinningAcrossCores, tcpAt64KiB } from "../../bench/report/surprises/throughput.ts";
import { synthetic } from "../../bench/report/synthetic.ts";

type Fields = Readonly<Record<string, unknown>>;

const NEAR = { cores: [0, 1], placement_before_ns: 50, placement_after_ns: 52 };
const SAME = { cores: [0, 0], placement_before_ns: null, placement_after_ns: null };
const FAR = { cores: [0, 2], placement_before_ns: 220, placement_after_ns: 230 };

function lat(transport: string, p50_ns: number, more: Fields = {}): Fields {
  return { kind: "lat", transport, size_bytes: 64, ...NEAR, p50_ns, ...more };
}

function thr(transport: string, msgs_per_s: number, more: Fields = {}): Fields {
  return { kind: "thr", transport, size_bytes: 65_536, batch: 16, ...NEAR, msgs_per_s, ...more };
}

function cellsOf(fields: readonly Fields[]): readonly ReadCell[] {
  const read = readReport({ cells: fields });
  assert.equal(read.unreadable, 0);
  return read.cells;
}

function says(surprise: Surprise, fields: readonly Fields[]): readonly string[] {
  return surprise(rowsOf(cellsOf(fields))).map(({ sentence }) => sentence);
}

describe("what may be compared", () => {
  test("placement is told by the line, not by the cores", () => {
    const placements = [NEAR, SAME, FAR, { ...NEAR, placement_after_ns: 90 }, {
      ...NEAR,
      placement_before_ns: null,
      placement_after_ns: null,
    }, {
      ...NEAR,
      placement_before_ns: 26,
      placement_after_ns: 27,
    }];
    assert.deepEqual(cellsOf(placements.map((placement) => lat("unix", 1, placement))).map(placementOf), [
      "near",
      "same core",
      "far",
      undefined,
      "across cores",
      "same physical core",
    ]);
  });

  test("a cell whose placement changed is in no row", () => {
    assert.equal(rowsOf(cellsOf([lat("unix", 1, { placement_after_ns: 250 })])).length, 0);
  });

  test("the same cores in another placement are not compared", () => {
    const rows = rowsOf(cellsOf([lat("unix", 20, { placement_before_ns: 220, placement_after_ns: 222 }), lat("tcp", 30)]));
    assert.deepEqual(rows.map((row) => overTcp(rows, row)), [1, undefined]);
  });

  test("neither are other sizes, drivers, batches or checks", () => {
    const own = thr("unix", 20, { check: "plain", driver: "bun" });
    const others = [{ size_bytes: 64 }, { driver: "deno" }, { batch: 1 }, { check: "full" }].map((more) =>
      thr("tcp", 10, { check: "plain", driver: "bun", ...more })
    );
    const rows = rowsOf(cellsOf([own, ...others]));
    const unix = rows.find(({ transport }) => transport === "unix")!;
    assert.deepEqual([rows.length, counterpart(rows, unix, "tcp")], [5, undefined]);
    const like = rowsOf(cellsOf([own, thr("tcp", 10, { check: "plain", driver: "bun" })]));
    assert.equal(overTcp(like, like[0]!), 2);
  });

  test("a ratio is taken pair by pair, over pairs that both have", () => {
    const pair = (a: number, b: number): Fields => ({ ...NEAR, cores: [a, b] });
    const rows = rowsOf(cellsOf([
      lat("unix", 10, pair(0, 1)),
      lat("unix", 10, pair(1, 0)),
      lat("unix", 900, pair(2, 3)),
      lat("tcp", 20, pair(0, 1)),
      lat("tcp", 40, pair(1, 0)),
      lat("tcp", 1, pair(4, 5)),
    ]));
    assert.equal(advantage(rows[0]!, rows[1]!), 3);
    assert.equal(advantage(rows[0]!, { ...rows[1]!, cells: [] }), undefined);
  });

  test("lines are each cell's own", () => {
    const [row] = rowsOf(
      cellsOf([lat("unix", 510), lat("unix", 1000, { cores: [1, 0], placement_before_ns: 100, placement_after_ns: 100 })]),
    );
    assert.equal(overLine(row!), 10);
    assert.equal(overLine(rowsOf(cellsOf([lat("unix", 510, SAME)]))[0]!), undefined);
  });
});

describe("sentences", () => {
  test("spinning on one core", () => {
    assert.deepEqual(
      says(spinningOnOneCore, [lat("mempipe-spin", 4e6, SAME), lat("tcp", 6900, SAME), lat("mempipe-spin", 60), lat("tcp", 30_000)]),
      [
        "Spinning on one core is pathological: mempipe-spin takes 4.00 ms a message, 580 times as long as tcp (6.90 µs).",
      ],
    );
    assert.deepEqual(says(spinningOnOneCore, [lat("mempipe-spin", 5000, SAME), lat("tcp", 6900, SAME)]), []);
    assert.deepEqual(says(spinningOnOneCore, [lat("mempipe-spin", 4e6), lat("tcp", 6900)]), []);
  });

  test("spinning across cores, by size", () => {
    const cells = [64, 65_536].flatMap((size_bytes, index) => [
      thr("mempipe-spin", 100 / (index + 1), { size_bytes }),
      thr("mempipe-spin", 1, { size_bytes, trust: "untrusted" }),
      thr("tcp", 2, { size_bytes }),
    ]);
    assert.deepEqual(says(spinningAcrossCores, cells), [
      "Across near cores, mempipe-spin carries 50 times as much as tcp at 64 B and 25 times at 64 KiB.",
    ]);
    assert.deepEqual(says(spinningAcrossCores, cells.slice(0, 2)), []);
  });

  test("no silver bullet: wins are counted, near ones shared, and one winner is said to be one", () => {
    const three = [
      lat("mempipe", 60),
      lat("unix", 20_000),
      lat("mempipe", 9000, SAME),
      lat("unix", 4000, SAME),
      lat("pipe", 4100, SAME),
      thr("mempipe", 9),
      thr("unix", 2),
    ];
    assert.deepEqual(says(noSilverBullet, three), [
      "No single transport wins everywhere: of 3 settings (placement and size, latency and throughput), mempipe is best or equal to the best in 2, pipe in 1 and unix in 1.",
    ]);
    assert.deepEqual(says(noSilverBullet, [lat("mempipe", 60), lat("unix", 20_000), thr("mempipe", 9), thr("unix", 2)]), [
      "mempipe is the best, or as good as the best, in all 2 settings that were measured.",
    ]);
    assert.deepEqual(says(noSilverBullet, [lat("mempipe", 60), lat("unix", 20_000)]), []);
    const close = [thr("mempipe", 100), thr("unix", 88)];
    assert.deepEqual(winnersOf(rowsOf(cellsOf(close))), ["mempipe"]);
    assert.deepEqual(winnersOf(rowsOf(cellsOf([{ ...close[0], spread: 0.15 }, close[1]!]))), ["mempipe", "unix"]);
    assert.deepEqual(winnersOf(rowsOf(cellsOf([{ ...close[0], spread: null, unsteady: true }, close[1]!]))), ["mempipe", "unix"]);
  });

  test("tcp at 64 KiB: as in the paper, unlike it, or between", () => {
    const rates = (tcp: number, unix: number, pipe: number): readonly string[] =>
      says(tcpAt64KiB, [thr("tcp", tcp), thr("unix", unix), thr("pipe", pipe), thr("mempipe", 1e9)]);
    assert.deepEqual(rates(30_000, 20_000, 10_000), [
      "At 64 KiB across near cores, tcp is faster than unix and pipe, as in the paper (tcp 1.97 GB/s, unix 1.31 GB/s, pipe 655 MB/s).",
    ]);
    assert.match(rates(5000, 20_000, 10_000)[0]!, /tcp is slower than unix and pipe, unlike in the paper/);
    assert.match(rates(15_000, 20_000, 10_000)[0]!, /tcp is faster than pipe only/);
    assert.match(rates(20_100, 20_000, 19_900)[0]!, /tcp is as fast as unix and pipe \(/);
    assert.match(rates(20_100, 20_000, 30_000)[0]!, /tcp is slower than pipe only/);
    assert.deepEqual(says(tcpAt64KiB, [thr("tcp", 9), thr("unix", 1, { size_bytes: 64 }), thr("pipe", 1, FAR)]), []);
  });

  test("what not trusting costs, by size, as a median over transports", () => {
    const cells = ["mempipe", "mempipe-spin", "shmem-pipe"].flatMap((transport, index) => [
      thr(transport, 100, { trust: "trusted" }),
      thr(transport, [90, 80, 50][index]!, { trust: "untrusted" }),
      lat(transport, 1000, { trust: "trusted" }),
      lat(transport, 1005, { trust: "untrusted" }),
    ]);
    assert.deepEqual(says(untrustedCosts, cells), [
      "Across cores, not trusting the peer costs (in the median over transports) 0 % more latency at 64 B and 20 % less throughput at 64 KiB.",
    ]);
    const faster = [lat("mempipe", 100, { trust: "trusted" }), lat("mempipe", 90, { trust: "untrusted" })];
    assert.match(says(untrustedCosts, faster)[0]!, /10 % less latency at 64 B/);
    assert.deepEqual(says(untrustedCosts, faster.map((cell) => ({ ...cell, unsteady: true }))), []);
    assert.deepEqual(says(untrustedCosts, [thr("mempipe", 9, { trust: "trusted" }), thr("unix", 9)]), []);
  });

  test("a blocking flow on one core and across two", () => {
    const cells = [
      lat("pipe", 2000, SAME),
      lat("pipe", 24_000),
      lat("tcp", 7000, SAME),
      lat("tcp", 30_800),
      lat("mempipe-spin", 4e6, SAME),
      lat("mempipe-spin", 60),
    ];
    assert.deepEqual(says(blockingOnOneCore, cells), [
      "A blocking flow is 12 times faster on one core than across two (pipe: 2.00 µs against 24.0 µs one way; over all transports that sleep, 4.4 to 12 times).",
    ]);
    assert.deepEqual(says(blockingOnOneCore, cells.slice(4)), []);
    assert.deepEqual(says(blockingOnOneCore, [lat("pipe", 2000, SAME), lat("pipe", 2500)]), []);
  });

  test("comparing every byte", () => {
    const cells = [
      thr("mempipe", 1000, { check: "plain" }),
      thr("mempipe", 800, { check: "full" }),
      thr("unix", 100, { check: "plain" }),
      thr("unix", 99),
    ];
    assert.deepEqual(says(comparingEveryByte, cells), [
      "Comparing every byte with what was sent costs up to 20 % of throughput: mempipe at 64 KiB across near cores carries 52.4 MB/s verified, 65.5 MB/s read plainly.",
    ]);
    assert.deepEqual(says(comparingEveryByte, cells.slice(2)), []);
    assert.deepEqual(says(comparingEveryByte, cells.map((cell) => ({ ...cell, unsteady: true }))), []);
  });

  test("the fastest message, the interrupt, the distance", () => {
    const cells = [
      lat("mempipe-spin", 102),
      lat("mempipe-spin", 450, FAR),
      lat("tcp", 30_000),
      lat("tcp", 33_000, FAR),
      lat("ipi", 1020, { size_bytes: 0 }),
    ];
    assert.deepEqual(says(nearTheHardware, cells), [
      "The fastest message is mempipe-spin's: 102 ns for 64 B across near cores, 2.0 times what one cache line costs there.",
    ]);
    assert.deepEqual(says(interruptAndLine, cells), [
      "An interrupt from core to core (ipi) takes 1.02 µs across near cores, 20 times a cache line (51.0 ns); the fastest transport that sleeps, tcp, takes 29 times as long.",
    ]);
    assert.match(
      says(interruptAndLine, [lat("ipi", 1020, { idle_p50_ns: 400 })])[0]!,
      /takes 1\.02 µs \(the call by itself, interrupting nobody, 400 ns\) across near cores, 20 times a cache line \(51\.0 ns\)\.$/,
    );
    assert.deepEqual(says(distance, cells), [
      "From “near” to “far” cores a cache line costs 4.4 times as much, mempipe-spin 4.4 times, tcp 1.1 times.",
    ]);
    for (const surprise of [interruptAndLine, distance]) assert.deepEqual(says(surprise, cells.slice(0, 1)), []);
    assert.match(says(nearTheHardware, [lat("tcp", 7000, { unsteady: true })])[0]!, /tcp's: about 7\.00 µs for 64 B/);
    assert.deepEqual(says(nearTheHardware, [lat("tcp", 7000, SAME)]), []);
  });

  test("cores that wander", () => {
    const cells = [
      lat("unix", 9),
      lat("unix", 9, { cores: [1, 0] }),
      lat("tcp", 9, { ...FAR, cores: [0, 1] }),
      lat("tcp", 9, SAME),
      lat("tcp", 9, FAR),
    ];
    assert.deepEqual(says(wanderingCores, cells), [
      "The numbers of cores do not say where they are: 0 and 1 were “near” in 2 cells and “far” in 1 cell.",
    ]);
    assert.deepEqual(says(wanderingCores, [lat("unix", 9), lat("tcp", 9, FAR)]), []);
  });

  test("the longest tail", () => {
    assert.deepEqual(says(longTails, [lat("unix", 1000, { p999_ns: 40_000 }), lat("pipe", 1000, { p999_ns: 5000 })]), [
      "The longest tail is unix's across near cores: one message in a thousand takes 40.0 µs, 40 times the median (1.00 µs).",
    ]);
    assert.deepEqual(says(longTails, [lat("unix", 1000, { p999_ns: 40_000, unsteady: true })]), []);
    assert.deepEqual(says(longTails, [lat("unix", 1000, { p999_ns: 1500 }), lat("pipe", 1000)]), []);
  });

  test("what the runtimes cost over native ends", () => {
    const cells = [
      lat("mempipe", 100),
      lat("mempipe", 250, { driver: "bun" }),
      thr("mempipe", 100),
      thr("mempipe", 80, { driver: "bun" }),
      lat("unix", 9, { driver: "bun" }),
    ];
    assert.deepEqual(says(runtimesCost, cells), [
      "Shared memory from bun costs between 1.3 times (mempipe, throughput at 64 KiB) and 2.5 times (mempipe, latency at 64 B) what it costs natively.",
    ]);
    assert.deepEqual(says(runtimesCost, cells.slice(1, 2)), []);
  });

  test("without native ends the first driver is spoken of", () => {
    assert.match(
      says(spinningOnOneCore, [lat("mempipe-spin", 4e6, { ...SAME, driver: "deno" }), lat("tcp", 6900, { ...SAME, driver: "deno" })])[0]!,
      /580 times/,
    );
  });

  test("what does not count is counted", () => {
    const none = { cells: 9, unsteady: 0, changed: 0, setAside: 0, failed: 0, skipped: 0, unreadable: 0, interrupted: false };
    assert.deepEqual(cautions(none), []);
    assert.deepEqual(
      cautions({ cells: 9, unsteady: 1, changed: 2, setAside: 3, failed: 1, skipped: 2, unreadable: 1, interrupted: true }),
      [
        "The run was ended early: what was finished by then is here.",
        "1 cell of 9 is unsteady: not expected to come out within 15 % again.",
        "2 cells changed placement while measured, and are compared with nothing.",
        "3 runs were set aside, because the placement changed or was not that of most, and repeated.",
        "1 cell could not be measured.",
        "2 cells were left out, because this machine or this kind of cell does not allow it.",
        "1 entry of the report could not be understood and is left out.",
      ],
    );
  });

  test("the synthetic machine shows every surprise, and points to a figure that exists", () => {
    const report = readReport(synthetic(16));
    const findings = surprisesOf(rowsOf(report.cells));
    for (
      const start of [
        "No single",
        "Spinning on",
        "Across near",
        "A blocking",
        "At 64 KiB",
        "Across cores, not",
        "Comparing",
        "The fastest",
        "An interrupt",
        "From “near”",
        "Shared memory from bun",
      ]
    ) {
      assert.ok(findings.some(({ sentence }) => sentence.startsWith(start)), start);
    }
    const drawn = page(report);
    assert.deepEqual(findings.filter(({ figure }) => !drawn.includes(`<section class="figure" id="${figure}">`)), []);
    assert.deepEqual(surprisesOf([]), []);
  });
});

describe("peers", () => {
  const peer = (name: string, value: Fields): Fields => ({ peer: name, runtime: "bun", kind: "lat", size_bytes: 64, ...NEAR, ...value });
  const read = (peers: readonly Fields[]) => readReport({ peers }).peers;

  test("a ratio is the file's, else that of the figures, else none; and none where the placement changed", () => {
    const ours = { transport: "mempipe", driver: "bun", value: 10 };
    const cells = [
      peer("a", { p50_ns: 20, ours, ratio: 7 }),
      peer("b", { p50_ns: 20, ours }),
      peer("c", { kind: "thr", msgs_per_s: 5, ours }),
      peer("d", { p50_ns: 20 }),
      peer("e", { p50_ns: 20, ours, ratio: 7, placement_after_ns: 240 }),
    ];
    assert.deepEqual(withRatios(read(cells)).map(({ ratio }) => ratio), [7, 2, 2, undefined, undefined]);
  });

  test("FABLE's own figure of another placement gives no ratio", () => {
    const ours = { transport: "mempipe", driver: "bun", value: 10 };
    const own = (more: Fields): Fields => peer("FABLE", { p50_ns: 10, ...more });
    const ratios = (first: Fields): readonly (number | undefined)[] =>
      withRatios(read([first, peer("socket", { p50_ns: 20, ours, ratio: 2 })])).map(({ ratio }) => ratio);
    assert.deepEqual(ratios(own({})), [undefined, 2]);
    assert.deepEqual(ratios(own({ placement_before_ns: 240, placement_after_ns: 240 })), [undefined, undefined]);
    for (const other of [{ runtime: "deno" }, { size_bytes: 4096 }, { kind: "thr" }]) {
      assert.deepEqual(ratios(own({ placement_before_ns: 240, placement_after_ns: 240, ...other })), [undefined, 2]);
    }
  });

  test("ahead everywhere, or behind in some", () => {
    const [a, b] = [peer("IPC", { p50_ns: 9, ratio: 25 }), peer("socket", { kind: "thr", msgs_per_s: 9, ratio: 0.8 })];
    assert.deepEqual(peerFindings(read([a, { ...b, ratio: 2 }])).map(({ sentence }) => sentence), [
      "FABLE is ahead in all 2 comparisons with peers: from 2.0 times (socket (bun), throughput at 64 B) to 25 times (IPC (bun), latency at 64 B).",
    ]);
    assert.match(
      peerFindings(read([a, b]))[0]!.sentence,
      /^FABLE is behind in 1 of 2 comparisons with peers: from 0\.80 times .* as good\.$/,
    );
    assert.deepEqual(peerFindings([]), []);
  });
});
