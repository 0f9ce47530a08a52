/**
 * Where a command's words go. Tables and colours only on a terminal (colours not with NO_COLOR); elsewhere one line per row, fields separated
 * by tabs; with --json one JSON value. stdout carries results, stderr everything else.
 */
import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import picocolors from "picocolors";
import { errorCode } from "./failure.ts";

export interface Colours {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  red(text: string): string;
}

export interface Output {
  readonly json: boolean;
  /** stdout is a terminal. */
  readonly terminal: boolean;
  readonly colours: Colours;
  /** One line of a result. */
  line(text: string): void;
  /** The result as JSON; says nothing without --json. */
  value(value: unknown): void;
  /** One JSON value on one line, for commands that report as they go; says nothing without --json. */
  jsonLine(value: unknown): void;
  /** Rows under a header (shown on a terminal only). */
  table(header: readonly string[], rows: readonly (readonly string[])[]): Promise<void>;
  /** One line for people, beside the result. */
  note(text: string): void;
  /** A line that overwrites itself, on a terminal only; empty clears it. */
  progress(text: string): void;
}

const PLAIN: Colours = picocolors.createColors(false);

export interface OutputEnvironment {
  readonly json: boolean;
  readonly stdoutTerminal: boolean;
  readonly stderrTerminal: boolean;
  readonly noColour: boolean;
  writeOut(text: string): void;
  writeError(text: string): void;
}

/** Looks at this process: its terminals and NO_COLOR. */
export function processEnvironment(json: boolean): OutputEnvironment {
  return {
    json,
    get stdoutTerminal() {
      return isTerminal(1);
    },
    get stderrTerminal() {
      return isTerminal(2);
    },
    noColour: (process.env["NO_COLOR"] ?? "") !== "" || process.env["TERM"] === "dumb",
    writeOut: (text) => writeFully(1, text),
    writeError: (text) => writeFully(2, text),
  };
}

export function createOutput(environment: OutputEnvironment): Output {
  const { json } = environment;
  let terminal: boolean | undefined;
  const onTerminal = () => terminal ??= environment.stdoutTerminal;
  let chosen: Colours | undefined;
  const colours = () => chosen ??= onTerminal() && !environment.noColour && !json ? picocolors.createColors(true) : PLAIN;
  let progressShown = false;
  const clear = () => {
    if (progressShown) environment.writeError("\r\x1b[K");
    progressShown = false;
  };
  return {
    json,
    get terminal() {
      return onTerminal();
    },
    get colours() {
      return colours();
    },
    line(text) {
      clear();
      if (!json) environment.writeOut(`${text}\n`);
    },
    value(value) {
      clear();
      if (json) environment.writeOut(`${JSON.stringify(value, undefined, 2)}\n`);
    },
    jsonLine(value) {
      if (json) environment.writeOut(`${JSON.stringify(value)}\n`);
    },
    async table(header, rows) {
      clear();
      if (json) return;
      environment.writeOut(onTerminal() ? await drawTable(header, rows, colours()) : plainRows(rows));
    },
    note(text) {
      clear();
      environment.writeError(`${text}\n`);
    },
    progress(text) {
      if (json || !environment.stderrTerminal) return;
      environment.writeError(text === "" ? "\r\x1b[K" : `\r\x1b[K${text}`);
      progressShown = text !== "";
    },
  };
}

/** Tab-separated, one row a line: a tab or a line break inside a field becomes a space. */
export function plainRows(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map((field) => field.replace(/[\t\r\n]/g, " ")).join("\t")}\n`).join("");
}

async function drawTable(header: readonly string[], rows: readonly (readonly string[])[], colours: Colours): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const none = {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
  };
  const inner = { left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: "  " };
  const table = new Table({
    head: header.map(colours.bold),
    chars: { ...none, ...inner },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) table.push([...row]);
  return `${table.toString().split("\n").map((line) => line.trimEnd()).join("\n")}\n`;
}

/** The runtime's own answer loads its streams and sockets (10 ms in Bun): only a character device is worth it. */
function isTerminal(fd: 1 | 2): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false;
  } catch {
    return false; // closed
  }
  return (fd === 1 ? process.stdout : process.stderr).isTTY === true;
}

/** Synchronous, so that a result is out before the process exits; a full pipe is waited for. */
function writeFully(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}
