/** The wire protocol: what the schemas let through in each direction, what they refuse, versions and pages. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FableError } from "../../src/errors.ts";
import {
  commonVersion,
  decodeRequest,
  decodeResponse,
  encode,
  errorFrom,
  errorMessage,
  MAX_FRAME_BYTES,
  page,
  type Request,
  type Response,
  versionRefusal,
} from "../../src/naming/protocol.ts";

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const flow = "abc123-7";
const ticket = "cGF5bG9hZA.bWFj";

const requests: readonly Request[] = [
  { type: "hello", protocol: [1, 3], layout: [1, 1], program: "bun 1.4.5" },
  { type: "register", id: 1, name: "xio://a" },
  { type: "register", id: 1, name: "xio://a", share: true, ticket },
  { type: "unregister", id: 2, name: "xio://a" },
  { type: "listen", id: 3, name: "xio://a", backlog: 16, trust: "trusted" },
  { type: "unlisten", id: 4, name: "xio://a" },
  {
    type: "connect",
    id: 5,
    to: "xio://a",
    from: "xio://b",
    transport: "unix",
    wait: true,
    offered: { transport: "unix", trust: "untrusted" },
    ring_bytes: 65_536,
    max_message_bytes: 1,
    timeout_ms: 0,
    descriptors: ["control", "doorbell", "link", "data"],
  },
  { type: "cancel", id: 6 },
  { type: "accept", flow, descriptors: ["control", "ring"] },
  { type: "refuse", flow, code: "BACKLOG_FULL", message: "full", remedy: "wait" },
  { type: "names", id: 7, after: "xio://a" },
  { type: "flows", id: 8, window_ms: 100 },
  { type: "flow-closed", flow },
  { type: "restore", id: 9, flow, ticket, descriptors: ["control"] },
  { type: "reconfigure", id: 12, flow, transport: "vmsplice-coop", ring_bytes: 4096, timeout_ms: 0 },
  { type: "reconfigured", flow, order: 1, outcome: "done", message: "" },
  { type: "reconfigured", flow, order: 4_294_967_295, outcome: "UNSUPPORTED_TRANSPORT", message: "no", remedy: "yes" },
  { type: "policy", id: 14, mode: "manual", flow },
  { type: "policy", id: 15 },
  { type: "explain", id: 16, flow },
  { type: "stats", id: 10 },
  { type: "shutdown", id: 11 },
  { type: "replace", id: 4_294_967_295 },
];

const half = {
  flow,
  transport: "mempipe",
  trust: "trusted",
  peer_name: "xio://anonymous/3",
  peer_pid: 1,
  peer_uid: 0,
  reason: "r",
  ticket,
} as const;
const responses: readonly Response[] = [
  {
    type: "welcome",
    protocol: 1,
    layout: 1,
    session: 9,
    broker: { pid: 1, embedded: true, instance: "abc123", started: "2026-01-01T00:00:00Z" },
    descriptors: ["doorbell"],
  },
  { type: "done", id: 1, ticket },
  { type: "error", id: 0, code: "PROTOCOL", message: "no" },
  { type: "again", id: 1, transport: "mempipe", trust: "untrusted", reason: "another user" },
  {
    type: "offer",
    name: "xio://a",
    ...half,
    ring_bytes: 4096,
    max_message_bytes: 100,
    descriptors: ["control", "ring", "doorbell", "link", "pid"],
  },
  { type: "grant", id: 1, ...half, descriptors: ["control", "ring", "pid"] },
  { type: "grant", id: 2, ...half, descriptors: ["control", "ring", "doorbell", "pid"] },
  { type: "peer-dead", flow },
  { type: "reconfigure", flow, transport: "tcp", reason: "operator", order: 1 },
  { type: "reconfigure", flow, transport: "shmem-pipe", ring_bytes: 65_536, reason: "policy", order: 2 },
  { type: "names", id: 1, entries: [{ name: "xio://a", pid: 1, uid: 0, listening: true, since: "x" }], after: "xio://a" },
  {
    type: "flows",
    id: 1,
    entries: [{
      flow,
      names: ["xio://a", "xio://anonymous/2"],
      pids: [1, 2],
      reason: "r",
      since: "x",
      directions: [{
        from: "xio://a",
        transport: "unix",
        trust: "n/a",
        epoch: 0,
        messages: 1,
        bytes: 1,
        msgs_per_s: 0.5,
        wakeups: 0,
        blocked_ns: 0,
        placement: "same host",
      }],
    }],
  },
  { type: "policy", id: 1, mode: "auto" },
  { type: "explained", id: 1, flow, names: ["xio://a", "xio://anonymous/3"], explanation: "{}" },
  { type: "stats", id: 1, figures: { names: 1 } },
  { type: "released", id: 1, descriptors: ["lock"] },
  { type: "going", reason: "replaced" },
];

describe("messages survive their own encoding", () => {
  for (const message of requests) {
    test(`request ${message.type}`, () => assert.deepEqual(decodeRequest(encode(message)), { ok: true, message }));
  }
  for (const message of responses) {
    test(`response ${message.type}`, () => assert.deepEqual(decodeResponse(encode(message)), { ok: true, message }));
  }

  test("every message type is in the lists above", async () => {
    const { REQUESTS, RESPONSES } = await import("../../src/naming/messages.ts");
    assert.deepEqual([...new Set(requests.map((message) => message.type))].sort(), Object.keys(REQUESTS).sort());
    assert.deepEqual([...new Set(responses.map((message) => message.type))].sort(), Object.keys(RESPONSES).sort());
  });

  test("a direction does not understand the other one", () => {
    assert.equal(decodeRequest(encode(responses[0] as Response)).ok, false);
    assert.equal(decodeResponse(encode(requests[0] as Request)).ok, false);
  });

  test("unknown fields are dropped, so that newer senders can be followed", () => {
    const decoded = decodeRequest(bytes({ type: "cancel", id: 1, later: { deep: [1] } }));
    assert.deepEqual(decoded, { ok: true, message: { type: "cancel", id: 1 } });
  });
});

describe("frames that cannot be followed end the session", () => {
  const fatal: readonly (readonly [string, Uint8Array])[] = [
    ["nothing", bytes("")],
    ["garbage", Uint8Array.from({ length: 64 }, (_, index) => (index * 37 + 129) & 255)],
    ["half a message", bytes('{"type":"cancel","id":')],
    ["a string", bytes('"hello"')],
    ["an array", bytes("[]")],
    ["null", bytes("null")],
    ["a number", bytes("1e999")],
    ["no type, no id", bytes("{}")],
    ["unknown type without id", bytes({ type: "format-disk" })],
    ["a type of Object.prototype", bytes({ type: "toString" })],
    ["__proto__ as a type", bytes('{"type":"__proto__"}')],
    ["invalid UTF-8 in a string", Uint8Array.of(...bytes('{"type":"cancel","x":"'), 0xff, 0xfe, ...bytes('","id":1}'))],
    ["a byte order mark", bytes('\ufeff{"type":"cancel","id":1}')],
    ["deep nesting", bytes("[".repeat(60_000))],
    ["deep objects", bytes('{"a":'.repeat(12_000))],
  ];
  for (const [what, frame] of fatal) {
    test(what, () => {
      const decoded = decodeRequest(frame);
      assert.ok(!decoded.ok && decoded.fatal);
      assert.equal(decoded.error.code, "PROTOCOL");
    });
  }
  test("over 65536 bytes", () => {
    const decoded = decodeRequest(bytes({ type: "cancel", id: 1, x: "x".repeat(MAX_FRAME_BYTES) }));
    assert.ok(!decoded.ok && decoded.fatal && decoded.error.code === "TOO_LARGE");
  });
});

describe("messages that are wrong get an answer with their id", () => {
  const connect = requests.find((message) => message.type === "connect") as Request;
  const wrong: readonly (readonly [string, unknown])[] = [
    ["unknown type", { type: "frobnicate", id: 5 }],
    ["type of another type", { type: 1, id: 5 }],
    ["missing name", { type: "register", id: 5 }],
    ["not a name", { type: "register", id: 5, name: "xio://A" }],
    ["anonymous name", { type: "register", id: 5, name: "xio://anonymous/1" }],
    ["a name as array", { type: "register", id: 5, name: ["xio://a"] }],
    ["huge name", { type: "register", id: 5, name: `xio://${"a".repeat(10_000)}` }],
    ["ticket of wrong shape", { type: "register", id: 5, name: "xio://a", ticket: "a b" }],
    ["ticket too long", { type: "register", id: 5, name: "xio://a", ticket: `${"a".repeat(5000)}.b` }],
    ["backlog 0", { type: "listen", id: 5, name: "xio://a", backlog: 0, trust: "trusted" }],
    ["backlog of a fraction", { type: "listen", id: 5, name: "xio://a", backlog: 1.5, trust: "trusted" }],
    ["trust n/a", { type: "listen", id: 5, name: "xio://a", backlog: 1, trust: "n/a" }],
    ["ring not a power of two", { ...connect, id: 5, ring_bytes: 65_537 }],
    ["ring too small", { ...connect, id: 5, ring_bytes: 2048 }],
    ["ring too large", { ...connect, id: 5, ring_bytes: 2 ** 27 }],
    ["ring NaN", { ...connect, id: 5, ring_bytes: null }],
    ["message size 0", { ...connect, id: 5, max_message_bytes: 0 }],
    ["negative deadline", { ...connect, id: 5, timeout_ms: -1 }],
    ["unknown transport", { ...connect, id: 5, transport: "carrier-pigeon" }],
    ["unknown descriptor", { ...connect, id: 5, descriptors: ["control", "secret"] }],
    ["a descriptor twice", { ...connect, id: 5, descriptors: ["control", "control"] }],
    ["too many descriptors", { ...connect, id: 5, descriptors: Array.from({ length: 300 }, () => "control") }],
    ["protocol range of three", { type: "hello", id: 5, protocol: [1, 2, 3], layout: [1, 1], program: "" }],
    ["a channel that begins with tcp", { ...connect, id: 5, transport: "tcp" }],
    ["a move to nowhere", { type: "reconfigure", id: 5, flow, transport: "carrier-pigeon", timeout_ms: 1 }],
    ["a move without an end", { type: "reconfigure", id: 5, flow, transport: "tcp" }],
    ["a move of something else", { type: "reconfigure", id: 5, flow: "xio://a", transport: "tcp", timeout_ms: 1 }],
    ["a move to an odd ring", { type: "reconfigure", id: 5, flow, transport: "tcp", ring_bytes: 5000, timeout_ms: 1 }],
    ["a report of an odd outcome", { type: "reconfigured", id: 5, flow, order: 1, outcome: "perhaps", message: "" }],
    ["a report on no order", { type: "reconfigured", id: 5, flow, order: 0, outcome: "done", message: "" }],
    ["window too long", { type: "flows", id: 5, window_ms: 1e9 }],
  ];
  for (const [what, message] of wrong) {
    test(what, () => {
      const decoded = decodeRequest(bytes(message));
      assert.ok(!decoded.ok);
      assert.equal(decoded.id, 5);
      assert.equal(decoded.fatal, false);
      assert.equal(decoded.error.code, "PROTOCOL");
      assert.ok(decoded.error.message.length < 200);
    });
  }

  test("a flow must look like one", () => {
    for (const bad of ["", "x", "abc123-", "abc123-1/../..", "ABC123-1", `abc123-${"1".repeat(40)}`]) {
      assert.equal(decodeRequest(bytes({ type: "flow-closed", flow: bad })).ok, false, bad);
    }
  });
});

describe("versions", () => {
  test("the highest common one wins", () => {
    assert.equal(commonVersion([1, 3], [2, 5]), 3);
    assert.equal(commonVersion([2, 5], [1, 3]), 3);
    assert.equal(commonVersion([1, 1], [1, 1]), 1);
    assert.equal(commonVersion([1, 2], [3, 4]), undefined);
    assert.equal(commonVersion([3, 4], [1, 2]), undefined);
    assert.equal(commonVersion([3, 1], [1, 3]), undefined, "a range upside down");
  });
  test("the refusal is one sentence with both", () => {
    const error = versionRefusal("protocol", [1, 2], [3, 4]);
    assert.equal(error.code, "VERSION");
    assert.equal(error.message, "the client speaks protocol versions 1 to 2, the broker versions 3 to 4: there is no common version");
    assert.equal(error.remedy, "update the client's fable");
    assert.match(versionRefusal("layout", [3, 3], [1, 2]).remedy ?? "", /restart the broker/);
  });
});

describe("errors and pages", () => {
  test("an error keeps code, message and remedy across the wire", () => {
    const message = errorMessage(7, new FableError("NAME_TAKEN", "taken", { remedy: "take another" }));
    assert.deepEqual(decodeResponse(encode(message)), { ok: true, message });
    const back = errorFrom(message);
    assert.deepEqual([back.code, back.message, back.remedy], ["NAME_TAKEN", "taken", "take another"]);
    assert.equal(errorMessage(0, new Error("x".repeat(5000))).message.length, 1000);
    assert.equal(errorMessage(0, "odd").code, "SYSTEM");
  });
  test("lists are cut to what fits a frame", () => {
    const entries = Array.from(
      { length: 4096 },
      (_, index) => ({ name: `xio://${"n".repeat(60)}/${index}`, pid: 1, uid: 0, listening: true, since: "s" }),
    );
    const first = page(entries);
    assert.ok(first.rest && first.entries.length > 300);
    assert.ok(encode({ type: "names", id: 1, entries: [...first.entries], after: "xio://a" }).byteLength <= MAX_FRAME_BYTES);
    assert.deepEqual(page([1, 2]), { entries: [1, 2], rest: false });
  });
  test("what does not fit a frame is not sent", () => {
    assert.throws(() => encode({ type: "hello", protocol: [1, 1], layout: [1, 1], program: "x".repeat(70_000) }), { code: "TOO_LARGE" });
  });
});
