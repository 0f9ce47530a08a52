/** Bytes of a terminal in raw mode, as names of keys. Pure. */

const SEQUENCES: Readonly<Record<string, string>> = {
  "[A": "up",
  "[B": "down",
  OA: "up",
  OB: "down",
  "[5~": "page-up",
  "[6~": "page-down",
};
const CONTROLS: Readonly<Record<string, string>> = {
  "\x03": "ctrl-c",
  "\x0c": "ctrl-l",
  "\x1a": "ctrl-z",
  "\r": "enter",
  "\n": "enter",
  "\x7f": "backspace",
  "\b": "backspace",
};

/** The keys in what one read gave. A sequence that is nobody's is no key; an escape with nothing behind it is the Escape key. */
export function keysOf(text: string): readonly string[] {
  const keys: string[] = [];
  for (let at = 0; at < text.length;) {
    const sequence = /^\x1b(\[[0-9;]*[ -/]*[@-~]|O[@-~])/.exec(text.slice(at));
    if (sequence !== null) {
      const name = SEQUENCES[sequence[1] ?? ""];
      if (name !== undefined) keys.push(name);
      at += sequence[0].length;
      continue;
    }
    const character = text[at] ?? "";
    at += 1;
    if (character === "\x1b") keys.push("escape");
    else if (CONTROLS[character] !== undefined) keys.push(CONTROLS[character]);
    else if (character >= " ") keys.push(character);
  }
  return keys;
}
