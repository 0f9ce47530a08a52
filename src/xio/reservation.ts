/** Reservations: room for one message in the ring, as one record or as several pieces, and how it becomes records in the end. */
import { RECORD_FIRST, RECORD_LAST, RECORD_MESSAGE, RECORD_MORE, RECORD_PAD } from "../native/generated.ts";
import { HEADER_BYTES, type RecordWriter, TOTAL_BYTES } from "../transport/records.ts";

/** What the pieces of one message take beside its bytes: headers, alignment, a gap too short for a piece at the ring's end. */
export const PIECES_EXTRA_BYTES = 256;
const SHORTEST_PIECE_BYTES = 64;
const NOTHING = new Uint8Array(0);

/** One record's worth of a reservation. */
export interface Piece {
  /** Offset of the application's bytes, and how many fit. */
  readonly at: number;
  readonly capacity: number;
  /** The record: offset of its header, its length, and the padding at the ring's end before it. */
  readonly recordAt: number;
  length: number;
  readonly pad: number;
  /** Bytes committed, -1 while open. */
  size: number;
}

/** Room for one message, in ring order among its like. */
export interface Reservation {
  state: "open" | "committed" | "cancelled";
  memory: Uint8Array<ArrayBuffer>;
  pieces: Piece[];
  /** Where the ring stood before. */
  head: number;
  /** Ring bytes it takes; none if `memory` is private. */
  bytes: number;
  /** The direction moved on meanwhile: where the application still fills it, in memory of that epoch. */
  late: { readonly memory: Uint8Array<ArrayBuffer>; readonly pieces: readonly Piece[]; readonly epoch: number } | undefined;
}

/** A reservation without any room yet. */
export function openReservation(): Reservation {
  return { state: "open", memory: NOTHING, pieces: [], head: 0, bytes: 0, late: undefined };
}

/** The longest message whose pieces fit into the ring whatever is in it, if only half of it is free. */
export function longestInPlace(writer: RecordWriter): number {
  if (writer.inStretches) return writer.maxPayloadBytes;
  return Math.max(writer.maxPayloadBytes, (writer.capacityBytes >>> 1) - 2 * PIECES_EXTRA_BYTES);
}

/** Places the pieces of a message of up to `size` bytes; false, and nothing changed, if there is no room for all of them. */
export function placePieces(writer: RecordWriter, reservation: Reservation, size: number): boolean {
  const longest = writer.maxPayloadBytes;
  const { pieces } = reservation;
  let rest = size;
  do {
    const lead = size > longest && rest === size ? TOTAL_BYTES : 0;
    let capacity = Math.min(rest, longest - lead);
    // A piece is cut to what is left before the ring's end, so that no space is lost there.
    const tail = writer.capacityBytes - writer.head - HEADER_BYTES - lead;
    if (size > longest && tail < capacity && tail >= SHORTEST_PIECE_BYTES) capacity = tail;
    const at = writer.place(lead + capacity);
    if (at < 0) {
      if (pieces.length !== 0) writer.rewind(reservation.head, reservation.bytes);
      return false;
    }
    if (pieces.length === 0) {
      reservation.memory = writer.bytes;
      reservation.head = writer.head;
    }
    pieces.push({ at: at + lead, capacity, recordAt: writer.at, length: writer.length, pad: writer.pad, size: -1 });
    reservation.bytes += writer.pad + writer.length;
    writer.advance();
    rest -= capacity;
  } while (rest > 0);
  return true;
}

/** How long its message can still become. */
export function capacityOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { size, capacity }) => sum + (size < 0 ? capacity : size), 0);
}

/** The committed bytes of `pieces`, copied. */
export function messageOf(memory: Uint8Array, pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(capacityOf(pieces));
  let filled = 0;
  for (const { at, size } of pieces) {
    message.set(memory.subarray(at, at + size), filled);
    filled += size;
  }
  return message;
}

/** Fills the pieces with a message that is not longer than they are. */
export function fillPieces(reservation: Reservation, message: Uint8Array): void {
  let from = 0;
  for (const piece of reservation.pieces) {
    piece.size = Math.min(piece.capacity, message.length - from);
    reservation.memory.set(message.subarray(from, from + piece.size), piece.at);
    from += piece.size;
  }
}

/** A short message in long buffers gives the rest back, if nothing was reserved behind it. */
export function shrink(writer: RecordWriter, reservation: Reservation): void {
  const { pieces } = reservation;
  for (let last = pieces[pieces.length - 1]; last.size === 0 && pieces.length > 1; last = pieces[pieces.length - 1]) {
    giveBack(writer, reservation, last.pad === 0 ? last.recordAt : writer.capacityBytes - last.pad, last.pad + last.length);
    pieces.pop();
  }
  const last = pieces[pieces.length - 1];
  const length = last.at - last.recordAt + last.size + 7 & ~7;
  // Lines need no thought: an even shorter record would save nothing.
  if (last.length - length < 64) return;
  giveBack(writer, reservation, last.recordAt + length, last.length - length);
  last.length = length;
}

function giveBack(writer: RecordWriter, reservation: Reservation, head: number, bytes: number): void {
  writer.rewind(head, bytes);
  reservation.bytes -= bytes;
}

/** Turns a finished reservation into records: its message, or padding in its place. */
export function emit(writer: RecordWriter, reservation: Reservation): void {
  const { pieces, state } = reservation;
  if (state === "cancelled") {
    for (const piece of pieces) putPiece(writer, piece, RECORD_PAD, 0);
  } else {
    emitPieces(writer, pieces);
  }
  if (writer.batchBytes >= writer.flushBytes) writer.flush();
}

function putPiece(writer: RecordWriter, piece: Piece, kind: number, size: number): void {
  if (piece.pad !== 0) writer.put(writer.capacityBytes - piece.pad, RECORD_PAD, 0, piece.pad);
  writer.put(piece.recordAt, kind, size, piece.length);
}

/** A message in one or several pieces, of which the later ones may have been left empty. */
function emitPieces(writer: RecordWriter, pieces: readonly Piece[]): void {
  let total = 0;
  let last = 0;
  for (const [index, piece] of pieces.entries()) {
    total += piece.size;
    if (piece.size > 0) last = index;
  }
  const [first] = pieces;
  const hasLead = first.at !== first.recordAt + HEADER_BYTES;
  // All of it in the first piece makes a plain message, which has no room for a total before its bytes.
  if (hasLead && last === 0) writer.bytes.copyWithin(first.at - TOTAL_BYTES, first.at, first.at + first.size);
  else if (hasLead) writer.putTotal(first.at - TOTAL_BYTES, total);
  for (const [index, piece] of pieces.entries()) {
    if (index === 0) {
      putPiece(writer, piece, last === 0 ? RECORD_MESSAGE : RECORD_FIRST, last === 0 ? piece.size : piece.size + TOTAL_BYTES);
    } else if (piece.size === 0) putPiece(writer, piece, RECORD_PAD, 0);
    else putPiece(writer, piece, index === last ? RECORD_LAST : RECORD_MORE, piece.size);
  }
}
