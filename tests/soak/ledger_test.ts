/** A soak that goes on where it ended: what is kept between runs, and what is refused. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Ledger } from "./ledger.ts";

describe("the ledger of a soak", () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "fable-ledger-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("a later run, of another revision, goes on with what an earlier one kept", () => {
    const path = join(folder, "kept.json");
    const first = new Ledger(path, "one");
    first.add("pair", { messages: 100, bytes: 7, seconds: 1 });
    first.add("pair", { messages: 50, bytes: 3, seconds: 1 });
    const second = new Ledger(path, "two");
    assert.equal(second.done("pair"), 150);
    assert.equal(second.done("another"), 0);
    second.add("pair", { messages: 1, bytes: 1, seconds: 1 });
    assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), {
      pair: { messages: 151, bytes: 11, seconds: 3, revisions: { one: 150, two: 1 } },
    });
  });

  test("without a file it counts all the same", () => {
    const ledger = new Ledger(undefined, "one");
    ledger.add("pair", { messages: 2, bytes: 2, seconds: 2 });
    assert.equal(ledger.done("pair"), 2);
  });

  test("another file is refused and left as it is", () => {
    const path = join(folder, "other.json");
    for (
      const text of [
        "[1]",
        "no JSON",
        `{"pair":{"messages":-1}}`,
        `{"pair":null}`,
        `{"pair":{"messages":1,"bytes":1,"seconds":1,"revisions":{"a":"b"}}}`,
      ]
    ) {
      writeFileSync(path, text);
      assert.throws(() => new Ledger(path, "one"), /is no ledger of a soak/, text);
      assert.equal(readFileSync(path, "utf8"), text);
    }
  });
});
