/**
 * The `fable` command. This file knows every option and no command's work: each command is imported when it runs, so that `fable cat` starts
 * without the broker, the benchmark or the tables.
 */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import process from "node:process";
import { VERSION } from "../version.ts";
import { describeFailure } from "./failure.ts";
import { createOutput, type Output, processEnvironment } from "./output.ts";
import { parseCores, parseCount, parseSeconds, parseSize, parseSizes, parseWord, parseWords, UsageError } from "./usage.ts";
import { BENCH_TRANSPORTS, DRIVERS, SORTS, TRANSPORTS, TRUSTS } from "./words.ts";

/** Runs one command line; gives the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = describeFailure(error instanceof CommanderError ? usageError(error, args) : error);
    if (failure.sentence !== "") processEnvironment(false).writeError(`${failure.sentence}\n`);
    return failure.exitCode;
  }
}

function program(): Command {
  const root = new Command("fable");
  root.description("Channels between processes that know each other by name, over the fastest safe transport.");
  root.version(VERSION, "-V, --version", "print the version");
  root.helpOption("-h, --help", "show help, with examples");
  root.helpCommand("help [command]", "show help of a command");
  // Errors are written once, by main(), as one sentence.
  root.configureOutput({ outputError: () => {} }).exitOverride();
  examples(root, ["fable demo", "fable cat --listen xio://backup > archive.tar", "fable ls --json"]);
  addDemo(root);
  addBroker(root);
  addLs(root);
  addFlows(root);
  addTop(root);
  addReconfigure(root);
  addPolicy(root);
  addCalibrate(root);
  addCat(root);
  addDoctor(root);
  addBench(root);
  addPrivate(root);
  return root;
}

interface Common {
  readonly json?: true;
  readonly socket?: string;
}

function addDemo(root: Command): void {
  const command = sub(root, "demo", "a broker, a Bun end and a Deno end: a real file and a request/response load, verified");
  command.option("--file <path>", "the file to move (default: a runtime's own executable, at least 100 MB)");
  command.option("--requests <n>", "round trips of the second part", value((text) => parseCount(text, 1, 100_000_000)), 200_000);
  command.option("--transport <name>", "by hand instead of the broker's choice", value((text) => parseWord(text, TRANSPORTS)));
  json(command);
  examples(command, ["fable demo", "fable demo --file /usr/lib/locale/locale-archive", "fable demo --requests 1000000 --json"]);
  command.action(async (options) => (await import("./demo.ts")).demo(output(options), options));
}

function addBroker(root: Command): void {
  const command = sub(root, "broker", "the name service in the foreground; programs start one by themselves if none runs");
  socket(command);
  command.option("--policy <file>", "the operator's rules (docs/policy.md), looked at again when it changes");
  command.option("--metrics-socket <path>", "serves its figures for Prometheus at this Unix socket");
  command.option("--parent <uri>", "a higher name service");
  command.option("--replace", "take over from a running broker without dropping a name");
  command.option("--embedded", "leave by itself when nobody needs it any more");
  json(command);
  examples(command, ["fable broker", "fable broker --socket /run/fable/broker.sock", "fable broker --replace"]);
  command.action(async (options) => (await import("./broker.ts")).broker(output(options), options));
}

function addLs(root: Command): void {
  const command = sub(root, "ls", "registered names");
  socket(command);
  json(command);
  examples(command, ["fable ls", "fable ls --json | jq -r '.[].name'", "fable ls | cut -f1"]);
  command.action(async (options) => (await import("./ls.ts")).ls(output(options), options));
}

function addFlows(root: Command): void {
  const command = sub(root, "flows", "live channels: transport, trust, traffic, waits, placement, and why");
  socket(command);
  json(command);
  examples(command, ["fable flows", "fable flows --json | jq '.[].directions[].msgs_per_s'"]);
  command.action(async (options) => (await import("./flows.ts")).flows(output(options), options));
}

function addTop(root: Command): void {
  const command = sub(root, "top", "the same, live: sort, filter, move and explain by keys");
  command.option("--interval <seconds>", "between two looks", value((text) => parseSeconds(text, 60)), 1);
  command.option("--sort <by>", `one of ${SORTS.join(", ")}`, value((text) => parseWord(text, SORTS)), SORTS[0]);
  command.option("--filter <text>", "only rows that have it", "");
  command.option("--count <n>", "end after so many looks", value((text) => parseCount(text, 1)));
  socket(command);
  json(command);
  examples(command, [
    "fable top",
    "fable top --sort blocked --filter xio://orders",
    "fable top --json --count 10 | jq -c '.flows | length'",
  ]);
  command.action(async (options) => (await import("./top.ts")).top(output(options), options));
}

function addReconfigure(root: Command): void {
  const command = sub(root, "reconfigure", "moves a live channel to another transport, while its ends go on");
  command.argument("<flow>", "as fable flows calls it, or the beginning of that");
  command.requiredOption("--transport <name>", `one of ${TRANSPORTS.join(", ")}`, value((text) => parseWord(text, TRANSPORTS)));
  command.option("--ring <size>", "memory of each direction: a power of two (default: as much as it has)", value(parseRing));
  command.option("--timeout <ms>", "wait at most so long for both ends", value((text) => parseCount(text, 1, 3_600_000)), 5000);
  socket(command);
  json(command);
  examples(command, [
    "fable reconfigure k3xq7a-12 --transport tcp",
    "fable reconfigure k3 --transport mempipe --ring 1M --json",
    "fable flows --json | jq -r '.[].flow' | xargs -n1 fable reconfigure --transport mempipe",
  ]);
  command.action(async (flow: string, options) => (await import("./reconfigure.ts")).reconfigure(output(options), flow, options));
}

function addCalibrate(root: Command): void {
  const command = sub(root, "calibrate", "measures what a message costs on this machine, for the broker's policy to choose by");
  command.option("--seconds <s>", "about so long", value((text) => parseSeconds(text)), 50);
  command.option("--transport <list>", "only these: what is left out is not chosen", value((text) => parseWords(text, TRANSPORTS)));
  command.option("--force", "also if it was measured on this machine and kernel before");
  socket(command);
  json(command);
  examples(command, ["fable calibrate", "fable calibrate --force --json | jq '.rows[] | select(.transport == \"mempipe\")'"]);
  command.action(async (options) => (await import("./calibrate.ts")).calibrate(output(options), options));
}

function addPolicy(root: Command): void {
  const command = sub(root, "policy", "who moves channels, the broker or people; and what it thinks of one");
  const action = (name: "auto" | "manual", description: string) => {
    const one = sub(command, name, description).argument("[flow]", "of this channel only");
    socket(one);
    json(one);
    one.action(async (flow: string | undefined, options) => (await import("./policy.ts")).setPolicy(output(options), name, flow, options));
  };
  action("auto", "the broker moves channels as its policy sees fit");
  action("manual", "channels stay as they are until somebody moves them");
  const explain = sub(command, "explain", "facts, candidates, predicted costs and the choice for one channel");
  explain.argument("<flow>", "as fable flows calls it, or the beginning of that");
  socket(explain);
  json(explain);
  explain.action(async (flow: string, options) => (await import("./policy.ts")).explainPolicy(output(options), flow, options));
  examples(command, [
    "fable policy manual",
    "fable policy auto k3xq7a-12",
    "fable policy explain k3",
    "fable policy explain k3 --json | jq .candidates",
  ]);
}

function addCat(root: Command): void {
  const command = sub(root, "cat", "stdin to a channel, a channel to stdout");
  command.argument("<name>", "the peer's name, or with --listen the own one, as in xio://backup");
  command.option("-l, --listen", "register NAME and take one connection");
  socket(command);
  command.option("--transport <name>", "by hand instead of the broker's choice", value((text) => parseWord(text, TRANSPORTS)));
  command.option("--trust <trust>", "how far to trust the peer", value((text) => parseWord(text, TRUSTS)));
  command.option("--ring <size>", "bytes of the ring this end writes: a power of two", value(parseRing));
  command.option("--timeout <seconds>", "wait at most so long for the name and a connection", value((text) => parseSeconds(text)), 10);
  command.option("--no-wait", "fail at once if nobody listens at the name, instead of waiting until --timeout");
  command.option("--stats", "say on stderr what moved and how fast");
  examples(command, [
    "fable cat --listen xio://backup > archive.tar",
    "tar c src | fable cat xio://backup",
    "fable cat --listen xio://shell --stats < /dev/null",
  ]);
  command.action(async (name: string, options) => (await import("./cat.ts")).cat(output(options), name, options));
}

function addDoctor(root: Command): void {
  const command = sub(root, "doctor", "tries everything FABLE needs on this machine and says what to do about what does not work");
  socket(command);
  json(command);
  examples(command, ["fable doctor", "fable doctor --json | jq '.checks[] | select(.status != \"ok\")'"]);
  command.action(async (options) => (await import("./doctor.ts")).doctor(output(options), options));
}

function addBench(root: Command): void {
  const command = sub(root, "bench", "latency and throughput of the transports, each cell beside the cost of one cache line");
  command.argument("<kind>", "lat or thr; compare, with the files of two reports; or regret: how good the policy's choices are");
  command.argument("[files...]", "compare: the old report and the new one");
  const transports = `of ${TRANSPORTS.join(", ")}, and ipi (lat: interrupting the other core); or all`;
  command.option("--transport <list>", transports, value((text) => parseWords(text, BENCH_TRANSPORTS)));
  command.option("--size <list>", "message sizes from 8 bytes on, as in 64,4K,64K", value((text) => parseSizes(text, 1, 2 ** 26)));
  command.option("--cores <cores>", "two numbers as in 0,1, or same, or all (every ordered pair)", value(parseCores));
  command.option("--driver <list>", `of ${DRIVERS.join(", ")}, or all`, value((text) => parseWords(text, DRIVERS)));
  command.option("--trust <trust>", "trusted, untrusted or both", value((text) => parseWord(text, ["trusted", "untrusted", "both"])));
  const checks = "full (every byte compared), plain (every byte read) or both (default: thr both, lat full)";
  command.option("--check <check>", checks, value((text) => parseWord(text, ["full", "plain", "both"])));
  command.option("--seconds <s>", "time of one run of a cell (default: 0.2)", value((text) => parseSeconds(text)));
  command.option(
    "--messages <n>",
    "exactly so many messages (lat: round trips) per run instead of time",
    value((text) => parseCount(text, 1)),
  );
  command.option("--batch <n>", "messages per publication (thr, default: 16)", value((text) => parseCount(text, 1, 65_536)));
  command.option("--ring <size>", "bytes of each direction's ring (default: sixteen messages, and 64K at least)", value(parseRing));
  command.option("--rounds <n>", "runs of each cell (default: 11, of JavaScript 7)", value((text) => parseCount(text, 1, 1000)));
  command.option("--json <file>", "write the cells there; - is stdout");
  command.option("--html <file>", "write a report there");
  command.option("--compare <file>", "an earlier --json report of the same cells: says what became slower (exit 1) or faster");
  command.option("--quick", "regret: five minutes instead of a quarter of an hour, and less sure");
  command.option("--only <text>", "regret: cells with this in their title");
  examples(command, [
    "fable bench lat",
    "fable bench lat --transport all --trust both --cores all --json lat.json",
    "fable bench thr --transport mempipe,unix --size 64,4K --driver bun",
    "fable bench thr --transport mempipe-spin,tcp --check plain --batch 1 --ring 16M",
    "fable bench thr --transport unix --size 64 --messages 1000000 --rounds 1",
    "fable bench thr --json old.json && git switch topic && npm run build && fable bench thr --compare old.json",
    "fable bench compare old.json new.json",
    "fable bench regret --quick --only 'same core, hog'",
  ]);
  command.action(async (kind: string, files: readonly string[], options) => {
    const parsed = usage(() => parseWord(kind, ["lat", "thr", "compare", "regret"] as const));
    const { bench, compare, regret } = await import("./bench.ts");
    if (parsed !== "compare" && files.length > 0) throw new UsageError(`"${files[0]}" is too much`, 'see "fable bench --help"');
    if (parsed === "regret") return await regret(options);
    if (parsed !== "compare") return await bench(parsed, options);
    const [before, after, more] = files;
    if (before === undefined || after === undefined || more !== undefined) {
      throw new UsageError("compare wants the files of two reports", 'see "fable bench --help"');
    }
    await compare(before, after);
  });
}

/** What the demo starts in its two runtimes and a calibration twice; not for people. */
function addPrivate(root: Command): void {
  const command = root.command("demo-end", { hidden: true }).argument("<role>").option("--file <path>").option(
    "--requests <n>",
    "",
    Number,
  );
  command.option("--transport <name>").exitOverride();
  command.action(async (role: string, options) => (await import("./demo-end.ts")).demoEnd(role, options));
  const calibrate = root.command("calibrate-end", { hidden: true }).argument("<role>").requiredOption("--seconds <s>", "", Number);
  calibrate.requiredOption("--cpus <list>").requiredOption("--transports <list>").exitOverride();
  calibrate.action(async (role: string, options) => (await import("./calibrate-end.ts")).calibrateEnd(role, options));
}

function sub(root: Command, name: string, description: string): Command {
  return root.command(name).description(description).allowExcessArguments(false).exitOverride().copyInheritedSettings(root);
}

function socket(command: Command): void {
  command.option("--socket <path>", "the broker's socket (default: $FABLE_SOCKET, else the runtime folder's)");
}

function json(command: Command): void {
  command.option("--json", "one JSON value on stdout");
}

function examples(command: Command, lines: readonly string[]): void {
  command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`);
}

function output(options: Common): Output {
  return createOutput(processEnvironment(options.json === true));
}

function parseRing(text: string): number {
  const size = parseSize(text, 4096, 2 ** 26);
  if ((size & (size - 1)) !== 0) throw new UsageError(`${text} is not a power of two`);
  return size;
}

/** Commander wants its own error class from an option's parser. */
function value<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => usage(() => parse(text));
}

function usage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** Commander's complaint, in the one sentence every other failure has. */
function usageError(error: CommanderError, args: readonly string[]): UsageError {
  const [name, topic] = args.filter((word) => !word.startsWith("-"));
  if (error.code === "commander.help") return new UsageError(topic === undefined ? "no command given" : `unknown command "${topic}"`);
  const message = error.message.replace(/^error: /, "").replace(/^option '(--[a-z-]+)[^']*' argument '.*?' is invalid\. /s, "$1: ");
  if (error.code === "commander.unknownCommand" || name === undefined) return new UsageError(message);
  return new UsageError(message, `see "fable ${name} --help"`);
}

// Nothing may keep a finished command alive: not a read of a terminal, nor a broker's socket. All output is written by now.
if (import.meta.main) process.exit(await main(process.argv.slice(2)));
