/** The README's program runs as printed, in both runtimes and between them, with the permission it says; and what it says exists does. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { ROOT, type RuntimeName, RUNTIMES, until, World } from "./harness.ts";

const README = readFileSync(join(ROOT, "README.md"), "utf8");
/** The words before the file's name, as the README prints them. */
const FLAGS: Readonly<Record<RuntimeName, readonly string[]>> = { bun: [], deno: ["run", "--allow-ffi"] };

function program(): string {
  const match = /^```ts\n([\s\S]*?)^```/m.exec(README);
  if (match?.[1] === undefined) throw new Error("the README has no program");
  return match[1];
}

function run(world: World, runtime: RuntimeName, file: string, args: readonly string[]) {
  const child = spawn(join(ROOT, "node_modules/.bin", runtime), [...FLAGS[runtime], file, ...args], {
    env: { ...process.env, ...world.environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
  });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text));
  const ended = new Promise<string>((resolve) => child.on("close", () => resolve(errors + out)));
  return { child, ended };
}

describe("README", () => {
  test("the program is ten lines", () => {
    assert.equal(program().trimEnd().split("\n").filter((line) => line.trim() !== "").length, 10);
    assert.ok(README.includes("bun greet.ts serve"));
    assert.ok(README.includes("deno run --allow-ffi greet.ts"));
  });

  for (const serving of RUNTIMES) {
    for (const asking of RUNTIMES) {
      test(`served by ${serving}, asked by ${asking}`, async () => {
        const world = new World();
        // Inside the checkout, where "fable" is this package.
        const folder = mkdtempSync(join(ROOT, "examples/.readme-"));
        try {
          const file = join(folder, "greet.ts");
          writeFileSync(file, program());
          const server = run(world, serving, file, ["serve"]);
          await until(() => existsSync(world.socket), "no broker was started");
          assert.equal(await run(world, asking, file, []).ended, "Hello, world!\n");
          server.child.kill();
          assert.equal(await server.ended, "");
        } finally {
          rmSync(folder, { recursive: true, force: true });
          await world.close();
        }
      });
    }
  }

  test("every file it names exists", () => {
    const links = [...README.matchAll(/\]\(([^)#]+)\)/g)].map(([, path]) => path ?? "").filter((path) => !path.startsWith("http"));
    assert.ok(links.length > 5);
    for (const path of links) assert.ok(existsSync(join(ROOT, path)), path);
  });

  test("every command it names exists", () => {
    const main = readFileSync(join(ROOT, "src/cli/main.ts"), "utf8");
    const commands = new Set([...README.matchAll(/`fable ([a-z]+)/g)].map(([, name]) => name));
    assert.ok(commands.size >= 7);
    for (const name of commands) assert.ok(main.includes(`sub(root, "${name}"`), name);
  });
});
