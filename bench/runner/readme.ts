/** Tables that a benchmark writes into the README, between markers of its own. Pure. */

export interface Markers {
  readonly begin: string;
  readonly end: string;
}

/** `what` stands between them; `source` says, to whoever reads the README's text, where it comes from. */
export function markersOf(what: string, source: string): Markers {
  return { begin: `<!-- ${what}: from ${source} -->`, end: `<!-- /${what} -->` };
}

/** The README with what stands between the markers replaced. Throws if it does not have them. */
export function withBlock(readme: string, { begin, end }: Markers, lines: readonly string[]): string {
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md lacks the markers ${begin} and ${end}`);
  return readme.slice(0, from) + [begin, "", ...lines, "", ""].join("\n") + readme.slice(to);
}

/** The lines between the markers; none if the text does not have them. */
export function blockOf(readme: string, { begin, end }: Markers): readonly string[] {
  const from = readme.indexOf(begin);
  return from < 0 ? [] : readme.slice(from + begin.length, readme.indexOf(end, from)).trim().split("\n");
}

/** As the formatter leaves tables: every column as wide as its widest cell. */
export function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((cells) => [...(cells[column] ?? "")].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, column) => text + " ".repeat((widths[column] ?? 0) - [...text].length)).join(" | ")} |`;
  const [header = [], ...body] = rows;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...body.map(line)];
}
