/** The suite that every transport must pass, trusted and untrusted: the same tests, whatever moves the messages. */
import { describe } from "node:test";
import { bufferTests } from "./buffers.ts";
import { endingTests } from "./endings.ts";
import { combinations, withPairOf } from "./matrix.ts";
import { messageTests } from "./messages.ts";
import { movingTests } from "./moving.ts";
import { waitingTests } from "./waiting.ts";

for (const combination of combinations) {
  const withPair = withPairOf(combination);
  describe(`${combination.transport}, ${combination.trust}`, () => {
    describe("messages", () => messageTests(withPair));
    describe("buffers", () => bufferTests(withPair, combination));
    describe("endings", () => endingTests(withPair));
    describe("moving", () => movingTests(withPair, combination));
    describe("waiting", () => waitingTests(withPair, combination));
  });
}
