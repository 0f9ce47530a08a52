/** Finds out which runtime this is. Called when the library is loaded, never on import. */
import { FableError } from "../errors.ts";
import { type BunGlobals, bunRuntime } from "./bun.ts";
import { type DenoGlobals, denoRuntime } from "./deno.ts";
import type { RuntimeHost } from "./runtime.ts";

/** The adapter for the runtime that `globals` belong to. Bun and Deno both have a `process`; Node has neither namespace. */
export function detectRuntime(globals: object = globalThis): RuntimeHost {
  if ("Bun" in globals) return bunRuntime(globals as BunGlobals);
  if ("Deno" in globals) return denoRuntime(globals as DenoGlobals);
  throw new FableError("UNSUPPORTED_PLATFORM", "FABLE runs in Bun and in Deno, and this is neither.", {
    remedy: "Start the program with bun or with deno run --allow-ffi.",
  });
}
