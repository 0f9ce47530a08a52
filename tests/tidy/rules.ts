/** The house rules as pure functions over one file: each gives the sentences it has to say about it. tidy_test.ts applies them to the checkout. */
import { posix } from "node:path";

export interface SourceFile {
  /** Relative to the checkout, with slashes. */
  readonly path: string;
  readonly text: string;
}

export type Rule = (file: SourceFile) => readonly string[];

const MAX_LINES = 400;
const COMMENTS = /\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm;
const STRINGS = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;

/**
 * Who may import whom, by folder of src/: a folder may import from itself and from those listed, which are all that lies below it. Pure
 * folders are at the bottom; `xio` and `broker` meet in naming's protocol only.
 */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  version: [],
  policy: ["errors"],
  flow: ["errors"],
  runtime: ["errors"],
  native: ["runtime", "errors"],
  transport: ["native", "runtime", "errors", "flow"],
  naming: ["transport", "native", "runtime", "errors", "version"],
  xio: ["flow", "transport", "naming", "native", "runtime", "errors", "version"],
  broker: ["naming", "policy", "flow", "transport", "native", "runtime", "errors", "version"],
  mod: ["xio", "flow", "transport", "naming", "native", "runtime", "errors", "version"],
};

/** Which of another folder's files are open, where not all are. */
const ONLY: Readonly<Record<string, RegExp>> = {
  // The client is the other side of the wire.
  "broker → naming": /^src\/naming\/(?!client)/,
  // Names and types; what runs stays below.
  "broker → transport": /^src\/transport\/transport\.ts$/,
  "naming → transport": /^src\/transport\/transport\.ts$/,
};

/** Node modules that do no I/O: the library proper runs in Deno with nothing but --allow-ffi. */
const HARMLESS_NODE_MODULES = new Set(["node:buffer", "node:events", "node:util", "node:async_hooks", "node:assert", "node:crypto"]);
const PURE = new Set(["policy", "flow", "errors", "version"]);
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  naming: ["valibot"],
  broker: ["valibot"],
  policy: ["valibot", "jsonc-parser"],
  cli: ["commander", "valibot", "picocolors", "cli-table3"],
};

export function withoutComments(text: string): string {
  return text.replace(COMMENTS, "");
}

/** What is left is code: no comment, no string. */
export function codeOnly(text: string): string {
  // Strings first: "https://…" is no comment. Their quotes stay, so that the code around them stays code.
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(STRINGS, '""').replace(/\/\/.*$/gm, "");
}

/** Module specifiers of every import and re-export, static or not. */
export function importsOf(text: string): readonly string[] {
  const found = withoutComments(text).matchAll(
    /(?:^|[;}\n])\s*(?:import|export)\b[^;"'`()=]*?\bfrom\s*"([^"]+)"|\bimport\(\s*"([^"]+)"|^\s*import\s+"([^"]+)"/gm,
  );
  return [...found].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? "");
}

/** The folder of src/ (or the module beside them) that a path belongs to; undefined outside. */
export function layerOf(path: string): string | undefined {
  if (path === "mod.ts") return "mod";
  return /^src\/([a-z]+)(?:\/|\.ts$)/.exec(path)?.[1];
}

export const importDirection: Rule = ({ path, text }) => {
  const layer = layerOf(path);
  const below = layer === undefined ? undefined : BELOW[layer];
  return importsOf(text).flatMap((specifier) => {
    if (!specifier.startsWith(".")) return foreignImport(path, layer, specifier);
    if (!/\.(ts|json|js)$/.test(specifier)) return [`${path}: import "${specifier}" lacks its extension`];
    const target = posix.join(posix.dirname(path), specifier);
    if (path.startsWith("src/") && target.startsWith("tests/")) return [`${path} must not import tests`];
    const other = layerOf(target);
    if (layer === undefined || below === undefined || other === undefined || other === layer) return [];
    if (!below.includes(other)) return [`${path} must not import ${target}: ${layer} is not above ${other}`];
    const only = ONLY[`${layer} → ${other}`];
    return only === undefined || only.test(target) ? [] : [`${path} must not import ${target}: only ${only.source}`];
  });
};

function foreignImport(path: string, layer: string | undefined, specifier: string): readonly string[] {
  if (layer === undefined || layer === "cli") return [];
  if (specifier.startsWith("node:")) {
    const harmless = HARMLESS_NODE_MODULES.has(specifier) && !PURE.has(layer);
    return harmless ? [] : [`${path} must not import ${specifier}: it needs more than --allow-ffi, or the layer is pure`];
  }
  return PACKAGES[layer]?.includes(specifier) === true ? [] : [`${path} must not import ${specifier}`];
}

export const noAny: Rule = ({ path, text }) =>
  /(?::|\bas|<|\||&|,)\s*any\b(?!\s*[(:=.])/.test(codeOnly(text)) ? [`${path} uses the type any`] : [];

/** Reminders and switches that silence a tool; spelled apart, so that this file has none. */
const FORBIDDEN_WORDS = [
  "TO" + "DO",
  "FIX" + "ME",
  "XX" + "X",
  "HA" + "CK",
  "@ts-" + "ignore",
  "@ts-" + "nocheck",
  "deno-lint-" + "ignore",
];

export const noForbiddenWords: Rule = ({ path, text }) =>
  FORBIDDEN_WORDS.filter((word) => new RegExp(`(?<![\\w/])${word}\\b`).test(text)).map((word) => `${path} contains ${word}`);

export const notTooLong: Rule = ({ path, text }) => {
  const lines = text.split("\n").length - 1;
  return lines > MAX_LINES && !/\/generated\.ts$/.test(path) ? [`${path} has ${lines} lines, more than ${MAX_LINES}`] : [];
};

/** Every file says what it is, in its first line or after its interpreter line. */
export const startsWithComment: Rule = ({ path, text }) => {
  const first = text.replace(/^#!.*\n/, "").trimStart();
  const opening = path.endsWith(".zig") ? /^\/\/! / : path.endsWith(".ts") || /\.(c|h|cpp)$/.test(path) ? /^\/[*/]/ : /^# /;
  return opening.test(first) ? [] : [`${path} does not start with a comment that says what it is`];
};

export const onlyAdaptersNameRuntimes: Rule = ({ path, text }) => {
  if (!/^(src|mod\.ts)/.test(path) || path.startsWith("src/runtime/")) return [];
  return /(?<![.\w])(Bun|Deno)\s*(\.|\?\.|\[)|globalThis\.(Bun|Deno)\b|typeof (Bun|Deno)\b/.test(codeOnly(text))
      || importsOf(text).some((it) => it.startsWith("bun:"))
    ? [`${path} names a runtime: only src/runtime may`]
    : [];
};

/**
 * A test that measures fails on a busy machine; one that runs alone hides the others. Process tests have promises in milliseconds to check
 * (a death is noticed within 100 ms), and say so.
 */
export const noTimedTests: Rule = ({ path, text }) => {
  if (!path.endsWith("_test.ts")) return [];
  const code = codeOnly(text);
  return [
    ...(!path.startsWith("tests/process/") && /\bperformance\s*\.\s*now\b|\bhrtime\b|\bnanoseconds\b/.test(code)
      ? [`${path} measures time`]
      : []),
    ...(/\b(test|it|describe|suite)\s*\.\s*(only|skip|todo)\b|\bonly:\s*true\b/.test(code) ? [`${path} leaves tests out`] : []),
  ];
};

export const typeScriptRules: readonly Rule[] = [
  importDirection,
  noAny,
  noForbiddenWords,
  notTooLong,
  startsWithComment,
  onlyAdaptersNameRuntimes,
  noTimedTests,
];

export const otherRules: readonly Rule[] = [noForbiddenWords, notTooLong, startsWithComment];
