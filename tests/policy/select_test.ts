/** Which transport a channel gets, and the sentence that says why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { select } from "../../src/policy/select.ts";

const facts = { requested: undefined, sameHost: true, trust: "trusted", trustBecause: "asked" } as const;

test("memory on one host", () => {
  assert.deepEqual(select(facts), { transport: "mempipe", reason: "mempipe, because both ends are on this host and can share memory" });
});
test("a socket where memory cannot be shared", () => assert.equal(select({ ...facts, sameHost: false }).transport, "unix"));
test("what was asked for", () => {
  for (const requested of ["unix", "mempipe-spin", "mempipe-futex", "mempipe"] as const) {
    assert.deepEqual(select({ ...facts, requested }), { transport: requested, reason: `${requested} was asked for by the connecting end` });
  }
});
test("why a channel is untrusted is part of the reason", () => {
  assert.match(select({ ...facts, trust: "untrusted" }).reason, /untrusted, because an end asked for it$/);
  assert.match(
    select({ ...facts, trust: "untrusted", trustBecause: "user" }).reason,
    /untrusted, because the ends belong to different users$/,
  );
  assert.doesNotMatch(select({ ...facts, requested: "unix", trust: "untrusted" }).reason, /untrusted/, "a kernel transport always copies");
});
