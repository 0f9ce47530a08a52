/** `commit`: a handle's own buffers go where they were reserved; buffers of other handles are translated by a copy (paper §3.1.3). */
import { FableError } from "../errors.ts";
import { type Buffer, LentMemory, OpenWriteBuffer } from "./buffer.ts";
import type { Handle } from "./handle.ts";
import type { Outbox } from "./outbox.ts";
import type { Reservation } from "./reservation.ts";

/** One message to be copied in from buffers that come from elsewhere. */
export interface Translation {
  readonly sources: readonly Buffer[];
  readonly size: number;
}

/**
 * Commits buffers in their order, all or none. `size` shortens the message they hold. False if there is no room for a copy.
 */
export function commitBuffers(handle: Handle, outbox: Outbox, buffers: readonly Buffer[], size: number | undefined): boolean {
  const own: OpenWriteBuffer[] = [];
  const foreign: Buffer[] = [];
  for (const buffer of buffers) {
    assertCommittable(buffer);
    if (buffer instanceof OpenWriteBuffer && buffer.belongsTo(outbox)) own.push(buffer);
    else foreign.push(buffer);
  }
  if (foreign.length !== 0 && !translate(handle, outbox, messagesOf(foreign, size))) return false;
  let rest = size;
  for (const buffer of own) {
    const taken = rest === undefined ? buffer.size : Math.min(buffer.size, rest);
    if (rest !== undefined) rest -= taken;
    if (buffer === own.at(-1) && rest !== undefined && rest > 0) throw tooLong(size!);
    buffer.commit(taken);
  }
  return true;
}

/** @throws FableError BAD_ARGUMENT, SPENT_BUFFER. */
export function assertCommittable(buffer: Buffer): void {
  if (!(buffer instanceof LentMemory)) {
    throw new FableError("BAD_ARGUMENT", "Only buffers from getReadBuf() and getWriteBuf() can be committed.", {
      remedy: "Use send() for other bytes.",
    });
  }
  buffer.assertUsable();
}

/** Groups buffers into the messages they are pieces of: up to each last piece. */
export function messagesOf(buffers: readonly Buffer[], size: number | undefined): readonly Translation[] {
  const messages: Translation[] = [];
  let sources: Buffer[] = [];
  for (const [index, buffer] of buffers.entries()) {
    sources.push(buffer);
    const { last } = buffer as LentMemory;
    if (!last && index < buffers.length - 1) continue;
    const whole = sources.reduce((sum, source) => sum + source.size, 0);
    if (size !== undefined && size > whole) throw tooLong(size);
    messages.push({ sources, size: size ?? whole });
    sources = [];
  }
  return messages;
}

function translate(handle: Handle, outbox: Outbox, messages: readonly Translation[]): boolean {
  const targets = reserveAll(outbox, messages);
  if (targets === undefined) return false;
  for (const [index, message] of messages.entries()) {
    const reservation = targets[index];
    copyMessage(message, reservation.pieces.map((_, piece) => new OpenWriteBuffer(handle, outbox, reservation, piece)));
  }
  return true;
}

/** Room for all of them, or for none. */
function reserveAll(outbox: Outbox, messages: readonly Translation[]): readonly Reservation[] | undefined {
  const made: Reservation[] = [];
  try {
    for (const { size } of messages) {
      const reservation = outbox.reserve(size);
      if (reservation === undefined) break;
      made.push(reservation);
    }
    if (made.length === messages.length) return made;
  } finally {
    if (made.length !== messages.length) { for (const reservation of made.reverse()) outbox.cancel(reservation); }
  }
  return undefined;
}

function copyMessage({ sources, size }: Translation, targets: readonly OpenWriteBuffer[]): void {
  let piece = 0;
  let filled = 0;
  let left = size;
  for (const source of sources) {
    const bytes = source.bytes;
    for (let from = 0; from < bytes.length && left > 0;) {
      const target = targets[piece];
      const count = Math.min(bytes.length - from, target.size - filled, left);
      target.bytes.set(bytes.subarray(from, from + count), filled);
      from += count;
      filled += count;
      left -= count;
      if (filled === target.size && piece < targets.length - 1) {
        piece++;
        filled = 0;
      }
    }
  }
  for (const target of targets) target.commit(target.size);
  for (const source of sources) source.release();
}

export function tooLong(size: number): FableError {
  return new FableError("BAD_ARGUMENT", `The committed buffers have room for less than ${size} bytes.`, {
    remedy: "Commit at most what the buffers hold.",
  });
}
