/** Child program of the loading tests: loads the library and prints "loaded", or the refusal in one line. */
import { FableError } from "../../src/errors.ts";
import { loadNative } from "../../src/native/load.ts";

try {
  const { library, blocks } = loadNative();
  console.log(library.abi_version() > 0 && blocks.length > 0 ? "loaded" : "useless");
} catch (error) {
  console.log(error instanceof FableError ? `${error.code} ${error.message} ${error.remedy}` : String(error));
}
