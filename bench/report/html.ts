/** HTML as a type: text becomes HTML by being escaped, and in no other way, because what a report says comes from files. */

export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Piece = Html | string | number | undefined | readonly Piece[];

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** A template: what is put in is escaped unless it is Html already. Attributes are to be quoted. */
export function html(parts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return new Html(parts.reduce((text, part, index) => text + textOf(pieces[index - 1]) + part));
}

function textOf(piece: Piece): string {
  if (piece === undefined) return "";
  if (piece instanceof Html) return piece.text;
  if (typeof piece === "string" || typeof piece === "number") return escape(String(piece));
  return piece.map(textOf).join("");
}

/** A table that screen readers can walk: a caption, a scope for each heading, the first cell of a row its heading. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly Piece[])[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption><span>${caption}</span></caption>
<thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
<tbody>${
    rows.map(([first, ...rest]) => html`<tr><th scope="row">${first}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)
  }</tbody></table></div>`;
}

/** What stands behind a picture, for who cannot see it, or wants the figures. */
export function behind(summary: string, content: Piece): Html {
  return html`<details><summary>${summary}</summary>${content}</details>`;
}
