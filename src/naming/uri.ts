/**
 * Names of end-points: `xio://authority/segment/…` (outside.ts has `tcp:`, `udp:` and `unix:`, the outside world). A name has exactly
 * one spelling, so that equal names are equal strings everywhere (tickets, quotas, logs): what is not canonical is refused, and the remedy
 * shows the canonical spelling if there is one.
 */
import { FableError } from "../errors.ts";

export const MAX_NAME_BYTES = 255;
export const MAX_SEGMENTS = 8;
export const MAX_SEGMENT_BYTES = 63;

/** Authorities nobody can register: the broker's own words. */
export const RESERVED_AUTHORITIES: readonly string[] = ["fable", "anonymous"];

const SCHEME = "xio://";
const OUTSIDE = ["tcp", "udp", "unix"];
const AUTHORITY = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const SEGMENT = /^[a-z0-9._~-]+$/;
const RULES = "write it as xio://authority/segment/… with lower-case letters, digits, - . _ ~, as in xio://backup or xio://shop/orders";

/** A checked name and its parts. */
export interface Name {
  readonly name: string;
  readonly authority: string;
  readonly segments: readonly string[];
}

/** Checks a name and takes it apart. Throws BAD_NAME, also for addresses of the outside world, which nobody registers. */
export function parseName(name: string): Name {
  if (typeof name !== "string") {
    throw new FableError("BAD_NAME", `a name is a string, not ${name === null ? "null" : typeof name}`, { remedy: RULES });
  }
  const outside = outsideScheme(name);
  if (outside !== undefined) {
    throw new FableError("BAD_NAME", `${quote(name)} is an address of the outside world (${outside}:), not a name that can be registered`, {
      remedy: "use it with connect() or listen() directly; register xio:// names",
    });
  }
  const problem = findProblem(name);
  if (problem !== undefined) {
    throw new FableError("BAD_NAME", `${quote(name)} is not a name: ${problem}`, { remedy: suggestion(name) ?? RULES });
  }
  const [authority = "", ...segments] = name.slice(SCHEME.length).split("/");
  return { name, authority, segments };
}

/** Names as nearly all of them are, in one look; what it does not know may still be a name. */
const COMMON =
  /^xio:\/\/(?!(?:fable|anonymous)(?:\/|$))(?=[^/]{1,63}(?:\/|$))[a-z0-9]+(?:-+[a-z0-9]+)*(?:\/[a-z0-9~_-][a-z0-9._~-]{0,62}){0,8}$/;

/** True if the text is a name somebody could register. */
export function isName(text: string): boolean {
  return (text.length <= MAX_NAME_BYTES && COMMON.test(text)) || findProblem(text) === undefined;
}

/** What a peer is called that speaks for no name. Nobody can register it. */
export function anonymousName(session: number): string {
  return `${SCHEME}anonymous/${session}`;
}

/** True for every name that may stand in a flow: registered ones and anonymous ones. */
export function isPeerName(text: string): boolean {
  return isName(text) || /^xio:\/\/anonymous\/[0-9]{1,10}$/.test(text);
}

function outsideScheme(name: string): string | undefined {
  const scheme = /^([A-Za-z]+):/.exec(name.slice(0, 16))?.[1]?.toLowerCase();
  return scheme !== undefined && OUTSIDE.includes(scheme) ? scheme : undefined;
}

function findProblem(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME_BYTES) return `it has ${name.length} characters, more than ${MAX_NAME_BYTES}`;
  if (!name.startsWith(SCHEME)) return "it does not begin with xio://";
  const rest = name.slice(SCHEME.length);
  const strange = /[^a-z0-9._~/-]/u.exec(rest)?.[0];
  if (strange !== undefined) return strangeCharacter(strange);
  const [authority = "", ...segments] = rest.split("/");
  if (authority === "") return "it has no authority after xio://";
  if (authority.length > MAX_SEGMENT_BYTES) return `its authority has more than ${MAX_SEGMENT_BYTES} characters`;
  if (!AUTHORITY.test(authority)) return `${quote(authority)} is no authority: letters, digits and inner - and . only`;
  if (RESERVED_AUTHORITIES.includes(authority)) return `${authority} is reserved`;
  if (segments.length > MAX_SEGMENTS) return `it has more than ${MAX_SEGMENTS} path segments`;
  for (const segment of segments) {
    if (segment === "") return "it has an empty path segment";
    if (segment.length > MAX_SEGMENT_BYTES) return `a path segment has more than ${MAX_SEGMENT_BYTES} characters`;
    if (segment === "." || segment === ".." || !SEGMENT.test(segment)) return `${quote(segment)} is no path segment`;
  }
  return undefined;
}

function strangeCharacter(character: string): string {
  if (/[A-Z]/.test(character)) return "names are lower-case";
  if (character === "?") return "it has a query (choose transport and trust by options, not in the name)";
  if (character === "#") return "it has a fragment";
  if (character === "@" || character === ":") return "it has user information or a port";
  if (character === "%") return "it has a percent escape";
  return `it contains ${quote(character)}`;
}

/** The canonical spelling of a name that has an obvious one. */
function suggestion(name: string): string | undefined {
  const guess = name.slice(0, 2 * MAX_NAME_BYTES).trim().toLowerCase().replace(/\/+$/, "").replace(/^xio:\/*/, SCHEME).replace(
    /([^:/])\/{2,}/g,
    "$1/",
  );
  const full = guess.startsWith(SCHEME) ? guess : `${SCHEME}${guess.replace(/^\/+/, "")}`;
  return full !== name && findProblem(full) === undefined ? `write ${full}` : undefined;
}

/** For error sentences: bounded, and without characters that would disturb a terminal. */
export function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}…` : text;
  return JSON.stringify(short).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "?");
}
