/** The adapters, each with a fake of its runtime: what they ask of it, and what they make of its answers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isFableError } from "../../src/errors.ts";
import { bunRuntime } from "../../src/runtime/bun.ts";
import { denoRuntime } from "../../src/runtime/deno.ts";
import { detectRuntime } from "../../src/runtime/detect.ts";
import type { NativePointer, NativeSignature } from "../../src/runtime/runtime.ts";
import { fakeBun, fakeDeno } from "./fakes.ts";
import { here } from "./programs.ts";

const SIGNATURES = {
  refill: { parameters: ["u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  channel_arena: { parameters: ["u32", "u32", "pointer"], result: "pointer" },
  now_ns: { parameters: [], result: "u64" },
} satisfies Record<string, NativeSignature>;

const NULL_POINTER = null as unknown as NativePointer;
const nothing = () => {};

describe("detectRuntime", () => {
  test("finds the runtime that runs this test", () => {
    assert.equal(detectRuntime().name, here);
  });

  test("takes either namespace", () => {
    assert.equal(detectRuntime(fakeBun().globals).name, "bun");
    assert.equal(detectRuntime(fakeDeno().globals).name, "deno");
  });

  test("refuses any other runtime in one sentence, with the remedy", () => {
    assert.throws(
      () => detectRuntime({ process: { versions: { node: "20.0.0" } } }),
      (error) => isFableError(error, "UNSUPPORTED_PLATFORM") && /bun/.test(error.remedy ?? "") && /deno/.test(error.remedy ?? ""),
    );
  });
});

describe("Bun adapter", () => {
  test("maps types to Bun's", () => {
    const fake = fakeBun();
    bunRuntime(fake.globals).open("lib.so", SIGNATURES);
    assert.deepEqual(fake.symbols, {
      refill: { args: ["u32"], returns: "i32" },
      write: { args: ["i32", "buffer", "u32"], returns: "i32" },
      channel_arena: { args: ["u32", "u32", "ptr"], returns: "ptr" },
      now_ns: { args: [], returns: "u64" },
    });
  });

  test("refuses to look at a null pointer", () => {
    assert.throws(() => bunRuntime(fakeBun().globals).arrayBuffer(NULL_POINTER, 8), (error) => isFableError(error, "BAD_ARGUMENT"));
  });

  test("says what it is", () => {
    const runtime = bunRuntime(fakeBun().globals);
    assert.deepEqual([runtime.version, runtime.platform, runtime.arch], ["1.2.3", "linux", "x64"]);
    assert.deepEqual(runtime.commandFor("/usr/bin/bun"), ["/usr/bin/bun"]);
    assert.equal(runtime.environment("SET"), "value");
    assert.equal(runtime.environment("UNSET"), undefined);
  });

  test("a watch does not keep the process alive until it is told to", () => {
    const fake = fakeBun();
    const watch = bunRuntime(fake.globals).watchOwned(7, nothing, nothing);
    watch.setRef(true);
    watch.setRef(false);
    watch.close();
    watch.setRef(true);
    assert.deepEqual(fake.log, ["unref", "ref", "unref", "terminate"]);
  });

  test("a watch that opens late remembers what it was told", () => {
    const kept = fakeBun({ connecting: "late" });
    bunRuntime(kept.globals).watchOwned(7, nothing, nothing).setRef(true);
    kept.fire("open");
    assert.deepEqual(kept.log, []);
    const closed = fakeBun({ connecting: "late" });
    bunRuntime(closed.globals).watchOwned(7, nothing, nothing).close();
    closed.fire("open");
    assert.deepEqual(closed.log, ["terminate"]);
  });

  test("reports bytes, the hang-up once, and nothing after close", () => {
    const fake = fakeBun();
    const seen: (number | string)[] = [];
    const watch = bunRuntime(fake.globals).watchOwned(7, (bytes) => seen.push(bytes), () => seen.push("hang-up"));
    fake.fire("data", 3);
    fake.fire("error");
    fake.fire("close");
    fake.fire("close");
    watch.close();
    assert.deepEqual(seen, [3, "hang-up"]);
    const closed = fakeBun();
    bunRuntime(closed.globals).watchOwned(7, (bytes) => seen.push(bytes), () => seen.push("late")).close();
    closed.fire("data", 1);
    closed.fire("close");
    assert.deepEqual(seen, [3, "hang-up"]);
  });

  test("a descriptor that cannot be watched is a hang-up", async () => {
    const hungUp = await new Promise((resolve) => {
      bunRuntime(fakeBun({ connecting: "refused" }).globals).watchOwned(7, nothing, () => resolve(true));
    });
    assert.equal(hungUp, true);
  });
});

describe("Deno adapter", () => {
  test("maps types to Deno's, which calls every typed array a buffer", () => {
    const fake = fakeDeno();
    denoRuntime(fake.globals).open("lib.so", SIGNATURES);
    assert.deepEqual(fake.symbols, {
      refill: { parameters: ["u32"], result: "i32" },
      write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
      channel_arena: { parameters: ["u32", "u32", "buffer"], result: "pointer" },
      now_ns: { parameters: [], result: "u64" },
    });
  });

  test("names --allow-ffi when the sandbox refuses", () => {
    const ffiError = Object.assign(new Error("Requires ffi access"), { name: "NotCapable" });
    const runtime = denoRuntime(fakeDeno({ ffiError }).globals);
    const namesTheFlag = (error: unknown) => isFableError(error, "PERMISSION") && /--allow-ffi\b/.test(error.remedy ?? "");
    assert.throws(() => runtime.open("lib.so", SIGNATURES), namesTheFlag);
    assert.throws(() => runtime.arrayBuffer({} as NativePointer, 8), namesTheFlag);
  });

  test("leaves other failures as they are", () => {
    const ffiError = new Error("invalid ELF header");
    assert.throws(() => denoRuntime(fakeDeno({ ffiError }).globals).open("lib.so", SIGNATURES), (error) => error === ffiError);
  });

  test("refuses to look at a null pointer", () => {
    assert.throws(() => denoRuntime(fakeDeno().globals).arrayBuffer(NULL_POINTER, 8), (error) => isFableError(error, "BAD_ARGUMENT"));
  });

  test("says what it is in the words of the other runtime", () => {
    assert.deepEqual([fakeDeno(), fakeDeno({ arch: "aarch64" }), fakeDeno({ arch: "riscv64" })].map((it) => denoRuntime(it.globals).arch), [
      "x64",
      "arm64",
      "riscv64",
    ]);
    const command = denoRuntime(fakeDeno().globals).commandFor("/usr/bin/deno");
    assert.deepEqual(command.slice(0, 2), ["/usr/bin/deno", "run"]);
    assert.ok(command.includes("--allow-ffi") && command.includes("--no-prompt"));
  });

  test("reads the environment only where that asks nobody", () => {
    assert.equal(denoRuntime(fakeDeno({ envState: "granted" }).globals).environment("SET"), "value");
    assert.equal(denoRuntime(fakeDeno({ envState: "prompt" }).globals).environment("SET"), undefined);
    assert.equal(denoRuntime(fakeDeno({ envState: "denied" }).globals).environment("SET"), undefined);
  });

  test("a watch does not keep the process alive until it is told to", () => {
    const fake = fakeDeno();
    const watch = denoRuntime(fake.globals).watchOwned(7, nothing, nothing);
    watch.setRef(true);
    watch.close();
    watch.close();
    watch.setRef(true);
    assert.deepEqual(fake.log, ["unref", "ref", "destroy"]);
    assert.equal(fake.sockets[0]?.fd, 7);
    assert.equal(fake.sockets[0]?.writable, false);
  });

  test("reports bytes, the hang-up once, and nothing after close", () => {
    const fake = fakeDeno();
    const seen: (number | string)[] = [];
    denoRuntime(fake.globals).watchOwned(7, (bytes) => seen.push(bytes), () => seen.push("hang-up"));
    assert.equal(fake.sockets[0]?.onread.callback(3), true, "goes on reading");
    fake.fire("error");
    fake.fire("close");
    fake.fire("close");
    assert.deepEqual(seen, [3, "hang-up"]);
    const closed = fakeDeno();
    denoRuntime(closed.globals).watchOwned(7, (bytes) => seen.push(bytes), () => seen.push("late")).close();
    closed.sockets[0]?.onread.callback(1);
    closed.fire("close");
    assert.deepEqual(seen, [3, "hang-up"]);
  });
});
