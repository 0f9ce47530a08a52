/** nginx, a server that knows nothing of FABLE, fed from a channel: by the example's programs in both runtimes, and by buffers here. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { channelPair, connect, type Handle, listen, type OutsideHandle, type OutsideName } from "../../mod.ts";
import { command, ROOT, type RuntimeName, RUNTIMES, World } from "../process/harness.ts";
import { code, hash, pattern, pause, soon, until } from "./outside_support.ts";

const nginx = [...(process.env.PATH ?? "").split(":"), "/usr/sbin"].map((folder) => join(folder, "nginx")).find(existsSync);
const options = { skip: nginx === undefined };
/** A skipped test says why in its name. */
const named = (name: string): string =>
  nginx === undefined ? `${name} (skipped: nginx is not installed, apt-get install nginx-light)` : name;
const BIG = pattern(5_000_000);

/** A server of this test alone: its own folder, port and configuration, ended by its process. */
async function withNginx(use: (name: OutsideName, world: World) => Promise<void>): Promise<void> {
  const world = new World();
  const folder = join(world.folder, "nginx");
  mkdirSync(join(folder, "www"), { recursive: true });
  writeFileSync(join(folder, "www/index.html"), "<p>from nginx</p>\n");
  writeFileSync(join(folder, "www/big"), BIG);
  const name = await freeAddress();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${folder}/${what};`).join(" ");
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;\nevents { worker_connections 64; }\n`
      + `http { access_log off; ${temporary} server { listen ${
        name.slice("tcp://".length)
      }; root ${folder}/www; keepalive_requests 10000; } }\n`,
  );
  const server = spawn(nginx!, ["-p", folder, "-c", file, "-e", `${folder}/error.log`], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => server.on("close", resolve));
  let complaints = "";
  server.stderr.setEncoding("utf8").on("data", (part: string) => complaints += part);
  try {
    while (await code(async () => (await connect(name)).close()) !== "done") {
      assert.equal(server.exitCode, null, complaints);
      await pause(10);
    }
    await use(name, world);
  } finally {
    server.kill("SIGKILL");
    await ended;
    await world.close();
  }
}

async function freeAddress(): Promise<OutsideName> {
  await using listener = await listen("tcp://127.0.0.1:0");
  return listener.name;
}

/** One program of the example. */
function run(
  world: World,
  runtime: RuntimeName,
  args: readonly string[],
): { readonly child: ChildProcess; readonly done: Promise<Uint8Array> } {
  const [executable, words] = command(runtime, "examples/http-from-channel.ts", args);
  const child = spawn(executable, words, { env: { ...process.env, ...world.environment }, stdio: ["ignore", "pipe", "pipe"], cwd: ROOT });
  const parts: Uint8Array[] = [];
  let complaints = "";
  child.stdout.on("data", (part: Uint8Array) => parts.push(part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => complaints += part);
  const done = new Promise<Uint8Array>((resolve, reject) => {
    child.on("close", (status, signal) => {
      if (status === 0 || signal === "SIGTERM") resolve(Buffer.concat(parts));
      else reject(new Error(`ended with ${status ?? signal}: ${complaints}`));
    });
  });
  return { child, done };
}

/** Moves bytes on until they are as many. */
async function move(from: OutsideHandle, to: Handle, size: number): Promise<void> {
  for (let moved = 0; moved < size;) {
    assert.ok(await from.waitReadable(), `the server ended after ${moved} of ${size} bytes`);
    for (const buffer of from.getReadBuf()) {
      moved += buffer.size;
      while (!to.commit(buffer)) await to.waitWritable();
    }
    to.flush();
  }
}

describe("nginx fed from a channel", () => {
  for (const gateway of RUNTIMES) {
    const visitor = RUNTIMES.find((runtime) => runtime !== gateway)!;
    test(named(`by the example: a gateway in ${gateway}, a visitor in ${visitor}`), options, () =>
      withNginx(async (name, world) => {
        const server = run(world, gateway, ["gateway", name]);
        let said = "";
        server.child.stdout!.on("data", (part: Uint8Array) => said += new TextDecoder().decode(part));
        try {
          const small = new TextDecoder().decode(await soon(run(world, visitor, ["get", "/index.html"]).done, "a page"));
          assert.match(small, /^HTTP\/1\.1 200 OK\r\nServer: nginx/);
          assert.ok(small.endsWith("\r\n\r\n<p>from nginx</p>\n"));
          const big = await soon(run(world, visitor, ["get", "/big"]).done, "a long page");
          assert.equal(hash(big.subarray(big.length - BIG.length)), hash(BIG));
          assert.match(new TextDecoder().decode(await soon(run(world, visitor, ["get", "/missing"]).done, "a refusal")), /^HTTP\/1\.1 404/);
          await until(() => (said.match(/\d+ bytes in place, 0 copied/g) ?? []).length === 3, `the gateway says so three times: ${said}`);
        } finally {
          server.child.kill("SIGTERM");
          await server.done;
        }
      }));
  }

  test(named("many requests over one connection, committed where they lie"), options, () =>
    withNginx(async (name) => {
      const requests = 500;
      const [client, gateway] = channelPair();
      await using server = await connect(name);
      const request = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
      await server.send(request);
      const once = (await soon(server.receive(), "one response"))!;
      const responses = move(server, gateway, requests * once.length);
      const reading = (async () => {
        let got = "";
        while (got.length < requests * once.length) got += new TextDecoder().decode(await soon(client.receive(), "a response"));
        return got;
      })();
      const feeding = (async () => {
        for (let fed = 0; fed < requests;) {
          await gateway.waitReadable();
          for (const buffer of gateway.getReadBuf()) {
            while (!server.commit(buffer)) await server.waitWritable();
            fed++;
          }
        }
      })();
      for (let count = 0; count < requests; count++) await client.send(request);
      await soon(Promise.all([responses, feeding]), "all responses");
      assert.equal((await reading).match(/HTTP\/1\.1 200 OK/g)!.length, requests);
      const { inPlaceBytes, translatedBytes } = server.stats();
      assert.deepEqual([inPlaceBytes + translatedBytes, inPlaceBytes > 0], [requests * request.length, true]);
      await Promise.all([client.close(), gateway.close()]);
    }));
});
