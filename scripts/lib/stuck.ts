/**
 * Which test a runner is stuck in, from what it prints. A test that loops without ever giving its thread back ends by no time limit of the runner's own:
 * whoever started the runner has to notice that it says nothing any more, and what it said last.
 */
import { stripVTControlCharacters } from "node:util";

/** Deno says once a minute that it still waits for a test. */
const STILL_WAITING = /'[^\n']*' has been running for over \([^)\n]*\)/g;

export class StuckTest {
  readonly #limitMs: number;
  #heardAt: number;
  #file = "";
  /** The line that is not ended yet, and names of groups and tests that were begun and have no result, outermost first. */
  #line = "";
  #begun: { readonly depth: number; readonly name: string }[] = [];

  /** `nowMs`: from when on silence counts. */
  constructor(limitMs: number, nowMs: number) {
    this.#limitMs = limitMs;
    this.#heardAt = nowMs;
  }

  heard(text: string, nowMs: number): void {
    const news = stripVTControlCharacters(text).replace(STILL_WAITING, "");
    if (news.trim() === "") return;
    this.#heardAt = nowMs;
    const lines = (this.#line + news).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
  }

  /** One sentence once the runner was silent for too long; undefined before. */
  sentence(nowMs: number): string | undefined {
    if (nowMs - this.#heardAt < this.#limitMs) return undefined;
    const names = this.#begun.map(({ name }) => name);
    const now = /^\s*(.+?) \.\.\./.exec(this.#line);
    if (now !== null) names.push(now[1]);
    return `nothing was heard for ${Math.round(this.#limitMs / 1000)} s in ${[this.#file || "no file yet", ...names].join(" > ")}`;
  }

  #take(line: string): void {
    // Deno: "running 4 tests from ./tests/a_test.ts"; Bun: "tests/a_test.ts:".
    const file = /^running \d+ tests? from (?:\.\/)?(\S+)$/.exec(line) ?? /^(\S+_test\.ts):$/.exec(line);
    if (file !== null) {
      this.#file = file[1];
      this.#begun = [];
      return;
    }
    const test = /^(\s*)(.+?) \.\.\.(.*)$/.exec(line);
    if (test === null) return;
    const depth = test[1].length;
    this.#begun = this.#begun.filter((outer) => outer.depth < depth);
    if (test[3].trim() === "") this.#begun.push({ depth, name: test[2] });
  }
}
