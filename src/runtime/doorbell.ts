/**
 * What both runtimes' sockets lack for a doorbell: nothing is reported after the watch was closed, the hang-up comes once, and an exception
 * in a callback surfaces as an uncaught exception instead of ending in the socket's own error handler.
 */

export interface DoorbellListener {
  ring(bytes: number): void;
  hangUp(): void;
  /** Nothing is reported from here on. */
  stop(): void;
}

export function doorbellListener(onRing: (bytes: number) => void, onHangUp: () => void): DoorbellListener {
  let listening = true;
  return {
    ring(bytes) {
      if (!listening || bytes === 0) return;
      try {
        onRing(bytes);
      } catch (error) {
        surface(error);
      }
    },
    hangUp() {
      if (!listening) return;
      listening = false;
      try {
        onHangUp();
      } catch (error) {
        surface(error);
      }
    },
    stop() {
      listening = false;
    },
  };
}

function surface(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
