/**
 * The command lines that are compared, as a shell takes them. Pure. Whole commands: what a person would type, with everything it takes to start
 * and to end.
 */
import type { TransportName } from "../../src/transport/transport.ts";

export interface Command {
  readonly name: string;
  /** What `sh -c` is given. */
  readonly line: string;
  /** The same, with what arrived hashed into a file instead of thrown away: run once, outside the timing. */
  readonly checked?: string;
  /** Exit codes other than 0 are part of it (a name nobody has). */
  readonly mayFail?: boolean;
  /** It verifies what it moves, warms up and repeats by itself: neither a check nor more than one run. */
  readonly checksItself?: boolean;
}

export interface Group {
  readonly title: string;
  /** What one run of each command moves. */
  readonly bytes?: number;
  readonly commands: readonly Command[];
}

/** Where things are during a comparison. All paths are of this run alone. */
export interface Places {
  readonly fable: string;
  readonly folder: string;
  readonly file: string;
  readonly sum: string;
  readonly broker: string;
  readonly tcpPort: number;
}

export const CAT_CAT = "cat | cat";
export const SOCAT_UNIX = "socat, Unix";
export const SOCAT_UNIX_LARGE = "socat -b 128K, Unix";
export const SOCAT_TCP = "socat, TCP";
export const SOCAT_TCP_LARGE = "socat -b 128K, TCP";
export const FABLE_CAT = "fable cat";
export const COLD = "fable cat, no broker runs";
export const WARM = "fable cat, a broker runs";

/** `cat` reads and writes so much at a time; socat does 8 KiB unless told otherwise. */
const LARGE_BLOCK = 131_072;
/** Whoever connects first tries again after 5 ms, which is as often as costs nothing. */
const RETRY = "retry=400,interval=0.005";

export function moving(places: Places, bytes: number): Group {
  const { file, folder, tcpPort } = places;
  const socket = `${folder}/socat.sock`;
  const unix = (block: string) =>
    pair(`socat -u ${block}UNIX-LISTEN:${socket},unlink-early -`, `socat -u ${block}FILE:${quoted(file)} UNIX-CONNECT:${socket},${RETRY}`);
  const tcp = (block: string) =>
    pair(
      `socat -u ${block}TCP-LISTEN:${tcpPort},bind=127.0.0.1,reuseaddr -`,
      `socat -u ${block}FILE:${quoted(file)} TCP-CONNECT:127.0.0.1:${tcpPort},${RETRY}`,
    );
  const large = `-b ${LARGE_BLOCK} `;
  const fable = `${quoted(places.fable)} cat --socket ${places.broker}`;
  const named = (name: string, build: (sink: string) => string): Command => ({
    name,
    line: build("> /dev/null"),
    checked: build(`| sha256sum > ${quoted(places.sum)}`),
  });
  return {
    title: "A file from one process to another",
    bytes,
    commands: [
      named(CAT_CAT, (sink) => `cat ${quoted(file)} | cat ${sink}`),
      named(FABLE_CAT, pair(`${fable} --listen xio://compare/file < /dev/null`, `${fable} xio://compare/file < ${quoted(file)}`)),
      named(SOCAT_UNIX, unix("")),
      named(SOCAT_UNIX_LARGE, unix(large)),
      named(SOCAT_TCP, tcp("")),
      named(SOCAT_TCP_LARGE, tcp(large)),
    ],
  };
}

/** One end in the background, the other in front; if either fails, so does the command. */
function pair(listening: string, sending: string): (sink: string) => string {
  return (sink) => `{ ${listening} ${sink}; } & end=$!; ${sending} || { kill $end; exit 1; }; wait $end`;
}

/** A command that starts, asks the broker for a name nobody has, and ends. `$$` makes each run's broker its own. */
export function starting(places: Places): Group {
  const ask = (socket: string) => `${quoted(places.fable)} cat --no-wait --socket ${socket} xio://compare/nobody 2> /dev/null`;
  return {
    title: "Starting `fable cat`, until the broker has answered",
    commands: [
      { name: COLD, line: ask(`${places.folder}/cold-$$/broker.sock`), mayFail: true },
      { name: WARM, line: ask(places.broker), mayFail: true },
    ],
  };
}

export function benching(places: Places, transports: readonly TransportName[], messages: number, sizeBytes: number): Group {
  return {
    title: `\`fable bench thr --messages ${messages}\`, ${sizeBytes} B, native ends: everything it does`,
    commands: transports.map((transport) => ({
      name: transport,
      checksItself: true,
      line:
        `${
          quoted(places.fable)
        } bench thr --messages ${messages} --rounds 1 --check full --transport ${transport} --size ${sizeBytes} --driver native --trust trusted`
        + ` > /dev/null 2> /dev/null`,
    })),
  };
}

export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
