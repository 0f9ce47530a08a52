/**
 * Child program of the doorbell tests: watches doorbells in the way its first argument says, prints one word when done, and ends only if
 * the event loop lets it. Runs in Deno with --allow-ffi alone.
 */
import { loadNative } from "../../src/native/load.ts";
import type { DoorbellWatch } from "../../src/runtime/runtime.ts";

const { library, runtime } = loadNative();
const BYTE = new Uint8Array(1);

function doorbell(): { readonly ours: number; readonly theirs: number } {
  const pair = new Int32Array(2);
  if (library.socketpair(1, pair) < 0) throw new Error("no socket pair");
  const [ours = -1, theirs = -1] = pair;
  return { ours, theirs };
}

function watchMany(count: number): readonly DoorbellWatch[] {
  return Array.from({ length: count }, () => runtime.watchDoorbell(doorbell().ours, () => {}, () => {}));
}

const modes: Readonly<Record<string, () => void>> = {
  /** Nothing else is pending: the process must end by itself. */
  unref() {
    watchMany(100);
    console.log("watching");
  },
  /** Kept alive by the watch until its ring arrives, which a ref'd timer could not be told from: so the ring is sent at once. */
  ref() {
    const { ours, theirs } = doorbell();
    const watch = runtime.watchDoorbell(ours, () => {
      console.log("rung");
      watch.setRef(false);
    }, () => {});
    watch.setRef(true);
    runtime.nextTurn(() => library.write(theirs, BYTE, 1));
  },
  /** Prints how many milliseconds of CPU a hundred idle watches took in a second. */
  idle() {
    watchMany(100);
    setTimeout(() => {
      const before = process.cpuUsage();
      setTimeout(() => {
        const { user, system } = process.cpuUsage(before);
        console.log(Math.round((user + system) / 1000));
      }, 1000);
    }, 300);
  },
  /** Ref'd and never rung: must not end by itself. */
  stay() {
    runtime.watchDoorbell(doorbell().ours, () => {}, () => {}).setRef(true);
    console.log("watching");
  },
  /** Closed while ref'd: the process must end. */
  close() {
    const watches = watchMany(100);
    for (const watch of watches) watch.setRef(true);
    runtime.nextTurn(() => {
      for (const watch of watches) watch.close();
      console.log("closed");
    });
  },
};

modes[process.argv[2] ?? ""]?.();
