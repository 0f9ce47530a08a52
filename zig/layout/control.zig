//! The control region: 4096 bytes per end, written only by their owner, mapped read-only by the peer.
//! Every word that a peer polls has a pair of cache lines of its own (two, because CPUs fetch neighbours together).
//!
//!       0  identity    magic layout_version control_bytes flags ring_bytes transport max_message_bytes trust pid   (never changes)
//!     128  sleep_word  cpu                                      what this end sleeps for, and where it last ran
//!     256  rung_word                                            the peer's sleep_word that this end last rang for
//!     384  released[0]                                          how far this end has read the peer's ring, in even epochs
//!     512  messages_sent bytes_sent published blocked_ns rings stream_sent[2]  figures of the writing half
//!     640  messages_delivered bytes_delivered sleeps waited_ns stream_taken[2]  figures of the reading half
//!     768  write_epoch write_transport read_epoch read_transport switches switch_reason write_node   reconfiguration, for observers
//!     896  state orders state_code end_position                 state and orders are one u64 for those who only look whether it changed
//!    1024  released[1]                                          in odd epochs
//!    1152  zero
//!
//! Two cursors, because a reader may still give back what it held of one path while it begins with the next. For a path through the kernel
//! the cursor counts bytes of whole records received; for a heap, how often something went back.

const std = @import("std");

pub const bytes = 4096;
pub const magic: u32 = 0x4c424146; // "FABL"
pub const layout_version: u32 = 3;

/// `flags`: the owner cannot call membarrier, so its peer must fence before it looks at `sleep_word`.
pub const flag_no_membarrier: u32 = 1;

/// `sleep_word`: what the owner waits for in the low bits, zero when awake; a generation above.
pub const sleep_data: u32 = 1;
pub const sleep_space: u32 = 2;
pub const sleep_futex: u32 = 4;
pub const sleep_interest: u32 = sleep_data | sleep_space;
pub const sleep_mask: u32 = 7;
pub const sleep_generation: u32 = 8;

pub const State = enum(u32) { open = 0, write_closed = 1, closed = 2, faulted = 3, _ };

pub const Control = extern struct {
    magic: u32 align(4096),
    layout_version: u32,
    control_bytes: u32,
    flags: u32,
    ring_bytes: u32,
    transport: u32,
    max_message_bytes: u32,
    trust: u32,
    pid: u32,
    _identity: [128 - 36]u8,

    sleep_word: u32,
    cpu: u32,
    _sleep: [128 - 8]u8,

    rung_word: u32,
    _rung: [128 - 4]u8,

    released_even: u64,
    _released: [128 - 8]u8,

    messages_sent: u64,
    bytes_sent: u64,
    published: u64,
    blocked_ns: u64,
    rings: u64,
    stream_sent_even: u64,
    stream_sent_odd: u64,
    _writer: [128 - 56]u8,

    messages_delivered: u64,
    bytes_delivered: u64,
    sleeps: u64,
    waited_ns: u64,
    stream_taken_even: u64,
    stream_taken_odd: u64,
    _reader: [128 - 48]u8,

    write_epoch: u32,
    write_transport: u32,
    read_epoch: u32,
    read_transport: u32,
    switches: u32,
    switch_reason: u32,
    write_node: u32,
    _epochs: [128 - 28]u8,

    state: u32 align(8),
    /// Frames sent on the link so far.
    orders: u32,
    state_code: u32,
    _code: u32,
    end_position: u64,
    _state: [128 - 24]u8,

    released_odd: u64,
    _rest: [bytes - 1032]u8,

    /// The reading cursor for the ring of `epoch`.
    pub inline fn released(c: anytype, epoch: u32) @TypeOf(&c.released_even) {
        return if (epoch & 1 == 0) &c.released_even else &c.released_odd;
    }

    /// Bytes of the stream of `epoch` that have left this end.
    pub inline fn streamSent(c: anytype, epoch: u32) @TypeOf(&c.stream_sent_even) {
        return if (epoch & 1 == 0) &c.stream_sent_even else &c.stream_sent_odd;
    }

    /// Bytes of the stream of `epoch` that this end took out of the kernel, whole records or not.
    pub inline fn streamTaken(c: anytype, epoch: u32) @TypeOf(&c.stream_taken_odd) {
        return if (epoch & 1 == 0) &c.stream_taken_even else &c.stream_taken_odd;
    }

    /// `state` in the low half, `orders` in the high one.
    pub inline fn news(c: *const Control) u64 {
        return @atomicLoad(u64, @as(*const u64, @ptrCast(&c.state)), .acquire);
    }
};

comptime {
    const at = struct {
        fn at(comptime field: []const u8, offset: usize) void {
            if (@offsetOf(Control, field) != offset) @compileError("control layout: " ++ field);
        }
    }.at;
    at("magic", 0);
    at("layout_version", 4);
    at("control_bytes", 8);
    at("flags", 12);
    at("ring_bytes", 16);
    at("transport", 20);
    at("max_message_bytes", 24);
    at("trust", 28);
    at("pid", 32);
    at("sleep_word", 128);
    at("cpu", 132);
    at("rung_word", 256);
    at("released_even", 384);
    at("messages_sent", 512);
    at("bytes_sent", 520);
    at("published", 528);
    at("blocked_ns", 536);
    at("rings", 544);
    at("stream_sent_even", 552);
    at("messages_delivered", 640);
    at("bytes_delivered", 648);
    at("sleeps", 656);
    at("waited_ns", 664);
    at("stream_taken_even", 672);
    at("write_epoch", 768);
    at("write_transport", 772);
    at("read_epoch", 776);
    at("read_transport", 780);
    at("switches", 784);
    at("switch_reason", 788);
    at("write_node", 792);
    at("state", 896);
    at("orders", 900);
    at("state_code", 904);
    at("end_position", 912);
    at("released_odd", 1024);
    std.debug.assert(@sizeOf(Control) == bytes);
}
