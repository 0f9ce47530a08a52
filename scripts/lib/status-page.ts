/** docs/reference/status-codes.md, from the table in src/native/status.ts and the header. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { statusMeanings } from "../../src/native/status.ts";
import { root } from "./checkout.ts";

export const STATUS_PAGE = join(root, "docs/reference/status-codes.md");

export interface HeaderStatus {
  readonly name: string;
  readonly status: number;
  /** Whether waiting and calling again can succeed: "yes, after readable", "no", "maybe". */
  readonly again: string;
}

/** The status codes of include/fable.h. */
export function headerStatuses(): readonly HeaderStatus[] {
  const header = readFileSync(join(root, "include/fable.h"), "utf8");
  return [...header.matchAll(/^#define FABLE_(\w+) (-\d+) .*? again: (.*?) *\*\/$/gm)]
    .map(([, name = "", status, again = ""]) => ({ name, status: Number(status), again }));
}

const INTRODUCTION = `# Status codes

Every function of [fable.h](../../include/fable.h) answers with a number: zero or positive on success, one of these otherwise. The TypeScript
API turns them into a \`FableError\` whose \`code\` is in the third column; on the hot path (nothing to read, no room) they stay values.
`;

export function statusPage(): string {
  const again = new Map(headerStatuses().map((one) => [one.status, one.again]));
  const rows = statusMeanings.map((
    { status, name, code, cause, remedy },
  ) => [`${status}`, name, code, cause, again.get(status) ?? "?", remedy]);
  return `${INTRODUCTION}\n${table([["status", "`FABLE_…`", "`FableError.code`", "cause", "try again?", "remedy"], ...rows])}`;
}

/** Padded as the formatter does it. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const rule = widths.map((width) => "-".repeat(width));
  const [head = [], ...body] = rows;
  return [head, rule, ...body].map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |\n`).join("");
}
