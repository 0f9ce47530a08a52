/**
 * From names to the kernel's socket addresses and back. Host names are looked up in /etc/hosts only, natively: asking a name server would
 * need --allow-net in Deno, and an answer of its own about caching; the program's runtime does that (`node:dns`).
 */
import { FableError } from "../../errors.ts";
import {
  type InternetAddress,
  ipv6Text,
  type OutsideAddress,
  type OutsideName,
  outsideNameOf,
  parseIpv4,
  parseIpv6,
} from "../../naming/outside.ts";
import { quote } from "../../naming/uri.ts";
import { TOO_LARGE } from "../../native/generated.ts";
import type { Library } from "../../native/library.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const IN_BYTES = 16;
const IN6_BYTES = 28;
export const MAX_ADDRESS_BYTES = 110;
const HOSTS = "/etc/hosts";
const HOSTS_CAPACITY_BYTES = 1 << 20;

/** The socket addresses that a name means, to be tried in this order; at least one. @throws FableError NAME_UNKNOWN. */
export function socketAddresses(library: Library, address: OutsideAddress): readonly Uint8Array[] {
  if (address.scheme === "unix") return [unixSocketAddress(address.path)];
  const { bytes, host, port } = address;
  if (bytes !== undefined) return [internetSocketAddress(bytes, port)];
  const found = host === "localhost" || host.endsWith(".localhost") ? [parseIpv4("127.0.0.1")!, parseIpv6("::1")!] : lookUp(library, host);
  if (found.length === 0) throw unknownHost(address);
  return found.map((each) => internetSocketAddress(each, port));
}

/** The address that a socket answered, as a name; `unix:` alone for one without. */
export function nameOfSocketAddress(raw: Uint8Array, scheme: OutsideAddress["scheme"]): OutsideName {
  const family = raw[0] | raw[1] << 8;
  if (family === AF_UNIX || scheme === "unix") {
    const path = raw.subarray(2);
    const end = path[0] === 0 ? path.length : path.indexOf(0);
    return outsideNameOf({ scheme: "unix", path: path.slice(0, end < 0 ? path.length : end) });
  }
  const bytes = family === AF_INET ? raw.slice(4, 8) : raw.slice(8, 24);
  const host = family === AF_INET ? bytes.join(".") : ipv6Text(bytes);
  return outsideNameOf({ scheme, host, bytes, port: raw[2] << 8 | raw[3] });
}

/** Where the kernel chooses: an abstract name for a Unix socket. */
export function unnamedUnixAddress(): Uint8Array {
  return Uint8Array.of(AF_UNIX, 0);
}

function unixSocketAddress(path: Uint8Array): Uint8Array {
  // A path ends with a zero; an abstract name is all there is.
  const abstract = path[0] === 0;
  const raw = new Uint8Array(2 + path.length + (abstract ? 0 : 1));
  raw[0] = AF_UNIX;
  raw.set(path, 2);
  return raw;
}

function internetSocketAddress(bytes: Uint8Array, port: number): Uint8Array {
  const raw = new Uint8Array(bytes.length === 4 ? IN_BYTES : IN6_BYTES);
  raw[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  raw[2] = port >> 8;
  raw[3] = port & 255;
  raw.set(bytes, bytes.length === 4 ? 4 : 8);
  return raw;
}

/** The addresses of a host in /etc/hosts, in its order. */
function lookUp(library: Library, host: string): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const line of readHosts(library).split("\n")) {
    const [text = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!names.some((name) => name.toLowerCase() === host)) continue;
    const bytes = parseIpv4(text) ?? parseIpv6(text);
    if (bytes !== undefined) found.push(bytes);
  }
  return found;
}

/** Empty if there is none, as for the system's own look-up. */
function readHosts(library: Library): string {
  const path = new TextEncoder().encode(HOSTS);
  for (let capacity = 16 * 1024;; capacity *= 4) {
    const text = new Uint8Array(capacity);
    const size = library.file_read(path, path.length, text, text.length);
    if (size === TOO_LARGE && capacity < HOSTS_CAPACITY_BYTES) continue;
    return new TextDecoder().decode(text.subarray(0, Math.max(0, size)));
  }
}

function unknownHost({ host }: InternetAddress): FableError {
  return new FableError("NAME_UNKNOWN", `${quote(host)} is not in ${HOSTS}, and FABLE asks no name server.`, {
    remedy:
      'Give the numeric address: look it up with the runtime first (lookup() of "node:dns/promises", which in Deno needs --allow-net).',
  });
}
