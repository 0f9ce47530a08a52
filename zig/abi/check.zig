//! Checks of arguments that came over the C ABI. Nothing behind an export trusts a pointer or a length that did not pass here.

const std = @import("std");

/// `T` behind a pointer that is neither null nor misaligned.
pub inline fn one(comptime T: type, pointer: ?*anyopaque) ?*T {
    const address = @intFromPtr(pointer);
    if (address == 0 or address % @alignOf(T) != 0) return null;
    return @ptrFromInt(address);
}

/// `count` items to write. An empty slice may come with any pointer.
pub inline fn many(comptime T: type, pointer: ?*anyopaque, count: u32) ?[]T {
    if (count == 0) return &.{};
    const address = @intFromPtr(pointer);
    if (address == 0 or address % @alignOf(T) != 0) return null;
    const size = @as(usize, count) * @sizeOf(T);
    if (std.math.maxInt(usize) - address < size) return null;
    return @as([*]T, @ptrFromInt(address))[0..count];
}

/// `count` items to read.
pub inline fn manyConst(comptime T: type, pointer: ?*const anyopaque, count: u32) ?[]const T {
    return many(T, @constCast(pointer), count);
}

test "null, misaligned and wrapping pointers are refused" {
    var words: [4]u32 = undefined;
    try std.testing.expect(one(u32, null) == null);
    try std.testing.expect(one(u32, @ptrFromInt(@intFromPtr(&words) + 1)) == null);
    try std.testing.expect(one(u32, &words) != null);
    try std.testing.expect(many(u32, null, 1) == null);
    try std.testing.expect(many(u32, null, 0).?.len == 0);
    try std.testing.expect(many(u32, @ptrFromInt(std.math.maxInt(usize) - 7), 4) == null);
    try std.testing.expectEqual(@as(usize, 4), many(u32, &words, 4).?.len);
}
