/** The page of `fable bench --html`: what is in it, that nothing of a file becomes markup, and the numbers behind its pictures. */
import { parseHTML } from "linkedom";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { main } from "../../bench/report.ts";
import { logTicks } from "../../bench/report/draw.ts";
import { spanOf } from "../../bench/report/figures/heat.ts";
import { bytes, counted, factor, list, round, size, time, times } from "../../bench/report/format.ts";
import { html, table } from "../../bench/report/html.ts";
import { mergeReports, readReport } from "../../bench/report/input.ts";
import { renderReport, writeReport } from "../../bench/report/report.ts";
import { pairs, random, synthetic } from "../../bench/report/synthetic.ts";

function parsed(page: string): Document {
  return parseHTML(page).document as unknown as Document;
}

function all(root: Document | Element, selector: string): readonly Element[] {
  return [...root.querySelectorAll(selector)];
}

const lat = {
  kind: "lat",
  transport: "tcp",
  size_bytes: 64,
  cores: [0, 1],
  placement_before_ns: 50,
  placement_after_ns: 52,
  p50_ns: 30_000,
};

describe("numbers and words", () => {
  test("factors, sizes, ticks", () => {
    assert.deepEqual([0.00022, 0.5, 1, 1.26, 12.4, 152, 64_012].map(times), ["1/4,500", "0.50×", "1.0×", "1.3×", "12×", "152×", "64,000×"]);
    assert.deepEqual([64, 4096, 65_536, 1 << 20, 1000].map(size), ["64 B", "4 KiB", "64 KiB", "1 MiB", "1000 B"]);
    assert.deepEqual([0, 1000, 25_276_502_016, 64 * 2 ** 40].map(bytes), ["0 B", "1000 B", "23.5 GiB", "64 TiB"]);
    assert.deepEqual([1000, 1500, 20, 0].map(round(time)), ["1 µs", "1.5 µs", "20 ns", "0"]);
    assert.deepEqual([list([]), list(["a"]), list(["a", "b"]), list(["a", "b", "c"])], ["", "a", "a and b", "a, b and c"]);
    assert.deepEqual([counted(1, "cell"), counted(2000, "cell"), factor(999.7)], ["1 cell", "2,000 cells", "1,000"]);
  });

  test("a logarithmic axis has ticks within its ends, and not too many", () => {
    for (const [low, high] of [[50, 4e6], [1, 7e7], [20, 90], [0.5, 300]] as const) {
      const ticks = logTicks(low, high, 4);
      assert.ok(ticks.length >= 1 && ticks.length <= 4, `${low} to ${high}: ${ticks.join()}`);
      assert.ok(ticks.every((tick) => tick >= low && tick <= high));
    }
    assert.deepEqual(logTicks(20, 90), [20, 50]);
  });
});

describe("markup", () => {
  test("text is escaped wherever it is put in", () => {
    assert.equal(
      html`<p title="${`"'`}">${"<b>&"}${["a", html`<i>${"<"}</i>`]}${undefined}${7}</p>`.text,
      '<p title="&quot;&#39;">&lt;b&gt;&amp;a<i>&lt;</i>7</p>',
    );
  });

  test("a table has a caption, a scope for each heading, and can be scrolled to with the keyboard", () => {
    const document = parsed(table("Prices", ["what", "how much"], [["tea", "2"], ["coffee", "3"]]).text);
    assert.equal(document.querySelector("caption")?.textContent, "Prices");
    assert.deepEqual(all(document, "th").map((th) => th.getAttribute("scope")), ["col", "col", "row", "row"]);
    assert.equal(document.querySelector("[role=region]")?.getAttribute("tabindex"), "0");
  });

  test("nothing that a report says becomes markup", () => {
    const evil = `</title></script><script>alert(1)</script><img src="http://x/" onerror='x'>`;
    const cells = [
      { ...lat, transport: evil, driver: evil, waiting: evil, trust: evil, check: evil, quantiles: [[0.5, 30_000], [0.9, 40_000]] },
      { ...lat, transport: evil, driver: evil, cores: [1, 0] },
      { ...lat, kind: "thr", transport: evil, driver: evil, check: evil, msgs_per_s: 5, unsteady: true },
    ];
    const peers = [{
      peer: evil,
      runtime: evil,
      kind: "lat",
      size_bytes: 64,
      cores: [0, 1],
      p50_ns: 5,
      ours: { transport: evil, driver: evil, value: 1 },
    }];
    const page = renderReport({
      environment: { [evil]: evil, cpu: evil, caches: [evil], deep: { [evil]: evil } },
      cells,
      peers,
      failed: [{ cell: evil, reason: evil }],
    });
    assert.ok(page.includes("&lt;script&gt;"));
    const document = parsed(page);
    assert.deepEqual([
      all(document, "script, img, [onerror]").length,
      all(document, "title").filter((title) => title.parentElement?.tagName === "HEAD").length,
    ], [0, 1]);
  });
});

describe("reading", () => {
  test("absent fields are absent, nonsense is left out and counted", () => {
    const read = readReport({
      cells: [lat, { ...lat, p50_ns: "fast" }, { kind: "lat" }, 7, { ...lat, p99_ns: -1, set_aside: 2 }],
      failed: [{ cell: "x" }, {}],
      environment: [],
    });
    assert.deepEqual([read.cells.length, read.unreadable, read.setAside, read.failed], [2, 4, 2, [{ cell: "x", reason: "" }]]);
    assert.deepEqual([read.cells[0]?.driver, read.cells[0]?.trust, read.cells[1]?.p99_ns, read.environment], [
      "native",
      "n/a",
      undefined,
      {},
    ]);
    const peer = readReport({
      skipped: [{ peer: "zeromq.js", runtime: "node", reason: "not installed" }, { cell: "lat ipi" }, { reason: "" }],
    });
    assert.deepEqual([peer.skipped, peer.unreadable], [[{ cell: "zeromq.js (node)", reason: "not installed" }, {
      cell: "lat ipi",
      reason: "",
    }], 1]);
    for (const nothing of [undefined, null, 7, [], {}]) assert.equal(readReport(nothing).cells.length, 0);
  });

  test("several runs of a machine are one report, runs of two machines are none", () => {
    const of = (cpu: string, cells: readonly object[]) => ({ environment: { cpu, cpus: 2 }, cells, set_aside: 1 });
    const merged = mergeReports([of("A", [lat]), { cells: [lat] }, of("A", [{ ...lat, kind: "thr", msgs_per_s: 9 }])]);
    assert.deepEqual([merged.cells.length, merged.setAside, merged.environment["cpu"]], [3, 2, "A"]);
    assert.throws(() => mergeReports([of("A", []), of("B", [])]), /different machines.*2 × A; 2 × B/);
  });
});

describe("the page", () => {
  test("an empty report is a page that says so", () => {
    const document = parsed(renderReport({}));
    assert.match(document.querySelector("#surprises")?.textContent ?? "", /Too little was measured/);
    assert.match(document.querySelector("#machine")?.textContent ?? "", /says nothing/);
    assert.equal(all(document, "figure").length, 0);
  });

  test("one cell is enough for a picture", () => {
    const document = parsed(renderReport({ environment: { note: "made up" }, cells: [lat] }));
    assert.match(document.querySelector("header")?.textContent ?? "", /made up/);
    assert.equal(document.querySelector("#latency-native figcaption small")?.textContent, "cores 0 and 1");
    assert.equal(all(document, "#latency-native figure svg[role=img]").length, 1);
    assert.match(document.querySelector("#latency-native td:nth-of-type(3)")?.textContent ?? "", /30\.0 µs/);
  });

  test("48 cores: every picture, its name, and a table behind it", () => {
    const report = synthetic(48, 7);
    const page = renderReport(report);
    const document = parsed(page);
    assert.deepEqual(
      all(document, "section.figure").map(({ id }) => id),
      [
        "core-pairs",
        "latency-native",
        "latency-bun",
        "latency-deno",
        "over-line",
        "distribution-native",
        "distribution-bun",
        "distribution-deno",
        "throughput-native",
        "over-tcp",
        "peers",
      ],
    );
    for (const figure of all(document, "section.figure")) assert.ok(all(figure, "details table caption").length > 0, figure.id);
    for (const svg of all(document, "figure svg")) assert.match(svg.getAttribute("aria-label") ?? "", /^\w.*\.$/);
    // line_ns, ipi, and eight transports.
    const maps = all(document, "#core-pairs figure");
    assert.equal(maps.length, 10);
    const spin = maps.find((map) => map.querySelector("figcaption")?.textContent?.startsWith("mempipe-spin") === true)!;
    assert.deepEqual([all(spin, "tbody tr").length, all(spin, "tbody tr:first-child td").length], [48, 48]);
    // Cells whose placement changed have no square; same-core pairs are striped, far beyond the scale.
    const measured = report.cells.filter(({ kind, transport, trust, driver, placement_before_ns: before, placement_after_ns: after }) =>
      kind === "lat" && transport === "mempipe-spin" && trust === "trusted" && driver === "native"
      && (before == null || after! / before < 2)
    );
    assert.ok(measured.length > 2200 && measured.length < 48 * 48);
    const squares = all(spin, "svg")[0]!.querySelectorAll("g[aria-label=cell]");
    assert.deepEqual([squares[0]!.children.length, squares[1]!.children.length], [measured.length, 48]);
    assert.equal(all(document, "script, link, img, iframe, object, form").length, 0);
    assert.doesNotMatch(page.replaceAll("http://www.w3.org/2000/svg", ""), /https?:|src=|@import|url\((?!#)/);
    assert.deepEqual(
      all(document, "nav a, .findings a").filter((a) => document.getElementById(a.getAttribute("href")!.slice(1)) === null),
      [],
    );
    const ids = all(document, "[id]").map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
  });

  test("small machines have their figures in the map, and a scale that ignores the diagonal", () => {
    const document = parsed(renderReport(synthetic(2)));
    const texts = all(document, "#core-pairs figure:last-of-type svg text").map(({ textContent }) => textContent ?? "");
    assert.equal(texts.filter((text) => /^[\d.]+ [µm]s$/.test(text)).length >= 4, true, texts.join("|"));
    const [low, high] = spanOf([{ from: 0, to: 0, ns: 1e9 }, { from: 0, to: 1, ns: 100 }, { from: 1, to: 0, ns: 300 }]);
    assert.deepEqual([low, high], [100, 300]);
    assert.equal(spanOf([{ from: 0, to: 1, ns: 100 }]).every((bound) => bound !== 100), true);
  });

  test("lanes stand in the order of transports, whatever checks were made of them", () => {
    const thr = (transport: string, trust: string, check: string) => ({
      ...lat,
      kind: "thr",
      transport,
      trust,
      check,
      size_bytes: 4096,
      batch: 16,
      msgs_per_s: 1e6,
    });
    const cells = [
      thr("tcp", "n/a", "full"),
      thr("mempipe", "untrusted", "plain"),
      thr("mempipe", "trusted", "full"),
      thr("unix", "n/a", "plain"),
      thr("shmem-pipe", "untrusted", "plain"),
    ];
    const document = parsed(renderReport({ cells }));
    const labels = all(document, "#throughput-native svg g[aria-label='y-axis tick label'] text").map(({ textContent }) => textContent);
    assert.deepEqual(labels, ["mempipe", "untrusted", "shmem-pipe (untr.)", "unix", "tcp"]);
    const over = all(document, "#over-tcp svg g[aria-label='y-axis tick label'] text").map(({ textContent }) => textContent);
    assert.deepEqual(over, ["mempipe", "tcp"]);
    const unsteady = parsed(renderReport({ cells: [{ ...lat, unsteady: true }, { ...lat, transport: "unix" }] }));
    const figures = all(unsteady, "#latency-native svg g[aria-label=text] text").map(({ textContent }) => textContent);
    assert.deepEqual(figures, ["51.0 ns", "30.0 µs", "≈30.0 µs"]);
  });

  test("what does not count is listed", () => {
    const document = parsed(renderReport({
      cells: [{ ...lat, unsteady: true, spread: 0.3 }, { ...lat, placement_after_ns: 240 }, { ...lat, set_aside: 3 }],
      failed: [{ cell: "lat unix", reason: `no such thing${" at all".repeat(100)}` }],
      skipped: [{ cell: "lat ipi", reason: "on one core" }],
      interrupted: true,
    }));
    const section = document.querySelector("#caution")!;
    assert.deepEqual(all(section, "summary").map(({ textContent }) => textContent), [
      "Unsteady cells (1)",
      "Cells whose placement changed (1)",
      "Cells with runs set aside (1)",
      "Cells that failed (1)",
      "Cells that were left out (1)",
    ]);
    assert.match(
      section.textContent ?? "",
      /ended early.*1 cell of 3 is unsteady.*1 cell changed placement.*3 runs were set aside.*no such thing[ atl]{380,400}….*on one core/s,
    );
  });
});

describe("synthetic input", () => {
  test("a seed gives the same report, another seed another", () => {
    assert.deepEqual(synthetic(8, 3), synthetic(8, 3));
    assert.notDeepEqual(synthetic(8, 3), synthetic(8, 4));
    const next = random(1);
    const values = Array.from({ length: 1000 }, next);
    assert.ok(values.every((value) => value >= 0 && value < 1));
    const mean = values.reduce((a, b) => a + b) / 1000;
    assert.ok(mean > 0.45 && mean < 0.55);
  });

  test("it is shaped like the published figures", () => {
    assert.equal(pairs(48).length, 2304);
    const { cells } = synthetic(48);
    const p50 = (transport: string, cores: readonly [number, number]): number =>
      cells.find((cell) =>
        cell.kind === "lat" && cell.transport === transport && cell.driver === "native" && cell.cores.join() === cores.join()
      )!.p50_ns!;
    assert.ok(p50("mempipe-spin", [0, 40]) < 1000 && p50("mempipe-spin", [0, 0]) > 50e6);
    for (const [transport, us] of [["pipe", 13], ["unix", 18], ["tcp", 27]] as const) {
      const ns = p50(transport, [0, 7]);
      assert.ok(Math.abs(ns / 1000 - us) < us * 0.2, `${transport}: ${ns}`);
    }
    assert.ok(p50("tcp", [0, 1]) < p50("tcp", [0, 30]));
  });
});

describe("the program", () => {
  test("merges files into a page; says in one sentence what is wrong", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fable-report-"));
    const said: string[] = [];
    const write = process.stderr.write;
    process.stderr.write = (text: string | Uint8Array) => said.push(String(text)) > 0;
    try {
      const [a, b, out] = ["a.json", "b.json", "out.html"].map((name) => join(folder, name)) as [string, string, string];
      writeFileSync(a, JSON.stringify({ cells: [lat] }));
      writeFileSync(b, JSON.stringify({ cells: [{ ...lat, kind: "thr", msgs_per_s: 1e6 }] }));
      assert.equal(main([a, b, out]), 0);
      const document = parsed(readFileSync(out, "utf8"));
      assert.deepEqual(all(document, "section.figure").map(({ id }) => id), ["latency-native", "over-line", "throughput-native"]);
      await writeReport(out, { cells: [lat] });
      assert.equal(parsed(readFileSync(out, "utf8")).querySelector("#throughput-native"), null);
      writeFileSync(b, "{");
      assert.deepEqual([main([a]), main([a, b]), main([a, b, out]), main([join(folder, "none"), out])], [2, 2, 1, 1]);
      assert.match(said.join(""), /usage: .*\nusage: .*\n.*b\.json is not JSON.*\ncannot read .*none/);
    } finally {
      process.stderr.write = write;
      rmSync(folder, { recursive: true });
    }
  });
});

describe("regret", () => {
  const cell = {
    pattern: "stream",
    size_bytes: 64,
    cores: [0, 1],
    hog: 1,
    trust: "trusted",
    best: "mempipe",
    chosen: "pipe",
    why: "pipe, because <b>",
    regret: 0.31,
    same_again: 0.02,
    moves: 2,
  };

  test("cells with a regret are drawn apart from those that were timed, each with what was chosen and why", () => {
    const read = readReport({ cells: [cell, { ...cell, hog: null, regret: 0 }, lat, { ...cell, regret: "much" }] });
    assert.deepEqual([read.regrets.length, read.cells.length, read.unreadable], [2, 1, 1]);
    const document = parsed(renderReport({ cells: [cell, { ...cell, hog: null, regret: 0 }] }));
    const figure = document.querySelector("#regret");
    assert.match(figure?.querySelector("p")?.textContent ?? "", /Median 16 %, worst 31 %/);
    assert.deepEqual(all(figure!, "svg [aria-label=cell] rect").map((rect) => rect.getAttribute("fill")), [
      "var(--kernel)",
      "var(--shared)",
    ]);
    const rows = all(figure!, "tbody tr").map((row) => row.textContent);
    assert.ok(rows[0]?.includes("stream 64 B, across cores, trusted, hog on 1") && rows[0].includes("pipe, because <b>"));
    assert.match(document.querySelector("header")?.textContent ?? "", /2 choices of the policy judged/);
  });
});
