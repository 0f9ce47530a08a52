/** Both ends of a channel in one program: for tests, for workers, for trying things out. */
import { loadNative } from "../native/load.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { MadeDescriptors } from "../transport/channel.ts";
import { transportByName } from "../transport/registry.ts";
import type { TransportName } from "../transport/transport.ts";
import { completeHandle, makeHalf } from "./establish.ts";
import { CONNECTION, type Handle } from "./handle.ts";
import { type ChannelOptions, resolveChannelOptions } from "./options.ts";

/** Options of {@link channelPair}. */
export interface PairOptions extends ChannelOptions {
  /** How messages travel (default "mempipe"). */
  readonly transport?: TransportName;
}

/**
 * Makes a channel and gives both of its ends, which need no broker and no name.
 *
 * @example
 * ```ts
 * import { channelPair } from "fable";
 *
 * const [left, right] = channelPair();
 * left.send("hello");
 * console.log(new TextDecoder().decode(await right.receive())); // hello
 * await left.close();
 * await right.close();
 * ```
 */
export function channelPair(options: PairOptions = {}): [Handle, Handle] {
  return pairOn(loadNative(), options);
}

/** {@link channelPair} on a given native core. */
export function pairOn(native: Native, options: PairOptions): [Handle, Handle] {
  const settings = resolveChannelOptions(options);
  const transport = transportByName(options.transport ?? "mempipe");
  const left = makeHalf(native, "initiator", transport, settings.trust, settings);
  const right = makeHalf(native, "acceptor", transport, settings.trust, settings);
  const introduction = { peer: { name: "xio://anonymous/0", pid: 0, uid: 0 }, flow: "" };
  try {
    const forLeft = duplicate(native, right.made);
    const forRight = duplicate(native, left.made);
    const handles: [Handle, Handle] = [
      completeHandle(
        left,
        { ...forLeft, doorbellFd: undefined, dataFd: undefined, pidFd: undefined, trust: settings.trust },
        settings,
        introduction,
      ),
      completeHandle(right, { ...forRight, pidFd: undefined, trust: settings.trust }, settings, introduction),
    ];
    // Spinning would keep the only thread from doing what is waited for.
    for (const handle of handles) handle[CONNECTION].channel.spins = false;
    return handles;
  } finally {
    left.closeMade();
    right.closeMade();
  }
}

/** The peer consumes what it is given; the maker closes its own. */
function duplicate(native: Native, made: MadeDescriptors): MadeDescriptors {
  const copy = (fd: number | undefined): number | undefined =>
    fd === undefined ? undefined : check(native.library, native.library.dup(fd), "duplicate a descriptor");
  return { controlFd: copy(made.controlFd)!, ringFd: copy(made.ringFd), doorbellFd: copy(made.doorbellFd), dataFd: copy(made.dataFd) };
}
