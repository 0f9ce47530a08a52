/** The native calls that make a channel's half and take the peer's in, with their structures. */
import {
  CHANNEL_OPTIONS_CONTROL_FD,
  CHANNEL_OPTIONS_FLAGS,
  CHANNEL_OPTIONS_HANDLE,
  CHANNEL_OPTIONS_MAX_MESSAGE_BYTES,
  CHANNEL_OPTIONS_PEER_DATA_FD,
  CHANNEL_OPTIONS_PEER_DOORBELL_FD,
  CHANNEL_OPTIONS_PEER_LINK_FD,
  CHANNEL_OPTIONS_RING_BYTES,
  CHANNEL_OPTIONS_RING_FD,
  CHANNEL_OPTIONS_ROLE,
  CHANNEL_OPTIONS_SIZE_BYTES,
  CHANNEL_OPTIONS_TRANSPORT,
  CHANNEL_OPTIONS_TRUST,
  CHANNEL_OPTIONS_WORDS,
  PEER_CONTROL_FD,
  PEER_DATA_FD,
  PEER_DOORBELL_FD,
  PEER_HANDLE,
  PEER_LINK_FD,
  PEER_PEER_MAX_MESSAGE_BYTES,
  PEER_PEER_RING_BYTES,
  PEER_PID_FD,
  PEER_RING_FD,
  PEER_SIZE_BYTES,
  PEER_TRUST,
  PEER_WORDS,
  ROLE_ACCEPTOR,
  ROLE_INITIATOR,
  TRUSTED,
  UNTRUSTED,
  WINDOWS,
} from "../native/generated.ts";
import type { Native } from "../native/native.ts";
import { check } from "../native/status.ts";
import type { ChannelSettings, MadeDescriptors, PeerDescriptors } from "./halves.ts";

const NONE = -1;

/** What both ends agreed to. */
export interface Agreed {
  readonly maxMessageBytes: number;
  readonly peerRingBytes: number;
}

/** Makes a half that lays out its records itself. */
export function newChannel(native: Native, settings: ChannelSettings): { readonly handle: number; readonly made: MadeDescriptors } {
  const { library } = native;
  const words = new Uint32Array(CHANNEL_OPTIONS_WORDS);
  words[CHANNEL_OPTIONS_SIZE_BYTES] = words.byteLength;
  words[CHANNEL_OPTIONS_ROLE] = settings.role === "initiator" ? ROLE_INITIATOR : ROLE_ACCEPTOR;
  words[CHANNEL_OPTIONS_TRANSPORT] = settings.transport.code;
  words[CHANNEL_OPTIONS_TRUST] = settings.trust === "trusted" ? TRUSTED : UNTRUSTED;
  words[CHANNEL_OPTIONS_RING_BYTES] = settings.ringBytes;
  words[CHANNEL_OPTIONS_MAX_MESSAGE_BYTES] = settings.maxMessageBytes;
  words[CHANNEL_OPTIONS_FLAGS] = WINDOWS;
  check(library, library.channel_new(words), "make a channel");
  const made: MadeDescriptors = {
    controlFd: words[CHANNEL_OPTIONS_CONTROL_FD] | 0,
    ringFd: descriptor(words[CHANNEL_OPTIONS_RING_FD]),
    doorbellFd: descriptor(words[CHANNEL_OPTIONS_PEER_DOORBELL_FD]),
    linkFd: descriptor(words[CHANNEL_OPTIONS_PEER_LINK_FD]),
    dataFd: descriptor(words[CHANNEL_OPTIONS_PEER_DATA_FD]),
  };
  return { handle: words[CHANNEL_OPTIONS_HANDLE], made };
}

/** Takes the peer's half in, which is consumed in every outcome. */
export function attachPeer(native: Native, handle: number, peer: PeerDescriptors): Agreed & { readonly observer: number } {
  const { library } = native;
  const words = new Uint32Array(PEER_WORDS);
  words[PEER_SIZE_BYTES] = words.byteLength;
  words[PEER_HANDLE] = handle;
  words[PEER_TRUST] = peer.trust === "trusted" ? TRUSTED : UNTRUSTED;
  words[PEER_CONTROL_FD] = peer.controlFd;
  words[PEER_RING_FD] = peer.ringFd ?? NONE;
  words[PEER_DOORBELL_FD] = peer.doorbellFd ?? NONE;
  words[PEER_LINK_FD] = peer.linkFd ?? NONE;
  words[PEER_DATA_FD] = peer.dataFd ?? NONE;
  words[PEER_PID_FD] = peer.pidFd ?? NONE;
  // A second look at the peer's control region, for its figures: they stay readable when the channel itself has ended.
  const observer = library.control_map(peer.controlFd);
  const attached = library.channel_attach(words);
  if (attached < 0 && observer >= 0) library.control_unmap(observer);
  check(library, attached, "attach the peer's half of a channel");
  check(library, observer, "map the peer's figures");
  return { maxMessageBytes: words[PEER_PEER_MAX_MESSAGE_BYTES], peerRingBytes: words[PEER_PEER_RING_BYTES], observer };
}

/** They were passed on, or nobody wants them. */
export function closeDescriptors(native: Native, made: MadeDescriptors): void {
  for (const fd of [made.controlFd, made.ringFd, made.doorbellFd, made.linkFd, made.dataFd]) {
    if (fd !== undefined) native.library.close(fd);
  }
}

function descriptor(word: number): number | undefined {
  const fd = word | 0;
  return fd < 0 ? undefined : fd;
}

/** The memory of the path in use: 0 to write into, 1 to read from. */
export function arenaOf(native: Native, handle: number, which: number): ArrayBuffer {
  const sizeBytes = new Uint32Array(1);
  const pointer = native.library.channel_arena(handle, which, sizeBytes);
  if (pointer === null) throw new Error("a channel without its memory");
  return native.runtime.arrayBuffer(pointer, sizeBytes[0]);
}

/** How the peer stands to the channel. */
export type PeerState = "open" | "write-closed" | "closed" | "faulted" | "dead";
const PEER_STATES: readonly PeerState[] = ["open", "write-closed", "closed", "faulted", "dead"];

/** What block[PEER_STATE] says. */
export function peerStateOf(word: number): PeerState {
  return PEER_STATES[word] ?? "faulted";
}
