/** How good the policy's choices were: for each situation of `fable bench regret`, how much longer a message took than with the best transport. */
import { MUST, summarise } from "../../regret/grid.ts";
import { groupBy } from "../analysis.ts";
import { INK, picture, Plot, WIDTH } from "../draw.ts";
import { percent, size } from "../format.ts";
import { table } from "../html.ts";
import type { ReadRegret } from "../input.ts";
import { type Figure, legendHtml, type Panel } from "./figure.ts";

const ROW_HEIGHT = 22;

export function regretFigure(regrets: readonly ReadRegret[]): Figure | undefined {
  if (regrets.length === 0) return undefined;
  const { median, worst } = summarise(regrets);
  return {
    id: "regret",
    title: "How much the policy's choices leave to regret",
    text:
      `How much longer a message took than with the transport that was best in runs of its own; what the best differs from itself between two sets of runs is subtracted. Median ${
        percent(median)
      }, worst ${percent(worst)}. Fields over ${percent(MUST.worst)} are orange, those over ${percent(MUST.median)} grey.`,
    legend: legendHtml([["shared", `at most ${percent(MUST.median)}`], ["muted", `at most ${percent(MUST.worst)}`], ["kernel", "more"]]),
    panels: [...groupBy(regrets, placeOf)].map(([title, own]) => panel(title, own)),
    table: table(
      "Every situation",
      ["situation", "best", "chosen", "regret", "±", "best again", "moves", "why"],
      regrets.map((one) => [
        `${rowOf(one)}, ${placeOf(one)}, ${loadOf(one)}`,
        one.best,
        one.chosen,
        percent(one.regret),
        one.regret_error === null ? "" : percent(one.regret_error),
        percent(one.same_again),
        one.moves,
        one.why,
      ]),
    ),
  };
}

function placeOf({ cores: [a, b], trust }: ReadRegret): string {
  return `${a === b ? "on one core" : "across cores"}, ${trust}`;
}

function loadOf({ hog }: ReadRegret): string {
  return hog === null ? "idle" : `hog on ${hog}`;
}

function rowOf({ pattern, size_bytes }: ReadRegret): string {
  return `${pattern} ${size(size_bytes)}`;
}

function panel(title: string, own: readonly ReadRegret[]): Panel {
  const rows = [...new Set(own.map(rowOf))];
  const text = (one: ReadRegret): string =>
    `${rowOf(one)}, ${loadOf(one)}: ${percent(one.regret)}; ${one.chosen} was chosen, ${one.best} best`;
  const worst = own.reduce((a, b) => (b.regret > a.regret ? b : a));
  return {
    title,
    picture: picture(`Regret ${title}. The worst: ${text(worst)}.`, {
      width: WIDTH,
      height: rows.length * ROW_HEIGHT + 30,
      marginLeft: 104,
      marginRight: 2,
      marginTop: 26,
      marginBottom: 4,
      x: { domain: [...new Set(own.map(loadOf))], axis: "top", label: null, tickSize: 0, padding: 0.06 },
      y: { domain: rows, label: null, tickSize: 0, padding: 0.08 },
      color: { type: "identity" },
      marks: [
        Plot.cell(own, { x: loadOf, y: rowOf, fill: tint, fillOpacity: depth, title: text }),
        Plot.text(own, { x: loadOf, y: rowOf, text: ({ regret }: ReadRegret) => percent(regret), fill: INK }),
      ],
    }),
  };
}

function tint({ regret }: ReadRegret): string {
  if (regret <= MUST.median) return "var(--shared)";
  return regret <= MUST.worst ? "var(--muted)" : "var(--kernel)";
}

/** Faint enough that the ink on it stays legible. */
function depth({ regret }: ReadRegret): number {
  return Math.min(0.5, 0.12 + regret * 0.2);
}
