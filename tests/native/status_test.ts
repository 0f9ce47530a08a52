/** Statuses as errors, and that header, table and reference page say the same. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { headerStatuses, STATUS_PAGE, statusPage } from "../../scripts/lib/status-page.ts";
import { isFableError } from "../../src/errors.ts";
import { errnoName } from "../../src/native/errno.ts";
import { check, statusError, statusMeanings } from "../../src/native/status.ts";

const library = { errno: () => 98 };

describe("statuses", () => {
  test("the table has every code of the header, under its name", () => {
    const table = statusMeanings.map(({ name, status }) => `${name} ${status}`);
    assert.deepEqual(table, headerStatuses().map(({ name, status }) => `${name} ${status}`));
    assert.ok(table.length >= 19);
  });

  test("the reference page is fresh (bun scripts/status-page.ts writes it)", () => {
    assert.equal(readFileSync(STATUS_PAGE, "utf8"), statusPage());
  });

  test("a success passes, with its value", () => {
    assert.equal(check(library, 0, "do it"), 0);
    assert.equal(check(library, 17, "do it"), 17);
  });

  test("a failure has code, cause and remedy", () => {
    for (const { status, code, remedy } of statusMeanings) {
      const error = statusError(library, status, "open the channel");
      assert.ok(isFableError(error, code));
      assert.match(error.message, /^Could not open the channel: [^.]+\.$/);
      assert.equal(error.remedy, remedy);
      assert.match(remedy, /^[A-Z].*\.$/);
    }
  });

  test("a refusal of the system names its errno, others do not ask for it", () => {
    assert.match(statusError(library, -13, "listen").message, /\(EADDRINUSE\)/);
    const mute = { errno: () => assert.fail("errno is only behind SYSTEM") };
    assert.throws(() => check(mute, -2, "send"), (error) => isFableError(error, "ENOSPACE"));
  });

  test("a status this version does not know is still an error", () => {
    assert.throws(() => check(library, -99, "send"), (error) => isFableError(error, "SYSTEM") && /-99/.test(error.message));
  });

  test("unknown error numbers keep their number", () => {
    assert.equal(errnoName(2), "ENOENT");
    assert.equal(errnoName(4095), "errno 4095");
  });
});
