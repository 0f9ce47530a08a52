/** The page: what stands out, the figures, what does not count, and the machine. */
import { byDriver, placementOf, rivals, rowsOf } from "./analysis.ts";
import { distributionFigure } from "./figures/distribution.ts";
import { figureHtml } from "./figures/figure.ts";
import { heatMaps } from "./figures/heat.ts";
import { latencyFigure } from "./figures/latency.ts";
import { isOurs, peersFigure, withRatios } from "./figures/peers.ts";
import { lineFigure, tcpFigure } from "./figures/ratios.ts";
import { regretFigure } from "./figures/regret.ts";
import { throughputFigure } from "./figures/throughput.ts";
import { bytes, counted, percent, size, time } from "./format.ts";
import { behind, type Html, html, type Piece, table } from "./html.ts";
import type { Failure, ReadCell, ReadPeer, ReadReport } from "./input.ts";
import { peerFindings } from "./peer-findings.ts";
import { PATTERNS, STYLE } from "./style.ts";
import { cautions, surprisesOf } from "./surprises.ts";
import { mainDriver } from "./surprises/finding.ts";

/** Nothing on the page may ask for anything: no script, no font, no address. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

export function page(report: ReadReport): string {
  const rows = rowsOf(report.cells);
  const driver = mainDriver(rivals(rows));
  const drivers = [...new Set(rivals(rows).map((row) => row.driver))].sort(byDriver);
  const peers = withRatios(report.peers);
  const figures = [
    heatMaps(report.cells, driver),
    ...drivers.map((each) => latencyFigure(rows, each, each === driver)),
    lineFigure(rows),
    ...drivers.map((each) => distributionFigure(rows, each, each === driver)),
    ...drivers.map((each) => throughputFigure(rows, each, each === driver)),
    tcpFigure(rows, driver),
    peersFigure(peers),
    regretFigure(report.regrets),
  ].flatMap((figure) => figure ?? []);
  const shown = new Set(figures.map(({ id }) => id));
  const findings = [...surprisesOf(rows), ...peerFindings(peers)];
  const title = "What messages between processes cost here";
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
${PATTERNS}
<header><h1>${title}</h1>
<p>${machineLine(report.environment)}</p>
<p>${countLine(report, peers)}</p>
</header>
<nav aria-label="Figures"><ul>${
    figures.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`)
  }<li><a href="#caution">What to be careful with</a></li><li><a href="#machine">The machine</a></li></ul></nav>
<main>
<section id="surprises"><h2>What stands out</h2>
${
    findings.length === 0
      ? html`<p>Too little was measured to say anything.</p>`
      : html`<ul class="findings">${
        findings.map(({ sentence, figure }) =>
          html`<li>${unbroken(sentence)}${
            shown.has(figure) ? html` <a href="#${figure}" aria-label="The figure for: ${sentence}">see</a>` : undefined
          }</li>\n`
        )
      }</ul>
<p class="small">Computed from the figures below. Compared are only cells of one placement, told by what a cache line cost around each of them.</p>`
  }</section>
<section><h2>The figures</h2>
${figures.length === 0 ? html`<p>No cell was measured.</p>` : figures.map(figureHtml)}
</section>
${cautionSection(report, peers)}
${machineSection(report.environment)}
</main>
<footer><p>Written by <code>fable bench --html</code>. Absolute figures do not travel to other machines; ratios within one run do.</p></footer>
</body>
</html>
`.text;
}

/** A number keeps its unit beside it. */
function unbroken(sentence: string): string {
  return sentence.replace(/(\d) (?=(?:[nµm]?s|%|[kMGT]?B|[KM]iB|times)(?![a-z]))/g, "$1\u00a0");
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : typeof value === "number" && Number.isFinite(value) ? `${value}` : undefined;
}

function machineLine(environment: ReadReport["environment"]): string {
  const { date, cpu, cpus, virtualization, kernel, fable, revision, bun, deno, note } = environment;
  const named = (name: string, value: unknown): string | undefined => (text(value) === undefined ? undefined : `${name} ${text(value)}`);
  const processor = text(cpu) === undefined ? undefined : `${text(cpus) === undefined ? "" : `${text(cpus)} × `}${text(cpu)}`;
  return [
    text(date)?.slice(0, 16).replace("T", " ").concat(" UTC"),
    processor,
    text(virtualization),
    named("Linux", kernel),
    named("FABLE", fable)?.concat(text(revision) === undefined ? "" : ` (${text(revision)})`),
    named("Bun", bun),
    named("Deno", deno),
    text(note),
  ].filter((part) => part !== undefined && part !== "").join(" · ") || "The report says nothing about the machine.";
}

function changedCells(cells: readonly ReadCell[]): readonly ReadCell[] {
  return cells.filter((cell) => placementOf(cell) === undefined);
}

function countLine({ cells, regrets, failed }: ReadReport, peers: readonly ReadPeer[]): string {
  const compared = peers.filter(({ ratio }) => ratio !== undefined).length;
  const runs = cells.reduce((total, cell) => total + cell.runs.length, 0);
  return [
    ...(cells.length === 0 && regrets.length > 0
      ? []
      : [`${counted(cells.length, "cell")} measured${runs === 0 ? "" : ` in ${counted(runs, "fresh run")}`}`]),
    ...(regrets.length === 0 ? [] : [`${counted(regrets.length, "choice")} of the policy judged`]),
    ...(compared === 0 ? [] : [counted(compared, "comparison with a peer", "comparisons with peers")]),
    ...(failed.length === 0 ? [] : [`${failed.length} failed`]),
  ].join(" · ");
}

/** More rows than this are counted and summed up, not listed. */
const MOST_LISTED = 200;

function cautionSection(report: ReadReport, peers: readonly ReadPeer[]): Html {
  const { cells, failed } = report;
  const unsteady = cells.filter((cell) => cell.unsteady);
  const changed = changedCells(cells);
  const aside = cells.filter((cell) => cell.set_aside > 0);
  const without = peers.filter((peer) => peer.ratio === undefined && !isOurs(peer)).length;
  const sentences = cautions({
    cells: cells.length,
    unsteady: unsteady.length,
    changed: changed.length,
    setAside: report.setAside,
    failed: failed.length,
    skipped: report.skipped.length,
    unreadable: report.unreadable,
    interrupted: report.interrupted,
  });
  const head = ["cell", "driver", "cores", "runs", "set aside", "line before", "line after", "expected spread"];
  const listed = (caption: string, some: readonly ReadCell[]): Html | undefined =>
    some.length === 0
      ? undefined
      : behind(
        `${caption} (${some.length})`,
        html`${table(caption, head, some.slice(0, MOST_LISTED).map(cautionRow))}${more(some.length)}`,
      );
  return html`<section id="caution"><h2>What to be careful with</h2>
${
    sentences.length === 0
      ? html`<p>Nothing was set aside, failed, or came out unsteady.</p>`
      : html`<ul>${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>`
  }
${
    without === 0
      ? undefined
      : html`<p>${
        counted(without, "peer's figure has", "figures of peers have")
      } no ratio: the placement changed, FABLE's own figure is of another placement, or is missing.</p>`
  }
${listed("Unsteady cells", unsteady)}
${listed("Cells whose placement changed", changed)}
${listed("Cells with runs set aside", aside)}
${reasons("Cells that failed", failed)}
${reasons("Cells that were left out", report.skipped)}
</section>
`;
}

function reasons(caption: string, some: readonly Failure[]): Html | undefined {
  if (some.length === 0) return undefined;
  const rows = some.slice(0, MOST_LISTED).map(({ cell, reason }) => [cell, shortened(reason)]);
  return behind(`${caption} (${some.length})`, html`${table(caption, ["cell", "reason"], rows)}${more(some.length)}`);
}

const MOST_LETTERS = 400;

/** A stack trace says little on a page. */
function shortened(reason: string): string {
  return reason.length <= MOST_LETTERS ? reason : `${reason.slice(0, MOST_LETTERS)}…`;
}

function more(count: number): Html | undefined {
  return count <= MOST_LISTED ? undefined : html`<p class="small">and ${counted(count - MOST_LISTED, "more")}</p>`;
}

function cautionRow(cell: ReadCell): readonly Piece[] {
  const lineText = (ns: number | null): string => (ns === null ? "–" : time(ns));
  const { kind, transport, trust, driver, size_bytes, cores } = cell;
  return [
    `${kind} ${transport}${trust === "untrusted" ? ", untrusted" : ""}, ${size(size_bytes)}`,
    driver,
    cores.join(" → "),
    cell.runs.length,
    cell.set_aside,
    lineText(cell.placement_before_ns),
    lineText(cell.placement_after_ns),
    cell.spread === undefined ? "–" : `± ${percent(cell.spread)}`,
  ];
}

function machineSection(environment: ReadReport["environment"]): Html {
  const rows = Object.entries(environment).map((
    [name, value],
  ) => [
    name.replace(/_bytes$/, "").replaceAll("_", " "),
    name.endsWith("_bytes") && typeof value === "number" ? bytes(value) : valueHtml(value),
  ]);
  return html`<section id="machine"><h2>The machine</h2>
${rows.length === 0 ? html`<p>The report says nothing about it.</p>` : table("Environment of the run", ["what", "value"], rows)}
</section>
`;
}

function valueHtml(value: unknown): Piece {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "object" && Object.keys(value).length === 0) return "none";
  if (Array.isArray(value)) return html`<ul>${value.map((item) => html`<li>${valueHtml(item)}</li>`)}</ul>`;
  if (typeof value === "object") {
    return html`<ul>${Object.entries(value).map(([name, item]) => html`<li>${name.replaceAll("_", " ")}: ${valueHtml(item)}</li>`)}</ul>`;
  }
  return String(value);
}
