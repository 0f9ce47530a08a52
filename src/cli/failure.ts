/**
 * From an error to what a person and a script see: one sentence on stderr with its code and remedy, and the exit status.
 * 0 done, 1 failed, 2 wrong usage.
 */
import { FableError } from "../errors.ts";
import type { UsageError } from "./usage.ts";

export interface Failure {
  /** Empty when there is nobody to tell: the reader of stdout went away. */
  readonly sentence: string;
  readonly exitCode: 1 | 2;
}

/** A command's own verdict: it has already said what failed, or says it here. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

export function describeFailure(error: unknown): Failure {
  if (isUsageError(error)) return { sentence: sentence(error.message, "USAGE", error.remedy), exitCode: 2 };
  if (error instanceof FableError) return { sentence: sentence(error.message, error.code, error.remedy), exitCode: 1 };
  if (error instanceof CommandFailed) {
    return { sentence: error.message === "" ? "" : sentence(error.message, "FAILED", error.remedy), exitCode: 1 };
  }
  const code = errorCode(error);
  if (code === "EPIPE") return { sentence: "", exitCode: 1 };
  const message = error instanceof Error ? error.message : String(error);
  return { sentence: sentence(firstLine(message), code ?? "FAILED", undefined), exitCode: 1 };
}

/** By name, because the benchmark is not part of this program and has a class of its own. */
function isUsageError(error: unknown): error is UsageError {
  return error instanceof Error && error.name === "UsageError";
}

/** `fable: what happened (CODE): what to do.` */
export function sentence(message: string, code: string, remedy: string | undefined): string {
  const body = firstLine(message).replace(/\s*[.!]+$/, "");
  const tail = remedy === undefined ? "" : `: ${firstLine(remedy).replace(/\s*\.+$/, "")}`;
  return `fable: ${body} (${code})${tail}.`;
}

/** The `code` that system errors carry (EPIPE, ENOENT, …). */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

function firstLine(text: string): string {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").join(" ");
}
