/**
 * What the tests of broker and client share: a runtime folder of their own, real halves of channels, and a count of what this process holds
 * open, so that every test can say that it leaked nothing.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Daemon, type DaemonOptions, startDaemon } from "../../src/broker/daemon.ts";
import { connectNameService, type NameServiceOptions } from "../../src/naming/client.ts";
import type { BrokerService, ConnectRequest, Grant, Offer, OfferAnswer, OfferedDescriptors } from "../../src/naming/service.ts";
import { firstTransport } from "../../src/naming/transports.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Native } from "../../src/native/native.ts";
import { check } from "../../src/native/status.ts";
import type { TransportName, Trust } from "../../src/transport/transport.ts";

export const native: Native = loadNative();
const { library } = native;

/** A folder for one test's broker; everything below it goes with it. */
export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "fable-broker-"));
  readonly socket = join(this.folder, "broker.sock");
  readonly #services: BrokerService[] = [];
  readonly #daemons: Daemon[] = [];
  readonly #halves: Half[] = [];

  async daemon(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = await startDaemon(native, { socket: this.socket, ...options });
    assert.ok(daemon !== undefined, "another broker serves this socket");
    this.#daemons.push(daemon);
    return daemon;
  }

  async client(options: NameServiceOptions = {}): Promise<BrokerService> {
    const service = await connectNameService(native, { socket: this.socket, start: "never", timeoutMs: 5000, ...options });
    this.#services.push(service);
    return service;
  }

  half(transport: TransportName = "mempipe", trust: Trust = "trusted", role: 1 | 2 = 1, ringBytes = 65_536): Half {
    const half = new Half(transport, trust, role, ringBytes);
    this.#halves.push(half);
    return half;
  }

  /** A request whose halves are made and closed by this scene. */
  request(to: string, more: Partial<ConnectRequest> = {}): ConnectRequest {
    let last: Half | undefined;
    return {
      to,
      trust: "trusted",
      ringBytes: 65_536,
      maxMessageBytes: 1_048_576,
      timeoutMs: 5000,
      prepare: (transport, trust) => {
        last?.close();
        last = this.half(transport, trust, 1, more.ringBytes);
        return last.offered;
      },
      ...more,
    };
  }

  /** An acceptor that makes its half and keeps what it was offered. */
  acceptor(offers: Offer[]): (offer: Offer) => OfferAnswer {
    return (offer) => {
      offers.push(offer);
      const { controlFd, ringFd } = this.half(offer.transport, offer.trust, 2, offer.ringBytes).offered;
      return ringFd === undefined ? { controlFd } : { controlFd, ringFd };
    };
  }

  /** Closes everything in the order in which programs would. */
  async end(): Promise<void> {
    for (const service of this.#services) await service.close();
    for (const half of this.#halves) half.close();
    for (const daemon of this.#daemons) await daemon.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One end of a channel, as the native core makes it, before anybody attaches. */
export class Half {
  readonly handle: number;
  readonly offered: OfferedDescriptors;
  #open = true;

  constructor(transport: TransportName, trust: Trust, role: 1 | 2, ringBytes: number) {
    const words = new Uint32Array(16);
    const code = { mempipe: 1, "mempipe-spin": 2, "mempipe-futex": 3, unix: 4 }[firstTransport(transport)];
    words.set([64, role, code, trust === "trusted" ? 1 : 2, ringBytes, 1_048_576]);
    check(library, library.channel_new(words), "make half a channel");
    const [handle = 0, controlFd = -1, ringFd = -1, doorbellFd = -1, dataFd = -1, linkFd = -1] = new Int32Array(words.buffer).subarray(6);
    this.handle = handle >>> 0;
    this.offered = { controlFd, doorbellFd, linkFd, ...(ringFd < 0 ? {} : { ringFd }), ...(dataFd < 0 ? {} : { dataFd }) };
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    library.channel_close(this.handle);
    const { controlFd, ringFd = -1, doorbellFd, linkFd, dataFd = -1 } = this.offered;
    closeAll([controlFd, ringFd, doorbellFd, linkFd, dataFd]);
  }
}

export function closeAll(fds: readonly (number | undefined)[]): void {
  for (const fd of fds) if (fd !== undefined && fd >= 0) library.close(fd);
}

/** Closes what came with a grant or an offer. */
export function closeGranted(granted: Partial<Grant & Pick<Offer, "linkFd" | "dataFd">>): void {
  closeAll([granted.controlFd, granted.ringFd, granted.pidFd, granted.doorbellFd, granted.linkFd, granted.dataFd]);
}

/** What this process has open that FABLE makes: sockets, memory, processes. Runtimes open and close other things as they like. */
export function openDescriptors(): number {
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (/^socket:|memfd:|pidfd/.test(readlinkSync(`/proc/self/fd/${fd}`))) count += 1;
    } catch {
      // Closed since it was listed.
    }
  }
  return count;
}

/** Waits until the condition holds; fails with `what` after the time. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new assert.AssertionError({ message: `${what}: not within ${timeoutMs} ms` });
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Runs a test in a scene of its own and holds that nothing stays open. */
export async function inScene(body: (scene: Scene) => Promise<void>): Promise<void> {
  const before = openDescriptors();
  const scene = new Scene();
  try {
    await body(scene);
  } finally {
    await scene.end();
  }
  await eventually(`descriptors are closed (${before} before)`, () => openDescriptors() <= before);
}
