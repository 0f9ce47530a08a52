//! How a history says that it failed, and what it is doing.

const std = @import("std");
const fibers = @import("fibers.zig");

pub var tracing = false;
/// The first failure of the history.
pub var failure: ?[]const u8 = null;
var text: [1024]u8 = undefined;
/// Steps of the scheduler so far.
pub var step: u32 = 0;

/// Ends the history. From a fiber: it never goes on.
pub fn fail(comptime format: []const u8, values: anytype) noreturn {
    note(format, values);
    if (fibers.current == null) @panic("a failure outside of an end");
    while (true) fibers.giveWay();
}

/// Ends the history, from the scheduler too.
pub fn note(comptime format: []const u8, values: anytype) void {
    if (failure == null) failure = std.fmt.bufPrint(&text, format, values) catch "a failure too long to tell";
    trace("FAILED: " ++ format, values);
}

pub fn trace(comptime format: []const u8, values: anytype) void {
    if (!tracing) return;
    const who: []const u8 = if (fibers.current) |which| (if (which == 0) "A" else "B") else "-";
    std.debug.print("{d:>6} {s}  " ++ format ++ "\n", .{ step, who } ++ values);
}
