/**
 * WHATWG streams over a handle. Chunks are private copies: a stream may transfer them, and a view of the ring must never be transferred.
 */
import type { Endpoint } from "./endpoint.ts";

/** The rest of the messages, one chunk each. Cancelling stops reading; the handle stays open. */
export function readableOf(handle: Endpoint): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      const message = await handle.receive();
      if (message === undefined) controller.close();
      else controller.enqueue(message);
    },
  }, { highWaterMark: 0 });
}

/** Sends each chunk as a message, with the ring's backpressure. Closing half-closes; aborting closes the handle. */
export function writableOf(handle: Endpoint): WritableStream<Uint8Array | string> {
  return new WritableStream({
    async write(chunk) {
      await handle.send(chunk);
    },
    close: () => handle.closeWrite(),
    async abort() {
      await handle.close({ drainDeadlineMs: 0 });
    },
  });
}
