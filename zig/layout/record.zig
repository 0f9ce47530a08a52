//! Records: the unit in which messages lie in a ring, in a private arena and on a kernel stream.
//!
//!     position % 8 == 0
//!     ├── word0: payload size in bytes ──┼── word1: kind << 24 | stride ──┼── payload … ──┼── slack ──┤
//!     0                                  4                                8               8+size      stride * 8
//!
//! `stride` is the whole length in units of 8 bytes. word1 == 0 means: not published yet. Both words are one little-endian u64, loaded
//! and stored whole. A record never straddles the end of its ring: a PAD fills the ring up, the next record starts at offset 0.
//!
//! Line rule: a record of at most 64 bytes whose line has too little left for another one like it takes the rest of the line as slack.
//! So a message of ≤ 56 bytes crosses to the other core in one cache line, and small equal ones share lines.
//!
//! Alignment rule: behind a payload of at least 1 KiB the slack reaches to 8 bytes before the next line, so that the payload after it starts
//! on a line. Wide stores that straddle two lines need both at once: 4 KiB messages filled 16 bytes at a time crossed 1.4 times slower
//! (near placement: 4.6 against 6.5 million a second). Both rules bind the writer only; a reader follows the stride.

const std = @import("std");

pub const header_bytes = 8;
pub const alignment = 8;
pub const line_bytes = 64;

/// Kept free by the writer: the zeroed header after the last record, an END and a MARKER always fit.
pub const reserve_bytes = 64;

/// Payloads of at least this size take part in the alignment rule.
pub const aligned_payload_bytes = 1024;

pub const min_ring_bytes = 4096;
pub const max_ring_bytes = 64 << 20;
pub const max_message_bytes = 1 << 30;

pub const Kind = enum(u8) {
    none = 0,
    /// A whole message.
    message = 1,
    /// Nothing: skip it.
    pad = 2,
    /// First fragment; its payload starts with `fragment_prefix_bytes`: the total size (u32) and a zero (u32).
    first = 3,
    more = 4,
    last = 5,
    /// Half-close: nothing follows.
    end = 6,
    /// Hand-over to the next epoch.
    marker = 7,
    _,
};

pub const fragment_prefix_bytes = 8;

/// A header by value: read once, then only looked at here.
pub const Header = packed struct(u64) {
    size: u32,
    stride: u24,
    kind: Kind,

    pub inline fn bytes(h: Header) u32 {
        return @as(u32, h.stride) << 3;
    }
    pub inline fn published(h: Header) bool {
        return @as(u64, @bitCast(h)) >> 32 != 0;
    }
    pub inline fn word0(h: Header) u32 {
        return h.size;
    }
    pub inline fn word1(h: Header) u32 {
        return @truncate(@as(u64, @bitCast(h)) >> 32);
    }
    pub inline fn of(kind: Kind, size: u32, whole: u32) Header {
        return .{ .size = size, .stride = @truncate(whole >> 3), .kind = kind };
    }
    pub inline fn fromWords(first: u32, second: u32) Header {
        return @bitCast(@as(u64, second) << 32 | first);
    }
};

comptime {
    std.debug.assert(@import("builtin").cpu.arch.endian() == .little);
    std.debug.assert(@sizeOf(Header) == 8);
    std.debug.assert(Header.of(.message, 5, 16).word1() == 1 << 24 | 2);
    std.debug.assert(Header.of(.message, 5, 16).word0() == 5);
    // the largest stride must fit into 24 bits
    std.debug.assert(max_ring_bytes / 8 < 1 << 24);
}

/// Length of the record for `size` bytes of payload at offset `offset`, slack included. `size` must be at most max_ring_bytes.
pub inline fn length(offset: u32, size: u32) u32 {
    const plain = header_bytes + (size +% 7 & ~@as(u32, 7));
    if (plain > line_bytes) {
        const end = offset +% plain;
        // at multiples of 4096 a ring may end, and slack would straddle that
        if (size < aligned_payload_bytes or end & (min_ring_bytes - 1) == 0) return plain;
        return plain + ((line_bytes - header_bytes -% end) & (line_bytes - 1));
    }
    const rest = (0 -% (offset +% plain)) & (line_bytes - 1);
    return if (rest < plain) plain + rest else plain;
}

/// What copyShort is for.
pub const short_bytes = 256;

/// Copies a short message word by word. `to` or `from` lies 8 bytes behind a header, where wider stores would straddle lines every time.
pub inline fn copyShort(to: [*]u8, from: [*]const u8, size: usize) void {
    var at: usize = 0;
    while (size -% at >= 32) : (at +%= 32) inline for (0..4) |word| copyWord(to + at + 8 * word, from + at + 8 * word);
    while (size -% at >= 8) : (at +%= 8) copyWord(to + at, from + at);
    while (at < size) : (at +%= 1) to[at] = from[at];
}

/// Volatile: otherwise the compiler would make a call of memcpy out of the loop.
inline fn copyWord(to: [*]u8, from: [*]const u8) void {
    @as(*align(1) volatile u64, @ptrCast(to)).* = @as(*align(1) const u64, @ptrCast(from)).*;
}

/// Largest payload of one record in a ring of `ring_bytes`; larger messages travel in fragments.
pub inline fn maxPayload(ring_bytes: u32) u32 {
    return ring_bytes / 4;
}

pub inline fn validRingBytes(ring_bytes: u32) bool {
    return ring_bytes >= min_ring_bytes and ring_bytes <= max_ring_bytes and std.math.isPowerOfTwo(ring_bytes);
}

test "alignment rule" {
    try std.testing.expectEqual(@as(u32, 1024), length(0, 1016));
    // header at 0, payload at 8; the next header lies 8 bytes before a line, its payload on it
    try std.testing.expectEqual(@as(u32, 1080), length(0, 1024));
    try std.testing.expectEqual(@as(u32, 8 + 4096 + 56), length(56, 4096));
    var offset: u32 = 0;
    for (0..1000) |i| {
        const size: u32 = @intCast(1024 + i * 7);
        const long = length(offset, size);
        try std.testing.expect(long >= header_bytes + size and long < header_bytes + size + line_bytes + 8);
        // never over a place where a ring may end, unless the payload is
        const end = offset + header_bytes + (size + 7 & ~@as(u32, 7));
        try std.testing.expectEqual((end - 1) / min_ring_bytes, (offset + long - 1) / min_ring_bytes);
        offset += long;
        try std.testing.expect(offset % line_bytes == 56 or offset % min_ring_bytes == 0);
    }
}

test "line rule" {
    // 56 bytes of payload fill a line exactly; 48 take the line whole; four of 8 share one; 24 + 24
    try std.testing.expectEqual(@as(u32, 64), length(0, 56));
    try std.testing.expectEqual(@as(u32, 64), length(0, 48));
    try std.testing.expectEqual(@as(u32, 16), length(0, 8));
    try std.testing.expectEqual(@as(u32, 16), length(48, 8));
    try std.testing.expectEqual(@as(u32, 32), length(0, 24));
    try std.testing.expectEqual(@as(u32, 24), length(0, 16));
    try std.testing.expectEqual(@as(u32, 40), length(24, 16));
    // after something large in the middle of a line the slack realigns
    try std.testing.expectEqual(@as(u32, 120), length(72, 56));
    try std.testing.expectEqual(@as(u32, 72), length(0, 64));
    try std.testing.expectEqual(@as(u32, 8), length(56, 0));
    // small equal records, wherever they start, soon never straddle a line
    var size: u32 = 0;
    while (size <= 56) : (size += 1) {
        var offset: u32 = 72;
        offset += length(offset, size);
        for (0..32) |_| {
            const used = header_bytes + size;
            try std.testing.expect(offset % line_bytes + used <= line_bytes);
            offset += length(offset, size);
        }
    }
}
