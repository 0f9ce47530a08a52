/** The process's surroundings, asked of the native core. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { isFableError } from "../../src/errors.ts";
import { environmentVariable, folderOf, identity, MAX_SOCKET_PATH_BYTES, socketPath } from "../../src/native/environment.ts";
import { loadNative } from "../../src/native/load.ts";

/** A core whose process has these variables and this user. */
function fakeCore(variables: Readonly<Record<string, string>>, uid = 0) {
  return {
    errno: () => 0,
    getenv(name: Uint8Array, nameBytes: number, out: Uint8Array, capacityBytes: number) {
      const value = variables[new TextDecoder().decode(name.subarray(0, nameBytes))];
      if (value === undefined) return -1;
      const bytes = new TextEncoder().encode(value);
      if (bytes.length > capacityBytes) return -10;
      out.set(bytes);
      return bytes.length;
    },
    self(out: Uint32Array) {
      out.set([4711, uid, uid]);
      return 0;
    },
  };
}

describe("socketPath", () => {
  test("FABLE_SOCKET comes first", () => {
    assert.equal(socketPath(fakeCore({ FABLE_SOCKET: "/srv/x.sock", XDG_RUNTIME_DIR: "/run/user/7" })), "/srv/x.sock");
  });

  test("then the user's runtime folder", () => {
    assert.equal(socketPath(fakeCore({ XDG_RUNTIME_DIR: "/run/user/7" }, 7)), "/run/user/7/fable/broker.sock");
    assert.equal(socketPath(fakeCore({ FABLE_SOCKET: "", XDG_RUNTIME_DIR: "/run/user/7/" }, 7)), "/run/user/7/fable/broker.sock");
  });

  test("then by user; an empty or relative runtime folder is ignored", () => {
    assert.equal(socketPath(fakeCore({}, 0)), "/run/fable/broker.sock");
    assert.equal(socketPath(fakeCore({ XDG_RUNTIME_DIR: "" }, 1000)), "/tmp/fable-1000/broker.sock");
    assert.equal(socketPath(fakeCore({ XDG_RUNTIME_DIR: "run" }, 1000)), "/tmp/fable-1000/broker.sock");
  });

  test("refuses what cannot be a socket's path", () => {
    assert.throws(
      () => socketPath(fakeCore({ FABLE_SOCKET: "x.sock" })),
      (error) => isFableError(error, "BAD_ARGUMENT") && /absolute/.test(error.message),
    );
    const longest = `/${"x".repeat(MAX_SOCKET_PATH_BYTES - 1)}`;
    assert.equal(socketPath(fakeCore({ FABLE_SOCKET: longest })), longest);
    assert.throws(
      () => socketPath(fakeCore({ FABLE_SOCKET: `${longest}x` })),
      (error) => isFableError(error, "BAD_ARGUMENT") && /107/.test(error.message),
    );
  });

  test("its folder", () => {
    assert.equal(folderOf("/run/fable/broker.sock"), "/run/fable");
    assert.equal(folderOf("/broker.sock"), "/");
  });
});

describe("environmentVariable", () => {
  test("is unset, empty or a value", () => {
    const core = fakeCore({ EMPTY: "", VALUE: "größer" });
    assert.equal(environmentVariable(core, "UNSET"), undefined);
    assert.equal(environmentVariable(core, "EMPTY"), "");
    assert.equal(environmentVariable(core, "VALUE"), "größer");
  });

  test("refuses a value that is too long", () => {
    assert.throws(() => environmentVariable(fakeCore({ LONG: "x".repeat(5000) }), "LONG"), (error) => isFableError(error, "TOO_LARGE"));
  });
});

describe("the real core", () => {
  const { library } = loadNative();

  test("knows this process", () => {
    const { pid, uid, gid } = identity(library);
    assert.deepEqual([pid, uid, gid], [process.pid, process.geteuid?.(), process.getegid?.()]);
  });

  test("reads this process's environment", () => {
    assert.equal(environmentVariable(library, "PATH"), process.env["PATH"]);
    assert.equal(environmentVariable(library, "FABLE_NOT_SET_ANYWHERE"), undefined);
  });
});
