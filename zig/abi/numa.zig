//! Exports for NUMA: on which nodes the memory of a channel lies. Where it goes is the core's business: to the node of its reader, when it is made.

const std = @import("std");
const numa = @import("../sys/numa.zig");
const os = @import("../sys/os.zig");
const answer = @import("answer.zig");
const call = @import("call.zig");
const check = @import("check.zig");
const control = @import("host_control.zig");
const status = @import("status.zig");

/// Only memory of that channel that is mapped now is asked about, whatever the caller says.
pub export fn fable_channel_nodes(handle: u32, which: u32, pages: ?*anyopaque, capacity: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    if (which > 1 or capacity == 0 or capacity > 1024) return status.BAD_ARGUMENT;
    const counts = check.many(u32, pages, capacity) orelse return status.BAD_ARGUMENT;
    @memset(counts, 0);
    const memory = channel.sharedMemory(which == 0) orelse return status.EMPTY;
    const rc = numa.count(memory.address.?, memory.size, counts);
    if (rc == os.failure(.NOSYS)) return status.UNSUPPORTED;
    if (rc == os.failure(.RANGE)) return status.TOO_LARGE;
    if (rc < 0) return answer.plain(rc);
    var used = counts.len;
    while (used > 0 and counts[used - 1] == 0) used -= 1;
    return @intCast(used);
}

pub export fn fable_control_nodes(ids: ?*const anyopaque, count: u32, out: ?*anyopaque) callconv(.c) i32 {
    if (count > 4096) return status.BAD_ARGUMENT;
    const wanted = check.manyConst(u32, ids, count) orelse return status.BAD_ARGUMENT;
    const words = check.many(u32, out, count) orelse return status.BAD_ARGUMENT;
    for (wanted, words) |id, *word| word.* = control.nodeOf(id);
    return status.OK;
}

const testing = std.testing;

test "the pages of a channel's own ring are counted, where the kernel can" {
    const channel = @import("channel.zig");
    var options = std.mem.zeroes(channel.ChannelOptions);
    options.size_bytes = @sizeOf(channel.ChannelOptions);
    options.role = 2;
    options.transport = 1;
    options.trust = 1;
    options.ring_bytes = 65_536;
    options.max_message_bytes = 4096;
    try testing.expectEqual(status.OK, channel.fable_channel_new(&options));
    defer for ([_]i32{ options.control_fd, options.ring_fd }) |fd| {
        _ = @import("host.zig").fable_close(fd);
    };
    defer _ = channel.fable_channel_close(options.handle);
    var pages: [numa.most_nodes]u32 = @splat(7);
    try testing.expectEqual(status.BAD_ARGUMENT, fable_channel_nodes(options.handle, 2, &pages, pages.len));
    try testing.expectEqual(status.BAD_ARGUMENT, fable_channel_nodes(options.handle, 0, null, pages.len));
    try testing.expectEqual(status.BAD_ARGUMENT, fable_channel_nodes(options.handle, 0, &pages, 1025));
    try testing.expectEqual(status.EMPTY, fable_channel_nodes(options.handle, 1, &pages, pages.len)); // nobody attached
    const used = fable_channel_nodes(options.handle, 0, &pages, pages.len);
    if (used == status.UNSUPPORTED or used == status.SYSTEM) return error.SkipZigTest;
    var sum: u32 = 0;
    for (pages[0..@intCast(used)]) |count| sum += count;
    try testing.expectEqual(@as(u32, 16), sum);
}

test "only what is there has a node" {
    const ids = [_]u32{ 0, 0xffff_ffff };
    var out: [2]u32 = @splat(9);
    try testing.expectEqual(status.OK, fable_control_nodes(&ids, 2, &out));
    try testing.expectEqualSlices(u32, &.{ 0, 0 }, &out);
    try testing.expectEqual(status.BAD_ARGUMENT, fable_control_nodes(&ids, 4097, &out));
    try testing.expectEqual(status.BAD_ARGUMENT, fable_control_nodes(null, 2, &out));
    var pages: [1]u32 = undefined;
    try testing.expect(fable_channel_nodes(0xffff_ffff, 0, &pages, 1) < 0);
}
