/**
 * Where libfable.so is looked for. Nothing is read from the disk here: in Deno that would need --allow-read, so whether a file is there is
 * found out by opening it as a library.
 */
import type { RuntimeHost } from "../runtime/runtime.ts";

/** Names a library file to use instead of the checkout's. */
export const LIBRARY_VARIABLE = "FABLE_LIBRARY";

const BUILT_LIBRARY = "zig-out/lib/libfable.so";

/**
 * Paths to try in turn. A path asked for by the program or by the environment is the only one; else the package's own build, seen from this
 * module as source (src/native/) and as part of a bundle (dist/).
 */
export function libraryCandidates(host: Pick<RuntimeHost, "environment">, asked: string | undefined, moduleUrl: string): readonly string[] {
  const named = asked ?? host.environment(LIBRARY_VARIABLE);
  if (named !== undefined && named !== "") return [named];
  return ["../../", "../"].map((up) => filePath(new URL(up + BUILT_LIBRARY, moduleUrl))).filter((path) => path !== undefined);
}

/** A module from the network or from inside an executable has no file beside it. */
function filePath(url: URL): string | undefined {
  return url.protocol === "file:" ? decodeURIComponent(url.pathname) : undefined;
}
