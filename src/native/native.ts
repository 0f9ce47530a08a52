/**
 * The pair every layer above is given: the typed native library and the runtime it was loaded in, plus the views that live as long as the
 * process. `load.ts` makes it (once per thread); tests may make one by hand.
 */
import type { Runtime } from "../runtime/runtime.ts";
import type { Library } from "./library.ts";

export interface Native {
  readonly library: Library;
  readonly runtime: Runtime;
  /** The process-wide block table: word `slot * BLOCK_WORDS + BLOCK_*` (see generated.ts). */
  readonly blocks: Uint32Array;
}
