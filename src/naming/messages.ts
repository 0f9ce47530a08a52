/**
 * The messages of the broker's wire protocol as schemas; docs/reference/wire-protocol.md says what each is for. Both sides check what they
 * receive against them: fields they do not know are dropped, fields they know must be right. Types are inferred, so there is no second list.
 */
import * as v from "valibot";
import type { ErrorCode } from "../errors.ts";
import { FIRST_TRANSPORTS, TRANSPORT_NAMES } from "./transports.ts";
import { isName, isPeerName, MAX_NAME_BYTES } from "./uri.ts";

/** Every code that may travel; the type check fails when `errors.ts` learns one that is missing here. */
const CODES = {
  UNSUPPORTED_PLATFORM: 1,
  LIBRARY_MISSING: 1,
  LIBRARY_STALE: 1,
  PERMISSION: 1,
  BAD_NAME: 1,
  NAME_TAKEN: 1,
  NAME_UNKNOWN: 1,
  NOT_LISTENING: 1,
  BACKLOG_FULL: 1,
  REFUSED: 1,
  QUOTA: 1,
  TIMEOUT: 1,
  ABORTED: 1,
  BROKER_UNREACHABLE: 1,
  BROKER_UNTRUSTED: 1,
  PROTOCOL: 1,
  VERSION: 1,
  CLOSED: 1,
  ENDED: 1,
  PEER_CLOSED: 1,
  PEER_DEAD: 1,
  PEER_FAULT: 1,
  PEER_RESET: 1,
  UNREACHABLE: 1,
  TOO_LARGE: 1,
  ENOSPACE: 1,
  SPENT_BUFFER: 1,
  BAD_ARGUMENT: 1,
  WRONG_THREAD: 1,
  FORKED: 1,
  TRANSPORT_UNAVAILABLE: 1,
  UNSUPPORTED_TRANSPORT: 1,
  SUPERSEDED: 1,
  SYSTEM: 1,
} as const satisfies Readonly<Record<ErrorCode, 1>>;
const ERROR_CODES = Object.keys(CODES) as [ErrorCode, ...ErrorCode[]];

const whole = (low: number, high: number) => v.pipe(v.number(), v.integer(), v.minValue(low), v.maxValue(high));
const text = (most: number) => v.pipe(v.string(), v.maxLength(most));

const id = whole(1, 0xffff_ffff);
const name = v.pipe(text(MAX_NAME_BYTES), v.check(isName, "no name"));
const peerName = v.pipe(text(MAX_NAME_BYTES), v.check(isPeerName, "no name"));
const flow = v.pipe(text(32), v.regex(/^[a-z0-9]{6}-[0-9]{1,15}$/));
const ticket = v.pipe(text(4096), v.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/));
/** With which a channel begins, and to which it can be moved. */
const transport = v.picklist(FIRST_TRANSPORTS);
const anyTransport = v.picklist(TRANSPORT_NAMES);
const trust = v.picklist(["trusted", "untrusted"]);
const code = v.picklist(ERROR_CODES);
const ringBytes = v.pipe(whole(4096, 67_108_864), v.check((bytes) => (bytes & (bytes - 1)) === 0, "not a power of two"));
const messageBytes = whole(1, 1_073_741_824);
const milliseconds = whole(0, 0x7fff_ffff);
const count = whole(0, Number.MAX_SAFE_INTEGER);
const process = whole(0, 0xffff_ffff);
const range = v.strictTuple([whole(1, 65_535), whole(1, 65_535)]);
const mode = v.picklist(["auto", "manual"]);
const sentence = text(1000);
const instant = text(40);

/** What each descriptor beside the frame is, in the order in which they travel. */
const descriptors = v.pipe(
  v.array(v.picklist(["control", "ring", "doorbell", "link", "data", "pid", "lock"])),
  v.maxLength(6),
  v.check((roles) => new Set(roles).size === roles.length, "a descriptor twice"),
);

const refusal = { code, message: sentence, remedy: v.optional(sentence) };

/** Client → broker. */
export const REQUESTS = {
  hello: v.object({ type: v.literal("hello"), protocol: range, layout: range, program: text(200) }),
  register: v.object({ type: v.literal("register"), id, name, share: v.optional(v.boolean()), ticket: v.optional(ticket) }),
  unregister: v.object({ type: v.literal("unregister"), id, name }),
  listen: v.object({ type: v.literal("listen"), id, name, backlog: whole(1, 65_535), trust }),
  unlisten: v.object({ type: v.literal("unlisten"), id, name }),
  connect: v.object({
    type: v.literal("connect"),
    id,
    to: name,
    from: v.optional(name),
    transport: v.optional(transport),
    wait: v.boolean(),
    offered: v.object({ transport, trust }),
    ring_bytes: ringBytes,
    max_message_bytes: messageBytes,
    timeout_ms: milliseconds,
    descriptors,
  }),
  cancel: v.object({ type: v.literal("cancel"), id }),
  accept: v.object({ type: v.literal("accept"), flow, descriptors }),
  refuse: v.object({ type: v.literal("refuse"), flow, ...refusal }),
  names: v.object({ type: v.literal("names"), id, after: v.optional(text(MAX_NAME_BYTES)) }),
  flows: v.object({ type: v.literal("flows"), id, after: v.optional(text(32)), window_ms: v.optional(whole(0, 10_000)) }),
  "flow-closed": v.object({ type: v.literal("flow-closed"), flow }),
  restore: v.object({ type: v.literal("restore"), id, flow, ticket, descriptors }),
  reconfigure: v.object({
    type: v.literal("reconfigure"),
    id,
    flow,
    transport: anyTransport,
    ring_bytes: v.optional(ringBytes),
    timeout_ms: milliseconds,
  }),
  reconfigured: v.object({
    type: v.literal("reconfigured"),
    flow,
    order: id,
    outcome: v.picklist(["done", ...ERROR_CODES]),
    message: sentence,
    remedy: v.optional(sentence),
  }),
  policy: v.object({ type: v.literal("policy"), id, mode: v.optional(mode), flow: v.optional(flow) }),
  explain: v.object({ type: v.literal("explain"), id, flow }),
  stats: v.object({ type: v.literal("stats"), id }),
  shutdown: v.object({ type: v.literal("shutdown"), id }),
  replace: v.object({ type: v.literal("replace"), id }),
} as const;

const nameEntry = v.object({ name: peerName, pid: process, uid: process, listening: v.boolean(), since: instant });

const direction = v.object({
  from: peerName,
  transport: anyTransport,
  trust: v.picklist(["trusted", "untrusted", "n/a"]),
  epoch: count,
  messages: count,
  bytes: count,
  msgs_per_s: v.pipe(v.number(), v.finite(), v.minValue(0)),
  wakeups: count,
  blocked_ns: count,
  placement: text(100),
});

const flowEntry = v.object({
  flow,
  names: v.strictTuple([peerName, peerName]),
  pids: v.strictTuple([process, process]),
  directions: v.array(direction),
  reason: sentence,
  since: instant,
});

/** What both ends of a new channel learn about each other. */
const introduction = {
  flow,
  transport,
  trust,
  peer_name: peerName,
  peer_pid: process,
  peer_uid: process,
  reason: sentence,
  ticket,
  descriptors,
};

/** Broker → client. */
export const RESPONSES = {
  welcome: v.object({
    type: v.literal("welcome"),
    protocol: whole(1, 65_535),
    layout: whole(1, 65_535),
    session: count,
    broker: v.object({ pid: process, embedded: v.boolean(), instance: text(32), started: instant }),
    descriptors,
  }),
  done: v.object({ type: v.literal("done"), id, ticket: v.optional(ticket) }),
  error: v.object({ type: v.literal("error"), id: whole(0, 0xffff_ffff), ...refusal }),
  again: v.object({ type: v.literal("again"), id, transport, trust, reason: sentence }),
  offer: v.object({ type: v.literal("offer"), name, ...introduction, ring_bytes: ringBytes, max_message_bytes: messageBytes }),
  grant: v.object({ type: v.literal("grant"), id, ...introduction }),
  "peer-dead": v.object({ type: v.literal("peer-dead"), flow }),
  reconfigure: v.object({
    type: v.literal("reconfigure"),
    flow,
    transport: anyTransport,
    ring_bytes: v.optional(ringBytes),
    reason: v.picklist(["operator", "policy"]),
    drain_deadline_ms: v.optional(milliseconds),
    order: id,
  }),
  names: v.object({ type: v.literal("names"), id, entries: v.array(nameEntry), after: v.optional(text(MAX_NAME_BYTES)) }),
  flows: v.object({ type: v.literal("flows"), id, entries: v.array(flowEntry), after: v.optional(text(32)) }),
  policy: v.object({ type: v.literal("policy"), id, mode }),
  explained: v.object({ type: v.literal("explained"), id, flow, names: v.strictTuple([peerName, peerName]), explanation: text(60_000) }),
  stats: v.object({ type: v.literal("stats"), id, figures: v.record(text(40), v.number()) }),
  released: v.object({ type: v.literal("released"), id, descriptors }),
  going: v.object({ type: v.literal("going"), reason: v.picklist(["replaced", "shutdown"]) }),
} as const;

type Output<T extends Readonly<Record<string, v.GenericSchema>>> = { [K in keyof T]: v.InferOutput<T[K]> };

/** Every message of one direction by its type. */
export type Requests = Output<typeof REQUESTS>;
export type Responses = Output<typeof RESPONSES>;
export type Request = Requests[keyof Requests];
export type Response = Responses[keyof Responses];
export type DescriptorRole = v.InferOutput<typeof descriptors>[number];
