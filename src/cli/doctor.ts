/** `fable doctor`: tries everything FABLE stands on, in this runtime and on this machine, and tells the truth about it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { FableError } from "../errors.ts";
import {
  type Check,
  type CheckResult,
  exitStatus,
  fails,
  judgeClock,
  judgeHugePages,
  judgeKernel,
  judgeLockedMemory,
  judgeMemory,
  judgeOpenFiles,
  judgePlatform,
  judgeProcessors,
  judgeVirtualisation,
} from "./doctor-checks.ts";
import type { DoctorNative } from "./doctor-native.ts";
import { describeFailure } from "./failure.ts";
import { formatNanoseconds } from "./format.ts";
import { type MachineFacts, readMachine } from "./machine.ts";
import type { Output } from "./output.ts";
import { TRANSPORTS } from "./words.ts";

export interface DoctorOptions {
  readonly socket?: string;
}

const CHECK_LIMIT_MS = 10_000;

interface Step {
  readonly name: string;
  readonly essential: boolean;
  run(): CheckResult | Promise<CheckResult>;
}

export async function doctor(output: Output, options: DoctorOptions): Promise<void> {
  const facts = readMachine();
  const checks: Check[] = [];
  const perform = async (step: Step) => {
    output.progress(`… ${step.name}`);
    const check = await attempt(step);
    output.progress("");
    checks.push(check);
    show(output, check);
  };
  for (const step of machineSteps(facts)) await perform(step);
  const native = await nativeSteps(options, facts, perform);
  for (const step of native) await perform(step);
  output.value({ checks, ok: exitStatus(checks) === 0 });
  const failed = checks.filter((check) => check.status === "fails").length;
  const warned = checks.filter((check) => check.status === "warning").length;
  output.line("");
  output.line(`${checks.length} checks: ${checks.length - failed - warned} ok, ${warned} warnings, ${failed} failed.`);
  process.exitCode = exitStatus(checks);
}

function machineSteps(facts: MachineFacts): readonly Step[] {
  return [
    { name: "platform", essential: true, run: () => judgePlatform(process.platform, process.arch) },
    { name: "kernel", essential: true, run: () => judgeKernel(facts.release) },
    { name: "processors", essential: false, run: () => judgeProcessors(facts) },
    { name: "virtualisation", essential: false, run: () => judgeVirtualisation(facts) },
    { name: "clock", essential: false, run: () => judgeClock(facts) },
    { name: "memory", essential: false, run: () => judgeMemory(facts) },
    { name: "huge pages", essential: false, run: () => judgeHugePages(facts) },
    { name: "descriptors", essential: true, run: () => judgeOpenFiles(facts) },
    { name: "locked memory", essential: false, run: () => judgeLockedMemory(facts) },
  ];
}

/** The library comes first: without it there is nothing else to try, and its own sentence says why. */
async function nativeSteps(options: DoctorOptions, facts: MachineFacts, perform: (step: Step) => Promise<void>): Promise<readonly Step[]> {
  const { openDoctor } = await import("./doctor-native.ts");
  let opened: DoctorNative | undefined;
  await perform({
    name: "library",
    essential: true,
    run: () => {
      opened = openDoctor();
      return opened.library();
    },
  });
  if (opened === undefined) return [];
  const native = opened;
  const folder = mkdtempSync(join(tmpdir(), "fable-doctor-"));
  return [
    ...native.capabilities().map(({ name, essential, run }) => ({ name, essential, run })),
    { name: "cache line", essential: false, run: () => native.line(facts) },
    { name: "event loop doorbell", essential: true, run: () => native.doorbell() },
    ...TRANSPORTS.map((transport) => ({
      name: `channel over ${transport}`,
      essential: transport === "mempipe" || transport === "unix",
      run: () => native.transport(transport),
    })),
    { name: "starting a broker", essential: true, run: () => native.privateBroker(join(folder, "broker.sock")) },
    {
      name: "broker of this user",
      essential: false,
      run: async () => {
        try {
          return await native.userBroker(options.socket);
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    },
  ];
}

async function attempt(step: Step): Promise<Check> {
  const start = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<CheckResult>((resolve) => {
    timer = setTimeout(
      () => resolve(fails(`no answer within ${CHECK_LIMIT_MS / 1000} s`, "look for a stopped or overloaded process; then run this again")),
      CHECK_LIMIT_MS,
    );
  });
  const result = await Promise.race([judged(step), late]);
  clearTimeout(timer);
  return { name: step.name, essential: step.essential, ...result, took_ns: Math.round((performance.now() - start) * 1e6) };
}

async function judged(step: Step): Promise<CheckResult> {
  try {
    return await step.run();
  } catch (error) {
    if (error instanceof FableError) {
      return fails(`${error.message} (${error.code})`, error.remedy ?? "report this with the output of fable doctor --json");
    }
    return fails(describeFailure(error).sentence.replace(/^fable: /, ""), "report this with the output of fable doctor --json");
  }
}

function show(output: Output, check: Check): void {
  const { colours } = output;
  const mark = { ok: colours.green("ok     "), warning: colours.yellow("warning"), fails: colours.red("fails  ") }[check.status];
  const time = check.took_ns > 20_000_000 ? colours.dim(` (${formatNanoseconds(check.took_ns)})`) : "";
  output.line(`${mark}  ${check.name}: ${check.detail}${time}`);
  if (check.remedy !== undefined) output.line(`         ${check.status === "ok" ? "tip" : "remedy"}: ${check.remedy}`);
}
