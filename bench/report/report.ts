/** The report of `fable bench --html`: one page that needs nothing but itself. */
import { writeFile } from "node:fs/promises";
import { type BenchReport, readReport } from "./input.ts";
import { page } from "./page.ts";

export type { BenchReport };

export function renderReport(report: BenchReport): string {
  return page(readReport(report));
}

export async function writeReport(path: string, report: BenchReport): Promise<void> {
  await writeFile(path, renderReport(report));
}
