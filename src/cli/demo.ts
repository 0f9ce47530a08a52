/**
 * `fable demo`: a private broker, one program in Bun and one in Deno that know each other by name only; a real file from one to the other, hashed on
 * both sides, then a request/response load with every answer checked, then the file again while the channel walks through all transports; last, a
 * channel that moves by itself when a busy program arrives, and back. Everything is real processes; everything is gone afterwards.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TransportName } from "../transport/transport.ts";
import type { Handle } from "../xio/handle.ts";
import { type Healed, playHog } from "./demo-hog.ts";
import { type Line, Stage } from "./demo-stage.ts";
import type { Skipped } from "./demo-walk.ts";
import { CommandFailed } from "./failure.ts";
import { formatBytes, formatBytesPerSecond, formatCount, formatNanoseconds, formatRate, quantile } from "./format.ts";
import { withNameService } from "./open.ts";
import type { Output } from "./output.ts";
import { findRuntime, type FoundRuntime } from "./runtimes.ts";
import { UsageError } from "./usage.ts";

export interface DemoOptions {
  readonly file?: string;
  readonly requests: number;
  readonly transport?: TransportName;
}

/** The least that is worth showing. */
const FILE_BYTES = 100_000_000;

export async function demo(output: Output, options: DemoOptions): Promise<void> {
  const [bun, deno] = chooseRuntimes();
  const file = options.file ?? bigFile([bun, deno]);
  const size = fileSize(file);
  const folder = mkdtempSync(join(tmpdir(), "fable-demo-"));
  const stage = new Stage(folder);
  const onSignal = () => {
    stage.end();
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    await play(output, options, stage, { bun, deno, file, size, folder });
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    output.progress("");
    await stage.ended();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Cast {
  readonly bun: FoundRuntime;
  readonly deno: FoundRuntime;
  readonly file: string;
  readonly size: number;
  readonly folder: string;
}

async function play(output: Output, options: DemoOptions, stage: Stage, cast: Cast): Promise<void> {
  const { colours } = output;
  const socket = join(cast.folder, "broker.sock");
  const broker = stage.start("broker", cast.bun, ["broker", "--socket", socket, "--json"]);
  await broker.line("listening");
  output.line(`${colours.bold("broker")}    process ${broker.pid}, at a socket of its own`);
  const shared = ["--requests", String(options.requests)];
  const receiver = stage.start("receiver", cast.deno, ["demo-end", "receiver", "--file", join(cast.folder, "copy"), ...shared]);
  const sender = stage.start("sender", cast.bun, [
    "demo-end",
    "sender",
    "--file",
    cast.file,
    ...shared,
    ...(options.transport === undefined ? [] : ["--transport", options.transport]),
  ]);
  sender.onProgress = (line) => output.progress(progressText(line, cast.size, options.requests));
  const connected = await sender.line("connected");
  const [flow] = await withNameService(socket, (service) => service.flows());
  output.line(`${colours.bold(cast.bun.name.padEnd(9))} process ${sender.pid} connected by name to xio://demo/receiver`);
  output.line(
    `${colours.bold(cast.deno.name.padEnd(9))} process ${receiver.pid} listens there; over ${text(connected["transport"])}, ${
      text(connected["trust"])
    }${flow === undefined ? "" : `: ${flow.reason}`}`,
  );

  const moved = await sender.line("sent");
  const seconds = number(moved["ns"]) / 1e9;
  output.line(
    `${colours.bold("file")}      ${cast.file}: ${formatBytes(cast.size)} read, moved and written in ${
      formatNanoseconds(number(moved["ns"]))
    } (${formatBytesPerSecond(cast.size / seconds)}), ${formatCount(number(moved["messages"]))} messages`,
  );
  const [ours, theirs] = [text((await sender.line("hashed"))["sha256"]), text((await receiver.line("hashed"))["sha256"])];
  output.line(`${colours.bold("sha-256")}   ${ours}  sent`);
  output.line(`          ${theirs}  received ${ours === theirs ? colours.green("equal") : colours.red("DIFFERENT")}`);

  const asked = await sender.line("asked");
  const rate = number(asked["requests"]) / (number(asked["ns"]) / 1e9);
  output.line(
    `${colours.bold("requests")}  ${formatCount(number(asked["requests"]))} of 64 B, one at a time, every answer checked: round trip p50 ${
      formatNanoseconds(number(asked["p50_ns"]))
    }, p99 ${formatNanoseconds(number(asked["p99_ns"]))}; ${formatRate(rate)}`,
  );
  const walked = await sender.line("walked");
  const again = await receiver.line("hashed-again");
  const unchanged = again["sha256"] === ours;
  const silences = numbers(again["silences_ns"]);
  output.line(`${colours.bold("walk")}      the file again, while the channel goes ${strings(again["route"]).join(" → ")}`);
  output.line(
    `          ${formatBytes(cast.size)} in ${formatNanoseconds(number(walked["ns"]))}, ${count(walked["moves"])} of ${
      count(walked["of"])
    } moves each way, ${epochsText(walked["epochs"])}; ${silencesText(silences)}; sha-256 ${
      unchanged ? colours.green("equal") : colours.red("DIFFERENT")
    }`,
  );
  for (const skipped of skippedOf(walked["skipped"])) output.line(`          ${skipped.transport} was skipped: ${skipped.why}`);
  const [there, back] = [await sender.line("done"), await receiver.line("done")];
  const complete = there["sent"] === back["received"] && there["received"] === back["sent"];
  output.line(
    `${colours.bold("counts")}    sent ${count(there["sent"])}, received ${count(back["received"])}; answered ${
      count(back["sent"])
    }, received ${count(there["received"])} ${complete ? colours.green("nothing lost") : colours.red("LOST")}`,
  );
  const healed = await playHog(output, stage, cast);
  output.value(
    report(cast, { connected, moved, asked, walked, again, there, back }, { ours, theirs, reason: flow?.reason ?? null, healed }),
  );
  if (!unchanged) throw new CommandFailed("the file arrived changed while the channel walked: the hashes differ");
  if (ours !== theirs) throw new CommandFailed("the file arrived changed: the hashes differ");
  if (!complete) throw new CommandFailed("messages were lost: the counts of both ends differ");
}

function report(
  cast: Cast,
  lines: Readonly<Record<"connected" | "moved" | "asked" | "walked" | "again" | "there" | "back", Line>>,
  facts: { readonly ours: string; readonly theirs: string; readonly reason: string | null; readonly healed: Healed },
): unknown {
  const { connected, moved, asked, walked, again, there, back } = lines;
  const seconds = number(moved["ns"]) / 1e9;
  return {
    sender: cast.bun.name,
    receiver: cast.deno.name,
    transport: connected["transport"],
    trust: connected["trust"],
    reason: facts.reason,
    file: {
      path: cast.file,
      size_bytes: cast.size,
      messages: moved["messages"],
      took_ns: moved["ns"],
      bytes_per_s: Math.round(cast.size / seconds),
      sha256_sent: facts.ours,
      sha256_received: facts.theirs,
      equal: facts.ours === facts.theirs,
    },
    requests: {
      count: asked["requests"],
      size_bytes: 64,
      took_ns: asked["ns"],
      p50_ns: asked["p50_ns"],
      p99_ns: asked["p99_ns"],
      p999_ns: asked["p999_ns"],
    },
    walk: {
      route: again["route"],
      moves: walked["moves"],
      skipped: walked["skipped"],
      epochs: walked["epochs"],
      took_ns: walked["ns"],
      silences_ns: again["silences_ns"],
      equal: again["sha256"] === facts.ours,
    },
    hog: facts.healed,
    messages: { sent: there["sent"], received: back["received"], answered: back["sent"], answers_received: there["received"] },
  };
}

/** Both runtimes; with only one on the machine, that one plays both parts. */
function chooseRuntimes(): readonly [FoundRuntime, FoundRuntime] {
  const bun = findRuntime("bun");
  const deno = findRuntime("deno");
  const [first, second] = [bun ?? deno, deno ?? bun];
  if (first === undefined || second === undefined) throw new CommandFailed('no runtime was found; run "npm ci" in the checkout');
  return [first, second];
}

/** A real file that every machine with this demo has: the executable of a runtime. */
function bigFile(runtimes: readonly FoundRuntime[]): string {
  const files = [...runtimes.map(({ executable }) => executable), process.execPath];
  const sized = files.map((file) => ({ file, size: statSync(file).size })).sort((a, b) => b.size - a.size);
  const [largest] = sized;
  if (largest === undefined || largest.size < FILE_BYTES) {
    throw new CommandFailed("no runtime's executable has 100 MB; name a file with --file");
  }
  return largest.file;
}

function fileSize(file: string): number {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) throw new UsageError(`there is no file ${file}`, 'see "fable demo --help"');
  if (!stats.isFile()) throw new UsageError(`${file} is not a regular file`, 'see "fable demo --help"');
  return stats.size;
}

function progressText(line: Line, size: number, requests: number): string {
  if (typeof line["bytes"] === "number") return `file: ${Math.floor(100 * line["bytes"] / Math.max(1, size))} %`;
  return `requests: ${Math.floor(100 * number(line["requests"]) / requests)} %`;
}

function number(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

function numbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "number") : [];
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function skippedOf(value: unknown): readonly Skipped[] {
  return Array.isArray(value) ? value as readonly Skipped[] : [];
}

/** A file of one piece gives the reader nothing between which there could be a silence. */
function silencesText(silences: readonly number[]): string {
  if (silences.length === 0) return "too short for a silence";
  const median = quantile(Float64Array.from(silences).sort(), 0.5);
  return `silences seen by the reader p50 ${formatNanoseconds(median)}, longest ${formatNanoseconds(Math.max(...silences))}`;
}

function epochsText(value: unknown): string {
  const { outgoing, incoming } = value as Handle["epochs"];
  return `epochs ${outgoing.epoch} and ${incoming.epoch}`;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "?";
}

function count(value: unknown): string {
  return typeof value === "number" ? formatCount(value) : "?";
}
