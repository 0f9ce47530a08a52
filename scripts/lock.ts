/** Run after npm install changed package-lock.json: adds what the registry at hand left out (see lib/lock.ts). */
import { completeLock } from "./lib/lock.ts";

const added = completeLock();
console.log(added.length === 0 ? "package-lock.json is complete." : `Added to package-lock.json: ${added.join(", ")}`);
