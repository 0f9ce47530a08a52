//! What must arrive: each direction carries messages 0, 1, 2, …, whose bytes follow from their number.

const std = @import("std");
const report = @import("report.zig");

pub const max_messages = 8192;
pub const max_size = 20_000;
const pattern_bytes = 64 << 10;

var pattern: [pattern_bytes]u8 = undefined;

pub const Way = struct {
    sizes: [max_messages]u32 = undefined,
    /// Messages whose sending began, that were published whole, that arrived; and the bytes of the last two.
    begun: u32 = 0,
    sent: u32 = 0,
    got: u32 = 0,
    sent_bytes: u64 = 0,
    got_bytes: u64 = 0,
    /// How far the message that arrives in fragments is.
    part: u32 = 0,
    /// What must arrive although the writer is gone; null while it is there.
    promised: ?u32 = null,
};

/// ways[0]: from end 0 to end 1.
pub var ways: [2]Way = .{ .{}, .{} };

pub fn prepare() void {
    var generator: std.Random.DefaultPrng = .init(42);
    generator.random().bytes(&pattern);
}

pub fn reset() void {
    for (&ways) |*way| {
        way.begun = 0;
        way.sent = 0;
        way.got = 0;
        way.sent_bytes = 0;
        way.got_bytes = 0;
        way.part = 0;
        way.promised = null;
    }
}

pub fn content(which: u8, number: u32, size: u32) []const u8 {
    const at = (number *% 40503 +% @as(u32, which) *% 7919) % (pattern_bytes - max_size);
    return pattern[at..][0..size];
}

/// Sending of the next message begins.
pub fn begin(which: u8, size: u32) void {
    const way = &ways[which];
    way.sizes[way.begun] = size;
    way.begun += 1;
}

pub fn sent(which: u8) void {
    const way = &ways[which];
    way.sent_bytes += way.sizes[way.sent];
    way.sent += 1;
}

/// Some of the next message arrived: of `total` bytes, if that is known; all of it in one piece, or the piece that follows.
pub fn arrived(which: u8, total: ?u32, bytes: []const u8, last: bool) void {
    const way = &ways[which];
    if (way.got == way.begun) report.fail("message {d} was never sent", .{way.got});
    const size = way.sizes[way.got];
    if (total) |one| if (one != size) report.fail("message {d}: {d} bytes announced instead of {d}", .{ way.got, one, size });
    if (way.part + bytes.len > size) report.fail("message {d}: {d} bytes instead of {d}", .{ way.got, way.part + bytes.len, size });
    if (!std.mem.eql(u8, bytes, content(which, way.got, size)[way.part..][0..bytes.len])) report.fail("message {d}: other bytes than were sent", .{way.got});
    way.part += @intCast(bytes.len);
    if (!last) return;
    if (way.part != size) report.fail("message {d}: {d} bytes instead of {d}", .{ way.got, way.part, size });
    way.part = 0;
    way.got += 1;
    way.got_bytes += size;
}
