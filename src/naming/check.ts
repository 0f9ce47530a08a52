/**
 * The schemas of messages as plain readers: the same verdict as valibot's own `safeParse` at a fraction of its work, because a connection by
 * name is four messages long and each of them is read by a process that has just woken up. A schema that is not understood here, or a message
 * that is refused, goes to valibot itself, which also knows what is wrong with it; a test compares both on everything the protocol has.
 */
import * as v from "valibot";

/** The value without what the schema does not know, or {@link BAD}. */
export type Reader = (value: unknown) => unknown;

export const BAD: unique symbol = Symbol("bad");

/** Reads a message: its output, or the first issue. */
export function readerOf(schema: v.GenericSchema): (value: unknown) => v.SafeParseResult<v.GenericSchema> {
  const reader = compile(schema as unknown as Described) ?? (() => BAD);
  return (value) => {
    const output = reader(value);
    if (output === BAD) return v.safeParse(schema, value, { abortEarly: true });
    return { typed: true, success: true, output, issues: undefined } as v.SafeParseResult<v.GenericSchema>;
  };
}

/** What valibot says about its own schemas and actions. */
interface Described {
  readonly kind: "schema" | "validation" | string;
  readonly type: string;
  readonly pipe?: readonly Described[];
  readonly entries?: Readonly<Record<string, Described>>;
  readonly items?: readonly Described[];
  readonly item?: Described;
  readonly wrapped?: Described;
  readonly default?: unknown;
  readonly literal?: unknown;
  readonly options?: readonly unknown[];
  readonly requirement?: unknown;
}

/** Undefined for what is not understood. */
function compile(schema: Described): Reader | undefined {
  const { pipe } = schema;
  if (pipe === undefined) return plain(schema);
  const [first, ...actions] = pipe;
  // A pipe may begin with a schema that is one itself.
  const reader = first === undefined ? undefined : compile(first);
  const tests = actions.map(compileAction);
  if (reader === undefined || tests.some((test) => test === undefined)) return undefined;
  const all = tests as readonly ((value: unknown) => boolean)[];
  return (value) => {
    const output = reader(value);
    if (output === BAD) return BAD;
    for (const test of all) if (!test(output)) return BAD;
    return output;
  };
}

function plain(schema: Described): Reader | undefined {
  switch (schema.type) {
    case "string":
      return (value) => (typeof value === "string" ? value : BAD);
    case "number":
      return (value) => (typeof value === "number" && !Number.isNaN(value) ? value : BAD);
    case "boolean":
      return (value) => (typeof value === "boolean" ? value : BAD);
    case "literal":
      return (value) => (value === schema.literal ? value : BAD);
    case "picklist":
      return (value) => (schema.options?.includes(value) === true ? value : BAD);
    case "object":
      return object(schema.entries ?? {});
    case "array":
      return array(schema.item);
    case "strict_tuple":
      return tuple(schema.items ?? []);
    default:
      return undefined;
  }
}

function object(entries: Readonly<Record<string, Described>>): Reader | undefined {
  const keys = Object.keys(entries);
  const optional = keys.map((key) => entries[key]?.type === "optional");
  const readers = keys.map((key) => {
    const entry = entries[key] as Described;
    if (entry.type !== "optional") return compile(entry);
    return entry.default === undefined && entry.wrapped !== undefined && entry.pipe === undefined ? compile(entry.wrapped) : undefined;
  });
  if (readers.some((reader) => reader === undefined)) return undefined;
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return BAD;
    const input = value as Readonly<Record<string, unknown>>;
    const output: Record<string, unknown> = {};
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] as string;
      if (optional[index] === true && !(key in input)) continue;
      const field = (readers[index] as Reader)(input[key]);
      if (field === BAD) return BAD;
      output[key] = field;
    }
    return output;
  };
}

function array(item: Described | undefined): Reader | undefined {
  const reader = item === undefined ? undefined : compile(item);
  return reader && ((value) => (Array.isArray(value) ? each(value, () => reader) : BAD));
}

function tuple(items: readonly Described[]): Reader | undefined {
  const readers = items.map(compile);
  if (readers.some((reader) => reader === undefined)) return undefined;
  return (value) => (Array.isArray(value) && value.length === readers.length ? each(value, (index) => readers[index] as Reader) : BAD);
}

function each(values: readonly unknown[], reader: (index: number) => Reader): readonly unknown[] | typeof BAD {
  const output: unknown[] = [];
  for (let index = 0; index < values.length; index++) {
    const item = reader(index)(values[index]);
    if (item === BAD) return BAD;
    output.push(item);
  }
  return output;
}

function compileAction({ kind, type, requirement }: Described): ((value: unknown) => boolean) | undefined {
  if (kind !== "validation") return undefined;
  switch (type) {
    case "integer":
      return (value) => Number.isInteger(value);
    case "finite":
      return (value) => Number.isFinite(value);
    case "min_value":
      return (value) => (value as number) >= (requirement as number);
    case "max_value":
      return (value) => (value as number) <= (requirement as number);
    case "max_length":
      return (value) => (value as string | readonly unknown[]).length <= (requirement as number);
    case "regex":
      return (value) => (requirement as RegExp).test(value as string);
    case "check":
      return requirement as (value: unknown) => boolean;
    default:
      return undefined;
  }
}
