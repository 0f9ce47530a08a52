//! The reactor with the kernel behind it, through the C ABI.

const std = @import("std");
const linux = std.os.linux;
const host = @import("host.zig");
const loops = @import("host_reactor.zig");
const process = @import("host_process.zig");
const status = @import("status.zig");
const testing = std.testing;

const Loop = struct {
    id: u32,
    bell: i32,

    fn open() !Loop {
        var bell: i32 = -1;
        const id = loops.fable_loop_new(&bell);
        try testing.expect(id > 0 and bell >= 0);
        return .{ .id = @intCast(id), .bell = bell };
    }
    fn close(loop: Loop) void {
        _ = loops.fable_loop_close(loop.id);
    }
    fn watch(loop: Loop, fd: i32, token: u32, events: u32) !void {
        try testing.expectEqual(status.OK, loops.fable_loop_watch(loop.id, fd, token, events));
    }
    /// Sleeps on the doorbell, at most two seconds.
    fn rung(loop: Loop) bool {
        return poll(loop.bell, 2000);
    }
    fn quiet(loop: Loop) bool {
        return !poll(loop.bell, 20);
    }
    /// The next (token, events), after the doorbell.
    fn next(loop: Loop) ![2]u32 {
        var byte: [8]u8 = undefined;
        var pair: [2]u32 = undefined;
        for (0..100) |_| {
            const count = loops.fable_loop_take(loop.id, &pair, 1);
            try testing.expect(count >= 0);
            if (count == 1) return pair;
            if (!loop.rung()) return error.NeverRung;
            _ = host.fable_read(loop.bell, &byte, byte.len);
        }
        return error.RungForNothing;
    }
    fn expect(loop: Loop, token: u32, events: u32) !void {
        try testing.expectEqual([2]u32{ token, events }, try loop.next());
    }
};

fn poll(fd: i32, timeout_ms: i32) bool {
    var one = [1]linux.pollfd{.{ .fd = fd, .events = linux.POLL.IN, .revents = 0 }};
    var time: linux.timespec = .{ .sec = @divTrunc(timeout_ms, 1000), .nsec = @rem(timeout_ms, 1000) * 1_000_000 };
    return @as(isize, @bitCast(linux.ppoll(&one, 1, &time, null))) > 0;
}

fn pipe() ![2]i32 {
    var ends: [2]i32 = undefined;
    try testing.expectEqual(0, linux.pipe2(&ends, .{ .CLOEXEC = true, .NONBLOCK = true }));
    return ends;
}

test "pipes: data, space and the end" {
    const loop = try Loop.open();
    defer loop.close();
    const ends = try pipe();
    defer _ = linux.close(ends[0]);
    try loop.watch(ends[0], 1, 1);
    try loop.watch(ends[1], 2, 2);
    try loop.expect(2, 2);
    _ = host.fable_write(ends[1], "x", 1);
    try loop.expect(1, 1);
    var byte: [4]u8 = undefined;
    try testing.expectEqual(1, host.fable_read(ends[0], &byte, 4));
    try testing.expectEqual(status.EMPTY, host.fable_read(ends[0], &byte, 4));
    try testing.expectEqual(status.OK, loops.fable_loop_again(loop.id, ends[0], 3, 1));
    try testing.expectEqual(1, loops.fable_loop_forget(loop.id, ends[1]));
    _ = linux.close(ends[1]);
    try loop.expect(3, 1 | 4);
    try testing.expectEqual(0, host.fable_read(ends[0], &byte, 4));
}

test "one byte in the doorbell, however much is ready" {
    const loop = try Loop.open();
    defer loop.close();
    var all: [20][2]i32 = undefined;
    for (&all, 0..) |*ends, i| {
        ends.* = try pipe();
        try loop.watch(ends[0], @intCast(i), 1);
    }
    defer for (all) |ends| {
        _ = linux.close(ends[0]);
        _ = linux.close(ends[1]);
    };
    for (all) |ends| _ = host.fable_write(ends[1], "x", 1);
    try testing.expect(loop.rung());
    _ = poll(-1, 50); // the reactor works through the rest
    var bytes: [8]u8 = undefined;
    try testing.expectEqual(1, host.fable_read(loop.bell, &bytes, 8));
    var pairs: [64]u32 = undefined;
    try testing.expectEqual(20, loops.fable_loop_take(loop.id, &pairs, 32));
    try testing.expectEqual(0, loops.fable_loop_take(loop.id, &pairs, 32));
    try testing.expect(loop.quiet()); // nothing was re-armed, though every pipe is still readable
}

test "sockets hang up, a child's death is seen on its pidfd, regular files are ready" {
    const loop = try Loop.open();
    defer loop.close();
    var pair: [2]i32 = undefined;
    _ = host.fable_socketpair(5, &pair);
    defer _ = linux.close(pair[0]);
    try loop.watch(pair[0], 10, 1);
    _ = linux.close(pair[1]);
    try loop.expect(10, 1 | 4);

    const child: i32 = @intCast(linux.fork());
    if (child == 0) {
        const pause: linux.timespec = .{ .sec = 0, .nsec = 50_000_000 };
        _ = linux.nanosleep(&pause, null);
        linux.exit_group(0);
    }
    const pid_fd = process.fable_pid_open(@intCast(child));
    defer _ = linux.close(pid_fd);
    try loop.watch(pid_fd, 11, 1);
    const seen = try loop.next();
    try testing.expect(seen[0] == 11 and seen[1] & 1 != 0);
    try testing.expectEqual(1, process.fable_pid_dead(pid_fd));
    var code: u32 = 0;
    _ = linux.wait4(child, &code, 0, null);

    const file: i32 = @intCast(linux.open("/proc/self/exe", .{ .CLOEXEC = true }, 0));
    defer _ = linux.close(file);
    try loop.watch(file, 12, 1);
    try loop.expect(12, 1);
    try testing.expectEqual(status.OK, loops.fable_loop_again(loop.id, file, 13, 1));
    try loop.expect(13, 1);
}

test "a number forgotten, closed and re-used belongs to the new file only" {
    const loop = try Loop.open();
    defer loop.close();
    for (0..200) |round| {
        const ends = try pipe();
        try loop.watch(ends[0], @intCast(1000 + round), 1);
        _ = host.fable_write(ends[1], "x", 1); // ready in the very moment it is forgotten
        _ = loops.fable_loop_forget(loop.id, ends[0]);
        const other = try pipe();
        try testing.expectEqual(ends[0], @as(i32, @intCast(linux.dup3(other[0], ends[0], 0))));
        try loop.watch(ends[0], @intCast(5000 + round), 1);
        _ = host.fable_write(other[1], "y", 1);
        try loop.expect(@intCast(5000 + round), 1);
        _ = loops.fable_loop_forget(loop.id, ends[0]);
        for (ends ++ other) |fd| _ = linux.close(fd);
    }
}

test "loops of several threads watch the same descriptor" {
    const Worker = struct {
        fd: i32,
        failed: bool = true,
        fn run(worker: *@This()) void {
            const loop = Loop.open() catch return;
            defer loop.close();
            for (0..200) |round| {
                loop.watch(worker.fd, @intCast(round), 1) catch return;
                loop.expect(@intCast(round), 1) catch return;
            }
            worker.failed = false;
        }
    };
    const ends = try pipe();
    defer for (ends) |fd| {
        _ = linux.close(fd);
    };
    _ = host.fable_write(ends[1], "x", 1);
    var workers: [4]Worker = @splat(.{ .fd = ends[0] });
    var threads: [4]std.Thread = undefined;
    for (&threads, &workers) |*thread, *worker| thread.* = try std.Thread.spawn(.{}, Worker.run, .{worker});
    for (threads) |thread| thread.join();
    for (workers) |worker| try testing.expect(!worker.failed);
}

test "bad arguments, stale loops, and no descriptor kept" {
    const before = openDescriptors();
    const loop = try Loop.open();
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_new(null));
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_watch(loop.id, -1, 0, 1));
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_watch(loop.id, 0, 0, 4));
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_watch(loop.id, 0, 0, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_again(loop.id, 900, 0, 1));
    try testing.expectEqual(status.SYSTEM, loops.fable_loop_watch(loop.id, 900, 0, 1));
    try testing.expectEqual(@as(i32, @intFromEnum(linux.E.BADF)), status.lastErrno());
    try testing.expectEqual(status.BAD_ARGUMENT, loops.fable_loop_take(loop.id, null, 1));
    try testing.expectEqual(0, loops.fable_loop_forget(loop.id, -1));
    const ends = try pipe();
    try loop.watch(ends[0], 1, 1);
    const second = try Loop.open();
    try second.watch(ends[0], 1, 1); // a duplicate inside
    loop.close();
    second.close();
    for (ends) |fd| _ = linux.close(fd);
    try testing.expectEqual(status.BAD_HANDLE, loops.fable_loop_close(loop.id));
    try testing.expectEqual(status.BAD_HANDLE, loops.fable_loop_watch(0xffff_ffff, 0, 0, 1));
    try testing.expect(openDescriptors() <= before + 1); // the poller, if this test was first
}

test "a forked child is told so" {
    const loop = try Loop.open();
    defer loop.close();
    const child: i32 = @intCast(linux.fork());
    if (child == 0) {
        var pair: [2]u32 = undefined;
        linux.exit_group(if (loops.fable_loop_take(loop.id, &pair, 1) == status.FORKED) 7 else 1);
    }
    var code: u32 = 0;
    _ = linux.wait4(child, &code, 0, null);
    try testing.expectEqual(@as(u32, 7), code >> 8);
}

fn openDescriptors() u32 {
    var count: u32 = 0;
    for (0..1024) |fd| {
        if (linux.errno(linux.fcntl(@intCast(fd), linux.F.GETFD, 0)) == .SUCCESS) count += 1;
    }
    return count;
}
