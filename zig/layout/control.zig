//! The control region: 4096 bytes per end, written only by their owner, mapped read-only by the peer.
//! Every word that a peer polls has a pair of cache lines of its own (two, because CPUs fetch neighbours together).
//!
//!       0  identity    magic layout_version control_bytes flags ring_bytes transport max_message_bytes trust pid   (never changes)
//!     128  sleep_word  cpu                                      what this end sleeps for, and where it last ran
//!     256  rung_word                                            the peer's sleep_word that this end last rang for
//!     384  released                                             how far this end has read the peer's ring
//!     512  messages_sent bytes_sent published blocked_ns rings  figures of the writing half
//!     640  messages_delivered bytes_delivered sleeps waited_ns  figures of the reading half
//!     768  epoch mailbox_seq mailbox[120]                       reconfiguration
//!     896  state state_code end_position
//!    1024  zero

const std = @import("std");

pub const bytes = 4096;
pub const magic: u32 = 0x4c424146; // "FABL"
pub const layout_version: u32 = 1;

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

    released: u64,
    _released: [128 - 8]u8,

    messages_sent: u64,
    bytes_sent: u64,
    published: u64,
    blocked_ns: u64,
    rings: u64,
    _writer: [128 - 40]u8,

    messages_delivered: u64,
    bytes_delivered: u64,
    sleeps: u64,
    waited_ns: u64,
    _reader: [128 - 32]u8,

    epoch: u32,
    mailbox_seq: u32,
    mailbox: [120]u8,

    state: u32,
    state_code: u32,
    end_position: u64,
    _state: [128 - 16]u8,

    _rest: [bytes - 1024]u8,
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
    at("released", 384);
    at("messages_sent", 512);
    at("bytes_sent", 520);
    at("published", 528);
    at("blocked_ns", 536);
    at("rings", 544);
    at("messages_delivered", 640);
    at("bytes_delivered", 648);
    at("sleeps", 656);
    at("waited_ns", 664);
    at("epoch", 768);
    at("mailbox_seq", 772);
    at("mailbox", 776);
    at("state", 896);
    at("state_code", 900);
    at("end_position", 904);
    std.debug.assert(@sizeOf(Control) == bytes);
}
