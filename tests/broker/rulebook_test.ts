/** The two files the broker lives by: taken over when they change, ignored and complained about when they are wrong. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Rulebook, type RulebookEvent } from "../../src/broker/rulebook.ts";
import { DEFAULT_RULES } from "../../src/policy/rules.ts";
import { TABLE } from "../policy/support.ts";

class Files {
  readonly files = new Map<string, string>();
  readonly events: RulebookEvent[] = [];
  readonly book: Rulebook;

  constructor(policyOptional = false) {
    const machine = TABLE.machine ?? { processor: "", cpus: 1, kernel: "", hypervisor: null };
    this.book = new Rulebook({
      ...{ policyPath: "p", policyOptional, calibrationPath: "c", machine },
      read: (path) => this.files.get(path),
      log: (event) => this.events.push(event),
    });
  }

  get said(): readonly string[] {
    return this.events.map(({ event }) => event);
  }
}

describe("rules", () => {
  test("hold from the start; changed ones from when they are seen, once", () => {
    const files = new Files();
    files.files.set("p", `{ "mode": "manual" }`);
    assert.equal(files.book.start(), undefined);
    assert.equal(files.book.rules.mode, "manual");
    assert.equal(files.book.look(), false);
    files.files.set("p", `{ "max_ring_bytes": 65536 }`);
    assert.equal(files.book.look(), true);
    assert.deepEqual([files.book.rules.mode, files.book.rules.maxRingBytes], ["auto", 65_536]);
    assert.equal(files.book.look(), false);
    assert.deepEqual(files.said, ["policy-loaded"]);
  });
  test("that are wrong keep a broker from starting, and change nothing for one that runs", () => {
    const files = new Files();
    assert.equal(files.book.start(), "p: it cannot be read");
    files.files.set("p", "{\n nonsense");
    assert.match(files.book.start() ?? "", /^p:2: /);
    files.files.set("p", `{ "mode": "manual" }`);
    assert.equal(files.book.start(), undefined);
    files.files.set("p", `{ "mode": 1 }`);
    for (let looks = 0; looks < 3; looks++) assert.equal(files.book.look(), false);
    assert.equal(files.book.rules.mode, "manual");
    assert.deepEqual(files.said, ["policy-refused"], "said once");
    files.files.delete("p");
    assert.equal(files.book.look(), false);
    assert.equal(files.book.rules.mode, "manual", "an editor may have it away for a moment");
  });
  test("that need not be there hold from when they are", () => {
    const files = new Files(true);
    assert.equal(files.book.start(), undefined);
    assert.deepEqual(files.book.rules, DEFAULT_RULES);
    files.files.set("p", `{ "affinity": true }`);
    assert.equal(files.book.look(), true);
    assert.equal(files.book.rules.affinity, true);
  });
});

describe("the calibration", () => {
  test("is built in until there is one of this machine", () => {
    const files = new Files(true);
    files.book.start();
    assert.equal(files.book.model.measured, false);
    files.files.set("c", JSON.stringify({ ...TABLE, machine: { ...TABLE.machine, kernel: "other" } }));
    files.book.look();
    files.files.set("c", "{");
    files.book.look();
    assert.equal(files.book.model.measured, false);
    files.files.set("c", JSON.stringify(TABLE));
    files.book.look();
    files.book.look();
    assert.equal(files.book.model.measured, true);
    assert.deepEqual(files.said, ["calibration-refused", "calibration-refused", "calibration-loaded"]);
  });
});
