/**
 * The two halves of `fable cat`: bytes from stdin into a channel, bytes from a channel to stdout, both in the channel's own memory, both stopping
 * for as long as the other side of them is full.
 */
import type { Handle } from "../xio/handle.ts";
import { EMPTY, type Input, type Output } from "./stdio.ts";

export interface Moved {
  bytes: number;
  messages: number;
}

/** Until stdin ends: true, after a half-close; or until nothing can be sent any more: false. */
export async function pumpIn(handle: Handle, input: Input, chunkBytes: number, moved: Moved): Promise<boolean> {
  for (;;) {
    const [buffer] = handle.getWriteBuf(chunkBytes);
    if (buffer === undefined) {
      if (!await handle.waitWritable()) return false;
      continue;
    }
    // No buffer stays open while stdin is waited for: the channel may go away meanwhile.
    const count = input.read(buffer.bytes);
    if (count <= 0) {
      buffer.release();
      if (count === EMPTY) {
        await input.ready();
        continue;
      }
      await handle.closeWrite();
      return true;
    }
    handle.commit(buffer, count);
    handle.flush();
    moved.bytes += count;
    moved.messages++;
  }
}

/** Until the peer has ended and everything is out: true; or until nobody reads stdout: false. */
export async function pumpOut(handle: Handle, output: Output, moved: Moved): Promise<boolean> {
  for (;;) {
    const buffers = handle.getReadBuf();
    if (buffers.length === 0) {
      if (!await handle.waitReadable()) return true;
      continue;
    }
    for (const buffer of buffers) {
      const { size } = buffer;
      if (!await output.write(buffer.bytes)) return false;
      buffer.release();
      moved.bytes += size;
      if (buffer.last) moved.messages++;
    }
  }
}
