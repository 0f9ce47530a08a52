/** Looking ahead in a read window without moving: what can be lent in place, and what can be copied in one go. */
import { RECORD_FIRST, RECORD_LAST, RECORD_MORE, RECORD_PAD } from "../native/generated.ts";
import type { RecordReader } from "./record-reader.ts";
import { STRIDE_MASK } from "./records.ts";

/** True if the next message is in fragments that all lie in the window, so that `nextPiece` can lend them in place. */
export function wholeMessageAhead(reader: RecordReader): boolean {
  if (!reader.betweenMessages) return false;
  let begun = false;
  for (let at = reader.offset; at < reader.limit;) {
    const word1 = reader.words[(at >> 2) + 1];
    const kind = word1 >>> 24;
    if (kind === RECORD_LAST) return begun;
    if (kind === RECORD_FIRST) begun = true;
    else if (kind !== RECORD_PAD && (kind !== RECORD_MORE || !begun)) return false;
    const bytes = (word1 & STRIDE_MASK) << 3;
    if (bytes === 0) return false;
    at += bytes;
  }
  return false;
}

/**
 * How far the window goes on, from the end of the current record, with records of at most `maxRecordBytes` each; at most `maxBytes` after
 * `from`. For readers that copy many small messages at once.
 */
export function smallRecordsUntil(reader: RecordReader, from: number, maxRecordBytes: number, maxBytes: number): number {
  const last = Math.min(reader.limit, from + maxBytes);
  let end = reader.offset;
  while (end < last) {
    const bytes = (reader.words[(end >> 2) + 1] & STRIDE_MASK) << 3;
    if (bytes === 0 || bytes > maxRecordBytes || end + bytes > last) break;
    end += bytes;
  }
  return end;
}
