/**
 * `npm run check`: what needs no running program. Formatting, types (for Bun's globals, for Deno's, and as Deno itself sees them), the lock
 * file, committed bindings. One line each, and at the end `N passed, N failed`.
 */
import process from "node:process";
import { filesBelow, tool } from "./lib/checkout.ts";
import { closingLine, type Counts, sum } from "./lib/counts.ts";
import { missingFromLock } from "./lib/lock.ts";
import { run } from "./lib/run.ts";

const TIMEOUT_MS = 180_000;
const BUN_ONLY = "tests/runtime/bun_types.ts";

interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const typeScript = [
  "mod.ts",
  ...["src", "tests", "bench", "examples", "scripts"].flatMap((folder) => filesBelow(folder, (path) => path.endsWith(".ts"))),
];

const checks: readonly Check[] = [
  { name: "format (TypeScript, JSON, Markdown)", command: tool("dprint"), args: ["check", "--list-different"] },
  { name: "format (Zig)", command: tool("zig"), args: ["fmt", "--check", "build.zig", "zig"] },
  { name: "types with Bun's globals", command: tool("tsc"), args: ["-p", "tsconfig.json"] },
  { name: "types with Deno's globals", command: tool("tsc"), args: ["-p", "tsconfig.deno.json"] },
  {
    name: "types as Deno checks them",
    command: tool("deno"),
    args: ["check", "--quiet", ...typeScript.filter((file) => file !== BUN_ONLY)],
  },
  { name: "house rules", command: tool("bun"), args: ["test", "./tests/tidy_test.ts"] },
  { name: "bindings committed", command: "git", args: ["diff", "--exit-code", "--", "src/native/generated.ts"] },
];

async function perform({ name, command, args }: Check): Promise<Counts> {
  const { exitCode, output } = await run(command, args, { quiet: true, timeoutMs: TIMEOUT_MS });
  return say(name, exitCode === 0, output);
}

function say(name: string, good: boolean, output: string): Counts {
  if (!good) console.log(output.trimEnd());
  console.log(`${good ? "ok    " : "FAILED"} ${name}`);
  return good ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

const counts: Counts[] = [];
for (const one of checks) counts.push(await perform(one));
const missing = missingFromLock();
counts.push(say("lock file complete", missing.length === 0, `missing: ${missing.join(", ")} (run bun scripts/lock.ts)`));
const total = sum(counts);
console.log(closingLine(total));
process.exitCode = total.failed === 0 ? 0 : 1;
