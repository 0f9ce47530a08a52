/** Tickets: believed from whom they were made for, under the key they were made with, and unchanged. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FlowTicket, KEY_BYTES, type TicketProcess, Tickets } from "../../src/broker/tickets.ts";

const key = Uint8Array.from({ length: KEY_BYTES }, (_, index) => index * 7);
const tickets = new Tickets(key);
const me: TicketProcess = { uid: 1000, pid: 42, start: "123456" };
const flow: FlowTicket = {
  flow: "abc123-7",
  role: 0,
  names: ["xio://anonymous/3", "xio://a"],
  transport: "mempipe",
  trust: "trusted",
  reason: "mempipe, because… ✓",
  since: 1_700_000_000_000,
  ringBytes: 65_536,
  region: "1:2",
};

const others: readonly (readonly [string, TicketProcess])[] = [
  ["another user", { ...me, uid: 1001 }],
  ["another process", { ...me, pid: 43 }],
  ["a later process of the same number", { ...me, start: "123457" }],
];

describe("a name's ticket", () => {
  test("proves what it says", () => {
    const ticket = tickets.forName(me, "xio://a", false);
    assert.equal(tickets.provesName(ticket, me, "xio://a", false), true);
    assert.equal(tickets.provesName(ticket, me, "xio://b", false), false);
    assert.equal(tickets.provesName(ticket, me, "xio://a", true), false);
    assert.equal(new Tickets(key.slice()).provesName(ticket, me, "xio://a", false), true, "the next broker has the same key");
  });
  for (const [what, process] of others) {
    test(`is worthless to ${what}`, () => {
      assert.equal(tickets.provesName(tickets.forName(me, "xio://a", false), process, "xio://a", false), false);
    });
  }
  test("is no flow's ticket", () => {
    assert.equal(tickets.provenFlow(tickets.forName(me, "xio://a", false), me, flow.flow), undefined);
    assert.equal(tickets.provesName(tickets.forFlow(me, flow), me, "xio://a", false), false);
  });
});

describe("a flow's ticket", () => {
  test("gives back what it was made of", () => {
    assert.deepEqual(tickets.provenFlow(tickets.forFlow(me, flow), me, flow.flow), flow);
    const acceptor: FlowTicket = { ...flow, role: 1 };
    assert.deepEqual(tickets.provenFlow(tickets.forFlow(me, acceptor), me, flow.flow), acceptor);
  });
  test("is of one flow", () => assert.equal(tickets.provenFlow(tickets.forFlow(me, flow), me, "abc123-8"), undefined));
  for (const [what, process] of others) {
    test(`is worthless to ${what}`, () => assert.equal(tickets.provenFlow(tickets.forFlow(me, flow), process, flow.flow), undefined));
  }
});

describe("forged tickets", () => {
  const good = tickets.forFlow(me, flow);
  const [payload = "", signature = ""] = good.split(".");
  const text = (value: unknown) => btoa(JSON.stringify(value)).replace(/=+$/, "");
  const forgeries: readonly (readonly [string, string])[] = [
    ["empty", ""],
    ["a dot", "."],
    ["without signature", payload],
    ["with an empty signature", `${payload}.`],
    ["with another's signature", `${payload}.${tickets.forName(me, "xio://a", false).split(".")[1] ?? ""}`],
    ["with a shortened signature", `${payload}.${signature.slice(0, -1)}`],
    ["with a lengthened signature", `${payload}.${signature}A`],
    ["with three parts", `${payload}.${signature}.${signature}`],
    ["with another role", `${text({ k: "flow", u: 1000, p: 42, s: "123456", r: 1 })}.${signature}`],
    ["with a payload that is not base64", `!!!.${signature}`],
    ["sealed with another key", new Tickets(Uint8Array.from({ length: KEY_BYTES }, () => 1)).forFlow(me, flow)],
    ["of multi-byte characters of the right length", `${payload}.${"é".repeat(signature.length)}`],
  ];
  for (const [what, ticket] of forgeries) {
    test(what, () => {
      assert.equal(tickets.provenFlow(ticket, me, flow.flow), undefined);
      assert.equal(tickets.provesName(ticket, me, "xio://a", false), false);
    });
  }
  test("every single changed character is noticed", () => {
    for (let index = 0; index < good.length; index++) {
      const changed = good.slice(0, index) + (good[index] === "A" ? "B" : "A") + good.slice(index + 1);
      if (changed === good) continue;
      assert.equal(tickets.provenFlow(changed, me, flow.flow), undefined, `at ${index}`);
    }
  });
  test("a key of another length is refused", () => assert.throws(() => new Tickets(new Uint8Array(16)), { code: "BAD_ARGUMENT" }));
});
