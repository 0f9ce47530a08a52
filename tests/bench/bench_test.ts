/** The benchmark's own arithmetic and bookkeeping, with made-up measurements; and one small cell of each kind, for what it says, not how fast it is. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { percentile, RoundTrips } from "../../bench/drivers/clock.ts";
import type { StreamResult } from "../../bench/drivers/job.ts";
import { streamRuns } from "../../bench/drivers/stream.ts";
import { type FiguresReport, markdown, MARKERS, readmeLines } from "../../bench/figures/report.ts";
import { type Measured, resultOf, type Row, verdictOf } from "../../bench/figures/row.ts";
import { cellOf, ringFor } from "../../bench/runner/cells.ts";
import { nativeInterrupt, nativeLatency, nativeRate } from "../../bench/runner/native.ts";
import { type BenchOptions, planCells } from "../../bench/runner/options.ts";
import { runPair } from "../../bench/runner/pairs.ts";
import { alike, classOf, type Placement } from "../../bench/runner/placement.ts";
import { announcement, busyness, ProgressLine } from "../../bench/runner/progress.ts";
import { blockOf } from "../../bench/runner/readme.ts";
import { NotPossible, runRounds, type Sample, type Task } from "../../bench/runner/rounds.ts";
import { median, spread } from "../../bench/runner/statistics.ts";
import { cellTable, scaled } from "../../bench/runner/table.ts";
import { root } from "../../scripts/lib/checkout.ts";

const NEAR: Placement = { before: 50, after: 52 };
const quietly = { repeats: 2, progress: () => {}, stopped: () => false };

describe("statistics", () => {
  test("median, spread, nearest rank", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.ok(Number.isNaN(median([])));
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3, count: 3 });
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
    assert.deepEqual([0.5, 0.99, 0.999, 0, 1].map((fraction) => percentile(hundred, fraction)), [50, 99, 100, 1, 100]);
  });

  test("round trips are halved, and timed in blocks", () => {
    let now = 0;
    const trips = new RoundTrips(8, 4, () => now);
    trips.restart();
    const done = Array.from({ length: 8 }, (_, i) => {
      now += i < 4 ? 100 : 200;
      return trips.done();
    });
    assert.deepEqual(done, [false, false, false, false, false, false, false, true]);
    const { quantiles, ...result } = trips.result();
    assert.deepEqual(result, { p50_ns: 50, p99_ns: 100, p999_ns: 100, round_trips: 8, block: 4 });
    assert.deepEqual(quantiles.filter(([fraction]) => fraction === 0.01 || fraction === 0.9999), [[0.01, 50], [0.9999, 100]]);
  });

  test("round trips that take long are cut short, and no sample is invented", () => {
    let now = 0;
    const trips = new RoundTrips(10_000, 1, () => now += 8e6, 0.1);
    trips.restart();
    let taken = 1;
    while (!trips.done()) taken++;
    assert.equal(taken, 13);
    assert.equal(trips.result().round_trips, 13);
  });

  test("numbers for people", () => {
    assert.deepEqual([scaled(999, ["", " k"]), scaled(1234, ["", " k"]), scaled(5.678, [" ns"]), scaled(123_456, [" ns", " µs"])], [
      "999",
      "1.23 k",
      "5.68 ns",
      "123 µs",
    ]);
  });
});

describe("streams", () => {
  const writing = (wrong: number, counts: number[]) => ({
    now: () => 0,
    announce: async (messages: number) => void counts.push(messages),
    write: async () => {},
    answer: async () => ({ endNs: 1_000_000, wrong }),
  });
  const job = { runs: 2, seconds: 0.1 } as Parameters<typeof streamRuns>[0];

  test("warm up in growing runs, then count, then say that it is over", async () => {
    const counts: number[] = [];
    const { rates } = await streamRuns({ ...job, messages: 500 }, writing(0, counts)) as StreamResult;
    assert.deepEqual(rates, [500_000, 500_000]);
    assert.deepEqual(counts, [500, 500, 500, 500, 500, 500, 0]);
    const grown: number[] = [];
    await streamRuns(job, writing(0, grown));
    assert.ok(grown[1]! > grown[0]! && grown.at(-1) === 0, grown.join());
  });

  test("a wrong message is a failure, not a figure", async () => {
    await assert.rejects(streamRuns(job, writing(1, [])), /damaged or out of order/);
  });
});

describe("placement", () => {
  test("classes, and what is alike", () => {
    assert.deepEqual([null, 25, 50, 220].map(classOf), ["same core", "same physical core", "near", "far"]);
    assert.ok(alike(NEAR) && alike({ before: null, after: null }));
    for (const changed of [{ before: 50, after: 220 }, { before: 50, after: 75 }, { before: 30, after: 36 }, { before: null, after: 50 }]) {
      assert.ok(!alike(changed), JSON.stringify(changed));
    }
  });
});

describe("rounds", () => {
  const task = (name: string, log: string[], placements: Placement[]): Task<number> => ({
    name,
    run: async (forth) => {
      log.push(`${name}${forth ? ">" : "<"}`);
      return { value: log.length, placement: placements.shift() ?? NEAR };
    },
  });

  test("reverse the order each time", async () => {
    const log: string[] = [];
    await runRounds([task("a", log, []), task("b", log, [])], { ...quietly, rounds: 3 });
    assert.deepEqual(log, ["a>", "b>", "b<", "a<", "a>", "b>"]);
  });

  test("set aside and repeat what was measured while the placement changed", async () => {
    const moved: Placement = { before: 50, after: 220 };
    const [outcome] = await runRounds([task("a", [], [moved, NEAR, moved, moved, moved])], { ...quietly, rounds: 2 });
    assert.deepEqual([outcome?.samples.length, outcome?.setAside.length], [1, 4]);
    const far: Placement = { before: 220, after: 222 };
    const [wanted] = await runRounds([task("a", [], [far, far])], { ...quietly, rounds: 1, placement: "near" });
    assert.deepEqual([wanted?.samples.length, wanted?.setAside.length], [1, 2]);
  });

  test("what was measured at another placement than most is set aside and measured again when it is the usual one", async () => {
    const far: Placement = { before: 220, after: 222 };
    const lines = [220, 220, 51];
    const task = (placements: Placement[]): Task<number> => ({
      name: "a",
      group: "0,1",
      rounds: 3,
      probe: async () => lines.shift() ?? 50,
      run: async () => ({ value: 1, placement: placements.shift() ?? NEAR }),
    });
    const outcomes = await runRounds([task([far, NEAR, far]), task([])], { ...quietly, rounds: 1, placement: "most" });
    assert.deepEqual(outcomes.map(({ samples, setAside }) => [samples.length, setAside.length]), [[3, 2], [3, 0]]);
    assert.deepEqual(lines, [], "it looked until the placement was right");
  });

  test("the placement of what it will be compared with counts, if it comes back, else that of most", async () => {
    const far: Placement = { before: 220, after: 222 };
    const preferred = new Map([["0,1", "near"] as const]);
    const measured = async (placements: Placement[], probe: () => Promise<number>) => {
      const task: Task<number> = {
        name: "a",
        group: "0,1",
        rounds: 3,
        probe,
        run: async () => ({ value: 1, placement: placements.shift() ?? NEAR }),
      };
      const [outcome] = await runRounds([task], { ...quietly, rounds: 3, placement: "most", preferred });
      return [outcome?.samples.length, outcome?.setAside.length, classOf(outcome?.samples[0]?.placement.before ?? null)];
    };
    assert.deepEqual(await measured([far, far, far], () => Promise.resolve(50)), [3, 3, "near"]);
    // nobody waits here: somebody stops it as soon as it looks for the other placement
    let looked = false;
    const task: Task<number> = {
      name: "b",
      group: "0,1",
      rounds: 3,
      probe: async () => (looked = true) ? 220 : 0,
      run: async () => ({ value: 1, placement: far }),
    };
    const [away] = await runRounds([task], { ...quietly, rounds: 3, placement: "most", preferred, stopped: () => looked });
    assert.deepEqual([away?.samples.length, away?.setAside.length], [3, 0]);
  });

  test("a task that fails is not tried again, and a stop keeps what is there", async () => {
    let tries = 0;
    const failing: Task<number> = {
      name: "failing",
      run: () => {
        tries++;
        return Promise.reject(new Error("no core"));
      },
    };
    const [outcome] = await runRounds([failing], { ...quietly, rounds: 5 });
    assert.deepEqual([outcome?.error, tries], ["no core", 1]);
    const log: string[] = [];
    const [stopped] = await runRounds([task("a", log, [])], { ...quietly, rounds: 5, stopped: () => log.length >= 2 });
    assert.equal(stopped?.samples.length, 2);
  });

  test("what the machine does not allow is told from what went wrong, and a program ended by a stop did not fail", async () => {
    const throwing = (error: Error): Task<number> => ({ name: error.name, run: () => Promise.reject(error) });
    const outcomes = await runRounds([throwing(new NotPossible("no such call")), throwing(new Error("broken"))], { ...quietly, rounds: 2 });
    assert.deepEqual(outcomes.map(({ error, impossible }) => [error, impossible]), [["no such call", true], ["broken", undefined]]);
    let stopped = false;
    const ended: Task<number> = {
      name: "ended",
      run: () => {
        stopped = true;
        return Promise.reject(new Error("ended by SIGKILL"));
      },
    };
    const [outcome] = await runRounds([ended], { ...quietly, rounds: 2, stopped: () => stopped });
    assert.deepEqual([outcome?.error, outcome?.samples.length], [undefined, 0]);
  });
});

describe("cells", () => {
  test("every combination once; trust only where it means something, both checks of a stream", () => {
    const { cells, skipped } = planCells("thr", {
      transport: ["mempipe", "unix"],
      size: [64, 4096],
      driver: ["native", "bun-deno"],
      trust: "both",
      cores: [0, 1],
    }, [0, 1]);
    assert.equal(cells.length, 2 * 2 * 3 * 2);
    assert.deepEqual(skipped, []);
    assert.deepEqual(new Set(cells.filter(({ transport }) => transport === "unix").map(({ trust }) => trust)), new Set(["n/a"]));
    assert.ok(cells.every(({ batch }) => batch === 16));
    assert.deepEqual([64, 4096, 65_536, 64 << 20].map(ringFor), [65_536, 65_536, 1 << 20, 64 << 20]);
  });

  test("cores: the ones this process may use, every ordered pair, one", () => {
    const pairs = (cores: BenchOptions["cores"], allowed: readonly number[]) =>
      planCells("lat", { transport: ["mempipe"], ...(cores === undefined ? {} : { cores }) }, allowed).cells.map((cell) =>
        cell.cores.join()
      );
    assert.deepEqual(pairs("all", [0, 3]), ["0,0", "0,3", "3,0", "3,3"]);
    assert.deepEqual([pairs("same", [2, 3]), pairs(undefined, [2, 3]), pairs([3, 2], [2, 3])], [["2,2"], ["2,3"], ["3,2"]]);
    assert.throws(() => pairs(undefined, [1]), { name: "UsageError", message: /no second core.*--cores same/ });
    assert.throws(() => pairs([0, 1], [1]), { name: "UsageError", message: /core 0 is not there.*--cores same/ });
  });

  test("what can never be is skipped by name, and nothing else", () => {
    const { cells, skipped } = planCells("lat", { transport: ["vmsplice-coop", "ipi", "shmem-pipe"], trust: "both", cores: "all" }, [0, 1]);
    assert.equal(cells.filter(({ transport }) => transport === "ipi").length, 2);
    assert.equal(cells.filter(({ transport }) => transport === "shmem-pipe").length, 8);
    assert.equal(skipped.filter(({ cell }) => cell.startsWith("lat vmsplice-coop untrusted native 64 B cores")).length, 4);
    assert.equal(skipped.filter(({ cell }) => cell.startsWith("lat ipi cores")).length, 2);
    assert.throws(() => planCells("lat", { transport: ["vmsplice-coop"], trust: "untrusted" }, [0, 1]), {
      name: "UsageError",
      message: /not trusted/,
    });
    assert.throws(() => planCells("thr", { transport: ["ipi"] }, [0, 1]), { name: "UsageError", message: /carries no messages/ });
  });

  test("options that cannot be are usage errors", () => {
    const wrong: readonly BenchOptions[] = [{ size: [7] }, { size: [65_536], ring: 131_072 }, { cores: [0, 4095] }];
    for (const options of wrong) assert.throws(() => planCells("lat", options, [0, 1]), { name: "UsageError" }, JSON.stringify(options));
  });

  test("the plan says what it will take and whether the machine is busy, progress what is left", () => {
    const { cells } = planCells("thr", { transport: ["unix", "tcp"], size: [64], seconds: 1, rounds: 4 }, [0, 1]);
    assert.match(announcement(cells), /^4 cells, 16 runs of 1 s: about 5 s per cell and 20 s in all; Ctrl-C/);
    assert.match(announcement(planCells("thr", { messages: 500 }, [0, 1]).cells), /runs of 500 messages/);
    assert.equal(busyness(0.3, 2), undefined);
    assert.match(busyness(3.21, 2) ?? "", /load 3\.2 on 2 cores/);
    const written: string[] = [];
    let now = 0;
    const show = (isTTY: boolean): ProgressLine => new ProgressLine({ isTTY, write: (text: string) => written.push(text) }, () => now);
    const [terminal, file] = [show(true), show(false)];
    for (now = 0; now <= 40_000; now += 10_000) for (const line of [terminal, file]) line.show(now / 10_000, 8, "a cell");
    assert.equal(written.filter((text) => text.startsWith("\r")).length, 5);
    assert.deepEqual(written.filter((text) => !text.startsWith("\r")), ["3/8 50 s left, a cell\n"]);
  });

  test("figures are medians over the runs that count", () => {
    const [plan] = planCells("lat", { cores: [0, 1], transport: ["mempipe-spin"] }, [0, 1]).cells;
    const sample = (main: number): Sample<{ main: number; p99_ns: number; p999_ns: number }> => ({
      value: { main, p99_ns: main * 2, p999_ns: main * 3 },
      placement: NEAR,
    });
    const cell = cellOf(plan!, { task: "", samples: [sample(60), sample(50), sample(70)], setAside: [sample(500)] });
    assert.deepEqual([cell?.p50_ns, cell?.p99_ns, cell?.p999_ns, cell?.runs, cell?.set_aside], [60, 120, 180, [60, 50, 70], 1]);
    assert.deepEqual([cell?.placement_before_ns, cell?.placement_after_ns, cell?.waiting, cell?.verified], [50, 52, "spin", true]);
    assert.deepEqual([cell?.run_lines_ns, cell?.check, cell?.unsteady], [[51, 51, 51], "full", true]);
    assert.match(cellTable([cell!]), /mempipe-spin +trusted +native +64 +0,1 +full +60\.0 ns +120 ns +180 ns +1\.18x/);
    assert.equal(cellOf(plan!, { task: "", samples: [], setAside: [] }), undefined);
  });
});

describe("figures", () => {
  const row: Row = {
    title: "rate over a peer",
    cell: "64 B",
    sense: "≥",
    must: 5,
    reach: 10,
    unit: "×",
    run: () => Promise.reject(new Error("not run here")),
  };

  test("verdicts go by the median, in either sense", () => {
    assert.deepEqual([[4, 4.9, 6], [5, 5, 5], [9, 12, 10], []].map((values) => verdictOf(row, values)), [
      "missed",
      "must",
      "reached",
      "not measured",
    ]);
    const low: Row = { ...row, sense: "≤", must: 2, reach: 1 };
    assert.deepEqual([[0.9], [1.5], [2.1]].map((values) => verdictOf(low, values)), ["reached", "must", "missed"]);
  });

  test("the table says what was measured, what was set aside, and what was not measured", () => {
    const measured = (value: number): Sample<Measured> => ({ value: { value, parts: { fable_per_s: value * 1e6 } }, placement: NEAR });
    const environment = {
      date: "2026-01-02T03:04:05Z",
      load_before: 0,
      virtualization: "none seen",
      mitigations: {},
      caches: [],
    } as unknown as Parameters<
      typeof markdown
    >[0]["environment"];
    const results = [
      resultOf(row, { task: "", samples: [measured(12), measured(11), measured(15)], setAside: [measured(1)] }),
      resultOf({ ...row, title: "another" }, { task: "", samples: [], setAside: [], error: "the peer is missing\nin detail" }),
    ];
    const text = markdown({ environment, rounds: 3, rows: results });
    assert.match(text, /\| rate over a peer \| 64 B \| ≥ 5× \| ≥ 10× \| 12\.0× \(11\.0–15\.0; 3\) \| 51 ns \| 1 \| reached \|/);
    assert.match(text, /\| another \| 64 B \| ≥ 5× \| ≥ 10× \| the peer is missing \| – \| 0 \| not measured \|/);
    assert.match(text, /- rate over a peer, 64 B: fable 12\.0 M\/s/);
    assert.match(
      readmeLines({ environment, rounds: 3, rows: results }).at(-2) ?? "",
      /\| rate over a peer +\| 64 B \| ≥ 5× \| 12\.0× \(11\.0–15\.0\)/,
    );
  });

  test("README shows what bench/results/figures.json says", () => {
    const report = JSON.parse(readFileSync(join(root, "bench/results/figures.json"), "utf8")) as FiguresReport;
    // JSON has no word for what is not a number.
    const rows = report.rows.map((row) => ({ ...row, line_ns: row.line_ns ?? NaN }));
    assert.deepEqual(blockOf(readFileSync(join(root, "README.md"), "utf8"), MARKERS), readmeLines({ ...report, rows }));
    assert.equal(readFileSync(join(root, "bench/results/figures.md"), "utf8"), markdown({ ...report, rows }));
  });
});

describe("small cells", { skip: availableParallelism() < 2 }, () => {
  test("native: every way of waiting and looking, odd sizes, verified", async () => {
    const cells = [
      ["mempipe-spin", "trusted", "full", 9],
      ["mempipe-spin", "untrusted", "plain", 200],
      ["mempipe", "trusted", "plain", 64],
      ["mempipe-futex", "untrusted", "full", 8],
      ["unix", "trusted", "plain", 201],
      ["shmem-pipe", "untrusted", "full", 67],
      ["raw-unix", "trusted", "plain", 64],
    ] as const;
    for (const [transport, trust, check, size] of cells) {
      const options = { transport, trust, check, size, runs: 1, placement: "no" };
      const latency = await nativeLatency({ ...options, "round-trips": 50 });
      assert.deepEqual([latency.runs.length, latency.round_trips], [1, 50], transport);
      assert.ok(latency.p50_ns > 0 && latency.p50_ns <= latency.p999_ns);
      assert.equal(latency.quantiles.find(([fraction]) => fraction === 0.5)?.[1], latency.p50_ns);
      const rate = await nativeRate({ ...options, messages: 5000, batch: 3 });
      assert.ok(rate.msgs_per_s > 0 && rate.messages === 5000);
      assert.equal((rate.check_bytes_per_s ?? 0) > 0, check === "full");
    }
  });

  test("native: what is not allowed is refused as that", async () => {
    await assert.rejects(nativeLatency({ transport: "vmsplice-coop", trust: "untrusted" }), {
      name: "NotPossible",
      message: /vmsplice-coop is not possible/,
    });
  });

  test("native: an interrupt of the other core", async () => {
    const got = await nativeInterrupt({ cores: "0,1", "round-trips": 200, seconds: 0.2 });
    assert.ok(got.p50_ns > 0 && got.idle_p50_ns > 0 && got.p50_ns <= got.p999_ns);
  });

  test("between runtimes: streams and round trips, over FABLE and over a socket", async () => {
    const few = { messages: 300, runs: 1, roundTrips: 20, restMs: 1 } as const;
    for (const medium of ["fable", "socket"] as const) {
      for (const workload of ["friendly", "cursor", "zero-copy", "loop"] as const) {
        const sizeBytes = workload === "zero-copy" ? 8192 : 64;
        const result = await runPair({ runtimes: ["bun", "deno"], workload, medium, sizeBytes, ...few });
        assert.ok(
          "rates" in result ? result.rates.length === 1 && result.rates[0]! > 0 : result.round_trips === 20,
          JSON.stringify(result),
        );
      }
    }
  });

  test("between runtimes: both checks, odd sizes, a path through the kernel", async () => {
    const few = { runtimes: ["deno", "bun"], messages: 300, runs: 1, roundTrips: 20 } as const;
    for (const check of ["full", "plain"] as const) {
      const stream = await runPair({ ...few, workload: "cursor", check, sizeBytes: 77, transport: "pipe" });
      assert.ok("rates" in stream && stream.rates[0]! > 0);
      const spin = await runPair({ ...few, workload: "spin", check, sizeBytes: 13, transport: "mempipe-spin" });
      assert.ok("p50_ns" in spin && spin.p50_ns > 0);
      const loop = await runPair({ ...few, workload: "loop", check, sizeBytes: 1001 });
      assert.ok("p50_ns" in loop && loop.p50_ns > 0);
    }
  });
});
