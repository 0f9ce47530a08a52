/** docs/reference/shared-layouts.md against zig/layout: every field at its offset, every kind with its number, every constant. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

const page = read("docs/reference/shared-layouts.md");
const control = read("zig/layout/control.zig");
const record = read("zig/layout/record.zig");

/** The first column of the page's tables → the second, without back quotes. */
const rows = [...page.matchAll(/^\| (\d+) +\| `?(\w+)`? +\|/gm)].map((row) => `${row[1]} ${row[2]}`);

describe("the page of shared layouts", () => {
  test("has every field of the control region at its offset, and no other", () => {
    const fields = [...control.matchAll(/\bat\("(\w+)", (\d+)\)/g)].map((field) => `${field[2]} ${field[1]}`);
    assert.ok(fields.length > 20);
    assert.deepEqual(rows.filter((row) => /[a-z]/.test(row)), fields);
  });

  test("has every kind of record", () => {
    const body = /pub const Kind = enum\(u8\) \{([^}]*)\}/.exec(record)?.[1] ?? "";
    const kinds = [...body.matchAll(/^\s*(\w+) = (\d+),/gm)].filter((kind) => kind[2] !== "0").map((kind) =>
      `${kind[2]} ${kind[1]?.toUpperCase()}`
    );
    assert.equal(kinds.length, 7);
    assert.deepEqual(rows.filter((row) => /[A-Z]/.test(row)), kinds);
  });

  test("gives the constants their values", () => {
    const constant = (name: string, source: string): string =>
      new RegExp(`pub const ${name}(?:: u32)? = ([^;]+);`).exec(source)?.[1] ?? "missing";
    assert.ok(page.includes(`layout version ${constant("layout_version", control)}.`));
    assert.ok(page.includes(`| ${constant("magic", control)}, "FABL"`));
    assert.ok(page.includes(`\n${constant("bytes", control)} bytes, written by its owner only`));
    assert.ok(page.includes(`${constant("reserve_bytes", record)} bytes always stay free`));
    assert.ok(page.includes(`payload of ${constant("aligned_payload_bytes", record)} bytes or more`));
    assert.ok(page.includes(`${constant("fragment_prefix_bytes", record)} bytes of prefix`));
    assert.equal(constant("max_ring_bytes", record), "64 << 20");
    assert.equal(constant("min_ring_bytes", record), "4096");
    assert.ok(page.includes("4 KiB … 64 MiB"));
  });
});
