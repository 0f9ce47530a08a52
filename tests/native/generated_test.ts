/** The generated bindings, the typed library and the header are one contract: whichever is stale, this fails. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { root } from "../../scripts/lib/checkout.ts";
import * as generated from "../../src/native/generated.ts";
import { loadNative } from "../../src/native/load.ts";
import type { NativeSignature } from "../../src/runtime/runtime.ts";

const header = readFileSync(join(root, "include/fable.h"), "utf8");
const prototypes = header.replace(/\/\*[\s\S]*?\*\//g, "");
const signatures: Readonly<Record<string, NativeSignature>> = generated.signatures;

const SCALARS: Readonly<Record<string, string>> = { uint32_t: "u32", int32_t: "i32", uint64_t: "u64" };

/** "fable_read(int32_t fd, uint8_t *out)" → "i32(i32, buffer)" for each function of the header. */
function headerSignatures(): Readonly<Record<string, string>> {
  const found = [...prototypes.matchAll(/^(\w+ \*?)fable_(\w+)\(([^)]*)\);/gm)];
  return Object.fromEntries(found.map(([, result = "", name = "", parameters = ""]) => {
    const types = parameters.trim() === "void" ? [] : parameters.split(",").map((it) => typeOf(it.trim()));
    return [name, `${result.includes("*") ? "pointer" : SCALARS[result.trim()]}(${types.join(", ")})`];
  }));
}

function typeOf(declaration: string): string {
  return /[*[]/.test(declaration) ? "buffer" : SCALARS[declaration.split(" ")[0] ?? ""] ?? declaration;
}

describe("the native contract", () => {
  test("the generated signatures are the header's", () => {
    const actual = Object.fromEntries(
      Object.entries(signatures).map(([name, { parameters, result }]) => [name, `${result}(${parameters.join(", ")})`]),
    );
    assert.deepEqual(actual, headerSignatures());
  });

  test("the typed library has exactly those methods, with as many parameters", () => {
    const source = readFileSync(join(root, "src/native/library.ts"), "utf8");
    const methods = [...source.matchAll(/^ {2}(\w+)\(([^)]*)\):/gm)].map(([, name, parameters = ""]) =>
      `${name}/${(parameters.match(/: /g) ?? []).length}`
    );
    assert.deepEqual(methods.sort(), Object.entries(signatures).map(([name, { parameters }]) => `${name}/${parameters.length}`).sort());
  });

  test("the generated numbers are the header's", () => {
    const words = [...header.matchAll(/^#define FABLE_(\w+) (-?(?:0x[0-9a-f]+|\d+))u?/gm)].map(([, name = "", value]) =>
      [name, Number(value)] as const
    );
    assert.ok(words.length > 50);
    const values: Readonly<Record<string, unknown>> = { ...generated };
    assert.deepEqual(words.map(([name]) => [name, values[name]]), words);
  });

  test("the library built here speaks this version", () => {
    assert.equal(loadNative().library.abi_version(), generated.ABI_VERSION);
  });
});
