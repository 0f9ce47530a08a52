/**
 * Starting a broker on demand. However many programs find none at the same moment, one of them holds the start lock and starts one; the
 * broker's own lock then makes sure that there is never a second, whoever else starts one by other means.
 */
import { FableError } from "../errors.ts";
import { environmentVariable } from "../native/environment.ts";
import type { Library } from "../native/library.ts";
import type { Native } from "../native/native.ts";
import { check, statusError } from "../native/status.ts";
import { type Place, utf8 } from "./place.ts";

/** A command line to use instead of the library's own: words separated by spaces, or a JSON array of strings. */
export const COMMAND_VARIABLE = "FABLE_BROKER_COMMAND";

const EMPTY = -1;
const TOO_LARGE = -10;
const NOTHING = new Uint8Array(0);
const PATH_BYTES = 4096;

/** True while some broker of this socket lives, whether it answers or not. */
export function brokerHoldsLock(library: Library, place: Place): boolean {
  const path = utf8(place.lock);
  const fd = library.lock(path, path.byteLength);
  if (fd >= 0) library.close(fd);
  return fd === EMPTY;
}

/** Makes the runtime folder and takes the start lock. Undefined when somebody else is starting a broker. */
export function takeStartLock(library: Library, place: Place): number | undefined {
  makeFolder(library, place);
  const path = utf8(place.starting);
  const fd = library.lock(path, path.byteLength);
  return fd === EMPTY ? undefined : check(library, fd, `lock ${place.starting}`);
}

/** The folder of socket, locks and key: this user's own, and nobody else's to look into. */
export function makeFolder(library: Library, place: Place): void {
  const path = utf8(place.folder);
  const status = library.folder(path, path.byteLength);
  if (status >= 0) return;
  throw new FableError(
    "BROKER_UNREACHABLE",
    `${place.folder} cannot hold a broker's socket: ${statusError(library, status, "use the folder").message}`,
    {
      remedy: "it must be a folder of your own with mode 0700 (not a link); or put another path into $FABLE_SOCKET",
    },
  );
}

/**
 * Starts a broker that leaves by itself when nobody needs it any more. It runs on its own: no child of this process, no terminal. `command`
 * stands for `fable`; without, it is found.
 */
export function startBroker(native: Native, place: Place, command: readonly string[] | undefined): void {
  const { library } = native;
  const words = command ?? brokerCommand(native);
  const argv = block([...words, "broker", "--embedded", "--socket", place.socket]);
  const environment = block([`FABLE_SOCKET=${place.socket}`]);
  const log = utf8(place.log);
  const status = library.spawn(argv, argv.byteLength, environment, environment.byteLength, log, log.byteLength);
  if (status < 0) throw notStarted(library, status, words[0] ?? "");
}

/** Names what could not be started, so that whoever reads it need not guess where that was looked for. */
function notStarted(library: Library, status: number, program: string): FableError {
  const { message } = statusError(library, status, `start ${program} as a broker`);
  const remedy = program.startsWith("/")
    ? `see that ${program} is there and may be run, start one by hand with: fable broker, or put another command into $${COMMAND_VARIABLE}`
    : `write the absolute path of ${JSON.stringify(program)} into $${COMMAND_VARIABLE}`;
  return new FableError("BROKER_UNREACHABLE", message, { remedy });
}

/** The command line of `fable`, without its arguments. */
export function brokerCommand(native: Native): readonly string[] {
  const { library, runtime } = native;
  const override = environmentVariable(library, COMMAND_VARIABLE);
  if (override !== undefined && override.trim() !== "") return parseCommand(override.trim());
  const path = new Uint8Array(PATH_BYTES);
  const size = check(library, library.executable(path, path.byteLength), "ask for the path of this program");
  const program = commandLineFile(import.meta.url);
  requireFile(library, program);
  return [...runtime.commandFor(new TextDecoder().decode(path.subarray(0, size))), program];
}

/** The runtime would start, find nothing to run, and only its log would say so. */
function requireFile(library: Library, file: string): void {
  const path = utf8(file);
  const status = library.file_read(path, path.byteLength, new Uint8Array(1), 1);
  if (status >= 0 || status === TOO_LARGE) return;
  throw new FableError("BROKER_UNREACHABLE", statusError(library, status, `read ${file}, which is the fable command`).message, {
    remedy: `see that ${file} is there, start a broker by hand with: fable broker, or put another command into $${COMMAND_VARIABLE}`,
  });
}

/** From source the source of the command, from a bundle (dist/) the bundle beside it. */
export function commandLineFile(moduleUrl: string): string {
  const relative = new URL(moduleUrl).pathname.endsWith(".ts") ? "../cli/main.ts" : "./fable.js";
  return decodeURIComponent(new URL(relative, moduleUrl).pathname);
}

function parseCommand(text: string): readonly string[] {
  if (!text.startsWith("[")) return text.split(/\s+/);
  try {
    const words: unknown = JSON.parse(text);
    if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === "string")) return words;
  } catch {
    // Said below.
  }
  throw new FableError("BAD_ARGUMENT", `$${COMMAND_VARIABLE} is no JSON array of strings`, {
    remedy: 'write it as words, or as ["bun","/path/to/main.ts"]',
  });
}

/** Strings as the native function takes them: each with its terminator. */
function block(words: readonly string[]): Uint8Array {
  return words.length === 0 ? NOTHING : utf8(words.map((word) => `${word}\0`).join(""));
}
