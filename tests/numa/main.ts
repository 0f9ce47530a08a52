/**
 * `npm run test:numa`: boots Debian's kernel in qemu with two NUMA nodes of two CPUs, from a file system in memory made of this checkout, and runs
 * `guest_main.ts` there. Not part of `npm test`: it emulates a whole machine, for about a minute. Skipped by name where qemu, a kernel or busybox is missing.
 */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { root, tool } from "../../scripts/lib/checkout.ts";

const MEMORY_MB = 1024;
const DEADLINE_MS = 240_000;
const SOURCES = ["mod.ts", "package.json", "tsconfig.json", "src", "include", "zig-out/lib", "scripts", "tests/process", "tests/numa"];

/** The kernel to boot: the newest of /boot, one for clouds first, which is smaller. */
function kernel(): string | undefined {
  const found = existsSync("/boot") ? readdirSync("/boot").filter((name) => /^vmlinuz-.*amd64$/.test(name)).sort() : [];
  const name = found.filter((one) => one.includes("cloud")).at(-1) ?? found.at(-1);
  return name === undefined ? undefined : join("/boot", name);
}

function onPath(name: string): string | undefined {
  return (process.env["PATH"] ?? "").split(":").concat("/usr/bin", "/bin").map((folder) => join(folder, name)).find((path) =>
    existsSync(path)
  );
}

/** What a program is linked to, its loader included. */
function librariesOf(program: string): readonly string[] {
  return [...execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/(\/\S+)/g)].map((match) => match[1] ?? "");
}

/** Packages that the library and the command line need. */
function packages(): readonly string[] {
  const { packages: all } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
  };
  return Object.entries(all).filter(([path, one]) => path !== "" && one.dev !== true && one.optional !== true).map(([path]) => path)
    .filter((path) => existsSync(join(root, path)));
}

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
ip link set lo up
export PATH=/bin HOME=/tmp TMPDIR=/tmp
cd /fable
./node_modules/.bin/bun tests/numa/guest_main.ts
poweroff -f
`;

/** The guest's file system as an archive that its kernel unpacks. */
function image(folder: string, busybox: string): string {
  const files = join(folder, "root");
  const put = (from: string, to: string) => {
    mkdirSync(dirname(join(files, to)), { recursive: true });
    cpSync(realpathSync(from), join(files, to), { recursive: true, dereference: true });
  };
  for (const name of ["proc", "sys", "dev", "tmp", "run"]) mkdirSync(join(files, name), { recursive: true });
  for (const path of [...SOURCES, ...packages()]) put(join(root, path), join("fable", path));
  const bun = tool("bun");
  put(bun, "fable/node_modules/.bin/bun");
  for (const path of librariesOf(realpathSync(bun))) put(path, path);
  put(busybox, "bin/busybox");
  writeFileSync(join(files, "init"), INIT, { mode: 0o755 });
  const archive = join(folder, "image.cpio");
  execFileSync("sh", ["-c", `cd "$1" && find . | "$2" cpio -o -H newc > "$3" 2>/dev/null`, "sh", files, busybox, archive]);
  rmSync(files, { recursive: true });
  return archive;
}

/** Everything the guest said on its console. */
function boot(qemu: string, kernelPath: string, archive: string): Promise<string> {
  const nodes = [0, 1].flatMap((node) => [
    ...["-object", `memory-backend-ram,id=memory${node},size=${MEMORY_MB}M`],
    ...["-numa", `node,nodeid=${node},cpus=${node * 2}-${node * 2 + 1},memdev=memory${node}`],
  ]);
  const child = spawn(qemu, [
    // Emulated: a hypervisor inside a virtual machine is not to be relied on, and four CPUs are more than many machines have.
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "4", "-m", `${MEMORY_MB * 2}M`, ...nodes],
    ...["-kernel", kernelPath, "-initrd", archive, "-append", "console=ttyS0 quiet panic=-1"],
    ...["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"],
  ], { stdio: ["ignore", "pipe", "inherit"] });
  const deadline = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(deadline);
      resolve(said);
    });
  });
}

async function main(): Promise<number> {
  const [qemu, kernelPath, busybox] = [onPath("qemu-system-x86_64"), kernel(), onPath("busybox")];
  if (qemu === undefined || kernelPath === undefined || busybox === undefined || process.arch !== "x64") {
    console.log("skipped: memory follows its reader between NUMA nodes. It needs x64 and qemu, a kernel and busybox:");
    console.log("  apt-get update && apt-get install --no-install-recommends qemu-system-x86 linux-image-cloud-amd64 busybox-static");
    console.log("0 passed, 0 failed, 1 skipped");
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), "fable-numa-"));
  try {
    const said = await boot(qemu, kernelPath, image(folder, busybox));
    const checks = [...said.matchAll(/NUMA (ok|not ok): ([^\r\n]*)/g)].map((match) => ({ passed: match[1] === "ok", what: match[2] }));
    for (const { passed, what } of checks) console.log(`${passed ? "passed" : "FAILED"}: ${what}`);
    const failed = checks.filter(({ passed }) => !passed).length + (checks.length === 0 ? 1 : 0);
    if (failed > 0) console.log(`the end of what the machine said:\n${said.slice(-3000)}`);
    console.log(`${checks.filter(({ passed }) => passed).length} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
