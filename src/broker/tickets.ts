/**
 * Tickets: what a client keeps so that a later broker believes it. A ticket says which process had a name, or which end of which flow with
 * which control region, under a key that only brokers of this runtime folder know. Nothing in it is secret; a copy is worthless to another
 * process, because user, process number and start time come from the kernel when it is shown.
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { FableError } from "../errors.ts";

export const KEY_BYTES = 32;

/** A process that the kernel vouches for. */
export interface TicketProcess {
  readonly uid: number;
  readonly pid: number;
  /** Start time in clock ticks after boot, as in /proc/PID/stat. */
  readonly start: string;
}

const text = v.pipe(v.string(), v.maxLength(1000));
const whole = v.pipe(v.number(), v.integer());
const holder = { u: whole, p: whole, s: text };

const nameTicket = v.strictObject({ k: v.literal("name"), ...holder, n: text, h: v.boolean() });
const flowTicket = v.strictObject({
  k: v.literal("flow"),
  ...holder,
  f: text,
  r: v.picklist([0, 1]),
  n: v.strictTuple([text, text]),
  t: v.picklist(["mempipe", "mempipe-spin", "mempipe-futex", "unix"]),
  x: v.picklist(["trusted", "untrusted"]),
  w: text,
  c: whole,
  b: whole,
  o: text,
  a: v.optional(v.boolean()),
});

export interface FlowTicket {
  readonly flow: string;
  readonly role: 0 | 1;
  readonly names: readonly [string, string];
  readonly transport: "mempipe" | "mempipe-spin" | "mempipe-futex" | "unix";
  readonly trust: "trusted" | "untrusted";
  readonly reason: string;
  readonly since: number;
  /** The connecting end asked for the transport by name. */
  readonly asked?: boolean;
  readonly ringBytes: number;
  /** Device and inode of the initiator's control region, in both ends' tickets. */
  readonly region: string;
}

export class Tickets {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    if (key.byteLength !== KEY_BYTES) throw new FableError("BAD_ARGUMENT", `a ticket key has ${KEY_BYTES} bytes`);
    this.#key = key.slice();
  }

  forName(process: TicketProcess, name: string, share: boolean): string {
    return this.#seal({ k: "name", u: process.uid, p: process.pid, s: process.start, n: name, h: share });
  }

  forFlow(process: TicketProcess, flow: FlowTicket): string {
    return this.#seal({
      k: "flow",
      u: process.uid,
      p: process.pid,
      s: process.start,
      f: flow.flow,
      r: flow.role,
      n: flow.names,
      t: flow.transport,
      x: flow.trust,
      w: flow.reason,
      c: flow.since,
      b: flow.ringBytes,
      o: flow.region,
      ...(flow.asked === true ? { a: true } : {}),
    });
  }

  /** True if this process had this name. */
  provesName(ticket: string, process: TicketProcess, name: string, share: boolean): boolean {
    const parsed = v.safeParse(nameTicket, this.#open(ticket));
    return parsed.success && holds(parsed.output, process) && parsed.output.n === name && parsed.output.h === share;
  }

  /** What the ticket says about a flow, if this process may show it. */
  provenFlow(ticket: string, process: TicketProcess, flow: string): FlowTicket | undefined {
    const parsed = v.safeParse(flowTicket, this.#open(ticket));
    if (!parsed.success || !holds(parsed.output, process) || parsed.output.f !== flow) return undefined;
    const { r, n, t, x, w, c, b, o, a } = parsed.output;
    const facts = { flow, role: r, names: n, transport: t, trust: x, reason: w, since: c, ringBytes: b, region: o };
    return a === true ? { ...facts, asked: true } : facts;
  }

  #seal(facts: object): string {
    const payload = Buffer.from(JSON.stringify(facts)).toString("base64url");
    return `${payload}.${this.#sign(payload)}`;
  }

  /** The facts of a ticket that this key sealed, whatever they are; undefined for any other text. */
  #open(ticket: string): unknown {
    const [payload = "", signature = "", ...rest] = ticket.split(".");
    if (payload === "" || rest.length > 0) return undefined;
    const shown = Buffer.from(signature);
    const expected = Buffer.from(this.#sign(payload));
    // The length is no secret; timingSafeEqual demands that it is equal.
    if (shown.byteLength !== expected.byteLength || !timingSafeEqual(shown, expected)) return undefined;
    return JSON.parse(Buffer.from(payload, "base64url").toString());
  }

  #sign(payload: string): string {
    return createHmac("sha256", this.#key).update(`fable ticket 1\n${payload}`).digest("base64url");
  }
}

function holds(facts: { readonly u: number; readonly p: number; readonly s: string }, process: TicketProcess): boolean {
  return facts.u === process.uid && facts.p === process.pid && facts.s === process.start;
}

export function unfitTicket(): FableError {
  return new FableError("REFUSED", "the ticket was not made for this process, or by no broker of this folder", {
    remedy: "register or connect anew",
  });
}
