/**
 * Optional packages for other platforms in package-lock.json. npm leaves out those that the registry at hand does not carry, and then
 * refuses `npm ci` on every machine; with an entry, it skips them where they do not fit.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./checkout.ts";

interface LockEntry {
  readonly version: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  packages: Record<string, object>;
}

const LOCK = join(root, "package-lock.json");
const CPUS: Readonly<Record<string, string>> = { aarch64: "arm64" };
const SYSTEMS: Readonly<Record<string, string>> = { windows: "win32" };

function readLock(): Lock {
  return JSON.parse(readFileSync(LOCK, "utf8")) as Lock;
}

function wanted(lock: Lock): readonly { readonly path: string; readonly name: string; readonly version: string; readonly dev: boolean }[] {
  return Object.values(lock.packages as Record<string, LockEntry>).flatMap((entry) =>
    Object.entries(entry.optionalDependencies ?? {}).map(([name, version]) => ({
      path: `node_modules/${name}`,
      name,
      version,
      dev: entry.dev === true,
    }))
  );
}

export function missingFromLock(): readonly string[] {
  const lock = readLock();
  return wanted(lock).filter(({ path }) => !(path in lock.packages)).map(({ name }) => name);
}

/** Platform packages are named SYSTEM-CPU[-LIBC], as in @deno/linux-arm64-glibc. */
export function completeLock(): readonly string[] {
  const lock = readLock();
  const added = wanted(lock).filter(({ path }) => !(path in lock.packages));
  for (const { path, name, version, dev } of added) {
    const parts = /([a-z0-9]+)-([a-z0-9]+)(?:-(glibc|musl))?$/.exec(name);
    if (parts === null) throw new Error(`which platform is ${name} for?`);
    const [, system = "", cpu = "", libc] = parts;
    lock.packages[path] = {
      version,
      cpu: [CPUS[cpu] ?? cpu],
      ...(dev ? { dev } : {}),
      ...(libc === undefined ? {} : { libc: [libc] }),
      optional: true,
      os: [SYSTEMS[system] ?? system],
    };
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
  return added.map(({ name }) => name);
}
