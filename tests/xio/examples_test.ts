/** The examples run as they are printed, in both runtimes and between them; so do those in the documentation of the public API. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { command, ROOT, type RuntimeName, RUNTIMES, World } from "../process/harness.ts";
import { randomFrom } from "../transport/fake_ring.ts";

const here: RuntimeName = "Bun" in globalThis ? "bun" : "deno";
const there: RuntimeName = here === "bun" ? "deno" : "bun";
const DEADLINE_MS = 20_000;

/** Runs a program to its end: what it printed. */
async function output(world: World, runtime: RuntimeName, file: string, args: readonly string[] = []): Promise<string> {
  const { done } = start(world, runtime, file, args);
  return await done;
}

interface Started {
  readonly done: Promise<string>;
  printed(): string;
  stop(): void;
}

function start(world: World, runtime: RuntimeName, file: string, args: readonly string[] = []): Started {
  const [executable, list] = command(runtime, file, args);
  // A program elsewhere is run with this checkout's dependencies.
  const words = runtime === "deno" ? [list[0], `--config=${join(ROOT, "deno.json")}`, ...list.slice(1)] : list;
  const child = spawn(executable, words, { env: { ...process.env, ...world.environment }, stdio: ["ignore", "pipe", "pipe"], cwd: ROOT });
  let text = "";
  let complaints = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => text += part);
  child.stderr.setEncoding("utf8").on("data", (part: string) => complaints += part);
  const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const done = new Promise<string>((resolve, reject) => {
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0 || signal === "SIGTERM") resolve(text);
      else reject(new Error(`${file} ended with ${code ?? signal}: ${text}${complaints}`));
    });
  });
  return { done, printed: () => text, stop: () => child.kill("SIGTERM") };
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    await use(world);
  } finally {
    await world.close();
  }
}

async function printedBy(started: Started, what: RegExp): Promise<void> {
  while (!what.test(started.printed())) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("examples", () => {
  test("hello", () => withWorld(async (world) => assert.equal(await output(world, here, "examples/hello.ts"), "you said hello\n")));

  test("worker", () => withWorld(async (world) => assert.equal(await output(world, here, "examples/worker.ts"), "49995000\n")));

  test("echo, between the runtimes", () =>
    withWorld(async (world) => {
      const server = start(world, there, "examples/echo.ts", ["listen"]);
      assert.equal(await output(world, here, "examples/echo.ts", ["hello", "there"]), "hello\nthere\n");
      await printedBy(server, /is done: 2 messages/);
      server.stop();
      await server.done;
    }));

  test("request and response, between the runtimes", () =>
    withWorld(async (world) => {
      const server = start(world, there, "examples/request.ts", ["serve"]);
      assert.equal(await output(world, here, "examples/request.ts", ["7", "20", "12"]), "13 6765 144\n");
      server.stop();
      await server.done;
    }));

  test("a file, between the runtimes", () =>
    withWorld(async (world) => {
      const random = randomFrom(1);
      const bytes = Uint8Array.from({ length: 3_000_001 }, () => random(256));
      const from = join(world.folder, "original");
      const to = join(world.folder, "copy");
      writeFileSync(from, bytes);
      const receiver = start(world, there, "examples/file.ts", ["receive", to]);
      assert.equal(await output(world, here, "examples/file.ts", ["send", from]), "sent 12 pieces, 12 taken\n");
      assert.equal(await receiver.done, "received 3000001 bytes\n");
      assert.ok(Buffer.compare(readFileSync(to), bytes) === 0);
    }));

  test("every example is in this test", () => {
    const files = readdirSync(join(ROOT, "examples")).sort();
    assert.deepEqual(files, ["echo.ts", "file.ts", "hello.ts", "http-from-channel.ts", "request.ts", "worker-thread.ts", "worker.ts"]);
  });
});

/** `export` statements of mod.ts: each name and the module it comes from. */
function publicNames(): readonly { readonly name: string; readonly module: string }[] {
  const text = readFileSync(join(ROOT, "mod.ts"), "utf8");
  return [...text.matchAll(/^export (?:type )?\{([^}]+)\} from "(\.\/src\/[^"]+)";/gm)].flatMap(([, names, module]) =>
    names.split(",").map((name) => ({ name: name.trim().replace(/^type /, ""), module }))
  );
}

/** Programs in the documentation of a module, with the import that makes them run here. */
function documentedPrograms(path: string): readonly string[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  return [...text.matchAll(/^ \* ```ts\n((?: \*.*\n)+?) \* ```/gm)]
    .map(([, body]) => body.replace(/^ \* ?/gm, ""))
    .filter((body) => body.includes('from "fable"'));
}

describe("the public API", () => {
  test("every export is documented where it is declared", () => {
    const names = publicNames();
    assert.ok(names.length > 30);
    for (const { name, module } of names) {
      const text = readFileSync(join(ROOT, module), "utf8");
      const declaration = new RegExp(
        `\\*/\\nexport (?:declare )?(?:async )?(?:abstract )?(?:function|class|interface|type|const) ${name}\\b`,
      );
      assert.match(text, declaration, `${name} in ${module}`);
    }
  });

  const modules = ["mod.ts", ...new Set(publicNames().map(({ module }) => module.slice(2)))];
  for (const module of modules) {
    for (const [index, body] of documentedPrograms(module).entries()) {
      test(`example ${index + 1} of ${module} runs`, () =>
        withWorld(async (world) => {
          const file = join(world.folder, "example.ts");
          writeFileSync(
            file,
            body.replaceAll('from "fable"', `from "${join(ROOT, "mod.ts")}"`).replaceAll(
              "./worker.ts",
              join(ROOT, "examples/worker-thread.ts"),
            ),
          );
          await output(world, here, file);
        }));
    }
  }

  test("both runtimes are tested", () => assert.deepEqual([here, there].sort(), [...RUNTIMES].sort()));
});
