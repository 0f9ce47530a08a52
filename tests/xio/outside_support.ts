/** What the tests of the outside world share: servers of the runtime's own, deadlines, descriptors counted. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutsideName } from "../../mod.ts";

const DEADLINE_MS = 15_000;

/** Whether this machine has the loopback address of IPv6. */
export const IPV6 = existsSync("/proc/net/if_inet6")
  && readFileSync("/proc/net/if_inet6", "utf8").includes("00000000000000000000000000000001");

/** A skipped test says why in its name. */
export function withoutIpv6(name: string): string {
  return IPV6 ? name : `${name} (skipped: this machine has no ::1)`;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The answer, or a failure that says what hangs. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => timer = setTimeout(() => reject(new Error(`still waiting for ${what}`)), DEADLINE_MS));
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !holds(); await pause(2)) assert.ok(Date.now() < end, `still waiting until ${what}`);
}

/** The code of the error of an action, "done" if there is none. */
export async function code(action: () => unknown): Promise<unknown> {
  try {
    await action();
    return "done";
  } catch (error) {
    return (error as { readonly code?: unknown }).code ?? error;
  }
}

export function text(bytes: Uint8Array | undefined): string {
  assert.ok(bytes !== undefined, "nothing came");
  return new TextDecoder().decode(bytes);
}

export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0, state = seed; at < size; at++) bytes[at] = (state = Math.imul(state, 1_103_515_245) + 12_345 | 0) >> 16;
  return bytes;
}

export function hash(...parts: readonly Uint8Array[]): string {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(part);
  return sum.digest("hex");
}

/** Open sockets of this process. */
export function sockets(): number {
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")) count++;
    } catch {
      // The folder's own descriptor is gone already.
    }
  }
  return count;
}

/** A server of the runtime's own, over TCP or at a path. */
export async function withServer(
  serve: (socket: Socket) => void,
  use: (name: OutsideName) => Promise<void>,
  options: { readonly path?: string; readonly allowHalfOpen?: boolean } = {},
): Promise<void> {
  const open = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: options.allowHalfOpen ?? true }, (socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) =>
    options.path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(options.path, resolve)
  );
  const address = server.address();
  try {
    await use(typeof address === "string" ? `unix:${address}` : `tcp://127.0.0.1:${address!.port}`);
  } finally {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fable-outside-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
