/** Addresses of the outside world: what is accepted, how it is spelled in the end, what is refused and with which sentence. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FableError } from "../../src/errors.ts";
import { ipv6Text, isOutsideName, outsideNameOf, parseIpv6, parseOutside } from "../../src/naming/outside.ts";

const encoder = new TextEncoder();

function refusal(name: string): FableError {
  try {
    parseOutside(name);
  } catch (error) {
    if (error instanceof FableError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: `${name} was accepted` });
}

describe("outside addresses", () => {
  test("are taken apart", () => {
    assert.deepEqual(parseOutside("tcp://127.0.0.1:80"), {
      scheme: "tcp",
      host: "127.0.0.1",
      bytes: Uint8Array.of(127, 0, 0, 1),
      port: 80,
    });
    const six = parseOutside("udp://[::1]:53");
    assert.deepEqual(six, { scheme: "udp", host: "::1", bytes: Uint8Array.from({ length: 16 }, (_, at) => at === 15 ? 1 : 0), port: 53 });
    assert.deepEqual(parseOutside("tcp://Example.ORG.:65535"), { scheme: "tcp", host: "example.org", bytes: undefined, port: 65_535 });
    assert.deepEqual(parseOutside("unix:/run/x.sock"), { scheme: "unix", path: encoder.encode("/run/x.sock") });
    assert.deepEqual(parseOutside("unix:/a%20b%25/ä"), { scheme: "unix", path: encoder.encode("/a b%/ä") });
    assert.deepEqual(parseOutside("unix:@name/1"), { scheme: "unix", path: encoder.encode("\0name/1") });
    assert.deepEqual(parseOutside(`unix:/${"x".repeat(106)}`), { scheme: "unix", path: encoder.encode(`/${"x".repeat(106)}`) });
  });

  const spellings: readonly (readonly [string, string])[] = [
    ["tcp://[0:0:0:0:0:0:0:0]:1", "tcp://[::]:1"],
    ["tcp://[2001:DB8:0:0:1:0:0:1]:1", "tcp://[2001:db8::1:0:0:1]:1"],
    ["tcp://[1:0:3:4:5:6:7:8]:1", "tcp://[1:0:3:4:5:6:7:8]:1"],
    ["tcp://[::ffff:1.2.3.4]:1", "tcp://[::ffff:102:304]:1"],
    ["tcp://[1::]:1", "tcp://[1::]:1"],
    ["tcp://LocalHost:1", "tcp://localhost:1"],
    ["unix:/a%2Fb%0a", "unix:/a/b%0A"],
    ["unix:@%00x", ""],
    ["unix:@a b", "unix:@a%20b"],
  ];
  for (const [name, spelled] of spellings) {
    test(`${name} is spelled ${spelled || "by nobody"}`, () => {
      if (spelled === "") assert.match(refusal(name).message, /zero byte/);
      else assert.equal(outsideNameOf(parseOutside(name)), spelled);
    });
  }

  const refused: readonly (readonly [string, RegExp])[] = [
    ["TCP://127.0.0.1:80", /small letters/],
    [" tcp://127.0.0.1:80", /very beginning/],
    ["tcp:127.0.0.1:80", /two slashes/],
    ["tcp:/127.0.0.1:80", /two slashes/],
    ["tcp://", /no host and no port/],
    ["tcp://:80", /no host/],
    ["tcp://127.0.0.1", /no port/],
    ["tcp://127.0.0.1:", /no port/],
    ["tcp://[::1]", /no port/],
    ["tcp://127.0.0.1:080", /no port from 0/],
    ["tcp://127.0.0.1:65536", /no port from 0/],
    ["tcp://127.0.0.1:http", /no port from 0/],
    ["tcp://127.0.0.1:-1", /no port from 0/],
    ["tcp://127.0.0.1:80/", /goes on with "\/"/],
    ["tcp://127.0.0.1:80?x", /goes on/],
    ["tcp://me@127.0.0.1:80", /user information/],
    ["tcp://127.0.0.256:80", /no IPv4 address/],
    ["tcp://127.0.0.01:80", /no IPv4 address/],
    ["tcp://127.1:80", /no IPv4 address/],
    ["tcp://1.2.3.4.5:80", /no IPv4 address/],
    ["tcp://::1:80", /in brackets/],
    ["tcp://[::1:80", /bracket .* not closed/],
    ["tcp://[::1]x:80", /after the bracket/],
    ["tcp://[:::1]:80", /no IPv6 address/],
    ["tcp://[1::2::3]:80", /no IPv6 address/],
    ["tcp://[1:2:3:4:5:6:7]:80", /no IPv6 address/],
    ["tcp://[1:2:3:4:5:6:7:8:9]:80", /no IPv6 address/],
    ["tcp://[12345::]:80", /no IPv6 address/],
    ["tcp://[::1.2.3]:80", /no IPv6 address/],
    ["tcp://[127.0.0.1]:80", /no IPv6 address/],
    ["tcp://[fe80::1%25eth0]:80", /zone/],
    ["tcp://a..b:80", /no host name/],
    ["tcp://-a:80", /no host name/],
    ["tcp://ä.org:80", /no host name/],
    ["udp://x:y:1", /in brackets/],
    ["unix:", /no path/],
    ["unix://run/x", /single slash/],
    ["unix:run/x", /begin with a slash/],
    ["unix:@", /abstract name is empty/],
    ["unix:/a%0", /percent/],
    ["unix:/a%zz", /percent/],
    ["unix:/a%00b", /zero byte/],
    [`unix:/${"x".repeat(107)}`, /108 bytes/],
    ["unix:/\ud800", /half a character/],
  ];
  for (const [name, sentence] of refused) {
    test(`refuses ${JSON.stringify(name.slice(0, 40))}`, () => {
      const error = refusal(name);
      assert.equal(error.code, "BAD_NAME");
      assert.match(error.message, sentence);
      assert.ok(error.message.length < 300 && /\.$/.test(error.message), "a sentence, not an echo");
      assert.match(error.remedy ?? "", /^write it as/);
      assert.ok(isOutsideName(name), "meant as one all the same");
    });
  }

  test("are told from names of FABLE", () => {
    for (const name of ["xio://tcp", "tcpx:", "http://a", "", undefined, 3]) assert.equal(isOutsideName(name), false);
  });

  test("of IPv6 survive being spelled", () => {
    let state = 11;
    const draw = (below: number) => (state = Math.imul(state, 48_271) >>> 0) % below;
    for (let count = 0; count < 20_000; count++) {
      const bytes = Uint8Array.from({ length: 16 }, () => draw(3) === 0 ? draw(256) : 0);
      assert.deepEqual(parseIpv6(ipv6Text(bytes)), bytes);
    }
  });
});
