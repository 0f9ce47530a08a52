//! The wait protocol between two threads: nobody sleeps through a message, a space, a close or a death; no doorbell rings unasked.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const status = @import("status.zig");
const call = @import("call.zig");
const abi = @import("channel.zig");
const waits = @import("wait.zig");
const socket = @import("../sys/socket.zig");
const clock = @import("../sys/clock.zig");
const Entry = @import("../core/wait.zig").Entry;
const t = @import("channel_test.zig");

const ms = std.time.ns_per_ms;

/// One end in a thread of its own; the other end hands its options over.
const End = struct {
    setup: t.Setup,
    role: u32,
    made: std.atomic.Value(u32) = .init(0),
    options: abi.ChannelOptions = undefined,
    peer: *End = undefined,
    failed: ?anyerror = null,

    fn open(e: *End) !u32 {
        e.options = try t.open(e.role, e.setup);
        e.made.store(1, .release);
        while (e.peer.made.load(.acquire) == 0) std.Thread.yield() catch {};
        try expectEqual(status.OK, t.attach(e.options, e.peer.options, e.setup.trust, -1));
        return e.options.handle;
    }
};

fn both(setup: t.Setup, comptime left: fn (u32) anyerror!void, comptime right: fn (u32) anyerror!void) !void {
    var a: End = .{ .setup = setup, .role = 1 };
    var b: End = .{ .setup = setup, .role = 2 };
    a.peer = &b;
    b.peer = &a;
    const Run = struct {
        fn run(e: *End, comptime body: fn (u32) anyerror!void) void {
            const handle = e.open() catch |err| {
                e.failed = err;
                return;
            };
            body(handle) catch |err| {
                e.failed = err;
            };
            _ = abi.fable_channel_close(handle);
        }
    };
    const thread = try std.Thread.spawn(.{}, Run.run, .{ &b, right });
    Run.run(&a, left);
    thread.join();
    if (a.failed) |err| return err;
    if (b.failed) |err| return err;
}

fn wait(handle: u32, want: u32, spin_ns: u32) !void {
    var entry = [_]Entry{.{ .handle = handle, .want = want, .ready = 0, .reserved = 0 }};
    const began = clock.nowNs();
    try expectEqual(@as(i32, 1), waits.fable_wait(&entry, 1, 5000, spin_ns, -1));
    // a wake-up that is lost would show as a slice of the futex or as the deadline
    try expect(clock.nowNs() - began < 4000 * ms);
}

fn sendAll(handle: u32, message: []const u8, spin_ns: u32) !void {
    while (true) {
        const answer = abi.fable_send(handle, message.ptr, @intCast(message.len));
        if (answer == status.OK) return;
        try expectEqual(status.ENOSPACE, answer);
        try wait(handle, 2, spin_ns);
    }
}

fn receiveOne(handle: u32, in: []u8, spin_ns: u32) !u32 {
    while (true) {
        const size = abi.fable_receive(handle, in.ptr, @intCast(in.len));
        if (size >= 0) return @intCast(size);
        try expectEqual(status.EMPTY, size);
        try wait(handle, 1, spin_ns);
    }
}

const kinds = [_]u32{ t.mempipe, t.mempipe_futex, t.unix };

test "ping-pong, always asleep" {
    const side = struct {
        fn ping(handle: u32) anyerror!void {
            var in: [64]u8 = undefined;
            for (0..1500) |i| {
                var out: [8]u8 = @bitCast(@as(u64, i));
                try sendAll(handle, &out, 0);
                try expectEqual(@as(u32, 8), try receiveOne(handle, &in, 0));
                try expectEqual(@as(u64, i + 1), @as(u64, @bitCast(in[0..8].*)));
            }
        }
        fn pong(handle: u32) anyerror!void {
            var in: [64]u8 = undefined;
            for (0..1500) |_| {
                _ = try receiveOne(handle, &in, 0);
                var out: [8]u8 = @bitCast(@as(u64, @bitCast(in[0..8].*)) + 1);
                try sendAll(handle, &out, 0);
            }
        }
    };
    for (kinds) |kind| try both(.{ .kind = kind }, side.ping, side.pong);
}

test "a stream through a tiny ring, both sides sleeping and pausing" {
    const count = 20_000;
    const side = struct {
        fn write(handle: u32) anyerror!void {
            var prng = std.Random.DefaultPrng.init(3);
            var out: [1500]u8 = undefined;
            for (0..count) |i| {
                const size = 4 + prng.random().uintLessThan(u32, if (i % 50 == 0) 1490 else 60);
                @memset(out[4..size], @truncate(i));
                @as(*align(1) u32, @ptrCast(&out)).* = @intCast(i);
                try sendAll(handle, out[0..size], 2000);
                if (i % 1000 == 0) pause();
            }
            try expectEqual(status.OK, abi.fable_close_write(handle));
            try wait(handle, 1, 0); // the reader closes
            try expectEqual(status.ENDED, abi.fable_refill(handle));
        }
        fn read(handle: u32) anyerror!void {
            var in: [1500]u8 = undefined;
            for (0..count) |i| {
                const size = try receiveOne(handle, &in, 2000);
                try expectEqual(@as(u32, @intCast(i)), @as(*align(1) u32, @ptrCast(&in)).*);
                for (in[4..size]) |byte| try expectEqual(@as(u8, @truncate(i)), byte);
                if (i % 1700 == 0) pause();
            }
            try wait(handle, 1, 0);
            try expectEqual(status.ENDED, abi.fable_refill(handle));
        }
        fn pause() void {
            const until = clock.nowNs() + ms / 2;
            while (clock.nowNs() < until) std.Thread.yield() catch {};
        }
    };
    for (kinds) |kind| try both(.{ .kind = kind, .ring_bytes = 4096 }, side.write, side.read);
    try both(.{ .ring_bytes = 4096, .trust = 2 }, side.write, side.read);
}

test "a close frees a peer that is blocked" {
    const side = struct {
        fn blockedReader(handle: u32) anyerror!void {
            try wait(handle, 1, 0);
            try expectEqual(status.ENDED, abi.fable_refill(handle));
        }
        fn blockedWriter(handle: u32) anyerror!void {
            const out: [512]u8 = @splat(1);
            while (true) {
                const answer = abi.fable_send(handle, &out, out.len);
                if (answer == status.ENOSPACE) {
                    try wait(handle, 2, 0);
                } else if (answer != status.OK) {
                    return expect(answer == status.ENDED or answer == status.PEER_DEAD);
                }
            }
        }
        fn closes(_: u32) anyerror!void {
            const until = clock.nowNs() + 20 * ms;
            while (clock.nowNs() < until) std.Thread.yield() catch {};
        }
    };
    for (kinds) |kind| {
        try both(.{ .kind = kind }, side.blockedReader, side.closes);
        try both(.{ .kind = kind }, side.blockedWriter, side.closes);
    }
}

test "a killed peer is noticed by whoever sleeps, in every way of waiting" {
    for (kinds) |kind| {
        const mine = try t.open(1, .{ .kind = kind });
        const theirs = try t.open(2, .{ .kind = kind });
        const pid: isize = @bitCast(linux.fork());
        if (pid == 0) {
            while (true) _ = linux.pause();
        }
        const pid_fd: i32 = @intCast(linux.pidfd_open(@intCast(pid), 0));
        try expectEqual(status.OK, t.attach(mine, theirs, 1, pid_fd));
        defer _ = abi.fable_channel_close(mine.handle);
        // what the child would hold: our copies of the peer's descriptors stay open, so only the pidfd can tell
        defer _ = abi.fable_channel_close(theirs.handle);
        defer inline for (.{ mine.control_fd, mine.ring_fd }) |fd| socket.close(fd);
        const killer = try std.Thread.spawn(.{}, struct {
            fn run(victim: i32) void {
                const until = clock.nowNs() + 10 * ms;
                while (clock.nowNs() < until) std.Thread.yield() catch {};
                _ = linux.kill(victim, .KILL);
                var code: u32 = 0;
                _ = linux.waitpid(victim, &code, 0);
            }
        }.run, .{@as(i32, @intCast(pid))});
        const began = clock.nowNs();
        var entry = [_]Entry{.{ .handle = mine.handle, .want = 1, .ready = 0, .reserved = 0 }};
        try expectEqual(@as(i32, 1), waits.fable_wait(&entry, 1, 5000, 0, -1));
        try expect(clock.nowNs() - began < 110 * ms);
        try expectEqual(status.PEER_DEAD, abi.fable_refill(mine.handle));
        killer.join();
    }
}

test "announced, rung once, and not without being asked" {
    const a = try t.open(1, .{});
    const b = try t.open(2, .{});
    try expectEqual(status.OK, t.attach(b, a, 1, -1));
    try expectEqual(status.OK, t.attach(a, b, 1, -1));
    defer _ = abi.fable_channel_close(a.handle);
    defer _ = abi.fable_channel_close(b.handle);
    var byte: [8]u8 = undefined;
    const doorbell = abi.fable_channel_doorbell(b.handle);
    // awake: no ring
    try expectEqual(status.OK, abi.fable_send(a.handle, "1", 1));
    try expectEqual(socket.again, socket.receive(doorbell, &byte, 8));
    var entry = [_]Entry{.{ .handle = b.handle, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(@as(i32, 1), waits.fable_poll(&entry, 1, 0, 1));
    try expectEqual(@as(u32, 1), entry[0].ready);
    var in: [8]u8 = undefined;
    try expectEqual(@as(i32, 1), abi.fable_receive(b.handle, &in, 8));
    // asleep: one byte, however many messages
    try expectEqual(@as(i32, 0), waits.fable_poll(&entry, 1, 0, 1));
    try expectEqual(@as(u32, 1), call.blocks[b.handle & 4095][7]);
    for (0..5) |_| try expectEqual(status.OK, abi.fable_send(a.handle, "2", 1));
    try expectEqual(@as(isize, 1), socket.receive(doorbell, &byte, 8));
    try expectEqual(@as(i32, 1), waits.fable_poll(&entry, 1, 0, 1));
    // a doorbell that nobody asked for, once too often
    for (0..4) |_| socket.ring(abi.fable_channel_doorbell(a.handle));
    for (0..5) |_| try expectEqual(@as(i32, 1), abi.fable_receive(b.handle, &in, 8));
    try expectEqual(@as(i32, 1), waits.fable_wait(&entry, 1, 1000, 0, -1));
    try expectEqual(status.PEER_FAULT, abi.fable_refill(b.handle));
    try expectEqual(@as(u32, 5), call.blocks[b.handle & 4095][5]);
}

test "who waits for room announces it, also while it is the kernel that has none" {
    const control = @import("../layout/control.zig");
    const a = try t.open(1, .{ .kind = t.unix, .ring_bytes = 1 << 20 });
    const b = try t.open(2, .{ .kind = t.unix, .ring_bytes = 1 << 20 });
    try expectEqual(status.OK, t.attach(b, a, 1, -1));
    try expectEqual(status.OK, t.attach(a, b, 1, -1));
    defer _ = abi.fable_channel_close(a.handle);
    defer _ = abi.fable_channel_close(b.handle);
    const message: [4096]u8 = @splat(0);
    while (abi.fable_send(a.handle, &message, message.len) == status.OK) {}
    const c = t.channelOf(a.handle);
    try expect(c.pending());
    // the last look before the sleep may move everything into the kernel, which then has nothing more to tell
    _ = c.announce(control.sleep_space, true, false);
    try expect(c.bell.own.sleep_word & control.sleep_space != 0);
    c.bell.awake();
}

test "an initiator takes another doorbell than its own" {
    const a = try t.open(1, .{});
    const b = try t.open(2, .{});
    var ends: [2]i32 = undefined;
    try expect(socket.pair(&ends) >= 0);
    socket.close(a.peer_doorbell_fd);
    var given = a;
    given.peer_doorbell_fd = ends[0];
    try expectEqual(status.OK, t.attach(b, given, 1, -1));
    var answer = b;
    // nothing that could block
    const pipe = [_]i32{ @intCast(std.os.linux.memfd_create("no-socket", 0)), @intCast(std.os.linux.dup(b.control_fd)), @intCast(std.os.linux.dup(b.ring_fd)) };
    answer.peer_doorbell_fd = pipe[0];
    try expectEqual(status.BAD_REGION, t.attach(a, answer, 1, -1));
    answer.control_fd = pipe[1];
    answer.ring_fd = pipe[2];
    answer.peer_doorbell_fd = ends[1];
    const own = abi.fable_channel_doorbell(a.handle);
    try expectEqual(status.OK, t.attach(a, answer, 1, -1));
    defer _ = abi.fable_channel_close(b.handle);
    try expectEqual(ends[1], abi.fable_channel_doorbell(a.handle));
    try expect(own != ends[1] and !socket.isStream(own)); // its own is closed
    var entry = [_]Entry{.{ .handle = b.handle, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(@as(i32, 0), waits.fable_poll(&entry, 1, 0, 1));
    try expectEqual(status.OK, abi.fable_send(a.handle, "1", 1));
    var byte: [8]u8 = undefined;
    try expectEqual(@as(isize, 1), socket.receive(ends[0], &byte, 8));
    _ = abi.fable_channel_close(a.handle);
    try expectEqual(@as(isize, 0), socket.receive(ends[0], &byte, 8));
}

test "descriptors, the waker, deadlines and bad entries" {
    var ends: [2]i32 = undefined;
    _ = socket.pair(&ends);
    defer for (ends) |fd| socket.close(fd);
    const a = try t.open(1, .{});
    const b = try t.open(2, .{});
    try expectEqual(status.OK, t.attach(b, a, 1, -1));
    try expectEqual(status.OK, t.attach(a, b, 1, -1));
    defer _ = abi.fable_channel_close(a.handle);
    defer _ = abi.fable_channel_close(b.handle);
    var set = [_]Entry{
        .{ .handle = b.handle, .want = 1, .ready = 0, .reserved = 0 },
        .{ .handle = @bitCast(ends[0]), .want = 1 | 0x8000_0000, .ready = 0, .reserved = 0 },
    };
    try expectEqual(status.TIMEOUT, waits.fable_wait(&set, 2, 5, 0, -1));
    socket.ring(ends[1]);
    try expectEqual(@as(i32, 1), waits.fable_wait(&set, 2, 1000, 0, -1));
    try expect(set[0].ready == 0 and set[1].ready == 1);
    try expectEqual(@as(i32, 1), waits.fable_poll(&set, 2, 0, 0));
    try expectEqual(@as(i32, 0), waits.fable_wait(set[0..1], 1, 1000, 0, ends[0]));
    try expectEqual(status.OK, abi.fable_send(a.handle, "x", 1));
    try expectEqual(@as(i32, 2), waits.fable_wait(&set, 2, 1000, 0, -1));
    set[0].handle = 12345;
    try expectEqual(@as(i32, 1), waits.fable_wait(&set, 1, 1000, 0, -1));
    set[0].want = 0;
    try expectEqual(status.BAD_ARGUMENT, waits.fable_wait(&set, 1, 1000, 0, -1));
    try expectEqual(status.BAD_ARGUMENT, waits.fable_wait(null, 1, 0, 0, -1));
    try expectEqual(status.TIMEOUT, waits.fable_wait(null, 0, 1, 0, -1));
}

test "many channels in one wait" {
    const count = 100;
    var pairs: [count][2]abi.ChannelOptions = undefined;
    var entries: [count]Entry = undefined;
    for (&pairs, &entries) |*pair, *entry| {
        pair.* = .{ try t.open(1, .{}), try t.open(2, .{}) };
        try expectEqual(status.OK, t.attach(pair[1], pair[0], 1, -1));
        try expectEqual(status.OK, t.attach(pair[0], pair[1], 1, -1));
        entry.* = .{ .handle = pair[1].handle, .want = 1, .ready = 0, .reserved = 0 };
    }
    try expectEqual(status.TIMEOUT, waits.fable_wait(&entries, count, 2, 0, -1));
    for ([_]usize{ 0, 63, 64, 99 }) |i| {
        try expectEqual(status.OK, abi.fable_send(pairs[i][0].handle, "x", 1));
        try expectEqual(@as(i32, 1), waits.fable_wait(&entries, count, 1000, 0, -1));
        for (entries, 0..) |entry, k| try expectEqual(k == i, entry.ready != 0);
        var in: [4]u8 = undefined;
        try expectEqual(@as(i32, 1), abi.fable_receive(pairs[i][1].handle, &in, 4));
    }
    for (pairs) |pair| {
        _ = abi.fable_channel_close(pair[0].handle);
        _ = abi.fable_channel_close(pair[1].handle);
    }
}

test "who is to spin sleeps in the end" {
    const a = try t.open(1, .{ .kind = t.mempipe_spin });
    const b = try t.open(2, .{ .kind = t.mempipe_spin });
    try expectEqual(status.OK, t.attach(a, b, 1, -1));
    try expectEqual(status.OK, t.attach(b, a, 1, -1));
    defer _ = abi.fable_channel_close(a.handle);
    defer _ = abi.fable_channel_close(b.handle);
    var figures: abi.Stats = undefined;
    var entry = [1]Entry{.{ .handle = a.handle, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(status.TIMEOUT, waits.fable_wait(&entry, 1, 20, 0, -1));
    _ = abi.fable_channel_stats(a.handle, &figures);
    try expectEqual(@as(u64, 0), figures.sleeps);
    try expectEqual(status.TIMEOUT, waits.fable_wait(&entry, 1, 150, 0, -1));
    _ = abi.fable_channel_stats(a.handle, &figures);
    try expect(figures.sleeps > 0);
}

test "one peer's death is not taken for another's" {
    // dies by both signs at once: its doorbell hangs up, and its process is gone
    const mortal = try t.open(1, .{});
    const gone = try t.open(2, .{});
    const pid: isize = @bitCast(linux.fork());
    if (pid == 0) {
        while (true) _ = linux.pause();
    }
    try expectEqual(status.OK, t.attach(mortal, gone, 1, @intCast(linux.pidfd_open(@intCast(pid), 0))));
    defer _ = abi.fable_channel_close(mortal.handle);
    defer _ = abi.fable_channel_close(gone.handle);
    for ([_]i32{ mortal.control_fd, mortal.ring_fd, mortal.peer_doorbell_fd }) |fd| socket.close(fd);
    _ = linux.kill(@intCast(pid), .KILL);
    var code: u32 = 0;
    _ = linux.waitpid(@intCast(pid), &code, 0);
    // lives, and rings
    const other = try t.open(1, .{});
    const alive = try t.open(2, .{});
    try expectEqual(status.OK, t.attach(alive, other, 1, -1));
    try expectEqual(status.OK, t.attach(other, alive, 1, @intCast(linux.pidfd_open(linux.getpid(), 0))));
    defer _ = abi.fable_channel_close(other.handle);
    defer _ = abi.fable_channel_close(alive.handle);
    socket.ring(abi.fable_channel_doorbell(alive.handle));

    var entries = [_]Entry{
        .{ .handle = mortal.handle, .want = 1, .ready = 0, .reserved = 0 },
        .{ .handle = other.handle, .want = 1, .ready = 0, .reserved = 0 },
    };
    try expectEqual(@as(i32, 1), waits.fable_wait(&entries, 2, 1000, 0, -1));
    try expectEqual(status.PEER_DEAD, abi.fable_refill(mortal.handle));
    try expectEqual(status.EMPTY, abi.fable_refill(other.handle));
}
