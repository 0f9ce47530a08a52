/**
 * The ring's protocol, written once in the language of program.ts, as zig/core has it: the function a passage stands for is named beside it.
 * Everything is counted in cells of 8 bytes. Each end owns the words it writes (`my.`) and reads the other's (`peer.`).
 *
 * What the model leaves out, and why it may: spinning (it repeats a load, and every moment of that load is explored anyway), fragments
 * (records like others), statistics and positions beyond 2^32 (nobody waits for them), the time slices of futex waiting (they would heal a
 * lost wake-up; here nothing does).
 */

import type { Scenario } from "./machine.ts";
import { assemble, type MemoryMap } from "./program.ts";
import { layout, type Options, shows } from "./records.ts";

export const DATA = 1, SPACE = 2;

/** core/bell.zig notify(), ring(): after publishing or releasing. Where membarrier works, only a compiler barrier comes before the load. */
function notify(o: Options, interest: number, go: string): string {
  return `
    ${o.barrier === "fence" ? "fence                                   @ringer-fence" : ""}
    ${ring(o, interest, go)}`;
}

/** core/bell.zig notifyAll(): after a change of state, with a barrier of its own. */
function notifyAll(o: Options, go: string): string {
  return `
    fence                                                              @state-fence
    ${ring(o, DATA | SPACE, go)}`;
}

function ring(o: Options, interest: number, go: string): string {
  return `
    load w = peer.sleep                                                @sleep-load
    if (w & ${interest}) == 0 goto ${go}
    if w == rung goto ${go}                                            @rung-compare
    set rung = w
    store.release my.rung = w                                          @rung
    ${o.sleep === "doorbell" ? "send w" : "wake w"}                    @ring
    goto ${go}`;
}

/**
 * core/wait.zig poll(), sleep(), sleepOnFutex(), with core/bell.zig announce() and awake(). `look` leaves for `awake` if what is waited
 * for has come.
 */
function sleep(o: Options, interest: number | string, look: string, go: string): string {
  const onFutex = `
    load.acquire old = peer.rung                                       @old
    if old == (gen << 3 | ${interest}) goto awake                      @old-compare
    wait peer.rung == old                                              @sleep`;
  return `
    set gen = gen + 1                                                  @generation
    store.release my.sleep = gen << 3 | ${interest}                    @announce
    ${o.barrier}                                                       @barrier
    ${look}
    ${o.sleep === "doorbell" ? "receive                                @sleep" : onFutex}
  awake:
    store.release my.sleep = gen << 3                                  @awake
    goto ${go}`;
}

/** core/record_writer.zig, end() and closeWrite(). `held` is the header of a batch's first record, kept back until flush(). */
function writerText(o: Options): string {
  const gone = o.closes !== "reader" ? "" : "load.acquire gone = peer.state";
  const unheard = o.closes !== "reader" ? "" : `${gone}\nif gone != 0 goto done`;
  return `
  next:
    if m == MESSAGES goto finish
    set pad = padding(pos, m)                                          // reserve(), reserveSlow()
    if room(pos, released) >= pad + cells(m) goto lay
    load.acquire released = peer.released                              @space-load // refresh()
    if room(pos, released) >= pad + cells(m) goto lay
    if held != 0 goto flush                                            @flush-before-sleep
    ${unheard}
    ${
    sleep(
      o,
      SPACE,
      `${gone}
       ${gone === "" ? "" : "if gone != 0 goto awake                   @recheck"}
       load.acquire released = peer.released                           @recheck // writable()
       if room(pos, released) >= pad + cells(m) goto awake             @recheck`,
      "next",
    )
  }
  lay:
    if pad == 0 goto fill
    if held == 0 goto holdPad                                          // append() of a PAD
    store ring[pos] = padHeader(pad)
    goto padded
  holdPad:
    set held = padHeader(pad)
  padded:
    set pos = pos + pad
  fill:
    store ring[pos + 1] = word(m, 0)                                   @payload
    if cells(m) == 2 goto commit
    store ring[pos + 2] = word(m, 1)                                   @payload
  commit:
    if held == 0 goto hold                                             // append() of the message
    store ring[pos] = header(m)
    goto committed
  hold:
    set held = header(m)
  committed:
    set pos = pos + cells(m)
    set m = m + 1
    if flushes(m) == 0 goto next
  flush:
    store ring[pos] = 0                                                @clear // publishHeld()
    store.release ring[published] = held                               @publish
    set published = pos
    set held = 0
    ${notify(o, DATA, "next")}
  finish:
    store ring[pos + 1] = 0                                            // end()
    store.release ring[pos] = ENDHEADER
    store.release my.state = 1                                         @state // closeWrite()
    ${notifyAll(o, "done")}
  done:
    end`;
}

/** core/record_reader.zig: next(), accept(), release(), tell(); `pos` is its `consumed`. */
function readerText(o: Options): string {
  const tell = (go: string): string => `
    set released = pos
    store.release my.released = pos                                    @release
    ${notify(o, SPACE, go)}`;
  const watches = o.closes === "writer";
  return `
  look:
    ${watches ? "load.acquire gone = peer.state                        @state-load // channel.zig peerGone()" : ""}
    load.acquire h = ring[pos]                                         @header-load
    if h == 0 goto empty
    check h == expected(pos, n) : the reader accepts a header that is not the next one
    if kind(h) == KIND_PAD goto skip
    if kind(h) == KIND_END goto ended
    load a = ring[pos + 1]                                             @copy
    if stride(h) == 2 goto small
    load b = ring[pos + 2]                                             @copy
    check b == word(n, 1) : a message arrives torn (its second word)
  small:
    check a == word(n, 0) : a message arrives torn (its first word)
    set n = n + 1
    set pos = pos + stride(h)
    consumed ring = pos
    ${o.closes === "reader" ? "goto leave" : ""}
    if pos - released < RELEASE goto look
    ${tell("look")}
  skip:
    set pos = pos + stride(h)
    consumed ring = pos
    goto look
  empty:
    if pos == released goto rest                                       @idle
    ${tell("rest")}                                                    // idle()
  rest:
    ${watches ? "if gone != 0 goto closed                              // nothing()" : ""}
    ${
    sleep(
      o,
      DATA,
      `${watches ? "load.acquire gone = peer.state                     @recheck" : ""}
       ${watches ? "if gone != 0 goto awake                            @recheck" : ""}
       load.acquire h = ring[pos]                                      @recheck // scan()
       if h != 0 goto awake                                            @recheck`,
      "look",
    )
  }
  closed:
    check n == MESSAGES : the end is reported before the last message
    end
  ended:
    check n == MESSAGES : END comes before the last message
    end
  leave:
    store.release my.state = 2                                         @state // close()
    ${notifyAll(o, "left")}
  left:
    end`;
}

/** Both ends write and read, as an event loop does: one sleep word for data and for space, two rings of small records. */
function exchangeText(o: Options): string {
  return `
  turn:
    if m == MESSAGES goto read
    if room(pos, released) >= 2 goto lay
    load.acquire released = peer.released
    if room(pos, released) < 2 goto read
  lay:
    store out[pos + 1] = word(m, 0)                                    @payload
    store out[pos + 2] = 0                                             @clear
    store.release out[pos] = header(m)                                 @publish
    set pos = pos + 2
    set m = m + 1
    ${notify(o, DATA, "turn")}
  read:
    load.acquire h = in[at]                                            @header-load
    if h == 0 goto empty
    check h == header(n) : an end accepts a header that is not the next one
    load a = in[at + 1]                                                @copy
    check a == word(n, 0) : a message arrives torn
    set n = n + 1
    set at = at + 2
    consumed in = at
    store.release my.released = at                                     @release
    ${notify(o, SPACE, "turn")}
  empty:
    if m == MESSAGES && n == MESSAGES goto done
    ${
    sleep(
      o,
      `(n < MESSAGES ? ${DATA} : 0) | (m < MESSAGES ? ${SPACE} : 0)`,
      `load.acquire h = in[at]                                         @recheck
       if h != 0 goto awake                                            @recheck
       if m == MESSAGES goto sleep
       load.acquire released = peer.released                           @recheck-space
       if room(pos, released) >= 2 goto awake                          @recheck-space
       sleep:`,
      "turn",
    )
  }
  done:
    end`;
}

/** A change to the program text, line by line; `end` 0 is the writer, 1 the reader. */
export type Change = (lines: readonly string[], end: number) => readonly string[];

/** The two programs' texts, changed, with `my.` and `peer.` resolved. */
function texts(
  sources: readonly [string, string],
  names: readonly [string, string],
  change: Change | undefined,
): readonly [string, string] {
  let changed = false;
  const [first, second] = sources.map((source, end) => {
    const lines = source.split("\n").map((line) => line.trim());
    const now = change === undefined ? lines : change(lines, end);
    changed ||= now.join("\n") !== lines.join("\n");
    return now.join("\n").replaceAll(/\bmy\./g, `${names[end]}.`).replaceAll(/\bpeer\./g, `${names[1 - end]}.`);
  });
  if (change !== undefined && !changed) throw new Error("the mutation changed nothing: the line it is about is gone");
  return [first!, second!];
}

/** One direction: a writer that may wait for space, a reader that may wait for data. */
export function oneWay(o: Options, change?: Change): Scenario {
  const [writer, reader] = texts([writerText(o), readerText(o)], ["writer", "reader"], change);
  const map: MemoryMap = {
    words: ["writer.sleep", "writer.rung", "reader.sleep", "reader.rung", "reader.released", "writer.state", "reader.state"],
    rings: [{ name: "ring", cells: o.ringCells }],
    positions: 60,
  };
  return {
    name: o.name,
    shows,
    map,
    programs: [assemble("writer", writer, map, layout(o)), assemble("reader", reader, map, layout(o))],
    generations: [
      { words: [0, 3], registers: [["old"], ["w", "rung"]], counter: "gen" },
      { words: [2, 1], registers: [["w", "rung"], ["old"]], counter: "gen" },
    ],
  };
}

/** Both directions at once, between a left and a right end that run the same program. */
export function exchange(o: Options, change?: Change): Scenario {
  const rings = (text: string, out: string, into: string): string =>
    text.replaceAll(/\bout\[/g, `${out}[`).replaceAll(/\bin\[/g, `${into}[`).replaceAll("consumed in ", `consumed ${into} `);
  const [left, right] = texts([exchangeText(o), exchangeText(o)], ["left", "right"], change);
  const map: MemoryMap = {
    words: ["left.sleep", "left.rung", "left.released", "right.sleep", "right.rung", "right.released"],
    rings: [{ name: "leftRing", cells: o.ringCells }, { name: "rightRing", cells: o.ringCells }],
    positions: 30,
  };
  const registers: readonly [readonly string[], readonly string[]] = [["w", "rung"], ["w", "rung"]];
  return {
    name: o.name,
    shows,
    map,
    programs: [
      assemble("left", rings(left, "leftRing", "rightRing"), map, layout(o)),
      assemble("right", rings(right, "rightRing", "leftRing"), map, layout(o)),
    ],
    generations: [
      { words: [0, 4], registers: [["old"], registers[1]], counter: "gen" },
      { words: [3, 1], registers: [registers[0], ["old"]], counter: "gen" },
    ],
  };
}
