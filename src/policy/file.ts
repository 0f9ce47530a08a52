/**
 * The policy file: the operator's rules as JSON with comments (and trailing commas). Everything that is wrong with it is said at once, each with
 * its line; a file with a mistake in it counts as a whole for nothing, so that nobody has to guess which half of it holds. Pure: takes the text.
 */
import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import * as v from "valibot";
import { type Transport, TRANSPORTS } from "./facts.ts";
import { type ConnectionRule, DEFAULT_RULES, type Rules } from "./rules.ts";

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

const transport = v.picklist(TRANSPORTS, (issue) => `${issue.received} is no transport: it takes one of ${TRANSPORTS.join(", ")}`);
const transports = v.pipe(
  v.array(transport, 'it takes a list of transports, as in ["mempipe", "unix"]'),
  v.minLength(1, "at least one transport must be allowed"),
);
const whole = (least: number, most: number) =>
  v.pipe(
    v.number((issue) => `it takes a number, not ${issue.received}`),
    v.check((value) => Number.isInteger(value) && value >= least && value <= most, `it takes a whole number from ${least} to ${most}`),
  );
const choice = <const T extends readonly string[]>(words: T) =>
  v.picklist(words, (issue) => `${issue.received} is none of ${words.map((word) => JSON.stringify(word)).join(", ")}`);
const flag = v.boolean((issue) => `it takes true or false, not ${issue.received}`);
const names = v.pipe(
  v.string((issue) => `it takes a name, not ${issue.received}`),
  v.check(
    (text) => text === "*" || /^xio:\/\/[^\s]+$/.test(text),
    "it takes a name such as xio://db, in which * stands for any letters, or * alone",
  ),
);
const ring = v.pipe(whole(65_536, 67_108_864), v.check((bytes) => (bytes & (bytes - 1)) === 0, "it takes a power of two"));

const connection = v.strictObject({
  from: v.optional(names),
  to: v.optional(names),
  allow: v.optional(flag),
  trust: v.optional(choice(["trusted", "untrusted"])),
  pin: v.optional(transport),
  transports: v.optional(transports),
}, shape);
const rules = v.strictObject({
  mode: v.optional(choice(["auto", "manual"])),
  transports: v.optional(transports),
  max_ring_bytes: v.optional(ring),
  affinity: v.optional(flag),
  drain_deadline_ms: v.optional(whole(0, 3_600_000)),
  quotas: v.optional(v.strictObject({
    sessions: v.optional(whole(1, 1_000_000)),
    names: v.optional(whole(1, 1_000_000)),
    waiting: v.optional(whole(1, 1_000_000)),
    channels: v.optional(whole(1, 1_000_000)),
    memory_bytes: v.optional(whole(65_536, Number.MAX_SAFE_INTEGER)),
  }, shape)),
  connections: v.optional(v.array(connection, "it takes a list of rules")),
}, shape);

/** Of a thing that is no object, or has something in it that means nothing here. */
function shape(issue: v.StrictObjectIssue): string {
  return issue.expected === "never" ? "there is no such setting" : `it takes an object, not ${issue.received}`;
}

/** The rules of a file's text, or everything that is wrong with it. */
export function parseRules(text: string): { readonly rules: Rules } | { readonly problems: readonly Problem[] } {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || tree === undefined) {
    const found = errors.map(({ offset, error }) => ({ line: lineOf(text, offset), message: sentence(printParseErrorCode(error)) }));
    return { problems: found.length > 0 ? found : [{ line: 1, message: "there is nothing in it" }] };
  }
  const lists = misplacedLists(tree, text);
  if (lists.length > 0) return { problems: lists };
  const result = v.safeParse(rules, valueOf(tree));
  const problems = [
    ...twice(tree, text),
    ...(result.success ? [] : result.issues.map((issue) => problemOf(issue, tree, text))),
    ...(result.success ? contradictions(result.output, tree, text) : []),
  ];
  if (problems.length > 0 || !result.success) return { problems: problems.sort((a, b) => a.line - b.line) };
  return { rules: rulesOf(result.output) };
}

/** One line for each, as editors understand them. */
export function describeProblems(path: string, problems: readonly Problem[]): string {
  return problems.map(({ line, message }) => `${path}:${line}: ${message}`).join("\n");
}

function rulesOf(file: v.InferOutput<typeof rules>): Rules {
  return {
    mode: file.mode ?? DEFAULT_RULES.mode,
    transports: file.transports ?? DEFAULT_RULES.transports,
    maxRingBytes: file.max_ring_bytes ?? DEFAULT_RULES.maxRingBytes,
    affinity: file.affinity ?? DEFAULT_RULES.affinity,
    drainDeadlineMs: file.drain_deadline_ms,
    connections: (file.connections ?? []).map((one): ConnectionRule => ({
      from: one.from,
      to: one.to,
      allow: one.allow ?? true,
      trust: one.trust,
      pin: one.pin,
      transports: one.transports,
    })),
    quotas: Object.fromEntries(Object.entries(file.quotas ?? {}).filter(([, limit]) => limit !== undefined)),
  };
}

/** What each setting alone allows, and both together do not. */
function contradictions(file: v.InferOutput<typeof rules>, tree: Node, text: string): readonly Problem[] {
  return (file.connections ?? []).flatMap((one, index) => {
    const at = (key: string, message: string): Problem => ({ line: lineOf(text, offsetAt(tree, ["connections", index, key])), message });
    const found: Problem[] = [];
    if (one.pin === "vmsplice-coop" && one.trust === "untrusted") {
      found.push(at("pin", "vmsplice-coop lends the sender's pages and is never used between ends that do not trust each other"));
    }
    if (one.pin !== undefined && one.transports !== undefined && !(one.transports as readonly Transport[]).includes(one.pin)) {
      found.push(at("pin", `${one.pin} is pinned, but not among the transports of the same rule`));
    }
    if (one.allow === false && (one.pin !== undefined || one.transports !== undefined || one.trust !== undefined)) {
      found.push(at("allow", "a connection that is not allowed needs no other settings"));
    }
    return found;
  });
}

/** A list is an object as far as JavaScript goes, and has no unknown keys. */
function misplacedLists(tree: Node, text: string): readonly Problem[] {
  const quotas = findNodeAtLocation(tree, ["quotas"]);
  const inner = findNodeAtLocation(tree, ["connections"])?.children ?? [];
  return [tree, ...(quotas === undefined ? [] : [quotas]), ...inner].filter((node) => node.type === "array")
    .map((node) => ({ line: lineOf(text, node.offset), message: "it takes an object, not a list" }));
}

/** JSON takes the last of two equal keys; in a file of rules one of them is a mistake. */
function twice(node: Node, text: string): readonly Problem[] {
  const seen = new Set<unknown>();
  const own = node.type !== "object" ? [] : (node.children ?? []).flatMap((property) => {
    const key = property.children?.[0];
    const known = seen.has(key?.value);
    seen.add(key?.value);
    return known ? [{ line: lineOf(text, property.offset), message: `${JSON.stringify(key?.value)} is there twice` }] : [];
  });
  return [...own, ...(node.children ?? []).flatMap((child) => twice(child, text))];
}

function problemOf(issue: v.BaseIssue<unknown>, tree: Node, text: string): Problem {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const where = path.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)).join("");
  return { line: lineOf(text, offsetAt(tree, path)), message: where === "" ? issue.message : `${where}: ${issue.message}` };
}

function offsetAt(tree: Node, path: readonly (string | number)[]): number {
  const node = findNodeAtLocation(tree, [...path]);
  // A setting is where its key is.
  return (node?.parent?.type === "property" ? node.parent : node)?.offset ?? tree.offset;
}

function valueOf(node: Node): unknown {
  if (node.type === "array") return (node.children ?? []).map(valueOf);
  if (node.type !== "object") return node.value;
  return Object.fromEntries(
    (node.children ?? []).map((
      { children },
    ) => [String(children?.[0]?.value), children?.[1] === undefined ? undefined : valueOf(children[1])]),
  );
}

function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** `CommaExpected` → "comma expected". */
function sentence(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}
