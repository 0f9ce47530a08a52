/**
 * Addresses of the outside world, for programs that are no FABLE:
 *
 *     tcp://127.0.0.1:80   tcp://[::1]:80   tcp://localhost:80        a byte stream
 *     udp://127.0.0.1:53                                              datagrams
 *     unix:/run/x.sock     unix:@name (abstract: no file)             a byte stream, or datagrams if asked for
 *
 * Strict, so that a typing mistake is a sentence and not a connection to somewhere else: no path, no user, no leading zeros.
 */
import { FableError } from "../errors.ts";
import { quote } from "./uri.ts";

/** An address of the outside world, as {@link connect} and {@link listen} take it. */
export type OutsideName = `tcp://${string}` | `udp://${string}` | `unix:${string}`;

/** A host and port as written. Numeric hosts have bytes, names have to be looked up. */
export interface InternetAddress {
  readonly scheme: "tcp" | "udp";
  /** In its usual spelling; IPv6 without brackets. */
  readonly host: string;
  /** 4 or 16, if the host is numeric. */
  readonly bytes: Uint8Array | undefined;
  readonly port: number;
}

/** A Unix socket's path, or its abstract name. */
export interface UnixAddress {
  readonly scheme: "unix";
  /** As `sun_path` has it: a path, or a zero byte and an abstract name. Empty: the kernel chooses an abstract name. */
  readonly path: Uint8Array;
}

export type OutsideAddress = InternetAddress | UnixAddress;

/** What sun_path holds, without the zero that ends a path. */
const MAX_PATH_BYTES = 107;
const MAX_HOST_CHARACTERS = 253;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const INTERNET_RULES = "write it as tcp://host:port or udp://host:port, an IPv6 address in brackets, as in tcp://[::1]:8080";
const UNIX_RULES = "write it as unix:/absolute/path, or unix:@name for an abstract socket";

/** True if the text means the outside world, however badly it is spelled. */
export function isOutsideName(text: unknown): text is OutsideName {
  return typeof text === "string" && /^\s*(?:tcp|udp|unix):/i.test(text);
}

/** Takes an address apart. @throws FableError BAD_NAME. */
export function parseOutside(name: string): OutsideAddress {
  const scheme = /^(tcp|udp|unix):/.exec(name)?.[1] as OutsideAddress["scheme"] | undefined;
  if (scheme === undefined) {
    throw bad(name, "its scheme is not tcp:, udp: or unix: in small letters, at the very beginning", INTERNET_RULES);
  }
  return scheme === "unix" ? parseUnix(name, name.slice("unix:".length)) : parseInternet(name, scheme);
}

/** The address in its usual spelling. */
export function outsideNameOf(address: OutsideAddress): OutsideName {
  if (address.scheme === "unix") return `unix:${unixText(address.path)}`;
  const { scheme, host, port } = address;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function parseInternet(name: string, scheme: "tcp" | "udp"): InternetAddress {
  const wrong = (problem: string): FableError => bad(name, problem, INTERNET_RULES);
  if (!name.startsWith(`${scheme}://`)) throw wrong(`two slashes are missing after ${scheme}:`);
  const rest = name.slice(scheme.length + 3);
  if (rest === "") throw wrong("it has no host and no port");
  const strange = /[/?#@\s]/.exec(rest)?.[0];
  if (strange === "@") throw wrong("it has user information");
  if (strange !== undefined) throw wrong(`it goes on with ${quote(strange)} after the port`);
  const { host, after } = splitHost(rest, wrong);
  if (after === "") throw wrong("it has no port");
  const port = parsePort(after.slice(1), wrong);
  if (rest.startsWith("[")) {
    const bytes = parseIpv6(host);
    if (bytes === undefined) {
      throw wrong(host.includes("%") ? "it has a zone, which is not supported" : `${quote(host)} is no IPv6 address`);
    }
    return { scheme, host: ipv6Text(bytes), bytes, port };
  }
  if (/^[0-9.]*$/.test(host)) {
    const bytes = parseIpv4(host);
    if (bytes === undefined) throw wrong(`${quote(host)} is no IPv4 address: four numbers from 0 to 255, without leading zeros`);
    return { scheme, host, bytes, port };
  }
  return { scheme, host: parseHostName(host, wrong), bytes: undefined, port };
}

function splitHost(rest: string, wrong: (problem: string) => FableError): { readonly host: string; readonly after: string } {
  if (rest.startsWith("[")) {
    const end = rest.indexOf("]");
    if (end < 0) throw wrong("the bracket of its IPv6 address is not closed");
    const after = rest.slice(end + 1);
    if (after !== "" && !after.startsWith(":")) throw wrong(`it goes on with ${quote(after.slice(0, 10))} after the bracket`);
    return { host: rest.slice(1, end), after };
  }
  const colon = rest.indexOf(":");
  if (colon !== rest.lastIndexOf(":")) throw wrong("an IPv6 address must stand in brackets");
  if (colon === 0) throw wrong("it has no host");
  return colon < 0 ? { host: rest, after: "" } : { host: rest.slice(0, colon), after: rest.slice(colon) };
}

function parsePort(text: string, wrong: (problem: string) => FableError): number {
  if (text === "") throw wrong("it has no port");
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(text) || Number(text) > 65_535) throw wrong(`${quote(text)} is no port from 0 to 65535`);
  return Number(text);
}

function parseHostName(text: string, wrong: (problem: string) => FableError): string {
  const host = text.toLowerCase().replace(/\.$/, "");
  if (host.length <= MAX_HOST_CHARACTERS && host.split(".").every((label) => LABEL.test(label))) return host;
  throw wrong(`${quote(text)} is no host name`);
}

/** Four bytes, undefined if it is something else. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return Uint8Array.from(parts, Number);
}

/** Sixteen bytes, undefined if it is something else. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const tail = /^(.*:)([0-9.]*\.[0-9.]*)$/.exec(text);
  if (tail !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = parseIpv4(tail[2]) ?? [];
    if (parseIpv4(tail[2]) === undefined) return undefined;
    return parseIpv6(`${tail[1]}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`);
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [left, right] = halves.map((half) => half === "" ? [] : half.split(":"));
  const groups = right === undefined ? left : [...left, ...Array<string>(Math.max(1, 8 - left.length - right.length)).fill("0"), ...right];
  if (groups.length !== 8 || !groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return Uint8Array.from(groups.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]));
}

/** The usual spelling (RFC 5952): the longest run of zeros, if there are two at least, is left out. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index] << 8 | bytes[2 * index + 1]).toString(16));
  let best = { at: 0, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === "0") length++;
    if (length > best.length) best = { at, length };
  }
  if (best.length < 2) return groups.join(":");
  return `${groups.slice(0, best.at).join(":")}::${groups.slice(best.at + best.length).join(":")}`;
}

function parseUnix(name: string, text: string): UnixAddress {
  const wrong = (problem: string): FableError => bad(name, problem, UNIX_RULES);
  if (text === "") throw wrong("it has no path");
  if (text.startsWith("//")) throw wrong("its path must follow unix: with a single slash");
  if (!text.startsWith("/") && !text.startsWith("@")) throw wrong("its path does not begin with a slash");
  const path = percentDecoded(text, wrong);
  if (path.includes(0)) throw wrong("it contains a zero byte");
  if (path.length > MAX_PATH_BYTES) throw wrong(`its path has ${path.length} bytes, more than ${MAX_PATH_BYTES}`);
  if (!text.startsWith("@")) return { scheme: "unix", path };
  if (path.length === 1) throw wrong("its abstract name is empty");
  path[0] = 0;
  return { scheme: "unix", path };
}

/** Bytes of a path: UTF-8, and what stands as %XX. */
function percentDecoded(text: string, wrong: (problem: string) => FableError): Uint8Array {
  if (!text.isWellFormed()) throw wrong("it contains half a character");
  const bytes = new TextEncoder().encode(text);
  const decoded: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0x25) {
      decoded.push(bytes[at]);
      continue;
    }
    const digits = new TextDecoder().decode(bytes.subarray(at + 1, at + 3));
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw wrong("a percent sign is not followed by two hexadecimal digits (write %25 for itself)");
    decoded.push(parseInt(digits, 16));
    at += 2;
  }
  return Uint8Array.from(decoded);
}

/** Bytes that are not plain ASCII, or mean something, stand as %XX. */
function unixText(path: Uint8Array): string {
  const abstract = path[0] === 0;
  const plain = (byte: number): boolean => byte > 0x20 && byte < 0x7f && byte !== 0x25;
  const text = Array.from(
    abstract ? path.subarray(1) : path,
    (byte) => plain(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`,
  ).join("");
  return abstract ? `@${text}` : text;
}

function bad(name: string, problem: string, remedy: string): FableError {
  return new FableError("BAD_NAME", `${quote(name)} is no address: ${problem}.`, { remedy });
}
