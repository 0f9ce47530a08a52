/** Loading: each thing that can be wrong is one sentence with its code and remedy. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ErrorCode, isFableError } from "../../src/errors.ts";
import { loadNative, type NativeContract, openNative } from "../../src/native/load.ts";
import { libraryCandidates } from "../../src/native/locate.ts";
import type { RuntimeHost } from "../../src/runtime/runtime.ts";
import { fakeHost, type FakeLibrary } from "../runtime/fakes.ts";
import { here, runProgram } from "../runtime/programs.ts";

const CONTRACT: NativeContract = {
  abiVersion: 3,
  signatures: {
    abi_version: { parameters: [], result: "u32" },
    init: { parameters: [], result: "i32" },
    errno: { parameters: [], result: "i32" },
    blocks: { parameters: [], result: "pointer" },
    dup: { parameters: ["i32"], result: "i32" },
  },
};

function library(changes: FakeLibrary["functions"] = {}): FakeLibrary {
  return {
    functions: {
      fable_abi_version: () => 3,
      fable_init: () => 0,
      fable_errno: () => 24,
      fable_blocks: () => 1,
      fable_dup: () => 9,
      ...changes,
    },
  };
}

/** One sentence: starts with a capital, ends with one full stop. */
function isRefusal(code: ErrorCode, message: RegExp, remedy: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFableError(error, code), String(error));
    assert.match(error.message, message);
    assert.match(error.message, /[^.]\.$/);
    assert.match(error.remedy ?? "", remedy);
    return true;
  };
}

function refusal(host: RuntimeHost, candidates: readonly string[]): () => unknown {
  return () => openNative(host, candidates, CONTRACT);
}

describe("openNative", () => {
  test("opens the first library that exists", () => {
    const native = openNative(fakeHost({ "/b.so": library(), "/c.so": library({ fable_abi_version: () => 99 }) }), [
      "/a.so",
      "/b.so",
      "/c.so",
    ], CONTRACT);
    assert.equal(native.library.abi_version(), 3);
    assert.equal(native.blocks.length, 4096 * 16);
  });

  test("another platform", () => {
    const sentence = /Linux on x64 and arm64, and this is darwin on arm64/;
    assert.throws(
      refusal(fakeHost({}, { platform: "darwin", arch: "arm64" }), ["/a.so"]),
      isRefusal("UNSUPPORTED_PLATFORM", sentence, /Linux/),
    );
    assert.throws(refusal(fakeHost({}, { arch: "riscv64" }), ["/a.so"]), isRefusal("UNSUPPORTED_PLATFORM", /riscv64/, /Linux/));
  });

  test("a missing file is told from every other trouble", () => {
    assert.throws(
      refusal(fakeHost({}), ["/a.so", "/b.so"]),
      isRefusal("LIBRARY_MISSING", /\/a\.so or \/b\.so/, /npm run build.*FABLE_LIBRARY/),
    );
    assert.throws(refusal(fakeHost({}), []), isRefusal("LIBRARY_MISSING", /not found\.$/, /npm run build/));
    const broken = fakeHost({ "/a.so": new Error("/a.so: invalid ELF header") });
    assert.throws(refusal(broken, ["/a.so", "/b.so"]), isRefusal("LIBRARY_STALE", /invalid ELF header/, /npm run build/));
  });

  test("a library of another version", () => {
    const host = fakeHost({ "/a.so": library({ fable_abi_version: () => 2 }) });
    assert.throws(refusal(host, ["/a.so"]), isRefusal("LIBRARY_STALE", /speaks version 2 .* speaks 3/, /npm run build/));
  });

  test("a library that lacks a function", () => {
    const { fable_dup: _, ...rest } = library().functions;
    assert.throws(refusal(fakeHost({ "/a.so": { functions: rest } }), ["/a.so"]), isRefusal("LIBRARY_STALE", /fable_dup/, /npm run build/));
  });

  test("a core that cannot start", () => {
    const host = fakeHost({ "/a.so": library({ fable_init: () => -13 }) });
    assert.throws(refusal(host, ["/a.so"]), isRefusal("SYSTEM", /native core.*EMFILE/, /doctor/));
  });

  test("a watch gets a duplicate of the descriptor, or says why not", () => {
    const owned: number[] = [];
    const host = fakeHost({ "/a.so": library() }, { watchOwned: (fd) => (owned.push(fd), { setRef: () => {}, close: () => {} }) });
    openNative(host, ["/a.so"], CONTRACT).runtime.watchDoorbell(5, () => {}, () => {});
    assert.deepEqual(owned, [9]);
    const full = openNative(fakeHost({ "/a.so": library({ fable_dup: () => -13 }) }), ["/a.so"], CONTRACT);
    assert.throws(() => full.runtime.watchDoorbell(5, () => {}, () => {}), isRefusal("SYSTEM", /EMFILE/, /doctor/));
  });
});

describe("libraryCandidates", () => {
  const environment = (value: string | undefined) => ({ environment: () => value });
  const FROM_SOURCE = "file:///srv/my%20checkout/src/native/load.ts";

  test("a path asked for is the only one, then the environment's", () => {
    assert.deepEqual(libraryCandidates(environment("/env.so"), "/asked.so", FROM_SOURCE), ["/asked.so"]);
    assert.deepEqual(libraryCandidates(environment("/env.so"), undefined, FROM_SOURCE), ["/env.so"]);
  });

  test("else the checkout's build, seen from the source and from the bundle", () => {
    const built = "/srv/my checkout/zig-out/lib/libfable.so";
    assert.ok(libraryCandidates(environment(""), undefined, FROM_SOURCE).includes(built));
    assert.ok(libraryCandidates(environment(undefined), undefined, "file:///srv/my%20checkout/dist/fable.js").includes(built));
  });

  test("a module from the network has no file beside it", () => {
    assert.deepEqual(libraryCandidates(environment(undefined), undefined, "https://example.org/src/native/load.ts"), []);
  });
});

describe("loadNative", () => {
  test("gives the same core to every caller of a thread", () => {
    assert.equal(loadNative(), loadNative());
    assert.equal(loadNative().runtime.name, here);
  });

  test("refuses a path that is no library", () => {
    assert.throws(
      () => loadNative({ path: "/nonexistent/libfable.so" }),
      isRefusal("LIBRARY_MISSING", /\/nonexistent\/libfable\.so/, /npm run build/),
    );
    assert.throws(() => loadNative({ path: "/proc/self/cmdline" }), isRefusal("LIBRARY_STALE", /\/proc\/self\/cmdline/, /npm run build/));
  });

  test("refuses another library, however well it loads", () => {
    assert.throws(() => loadNative({ path: "libc.so.6" }), isRefusal("LIBRARY_STALE", /libc\.so\.6/, /npm run build/));
  });
});

describe("a worker", () => {
  test("loads the library for itself, and its end disturbs nobody", async () => {
    const { library: ours } = loadNative();
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(new URL("worker_program.ts", import.meta.url), { type: "module" });
      const said = await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
      worker.terminate();
      assert.deepEqual(said, { bytes: 1, abi: ours.abi_version() });
    }
    assert.ok(ours.now_ns() > 0n);
  });
});

describe("a program that loads the library", () => {
  const program = (runtime: "bun" | "deno", permissions: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
    runProgram(runtime, "tests/native/load_program.ts", [], { permissions, environment });

  test("needs --allow-ffi in Deno, and nothing else", async () => {
    assert.deepEqual(await program("deno", ["--allow-ffi"]), { exitCode: 0, stdout: "loaded\n", stderr: "" });
    const { stdout } = await program("deno", []);
    assert.match(stdout, /^PERMISSION .*--allow-ffi/);
  });

  test("is told that --allow-ffi=PATH is not enough", async () => {
    const { stdout } = await program("deno", [`--allow-ffi=${loadedPath()}`]);
    assert.match(stdout, /^PERMISSION .*without a path/);
  });

  test("finds the library that FABLE_LIBRARY names", async () => {
    assert.match((await program("bun", [], { FABLE_LIBRARY: "/nonexistent.so" })).stdout, /^LIBRARY_MISSING .*\/nonexistent\.so/);
    const asked = await program("deno", ["--allow-ffi", "--allow-env=FABLE_LIBRARY"], { FABLE_LIBRARY: "/nonexistent.so" });
    assert.match(asked.stdout, /^LIBRARY_MISSING .*\/nonexistent\.so/);
  });

  function loadedPath(): string {
    return decodeURIComponent(new URL("../../zig-out/lib/libfable.so", import.meta.url).pathname);
  }
});
