/** `fable top` on a terminal of 80 × 24 (made by util-linux's `script`): a live channel is shown, moved, explained; the terminal is given back. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import type { FlowEntry } from "../../src/naming/service.ts";
import { json, run, SENTENCE, text } from "./cli.ts";
import { command, type Program, type RuntimeName, RUNTIMES, until, World } from "./harness.ts";

const END = "tests/process/end_main.ts";

let world: World;
let ends: readonly Program[] = [];
let flow = "";
before(async () => {
  world = new World();
  await world.broker();
  const [listening, calling] = [world.run("bun", END), world.run("deno", END)];
  ends = [listening, calling];
  listening.tell({ op: "listen", name: "xio://shop/orders" });
  await listening.next("listening");
  listening.tell({ op: "accept" });
  calling.tell({ op: "connect", name: "xio://shop/orders" });
  const [accepted] = await Promise.all([listening.next("accepted"), calling.next("connected")]);
  flow = String(accepted["flow"]);
});
after(async () => {
  await Promise.all(ends.map((end) => end.stop()));
  await world.close();
});

/** The command with a terminal of its own. */
class Terminal {
  readonly #child: ChildProcess;
  readonly ended: Promise<number | null>;
  #shown = "";

  constructor(runtime: RuntimeName, args: readonly string[]) {
    const [file, list] = command(runtime, "src/cli/main.ts", args);
    const words = [file, ...list].map((word) => `'${word}'`).join(" ");
    this.#child = spawn("script", ["-qfec", `stty cols 80 rows 24; exec ${words}`, "/dev/null"], {
      env: { ...process.env, ...world.environment, TERM: "xterm", SHELL: "/bin/sh" },
      timeout: 20_000,
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (part: string) => void (this.#shown += part));
    this.ended = new Promise((resolve) => this.#child.on("close", resolve));
  }

  get shown(): string {
    return this.#shown;
  }

  press(keys: string): void {
    this.#shown = "";
    this.#child.stdin?.write(keys);
  }

  async shows(what: string): Promise<void> {
    await until(() => this.#shown.includes(what), `the terminal shows ${what}`).catch((error: unknown) => {
      throw new Error(`${String(error)}; it showed ${JSON.stringify(this.#shown.slice(-2000))}`);
    });
  }
}

for (const runtime of RUNTIMES) {
  describe(`fable top, ${runtime}`, () => {
    test("shows, filters, explains and moves a live channel by keys, and gives the terminal back", async () => {
      const to = runtime === "bun" ? "tcp" : "mempipe";
      const terminal = new Terminal(runtime, ["top", "--interval", "0.3"]);
      await terminal.shows(`> ${flow}`);
      terminal.press("?");
      await terminal.shows("Escape: back to the table");
      terminal.press("q/nothing\r");
      await terminal.shows('No channel has "nothing"');
      terminal.press("/\x7f\x7f\x7f\x7f\x7f\x7f\x7fshop\r");
      await terminal.shows(`> ${flow}`);
      terminal.press("e");
      await terminal.shows(`${flow}, processes `);
      terminal.press("qm");
      await terminal.shows(`Move ${flow} to`);
      terminal.press(to === "tcp" ? "5" : "1");
      await terminal.shows(`${flow} moved to ${to}`);
      const [entry] = json(await run(world, runtime, ["flows", "--json"])) as readonly FlowEntry[];
      assert.deepEqual(entry?.directions.map(({ transport }) => transport), [to, to]);
      terminal.press("q");
      assert.equal(await terminal.ended, 0);
      assert.ok(
        terminal.shown.trimEnd().endsWith("\x1b[?25h\x1b[?1049l"),
        `the cursor and the first screen are not back: ${JSON.stringify(terminal.shown)}`,
      );
    });

    test("without a terminal says what to use instead; as JSON gives one line a look", async () => {
      const refused = await run(world, runtime, ["top"]);
      assert.equal(refused.code, 2);
      assert.match(refused.errors, SENTENCE);
      const { code, out } = await run(world, runtime, ["top", "--json", "--interval", "0.1", "--count", "3"]);
      assert.equal(code, 0);
      const lines = text(out).trimEnd().split("\n").map((line) => JSON.parse(line) as { readonly flows: readonly FlowEntry[] });
      assert.deepEqual(lines.map(({ flows }) => flows.map((entry) => entry.flow)), [[flow], [flow], [flow]]);
    });
  });
}
