/** The runtimes this machine has, for `fable demo`: the checkout's own, else those on the PATH, else the one this runs in. */
import { accessSync, constants } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export type RuntimeName = "bun" | "deno";

export interface FoundRuntime {
  readonly name: RuntimeName;
  readonly executable: string;
}

/** The command line that runs this same program in a runtime. */
export function programIn(runtime: FoundRuntime, args: readonly string[]): readonly string[] {
  const program = process.argv[1] ?? fileURLToPath(import.meta.url);
  const flags = runtime.name === "deno" ? ["run", "--quiet", "--allow-all"] : [];
  return [runtime.executable, ...flags, program, ...args];
}

export function findRuntime(name: RuntimeName, searchPath = process.env["PATH"] ?? ""): FoundRuntime | undefined {
  const candidates = [...checkoutFolders(), ...searchPath.split(delimiter).filter((folder) => folder !== "")].map((folder) =>
    join(folder, name)
  );
  if (basename(process.execPath).startsWith(name)) candidates.push(process.execPath);
  const executable = candidates.find(isExecutable);
  return executable === undefined ? undefined : { name, executable };
}

/** `node_modules/.bin` of this file's folder and of each above it. */
function checkoutFolders(): readonly string[] {
  const folders: string[] = [];
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    folders.push(join(folder, "node_modules", ".bin"));
  }
  return folders;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
