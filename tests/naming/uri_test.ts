/** Names: what is accepted, what is refused and with which sentence. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FableError, isFableError } from "../../src/errors.ts";
import { anonymousName, isName, isPeerName, parseName } from "../../src/naming/uri.ts";

function refusal(name: unknown): FableError {
  try {
    parseName(name as string);
  } catch (error) {
    if (error instanceof FableError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: `${String(name)} was accepted` });
}

describe("names", () => {
  test("are taken apart", () => {
    assert.deepEqual(parseName("xio://backup"), { name: "xio://backup", authority: "backup", segments: [] });
    assert.deepEqual(parseName("xio://shop.example-1/orders/v2~a_b.c"), {
      name: "xio://shop.example-1/orders/v2~a_b.c",
      authority: "shop.example-1",
      segments: ["orders", "v2~a_b.c"],
    });
    assert.equal(parseName(`xio://${"a".repeat(63)}/${"b".repeat(63)}`).segments.length, 1);
    assert.equal(parseName("xio://a/1/2/3/4/5/6/7/8").segments.length, 8);
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /empty/],
    ["backup", /does not begin/],
    ["http://backup", /does not begin/],
    ["XIO://backup", /does not begin/],
    ["xio:backup", /does not begin/],
    ["xio://", /no authority/],
    ["xio:///a", /no authority/],
    ["xio://Backup", /lower-case/],
    ["xio://backup/", /empty path segment/],
    ["xio://backup//a", /empty path segment/],
    ["xio://backup/.", /no path segment/],
    ["xio://backup/../etc", /no path segment/],
    ["xio://-a", /no authority: /],
    ["xio://a-", /no authority: /],
    ["xio://a..b", /no authority: /],
    ["xio://a_b", /no authority: /],
    ["xio://a.-b", /no authority: /],
    ["xio://a:80", /port/],
    ["xio://me@a", /user information/],
    ["xio://a?transport=unix", /query/],
    ["xio://a#b", /fragment/],
    ["xio://a/%41", /percent/],
    ["xio://a b", /contains " "/],
    ["xio://a\u0000", /contains/],
    ["xio://\u00e4", /contains/],
    ["xio://\u{1f600}", /contains/],
    ["xio://fable/x", /reserved/],
    ["xio://anonymous/1", /reserved/],
    [`xio://${"a".repeat(64)}`, /more than 63/],
    [`xio://a/${"b".repeat(64)}`, /more than 63/],
    ["xio://a/1/2/3/4/5/6/7/8/9", /more than 8/],
    [`xio://a${"/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb".repeat(4)}`, /more than 255/],
    ["x".repeat(1_000_000), /more than 255/],
  ];
  for (const [name, sentence] of refused) {
    test(`refuses ${JSON.stringify(name.slice(0, 40))}`, () => {
      const error = refusal(name);
      assert.equal(error.code, "BAD_NAME");
      assert.match(error.message, sentence);
      assert.ok(error.message.length < 300, "a sentence, not an echo");
      assert.ok(error.remedy !== undefined && error.remedy.length > 0);
      assert.equal(isName(name), false);
    });
  }

  test("the quick look and the careful one agree", () => {
    const pieces = ["a", "-", ".", "/", "~", "_", "fable", "anonymous", "x".repeat(31), "0", "A", "//", "..", ":", " "];
    let state = 7;
    const draw = (below: number) => (state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647) % below;
    let names = 0;
    for (let count = 0; count < 50_000; count++) {
      const name = `xio://${Array.from({ length: draw(12) }, () => pieces[draw(pieces.length)]).join("")}`;
      const careful = (() => {
        try {
          return parseName(name).name === name;
        } catch {
          return false;
        }
      })();
      assert.equal(isName(name), careful, name);
      if (careful) names += 1;
    }
    assert.ok(names > 1000, "and many of them were names");
  });

  test("refuses what is not a string", () => {
    for (const value of [undefined, null, 1, {}, ["xio://a"]]) assert.equal(refusal(value).code, "BAD_NAME");
  });

  test("the remedy shows the canonical spelling when there is one", () => {
    assert.equal(refusal("XIO://Backup/Orders/").remedy, "write xio://backup/orders");
    assert.equal(refusal("backup").remedy, "write xio://backup");
    assert.equal(refusal("xio:backup").remedy, "write xio://backup");
    assert.equal(refusal(" xio://a//b ").remedy, "write xio://a/b");
    assert.match(refusal("xio://a b").remedy ?? "", /^write it as/);
  });

  test("addresses of the outside world have their own refusal", () => {
    for (const name of ["tcp://localhost:80", "udp://1.2.3.4:5", "unix:/run/x.sock", "TCP:x"]) {
      const error = refusal(name);
      assert.ok(isFableError(error, "BAD_NAME"));
      assert.match(error.message, /outside world/);
      assert.match(error.remedy ?? "", /connect\(\)/);
    }
  });

  test("error sentences carry nothing that moves a terminal's cursor", () => {
    const error = refusal("xio://a\u001b[2J\u009b2J\u202e");
    assert.ok(!/[\u0000-\u001f\u007f-\u009f\u202e]/.test(error.message));
  });

  test("anonymous peers are nameable in a flow, but not registrable", () => {
    assert.equal(isPeerName(anonymousName(7)), true);
    assert.equal(isName(anonymousName(7)), false);
    assert.equal(isPeerName("xio://anonymous/x"), false);
    assert.equal(isPeerName("xio://a"), true);
  });
});
