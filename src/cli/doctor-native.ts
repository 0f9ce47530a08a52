/** The part of `fable doctor` that needs the native library: capabilities, distances, the doorbell, a channel on each transport, brokers. */
import { isFableError } from "../errors.ts";
import { connectNameService } from "../naming/client.ts";
import { brokerPlace } from "../naming/place.ts";
import { ABI_VERSION } from "../native/generated.ts";
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import type { TransportName } from "../transport/transport.ts";
import { type CheckResult, fails, judgeDoorbell, judgeLine, ok, warning } from "./doctor-checks.ts";
import { checkTransport } from "./doctor-transports.ts";
import { CommandFailed } from "./failure.ts";
import { formatNanoseconds } from "./format.ts";
import type { MachineFacts } from "./machine.ts";

export interface Capability {
  readonly name: string;
  readonly essential: boolean;
  run(): CheckResult;
}

export interface DoctorNative {
  library(): CheckResult;
  capabilities(): readonly Capability[];
  line(facts: MachineFacts): CheckResult;
  doorbell(): Promise<CheckResult>;
  transport(transport: TransportName): Promise<CheckResult>;
  privateBroker(socket: string): Promise<CheckResult>;
  userBroker(socket: string | undefined): Promise<CheckResult>;
}

/** FABLE_CAPABILITY_*: number, name, what it is for, whether nothing works without it, and what its absence means. */
const CAPABILITIES = [
  [
    1,
    "membarrier",
    false,
    "waiters pay for the fence, not writers",
    "allow membarrier in the seccomp profile; until then each publication to this process costs a fence",
  ],
  [
    2,
    "memfd seals",
    true,
    "a region cannot shrink under its reader",
    "allow memfd_create and fcntl(F_ADD_SEALS) in the seccomp profile, or use Linux 3.17 or later",
  ],
  [3, "future-write seal", true, "a region has one writer", "use Linux 5.1 or later"],
  [4, "pidfd", true, "a peer's death is noticed without a broker", "allow pidfd_open in the seccomp profile, or use Linux 5.3 or later"],
  [
    5,
    "peer pidfd of a socket",
    false,
    "a client is known by its pidfd",
    "use Linux 6.5 or later; until then pidfd_open and the process's start time are compared",
  ],
  [6, "futex_waitv", false, "one futex sleep for several channels", "use Linux 5.16 or later; until then such sleepers use the doorbells"],
  [
    7,
    "no-exec seal",
    false,
    "regions cannot be executed",
    "use Linux 6.3 or later; until then regions are executable memfds like any other program's",
  ],
  [8, "populate", false, "regions are prefaulted in one call", "use Linux 5.14 or later; until then pages are touched one by one"],
] as const;

/** Opens the library the way every program does; throws the same sentence it would. */
export function openDoctor(): DoctorNative {
  const native = loadNative();
  return {
    library: () => checkLibrary(native),
    capabilities: () =>
      CAPABILITIES.map(([which, name, essential, use, remedy]) => ({
        name,
        essential,
        run: () => checkCapability(native, which, use, remedy, essential),
      })),
    line: (facts) => checkLine(native, facts),
    doorbell: () => checkDoorbell(native),
    transport: (transport) => checkTransport(transport),
    privateBroker: (socket) => checkPrivateBroker(native, socket),
    userBroker: (socket) => checkUserBroker(native, socket),
  };
}

function checkLibrary(native: Native): CheckResult {
  const { name, version } = native.runtime;
  return ok(`opened in ${name} ${version} with a working FFI; ABI ${native.library.abi_version()}, wanted ${ABI_VERSION}`);
}

function checkCapability(native: Native, which: number, use: string, remedy: string, essential: boolean): CheckResult {
  const answer = native.library.capability(which);
  if (answer === 1) return ok(`works: ${use}`);
  return essential ? fails(`not here: ${use}`, remedy) : warning(`not here: ${use}`, remedy);
}

function checkLine(native: Native, facts: MachineFacts): CheckResult {
  const cpus = facts.cpusAllowed;
  const [a, b] = [cpus[0] ?? 0, cpus[1]];
  if (b === undefined) return warning("only one CPU: nothing to measure", "give the process a second CPU");
  const out = new Uint32Array(2);
  const answer = native.library.line_ns(a, b, 20_000, out);
  if (answer < 0) return warning(`could not be measured (status ${answer})`, "allow sched_setaffinity, and see that both CPUs are free");
  return judgeLine(out[0] ?? 0, a, b);
}

async function checkDoorbell(native: Native): Promise<CheckResult> {
  const pair = new Int32Array(2);
  if (native.library.socketpair(1, pair) < 0) {
    return fails(`socketpair failed (errno ${native.library.errno()})`, "raise RLIMIT_NOFILE: ulimit -n 4096");
  }
  const [mine = -1, theirs = -1] = pair;
  try {
    const rung = Promise.withResolvers<number>();
    const start = performance.now();
    const watch = native.runtime.watchDoorbell(
      mine,
      (bytes) => rung.resolve(bytes),
      () => rung.reject(new CommandFailed("the doorbell hung up")),
    );
    watch.setRef(true);
    try {
      if (native.library.write(theirs, Uint8Array.of(1), 1) !== 1) {
        return fails("the doorbell could not be rung", "report this with the output of fable doctor --json");
      }
      await rung.promise;
      return judgeDoorbell((performance.now() - start) * 1e6);
    } finally {
      watch.close();
    }
  } finally {
    native.library.close(theirs);
    native.library.close(mine);
  }
}

/** What the first program on a machine does: starts a broker, registers a name, looks, and lets it go. */
async function checkPrivateBroker(native: Native, socket: string): Promise<CheckResult> {
  const start = performance.now();
  const service = await connectNameService(native, { socket, timeoutMs: 8000 });
  const took = performance.now() - start;
  try {
    service.setRef(true);
    await service.register("xio://doctor");
    const names = await service.names();
    if (!names.some((entry) => entry.name === "xio://doctor")) {
      return fails("a registered name was not listed", "report this with the output of fable doctor --json");
    }
    await service.shutdown();
    return ok(`started on demand and answering in ${formatNanoseconds(took * 1e6)}`);
  } finally {
    await service.close();
  }
}

async function checkUserBroker(native: Native, socket: string | undefined): Promise<CheckResult> {
  const place = brokerPlace(native.library, socket);
  try {
    const service = await connectNameService(native, { start: "never", timeoutMs: 500, ...(socket === undefined ? {} : { socket }) });
    try {
      service.setRef(true);
      const [names, flows] = [await service.names(), await service.flows()];
      return ok(`${place.socket}: process ${service.broker?.pid ?? "?"}, ${names.length} names, ${flows.length} channels`);
    } finally {
      await service.close();
    }
  } catch (error) {
    if (isFableError(error, "BROKER_UNREACHABLE")) {
      return { ...ok(`${place.socket}: none runs now`), remedy: "the first program that connects starts one" };
    }
    throw error;
  }
}
