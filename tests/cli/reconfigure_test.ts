/** Which channel `fable reconfigure` means, and that the command line knows every transport there is. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CommandFailed, describeFailure } from "../../src/cli/failure.ts";
import { findFlow } from "../../src/cli/reconfigure.ts";
import { TRANSPORTS } from "../../src/cli/words.ts";
import type { FlowEntry } from "../../src/naming/service.ts";
import { dependsOnTrust, FIRST_TRANSPORTS, firstTransport, TRANSPORT_NAMES, transportOfCode } from "../../src/naming/transports.ts";

const flows = ["abcdef-1", "abcdef-12", "abcdef-2", "xyzabc-1"].map((flow) => ({ flow }) as FlowEntry);

describe("a flow is found", () => {
  test("by its name, even if others begin so, and by a beginning that is its own", () => {
    for (const [wanted, found] of [["abcdef-1", "abcdef-1"], ["abcdef-12", "abcdef-12"], ["x", "xyzabc-1"], ["abcdef-2", "abcdef-2"]]) {
      assert.equal(findFlow(flows, wanted!).flow, found);
    }
  });

  test("or the sentence says what there is instead", () => {
    assert.equal(
      describeFailure(refused("nothing")).sentence,
      'fable: no channel is called "nothing" (FAILED): fable flows shows those there are.',
    );
    assert.match(
      describeFailure(refused("abc")).sentence,
      /3 channels begin with "abc": abcdef-1, abcdef-12, abcdef-2 \(FAILED\): write enough/,
    );
    refused("");
  });

  function refused(wanted: string): unknown {
    let seen: unknown;
    assert.throws(() => findFlow(flows, wanted), (error) => ((seen = error), error instanceof CommandFailed));
    return seen;
  }
});

describe("transports", () => {
  test("are the same for the command line, the protocol and the native interface", () => {
    assert.deepEqual(TRANSPORTS, TRANSPORT_NAMES);
    assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map(transportOfCode), TRANSPORT_NAMES);
    for (const code of [0, 10, 0xffff_ffff]) assert.equal(transportOfCode(code), undefined);
  });

  test("with which a channel begins are those the broker takes", () => {
    assert.deepEqual(TRANSPORT_NAMES.filter((name) => FIRST_TRANSPORTS.some((first) => first === name)), FIRST_TRANSPORTS);
    for (const name of FIRST_TRANSPORTS) assert.equal(firstTransport(name), name);
    assert.throws(() => firstTransport("tcp"), { code: "TRANSPORT_UNAVAILABLE", remedy: /^connect by one of mempipe,/ });
    assert.deepEqual(TRANSPORT_NAMES.filter((name) => !dependsOnTrust(name)), ["unix", "tcp", "tcp-nodelay", "pipe"]);
  });
});
