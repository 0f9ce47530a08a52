/**
 * The broker's wire protocol: limits, versions, and the way from a frame to a checked message and back. One frame is one packet of a
 * SOCK_SEQPACKET Unix socket: a JSON object in UTF-8, with up to sixteen descriptors beside it. No I/O happens here.
 */
import * as v from "valibot";
import { type ErrorCode, FableError } from "../errors.ts";
import { readerOf } from "./check.ts";
import { type DescriptorRole, type Request, REQUESTS, type Response, RESPONSES, type Responses } from "./messages.ts";
import { quote } from "./uri.ts";

export type { DescriptorRole, Request, Requests, Response, Responses } from "./messages.ts";

export const MAX_FRAME_BYTES = 65_536;
export const MAX_FRAME_DESCRIPTORS = 16;

/** An inclusive range of versions. */
export type VersionRange = readonly [lowest: number, highest: number];

export const PROTOCOL_RANGE: VersionRange = [2, 2];
/** Versions of the shared-memory layout that this library can be told to use. */
export const LAYOUT_RANGE: VersionRange = [2, 2];

/** A message, or why there is none: `fatal` when the sender cannot be followed any further. */
export type Decoded<T> =
  | { readonly ok: true; readonly message: T }
  | { readonly ok: false; readonly id: number; readonly error: FableError; readonly fatal: boolean };

type Readers = Readonly<Record<string, ReturnType<typeof readerOf>>>;
const requestReaders = readers(REQUESTS);
const responseReaders = readers(RESPONSES);

function readers(schemas: Readonly<Record<string, v.GenericSchema>>): Readers {
  return Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, readerOf(schema)]));
}

/** What the broker makes of a frame. */
export function decodeRequest(frame: Uint8Array): Decoded<Request> {
  return decode<Request>(frame, requestReaders);
}

/** What a client makes of a frame. */
export function decodeResponse(frame: Uint8Array): Decoded<Response> {
  return decode<Response>(frame, responseReaders);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode<T>(frame: Uint8Array, known: Readers): Decoded<T> {
  if (frame.byteLength > MAX_FRAME_BYTES) return broken(0, `a frame of ${frame.byteLength} bytes`, true, "TOO_LARGE");
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(frame));
  } catch {
    return broken(0, "a frame that is not JSON", true);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return broken(0, "a frame that is no object", true);
  const { type, id } = value as { readonly type?: unknown; readonly id?: unknown };
  const asked = typeof id === "number" && Number.isInteger(id) && id > 0 && id <= 0xffff_ffff ? id : 0;
  if (typeof type !== "string") return broken(asked, "a message without a type", asked === 0);
  const read = Object.hasOwn(known, type) ? known[type] : undefined;
  if (read === undefined) return broken(asked, `a message of unknown type ${quote(type)}`, asked === 0);
  const result = read(value);
  if (result.success) return { ok: true, message: result.output as T };
  const issue = result.issues[0];
  const where = issue === undefined ? undefined : v.getDotPath(issue);
  return broken(asked, `a ${type} message with a wrong ${where ?? "shape"}`, asked === 0);
}

function broken(id: number, what: string, fatal: boolean, code: ErrorCode = "PROTOCOL"): Decoded<never> {
  const error = new FableError(code, `received ${what}`, { remedy: "both sides must follow docs/reference/wire-protocol.md" });
  return { ok: false, id, error, fatal };
}

const encoder = new TextEncoder();

/** A message as a frame. Throws TOO_LARGE beyond the limit of one frame: whoever builds lists pages them. */
export function encode(message: Request | Response): Uint8Array {
  const frame = encoder.encode(JSON.stringify(message));
  if (frame.byteLength > MAX_FRAME_BYTES) {
    throw new FableError("TOO_LARGE", `a ${message.type} message of ${frame.byteLength} bytes does not fit a frame of ${MAX_FRAME_BYTES}`);
  }
  return frame;
}

/** The highest version in both ranges, or undefined. */
export function commonVersion(ours: VersionRange, theirs: VersionRange): number | undefined {
  const highest = Math.min(ours[1], theirs[1]);
  return highest >= Math.max(ours[0], theirs[0]) ? highest : undefined;
}

/** One sentence with both versions, for a hello that finds no common one. */
export function versionRefusal(what: "protocol" | "layout", client: VersionRange, broker: VersionRange): FableError {
  return new FableError("VERSION", `the client speaks ${what} ${show(client)}, the broker ${show(broker)}: there is no common version`, {
    remedy: client[1] < broker[0] ? "update the client's fable" : "update and restart the broker (fable broker --replace)",
  });
}

function show(range: VersionRange): string {
  return range[0] === range[1] ? `version ${range[0]}` : `versions ${range[0]} to ${range[1]}`;
}

/** A failure as it travels. */
export function errorMessage(id: number, error: unknown): Responses["error"] {
  const known = error instanceof FableError ? error : new FableError("SYSTEM", error instanceof Error ? error.message : String(error));
  const remedy = known.remedy === undefined ? {} : { remedy: known.remedy.slice(0, 1000) };
  return { type: "error", id, code: known.code, message: known.message.slice(0, 1000), ...remedy };
}

/** The same failure on the other side. */
export function errorFrom(
  message: { readonly code: ErrorCode; readonly message: string; readonly remedy?: string | undefined },
): FableError {
  return new FableError(message.code, message.message, message.remedy === undefined ? {} : { remedy: message.remedy });
}

/** The descriptors that make one half of a channel, in the order in which they travel. */
export function halfRoles(transport: string, side: "initiator" | "acceptor"): readonly DescriptorRole[] {
  const memory: readonly DescriptorRole[] = transport === "unix" ? ["control"] : ["control", "ring"];
  if (side === "acceptor") return memory;
  return transport === "unix" ? [...memory, "doorbell", "link", "data"] : [...memory, "doorbell", "link"];
}

/** What a grant carries: the acceptor's half, a doorbell if the broker made the pair, the acceptor's process. */
export function grantRoles(transport: string, doorbell: boolean): readonly DescriptorRole[] {
  return [...halfRoles(transport, "acceptor"), ...(doorbell ? ["doorbell" as const] : []), "pid"];
}

/** Splits entries into what fits one frame; `rest` says whether some are left. */
export function page<T>(entries: readonly T[]): { readonly entries: readonly T[]; readonly rest: boolean } {
  const chosen: T[] = [];
  let room = MAX_FRAME_BYTES - 1024;
  for (const entry of entries) {
    room -= encoder.encode(JSON.stringify(entry)).byteLength + 1;
    if (room < 0) return { entries: chosen, rest: true };
    chosen.push(entry);
  }
  return { entries: chosen, rest: false };
}
