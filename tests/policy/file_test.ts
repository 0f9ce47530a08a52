/** The policy file: what it may say, and that whatever is wrong with it is said at once and by line. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeProblems, parseRules } from "../../src/policy/file.ts";
import { DEFAULT_RULES, matches, termsFor } from "../../src/policy/rules.ts";

const rules = (text: string) => {
  const result = parseRules(text);
  assert.ok("rules" in result, JSON.stringify(result));
  return result.rules;
};
const problems = (text: string) => {
  const result = parseRules(text);
  assert.ok("problems" in result, "it was taken");
  return result.problems.map(({ line, message }) => `${line}: ${message}`);
};

describe("a file that is right", () => {
  test("says nothing: all is as without one", () => assert.deepEqual(rules("{}"), DEFAULT_RULES));
  test("with comments and trailing commas", () => {
    const found = rules(`{
      // For the night shift.
      "mode": "manual",
      "transports": ["mempipe", "unix",], /* nothing else */
      "max_ring_bytes": 1048576,
      "affinity": true,
      "drain_deadline_ms": 50,
      "quotas": { "channels": 10 },
      "connections": [
        { "to": "xio://db", "from": "xio://web/*", "trust": "untrusted", "pin": "mempipe-futex" },
        { "to": "xio://db", "allow": false },
      ],
    }`);
    assert.equal(found.mode, "manual");
    assert.deepEqual(found.transports, ["mempipe", "unix"]);
    assert.deepEqual([found.maxRingBytes, found.affinity, found.drainDeadlineMs, found.quotas], [1_048_576, true, 50, { channels: 10 }]);
    assert.equal(found.connections.length, 2);
    const web = termsFor(found, "xio://web/3", "xio://db");
    assert.deepEqual([web.allow, web.trust, web.pin], [true, "untrusted", "mempipe-futex"]);
    assert.equal(termsFor(found, "xio://other", "xio://db").allow, false, "the first rule that fits counts");
    assert.equal(termsFor(found, undefined, "xio://db").allow, false, "without a name nothing but rules for all fits");
    assert.deepEqual(termsFor(found, undefined, "xio://else").transports, ["mempipe", "unix"]);
  });
});

describe("a file that is wrong", () => {
  test("everything at once, each with its line", () => {
    assert.deepEqual(
      problems(`{
  "mode": "automatic",
  "transport": ["mempipe"],
  "max_ring_bytes": 100000,
  "affinity": "yes",
  "quotas": { "channels": 0, "flows": 3 },
  "connections": [
    { "to": "db" },
    { "pin": "warp", "allow": 1 }
  ]
}`),
      [
        '2: mode: "automatic" is none of "auto", "manual"',
        "3: transport: there is no such setting",
        "4: max_ring_bytes: it takes a power of two",
        '5: affinity: it takes true or false, not "yes"',
        "6: quotas.channels: it takes a whole number from 1 to 1000000",
        "6: quotas.flows: there is no such setting",
        "8: connections[0].to: it takes a name such as xio://db, in which * stands for any letters, or * alone",
        "9: connections[1].allow: it takes true or false, not 1",
        '9: connections[1].pin: "warp" is no transport: it takes one of mempipe, mempipe-spin, mempipe-futex, unix, tcp, tcp-nodelay, pipe, vmsplice-coop, shmem-pipe',
      ],
    );
  });
  test("not even JSON, with the line of the mistake", () => {
    assert.deepEqual(problems(`{\n  "mode": "auto"\n  "affinity": true\n}`), ["3: comma expected"]);
    assert.deepEqual(problems(""), ["1: value expected"]);
    assert.deepEqual(problems("[]"), ["1: it takes an object, not a list"]);
    assert.deepEqual(problems(`{ "quotas": [],\n"connections": [[]] }`), [
      "1: it takes an object, not a list",
      "2: it takes an object, not a list",
    ]);
    assert.deepEqual(problems("7"), ["1: it takes an object, not 7"]);
  });
  test("twice the same setting, and settings that exclude each other", () => {
    assert.deepEqual(problems(`{\n"mode": "auto",\n"mode": "manual"\n}`), ['3: "mode" is there twice']);
    const found = problems(`{ "connections": [
      { "pin": "vmsplice-coop", "trust": "untrusted" },
      { "pin": "tcp", "transports": ["unix"] },
      { "allow": false, "pin": "tcp" }
    ] }`);
    assert.deepEqual(found.map((line) => line.slice(0, 2)), ["2:", "3:", "4:"]);
  });
  test("for people, as compilers say it", () => {
    assert.equal(describeProblems("p.json", [{ line: 3, message: "a" }, { line: 5, message: "b" }]), "p.json:3: a\np.json:5: b");
  });
});

test("patterns", () => {
  const cases: readonly (readonly [string | undefined, string | undefined, boolean])[] = [
    [undefined, undefined, true],
    ["*", undefined, true],
    ["xio://a", undefined, false],
    ["xio://a", "xio://a", true],
    ["xio://a", "xio://ab", false],
    ["xio://a*", "xio://ab", true],
    ["xio://a*", "xio://a", true],
    ["*b", "xio://ab", true],
    ["xio://*/x/*", "xio://1/x/2", true],
    ["xio://*/x/*", "xio://x/2", false],
    ["xio://a*a", "xio://a", false],
  ];
  for (const [pattern, name, expected] of cases) assert.equal(matches(pattern, name), expected, `${pattern} ${name}`);
});
