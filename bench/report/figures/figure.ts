/** A figure of the page: some pictures with their captions, and the table with the figures they are drawn from. */
import { groupBy } from "../analysis.ts";
import { behind, type Html, html, type Piece } from "../html.ts";

export interface Panel {
  readonly title: string;
  /** Panels of one group that follow each other stand under its name. */
  readonly group?: string;
  /** What to know about this picture alone. */
  readonly note?: string;
  readonly picture: Html;
  /** A table of its own, if the figure's does not cover it. */
  readonly table?: Html;
}

export interface Figure {
  readonly id: string;
  readonly title: string;
  /** How to read it. */
  readonly text: Piece;
  readonly legend?: Html;
  readonly panels: readonly Panel[];
  readonly table?: Html;
  /** The pictures are shown on demand: the page has more important ones. */
  readonly folded?: boolean;
}

export function figureHtml({ id, title, text, legend, panels, table, folded }: Figure): Html {
  return html`<section class="figure" id="${id}"><h3>${title}</h3>
<p>${text}</p>
${legend}
${folded === true ? behind(`${panels.length} pictures`, grids(panels)) : grids(panels)}
${table === undefined ? undefined : behind(`The figures of “${title}”`, table)}
</section>
`;
}

function grids(panels: readonly Panel[]): Html {
  const groups = [...groupBy(panels, ({ group }) => group ?? "").entries()];
  return html`${
    groups.map(([name, own]) => html`${name === "" ? undefined : html`<h4>${name}</h4>`}<div class="panels">${own.map(panelHtml)}</div>\n`)
  }`;
}

function panelHtml({ title, note, picture, table }: Panel): Html {
  return html`<figure><figcaption>${title}${note === undefined ? undefined : html`<small>${note}</small>`}</figcaption>${picture}${
    table === undefined ? undefined : behind(`Table: ${title}`, table)
  }</figure>
`;
}

/** Entries of a legend drawn with the page's own swatches (styles.ts), each with a word beside its colour. */
export function legendHtml(entries: readonly (readonly [swatch: string, text: string])[]): Html {
  return html`<ul class="legend">${entries.map(([swatch, text]) => html`<li><span class="swatch ${swatch}"></span>${text}</li>`)}</ul>`;
}
