/** The quick readers of messages give valibot's verdict and valibot's output, on good messages and on all their neighbours. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { readerOf } from "../../src/naming/check.ts";
import { REQUESTS, RESPONSES } from "../../src/naming/messages.ts";

const good: readonly unknown[] = [
  { type: "hello", protocol: [1, 3], layout: [1, 1], program: "bun" },
  { type: "register", id: 1, name: "xio://a", share: true, ticket: "YQ.YQ" },
  { type: "listen", id: 3, name: "xio://a", backlog: 16, trust: "trusted" },
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
  { type: "accept", flow: "abc123-7", descriptors: ["control", "ring"] },
  { type: "reconfigure", id: 9, flow: "abc123-7", transport: "tcp", ring_bytes: 4096, timeout_ms: 0 },
  { type: "reconfigured", flow: "abc123-7", order: 1, outcome: "TIMEOUT", message: "no", remedy: "wait" },
  { type: "reconfigure", flow: "abc123-7", transport: "pipe", ring_bytes: 4096, reason: "policy", order: 7 },
  { type: "refuse", flow: "abc123-7", code: "BACKLOG_FULL", message: "full", remedy: "wait" },
  { type: "names", id: 7, after: "xio://a" },
  { type: "flows", id: 8, window_ms: 100 },
  { type: "restore", id: 9, flow: "abc123-7", ticket: "YQ.YQ", descriptors: ["control"] },
  {
    type: "welcome",
    protocol: 1,
    layout: 1,
    session: 9,
    broker: { pid: 1, embedded: true, instance: "abc123", started: "s" },
    descriptors: ["doorbell"],
  },
  { type: "error", id: 0, code: "PROTOCOL", message: "no" },
  {
    type: "grant",
    id: 1,
    flow: "abc123-7",
    transport: "mempipe",
    trust: "trusted",
    peer_name: "xio://anonymous/3",
    peer_pid: 1,
    peer_uid: 0,
    reason: "r",
    ticket: "YQ.YQ",
    descriptors: ["control", "ring", "pid"],
  },
  {
    type: "offer",
    name: "xio://a",
    flow: "abc123-7",
    transport: "mempipe",
    trust: "trusted",
    peer_name: "xio://b",
    peer_pid: 1,
    peer_uid: 0,
    reason: "r",
    ticket: "YQ.YQ",
    ring_bytes: 4096,
    max_message_bytes: 9,
    descriptors: ["control", "ring", "doorbell", "link", "pid"],
  },
  { type: "names", id: 1, entries: [{ name: "xio://a", pid: 1, uid: 0, listening: true, since: "x" }] },
  {
    type: "flows",
    id: 1,
    entries: [{
      flow: "abc123-7",
      names: ["xio://a", "xio://b"],
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
        placement: "p",
      }],
    }],
  },
  { type: "stats", id: 1, figures: { names: 1 } },
  { type: "going", reason: "replaced" },
];

/** What may stand where something else belongs. */
const strange: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  NaN,
  Infinity,
  4096,
  65_537,
  2 ** 32,
  2 ** 53,
  "",
  "a",
  "xio://a",
  "xio://A",
  "x".repeat(5000),
  [],
  [1],
  [1, 1],
  [1, 1, 1],
  ["control"],
  ["control", "control"],
  {},
  { a: 1 },
];

/** The value with one place changed, for every place and every strange thing; and with a field left out, and one more. */
function* neighbours(value: unknown): Generator<unknown> {
  yield* strange;
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    const rest = Array.isArray(value) ? [...value] : { ...value } as Record<string, unknown>;
    for (const other of neighbours((value as Record<string, unknown>)[key])) {
      (rest as Record<string, unknown>)[key] = other;
      yield Array.isArray(rest) ? [...rest] : { ...rest };
    }
    if (Array.isArray(value)) yield value.filter((_, index) => String(index) !== key);
    else yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== key));
  }
  yield Array.isArray(value) ? [...value, value[0]] : { ...value, more: 1 };
}

function assertSame(type: string, schema: v.GenericSchema, value: unknown): void {
  const expected = v.safeParse(schema, value, { abortEarly: true });
  const actual = readerOf(schema)(value);
  assert.equal(actual.success, expected.success, `${type}: ${JSON.stringify(value)}`);
  if (actual.success) assert.deepEqual(actual.output, expected.output);
  else assert.deepEqual(actual.issues.map((issue) => v.getDotPath(issue)), expected.issues?.map((issue) => v.getDotPath(issue)));
}

describe("readers agree with the schemas they are made of", () => {
  for (const [direction, schemas] of [["request", REQUESTS], ["response", RESPONSES]] as const) {
    for (const [type, schema] of Object.entries(schemas) as [string, v.GenericSchema][]) {
      test(`${direction} ${type}`, () => {
        const own = good.filter((message) => (message as { readonly type: string }).type === type);
        for (const message of own) for (const value of [message, ...neighbours(message)]) assertSame(type, schema, value);
        for (const value of strange) assertSame(type, schema, value);
      });
    }
  }
});

test("a schema that is not understood is left to valibot", () => {
  const schema = v.pipe(v.string(), v.transform((text) => text.length));
  assert.deepEqual(readerOf(schema)("four").output, 4);
  assert.equal(readerOf(schema)(4).success, false);
});

test("messages of the hot path are read without valibot", () => {
  for (const schema of [REQUESTS.connect, REQUESTS.accept, RESPONSES.offer, RESPONSES.grant, REQUESTS.register, REQUESTS["flow-closed"]]) {
    const { type } = schema.entries;
    const message = good.find((one) => (one as { readonly type: string }).type === type.literal)
      ?? { type: type.literal, flow: "abc123-7" };
    // Its own parsing is made to fail: what still succeeds did without it.
    const crippled = { ...schema, "~run": () => assert.fail("valibot was asked") } as unknown as v.GenericSchema;
    assert.equal(readerOf(crippled)(message).success, true);
  }
});
