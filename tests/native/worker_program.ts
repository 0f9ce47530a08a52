/** Worker of the loading tests: loads the library in its own thread, watches a doorbell that it rings itself, and says what came. */
import { loadNative } from "../../src/native/load.ts";

const { library, runtime } = loadNative();
const pair = new Int32Array(2);
library.socketpair(1, pair);
const [ours = -1, theirs = -1] = pair;
const watch = runtime.watchDoorbell(ours, (bytes) => {
  watch.close();
  library.close(ours);
  library.close(theirs);
  postMessage({ bytes, abi: library.abi_version() });
}, () => {});
watch.setRef(true);
library.write(theirs, new Uint8Array(1), 1);
