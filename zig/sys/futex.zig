//! Futexes in memory that processes share.

const std = @import("std");
const linux = std.os.linux;

/// Sleeps while `word.*` is `expected`, at most `timeout_ns`. Spurious returns are normal.
pub fn wait(word: *const u32, expected: u32, timeout_ns: u64) void {
    const timeout: linux.timespec = .{
        .sec = @intCast(timeout_ns / std.time.ns_per_s),
        .nsec = @intCast(timeout_ns % std.time.ns_per_s),
    };
    _ = linux.futex_4arg(word, .{ .cmd = .WAIT, .private = false }, expected, &timeout);
}

/// Wakes everyone who sleeps on it (there is one).
pub fn wake(word: *const u32) void {
    _ = linux.futex_3arg(word, .{ .cmd = .WAKE, .private = false }, std.math.maxInt(i32));
}
