/** The key that tickets are sealed with: made by the first broker of a runtime folder, used by all that follow. */
import { type Place, utf8 } from "../naming/place.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import { KEY_BYTES } from "./tickets.ts";

/** A key file that was torn by a full disk cannot be repaired, only passed over. */
const MAX_FILES = 4;

/** Reads the key, or makes it. Only whoever holds the broker's lock may call this. */
export function ticketKey(native: Native, place: Place): Uint8Array {
  for (let file = 0; file < MAX_FILES; file++) {
    const path = utf8(file === 0 ? place.key : `${place.key}.${file}`);
    const key = readKey(native, path) ?? makeKey(native, path);
    if (key !== undefined) return key;
  }
  // Tickets of this broker will not be believed by the next; channels and names still work.
  return freshKey(native);
}

function readKey({ library }: Native, path: Uint8Array): Uint8Array | undefined {
  const content = new Uint8Array(KEY_BYTES + 1);
  const size = library.file_read(path, path.byteLength, content, content.byteLength);
  return size === KEY_BYTES ? content.slice(0, KEY_BYTES) : undefined;
}

/** Undefined if there is a file of that name already. */
function makeKey(native: Native, path: Uint8Array): Uint8Array | undefined {
  const key = freshKey(native);
  return native.library.file_create(path, path.byteLength, key, key.byteLength, 0o600) >= 0 ? key : undefined;
}

function freshKey({ library }: Native): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  check(library, library.random(key, key.byteLength), "make a key");
  return key;
}
