/**
 * The words of include/fable.h and the signatures of libfable.so. Written by `zig build bindings`: do not edit.
 */

export const ABI_VERSION = 2;
export const OK = 0;
/** no message yet again: yes, after readable */
export const EMPTY = -1;
/** ring, buffer or table limit reached again: yes, after writable or a release */
export const ENOSPACE = -2;
/** the peer half-closed or closed, and everything was read again: no */
export const ENDED = -3;
/** the peer's process died, and everything it committed was read again: no */
export const PEER_DEAD = -4;
/** the peer broke the protocol; block[DETAIL] says how again: no */
export const PEER_FAULT = -5;
/** stale, closed or never issued again: no */
export const BAD_HANDLE = -6;
/** out of range, null or misaligned again: no */
export const BAD_ARGUMENT = -7;
/** the handle belongs to another thread again: no */
export const WRONG_THREAD = -8;
/** the process forked after the library was loaded again: no */
export const FORKED = -9;
/** over max_message_bytes or over a buffer's capacity again: no */
export const TOO_LARGE = -10;
/** the deadline passed again: yes */
export const TIMEOUT = -11;
/** this end is closed or half-closed for that operation again: no */
export const CLOSED = -12;
/** a system call failed; fable_errno() says which errno again: maybe */
export const SYSTEM = -13;
/** a region has wrong seals, size, owner or identity again: no */
export const BAD_REGION = -14;
/** this kernel or machine cannot do it again: no */
export const UNSUPPORTED = -15;
/** no handle left again: yes, after a close */
export const TABLE_FULL = -16;
/** a frame was larger than the buffer and is lost again: no */
export const TRUNCATED = -17;
/** the socket's other side is gone again: no */
export const HUNG_UP = -18;
/** the peer's layout version differs again: no */
export const ABI_MISMATCH = -19;
/** fable_refill: what follows lies in another read arena again: yes, after taking that arena */
export const MOVED = -20;
/** a record header of unknown kind */
export const FAULT_KIND = 1;
/** a record length outside the ring, smaller than its payload, or over the limit */
export const FAULT_LENGTH = 2;
/** a cursor went back, or past what was published */
export const FAULT_CURSOR = 3;
/** a fragment outside a message, or a total that does not add up */
export const FAULT_FRAGMENT = 4;
/** rang more often than it was asked to */
export const FAULT_DOORBELL = 5;
/** the control region holds an impossible state */
export const FAULT_STATE = 6;
export const TRANSPORT_MEMPIPE = 1;
export const TRANSPORT_MEMPIPE_SPIN = 2;
export const TRANSPORT_MEMPIPE_FUTEX = 3;
export const TRANSPORT_UNIX = 4;
/** this and those below: only by fable_switch(), a channel never begins with them */
export const TRANSPORT_TCP = 5;
export const TRANSPORT_TCP_NODELAY = 6;
export const TRANSPORT_PIPE = 7;
/** trusted peers only */
export const TRANSPORT_VMSPLICE_COOP = 8;
export const TRANSPORT_SHMEM_PIPE = 9;
/** an end's own program */
export const REASON_PROGRAM = 1;
export const REASON_OPERATOR = 2;
export const REASON_POLICY = 3;
/** the path before broke while both ends live */
export const REASON_PATH_LOST = 4;
export const ROLE_INITIATOR = 1;
export const ROLE_ACCEPTOR = 2;
export const TRUSTED = 1;
export const UNTRUSTED = 2;
export const READABLE = 1;
export const WRITABLE = 2;
/** in fable_wait_entry.want: `handle` is a file descriptor, not a channel */
export const DESCRIPTOR = 0x80000000;
export const RECORD_MESSAGE = 1;
export const RECORD_PAD = 2;
export const RECORD_FIRST = 3;
export const RECORD_MORE = 4;
export const RECORD_LAST = 5;
export const RECORD_END = 6;
export const RECORD_MARKER = 7;
export const MAX_HANDLES = 4096;
export const BLOCK_WORDS = 16;
/** offset in the read arena of the first record that the last fable_refill() handed out */
export const BLOCK_READ_OFFSET = 0;
/** offset just past the last validated record of the window */
export const BLOCK_READ_LIMIT = 1;
/** bytes the writer may still lay out after its published position */
export const BLOCK_FREE = 2;
/** 0 open, 1 write-closed, 2 closed, 3 faulted, 4 dead */
export const BLOCK_PEER_STATE = 3;
/** errno of the last FABLE_SYSTEM of this handle */
export const BLOCK_ERRNO = 4;
/** FABLE_FAULT_* after FABLE_PEER_FAULT; size of the message after TOO_LARGE of fable_receive() */
export const BLOCK_DETAIL = 5;
/** how many transports the outgoing direction has had before this one */
export const BLOCK_WRITE_EPOCH = 6;
/** how often the peer may have rung: once for each announced sleep and for each order */
export const BLOCK_SLEEPS = 7;
/** after fable_send() and fable_cross(): where in the write arena the next record goes */
export const BLOCK_WRITE_OFFSET = 8;
/** the same for the incoming direction */
export const BLOCK_READ_EPOCH = 9;
/** 1: the next path is ready, fable_cross() takes it; 0: nothing to cross */
export const BLOCK_CROSSING = 10;
/** how many events fable_event() has to tell */
export const BLOCK_EVENTS = 11;
export const BLOCK_WRITE_TRANSPORT = 12;
export const BLOCK_READ_TRANSPORT = 13;
/** 1: the peer's marker is on its way, reading on leads to FABLE_MOVED */
export const BLOCK_COMING = 14;
/** fable_channel_options.flags: this end lays out records itself, so only fable_cross() moves it */
export const WINDOWS = 1;
export const SAMPLE_WORDS = 28;
export const SAMPLE_CPU = 24;
export const SAMPLE_STATE = 25;
export const SAMPLE_RING_BYTES = 26;
export const SAMPLE_VALID = 27;
/** fable_switch() to a path through the kernel takes at least this much memory for what is on its way */
export const MIN_STREAM_BYTES = 262144;
/** offered to the peer; outgoing only */
export const SWITCH_PENDING = 1;
/** accepted: fable_cross() may be called; outgoing only */
export const SWITCH_READY = 2;
/** the marker is behind us: messages take the new path */
export const SWITCH_MOVED = 3;
/** the peer has everything of the old path; outgoing only */
export const SWITCH_DRAINED = 4;
/** it stays as it is */
export const SWITCH_REFUSED = 5;
export const NET_STREAM = 1;
export const NET_DATAGRAM = 2;
export const NET_NODELAY = 1;
export const NET_KEEPALIVE = 2;
export const CAPABILITY_MEMBARRIER = 1;
export const CAPABILITY_SEALS = 2;
export const CAPABILITY_FUTURE_WRITE_SEAL = 3;
export const CAPABILITY_PIDFD = 4;
export const CAPABILITY_PEER_PIDFD = 5;
export const CAPABILITY_FUTEX_WAITV = 6;
export const CAPABILITY_NOEXEC_SEAL = 7;
export const CAPABILITY_POPULATE = 8;

/** Words of fable_channel_options, a Uint32Array. */
export const CHANNEL_OPTIONS_SIZE_BYTES = 0;
export const CHANNEL_OPTIONS_ROLE = 1;
export const CHANNEL_OPTIONS_TRANSPORT = 2;
export const CHANNEL_OPTIONS_TRUST = 3;
export const CHANNEL_OPTIONS_RING_BYTES = 4;
export const CHANNEL_OPTIONS_MAX_MESSAGE_BYTES = 5;
export const CHANNEL_OPTIONS_HANDLE = 6;
export const CHANNEL_OPTIONS_CONTROL_FD = 7;
export const CHANNEL_OPTIONS_RING_FD = 8;
export const CHANNEL_OPTIONS_PEER_DOORBELL_FD = 9;
export const CHANNEL_OPTIONS_PEER_DATA_FD = 10;
export const CHANNEL_OPTIONS_PEER_LINK_FD = 11;
export const CHANNEL_OPTIONS_FLAGS = 12;
export const CHANNEL_OPTIONS_WORDS = 16;

/** Words of fable_peer, a Uint32Array. */
export const PEER_SIZE_BYTES = 0;
export const PEER_HANDLE = 1;
export const PEER_TRUST = 2;
export const PEER_CONTROL_FD = 3;
export const PEER_RING_FD = 4;
export const PEER_DOORBELL_FD = 5;
export const PEER_DATA_FD = 6;
export const PEER_PID_FD = 7;
export const PEER_PEER_MAX_MESSAGE_BYTES = 8;
export const PEER_PEER_RING_BYTES = 9;
export const PEER_LINK_FD = 10;
export const PEER_WORDS = 12;

/** Words of fable_switch_event, a Uint32Array. */
export const SWITCH_EVENT_DIRECTION = 0;
export const SWITCH_EVENT_WHAT = 1;
export const SWITCH_EVENT_FROM = 2;
export const SWITCH_EVENT_TO = 3;
export const SWITCH_EVENT_EPOCH = 4;
export const SWITCH_EVENT_REASON = 5;
export const SWITCH_EVENT_STATUS = 6;
export const SWITCH_EVENT_OLD_BYTES = 7;
export const SWITCH_EVENT_AT_NS = 8;
export const SWITCH_EVENT_WORDS = 10;

/** Words of fable_wait_entry, a Uint32Array. */
export const WAIT_ENTRY_HANDLE = 0;
export const WAIT_ENTRY_WANT = 1;
export const WAIT_ENTRY_READY = 2;
export const WAIT_ENTRY_WORDS = 4;

/** Every function of libfable.so, without its prefix. */
export const signatures = {
  abi_version: { parameters: [], result: "u32" },
  init: { parameters: [], result: "i32" },
  errno: { parameters: [], result: "i32" },
  blocks: { parameters: [], result: "pointer" },
  now_ns: { parameters: [], result: "u64" },
  channel_new: { parameters: ["buffer"], result: "i32" },
  channel_attach: { parameters: ["buffer"], result: "i32" },
  channel_arena: { parameters: ["u32", "u32", "buffer"], result: "pointer" },
  channel_doorbell: { parameters: ["u32"], result: "i32" },
  refill: { parameters: ["u32"], result: "i32" },
  consume: { parameters: ["u32", "u32", "u32", "u32"], result: "i32" },
  space: { parameters: ["u32"], result: "i32" },
  room: { parameters: ["u32", "u32"], result: "i32" },
  give_back: { parameters: ["u32", "u32", "u32", "u32", "u32"], result: "i32" },
  publish: { parameters: ["u32", "u32", "u32", "u32", "u32", "u32"], result: "i32" },
  pump: { parameters: ["u32"], result: "i32" },
  close_write: { parameters: ["u32"], result: "i32" },
  channel_peer_died: { parameters: ["u32"], result: "i32" },
  channel_fault: { parameters: ["u32", "u32"], result: "i32" },
  channel_close: { parameters: ["u32"], result: "i32" },
  send: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  receive: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  take: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  channel_stats: { parameters: ["u32", "buffer"], result: "i32" },
  switch: { parameters: ["u32", "u32", "u32", "u32"], result: "i32" },
  ask: { parameters: ["u32", "u32", "u32", "u32"], result: "i32" },
  attend: { parameters: ["u32"], result: "i32" },
  cross: { parameters: ["u32"], result: "i32" },
  retire: { parameters: ["u32", "u32", "u32", "u32", "u32"], result: "i32" },
  event: { parameters: ["u32", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u32", "u32", "u32"], result: "i32" },
  awake: { parameters: ["u32"], result: "i32" },
  wait: { parameters: ["buffer", "u32", "i32", "u32", "i32"], result: "i32" },
  socketpair: { parameters: ["u32", "buffer"], result: "i32" },
  listen: { parameters: ["buffer", "u32", "u32", "u32"], result: "i32" },
  dial: { parameters: ["buffer", "u32"], result: "i32" },
  accept: { parameters: ["i32"], result: "i32" },
  frame_send: { parameters: ["i32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  frame_receive: { parameters: ["i32", "buffer", "u32", "buffer", "u32", "buffer"], result: "i32" },
  socket_check: { parameters: ["i32"], result: "i32" },
  peer_credentials: { parameters: ["i32", "buffer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  lock: { parameters: ["buffer", "u32"], result: "i32" },
  unlink_socket: { parameters: ["buffer", "u32"], result: "i32" },
  folder: { parameters: ["buffer", "u32"], result: "i32" },
  file_read: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  file_create: { parameters: ["buffer", "u32", "buffer", "u32", "u32"], result: "i32" },
  file_replace: { parameters: ["buffer", "u32", "buffer", "u32", "u32"], result: "i32" },
  region_check: { parameters: ["i32", "buffer"], result: "i32" },
  random: { parameters: ["buffer", "u32"], result: "i32" },
  net_connect: { parameters: ["u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  net_connected: { parameters: ["i32"], result: "i32" },
  net_listen: { parameters: ["u32", "buffer", "u32", "u32", "u32"], result: "i32" },
  net_name: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  net_send: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  net_receive: { parameters: ["i32", "u32", "buffer", "u32", "buffer"], result: "i32" },
  net_finish: { parameters: ["i32"], result: "i32" },
  net_unsent: { parameters: ["i32"], result: "i32" },
  net_abort: { parameters: ["i32"], result: "i32" },
  net_option: { parameters: ["i32", "u32", "u32"], result: "i32" },
  pid_open: { parameters: ["u32"], result: "i32" },
  pid_dead: { parameters: ["i32"], result: "i32" },
  self: { parameters: ["buffer"], result: "i32" },
  executable: { parameters: ["buffer", "u32"], result: "i32" },
  getenv: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  spawn: { parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  loop_new: { parameters: ["buffer"], result: "i32" },
  loop_watch: { parameters: ["u32", "i32", "u32", "u32"], result: "i32" },
  loop_again: { parameters: ["u32", "i32", "u32", "u32"], result: "i32" },
  loop_forget: { parameters: ["u32", "i32"], result: "i32" },
  loop_take: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  loop_close: { parameters: ["u32"], result: "i32" },
  cpu: { parameters: [], result: "i32" },
  pin: { parameters: ["i32"], result: "i32" },
  affinity: { parameters: ["buffer", "u32"], result: "i32" },
  thread_affinity: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  thread_confine: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  capability: { parameters: ["u32"], result: "i32" },
  line_ns: { parameters: ["u32", "u32", "u32", "buffer"], result: "i32" },
  control_map: { parameters: ["i32"], result: "i32" },
  control_stats: { parameters: ["u32", "buffer"], result: "i32" },
  control_sample: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
  control_unmap: { parameters: ["u32"], result: "i32" },
  channel_nodes: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  control_nodes: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
} as const;
