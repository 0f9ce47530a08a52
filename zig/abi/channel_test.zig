//! Channels through the C ABI, both ends in this process: what arrives, and what misuse gets. How channels end is in endings_test.zig.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const status = @import("status.zig");
const call = @import("call.zig");
const abi = @import("channel.zig");
const waits = @import("wait.zig");
const record = @import("../layout/record.zig");
const socket = @import("../sys/socket.zig");
const Entry = @import("../core/wait.zig").Entry;

pub const mempipe = 1;
pub const mempipe_spin = 2;
pub const mempipe_futex = 3;
pub const unix = 4;
const trusted = 1;
const untrusted = 2;

pub const Setup = struct {
    kind: u32 = mempipe,
    trust: u32 = trusted,
    ring_bytes: u32 = 4096,
    max_message: u32 = 1 << 20,
    flags: u32 = 0,
};

pub fn open(role: u32, setup: Setup) !abi.ChannelOptions {
    var options = std.mem.zeroes(abi.ChannelOptions);
    options.size_bytes = @sizeOf(abi.ChannelOptions);
    options.role = role;
    options.transport = setup.kind;
    options.trust = setup.trust;
    options.ring_bytes = setup.ring_bytes;
    options.max_message_bytes = setup.max_message;
    options.flags = setup.flags;
    try expectEqual(status.OK, abi.fable_channel_new(&options));
    return options;
}

/// `mine` takes in what `theirs` made (those descriptors are gone afterwards).
pub fn attach(mine: abi.ChannelOptions, theirs: abi.ChannelOptions, trust: u32, pid_fd: i32) i32 {
    var peer: abi.Peer = .{
        .size_bytes = @sizeOf(abi.Peer),
        .handle = mine.handle,
        .trust = trust,
        .control_fd = theirs.control_fd,
        .ring_fd = theirs.ring_fd,
        .doorbell_fd = theirs.peer_doorbell_fd,
        .data_fd = theirs.peer_data_fd,
        .pid_fd = pid_fd,
        .peer_max_message_bytes = 0,
        .peer_ring_bytes = 0,
        .link_fd = theirs.peer_link_fd,
        .reserved = .{0},
    };
    return abi.fable_channel_attach(&peer);
}

pub const Pair = struct {
    a: u32,
    b: u32,
    setup: Setup,

    pub fn init(setup: Setup) !Pair {
        const a = try open(1, setup);
        const b = try open(2, setup);
        try expectEqual(status.OK, attach(b, a, setup.trust, -1));
        try expectEqual(status.OK, attach(a, b, setup.trust, -1));
        return .{ .a = a.handle, .b = b.handle, .setup = setup };
    }

    pub fn deinit(p: Pair) void {
        _ = abi.fable_channel_close(p.a);
        _ = abi.fable_channel_close(p.b);
    }
};

pub fn send(handle: u32, text: []const u8) i32 {
    return abi.fable_send(handle, text.ptr, @intCast(text.len));
}

pub fn block(handle: u32, word: u32) u32 {
    return call.blocks[handle & 4095][word];
}

pub fn channelOf(handle: u32) *call.Channel {
    return &call.channels.items[handle & 4095];
}

fn fill(bytes: []u8, seed: u32) void {
    for (bytes, 0..) |*byte, i| byte.* = @truncate(seed *% 31 +% i);
}

pub const every = [_]Setup{
    .{},
    .{ .trust = untrusted },
    .{ .kind = unix },
    .{ .kind = mempipe_futex, .ring_bytes = 8192 },
    .{ .kind = unix, .ring_bytes = 65536 },
    .{ .ring_bytes = 65536, .trust = untrusted },
};

test "messages of any size arrive once, in order, intact, in both directions" {
    const out = try std.testing.allocator.alloc(u8, 20_000);
    defer std.testing.allocator.free(out);
    const in = try std.testing.allocator.alloc(u8, 20_000);
    defer std.testing.allocator.free(in);
    for (every, 0..) |setup, seed| {
        const pair = try Pair.init(setup);
        defer pair.deinit();
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        for ([2][2]u32{ .{ pair.a, pair.b }, .{ pair.b, pair.a } }) |way| {
            var sizes: [3000]u32 = undefined;
            for (&sizes) |*size| size.* = switch (random.uintLessThan(u32, 20)) {
                0 => random.uintAtMost(u32, 20_000),
                1...4 => random.uintAtMost(u32, 1200),
                else => random.uintAtMost(u32, 80),
            };
            var sent: u32 = 0;
            var got: u32 = 0;
            var stuck: u32 = 0;
            while (got < sizes.len) {
                var progress = false;
                for (0..random.uintLessThan(u32, 30)) |_| {
                    if (sent == sizes.len) break;
                    fill(out[0..sizes[sent]], sent);
                    const answer = send(way[0], out[0..sizes[sent]]);
                    if (answer == status.ENOSPACE) break;
                    try expectEqual(status.OK, answer);
                    sent += 1;
                    progress = true;
                }
                for (0..random.uintLessThan(u32, 30)) |_| {
                    const size = abi.fable_receive(way[1], in.ptr, 20_000);
                    _ = abi.fable_pump(way[0]);
                    if (size == status.EMPTY) break;
                    try expectEqual(@as(i32, @intCast(sizes[got])), size);
                    fill(out[0..sizes[got]], got);
                    try expect(std.mem.eql(u8, out[0..sizes[got]], in[0..sizes[got]]));
                    got += 1;
                    progress = true;
                }
                stuck = if (progress) 0 else stuck + 1;
                try expect(stuck < 10_000);
            }
            try expectEqual(status.EMPTY, abi.fable_receive(way[1], in.ptr, 20_000));
            var stats: abi.Stats = undefined;
            try expectEqual(status.OK, abi.fable_channel_stats(way[0], &stats));
            try expectEqual(@as(u64, sizes.len), stats.messages_sent);
            try expectEqual(status.OK, abi.fable_channel_stats(way[1], &stats));
            try expectEqual(@as(u64, sizes.len), stats.messages_delivered);
        }
    }
}

test "windows: lent records stay, are given back in order, and never cross the end of the arena" {
    for (every) |setup| {
        const pair = try Pair.init(setup);
        defer pair.deinit();
        var size: u32 = 0;
        const arena: [*]const u8 = @ptrCast(abi.fable_channel_arena(pair.b, 1, &size).?);
        try expectEqual(setup.ring_bytes, size);
        var sent: u32 = 0;
        var seen: u32 = 0;
        var owed: u32 = 0;
        var text: [300]u8 = undefined;
        var held: [16]struct { at: u32, size: u32, tag: u32 } = undefined;
        var holding: usize = 0;
        for (0..3000) |round| {
            const length: u32 = @intCast(round * 7 % 300);
            fill(text[0..length], sent);
            if (send(pair.a, text[0..length]) == status.OK) sent += 1;
            _ = abi.fable_pump(pair.a);
            if (round % 5 != 0) continue;
            const got = abi.fable_refill(pair.b);
            if (got > 0) {
                var at = block(pair.b, 0);
                const limit = block(pair.b, 1);
                try expectEqual(@as(u32, @intCast(got)), limit - at);
                try expect(limit <= size);
                owed += limit - at;
                while (at < limit) {
                    const h: record.Header = @bitCast(@as(*align(8) const u64, @ptrCast(@alignCast(arena + at))).*);
                    if (h.kind == .message) {
                        if (holding < held.len) {
                            held[holding] = .{ .at = at + 8, .size = h.size, .tag = seen };
                            holding += 1;
                        }
                        seen += 1;
                    } else try expectEqual(record.Kind.pad, h.kind);
                    at += h.bytes();
                }
            } else try expectEqual(status.EMPTY, got);
            if (round % 15 != 0) continue;
            for (held[0..holding]) |one| {
                fill(text[0..one.size], one.tag);
                try expect(std.mem.eql(u8, text[0..one.size], arena[one.at..][0..one.size]));
            }
            holding = 0;
            try expectEqual(status.BAD_ARGUMENT, abi.fable_consume(pair.b, owed + 8, 0, 0));
            try expectEqual(status.OK, abi.fable_consume(pair.b, owed, 0, 0));
            owed = 0;
        }
        try expect(seen > 1000 and seen <= sent);
    }
}

test "a batch laid out by the caller" {
    for ([_]u32{ mempipe, unix }) |kind| {
        const pair = try Pair.init(.{ .kind = kind });
        defer pair.deinit();
        var size: u32 = 0;
        const arena: [*]align(4096) u8 = @ptrCast(@alignCast(abi.fable_channel_arena(pair.a, 0, &size).?));
        try expectEqual(@as(i32, 4096 - 64), abi.fable_space(pair.a));
        var position: u32 = 0;
        var sent: u32 = 0;
        while (sent < 500) {
            // three records of 100 bytes, a PAD where the next would cross the end
            var first: record.Header = undefined;
            var bytes: u32 = 0;
            for (0..3) |_| {
                const at = (position + bytes) % size;
                if (at + 112 > size) {
                    const pad = record.Header.of(.pad, 0, size - at);
                    if (bytes == 0) first = pad else @as(*u64, @ptrCast(@alignCast(arena + at))).* = @bitCast(pad);
                    bytes += pad.bytes();
                }
                const to = (position + bytes) % size;
                const h = record.Header.of(.message, 100, 112);
                if (bytes == 0) first = h else @as(*u64, @ptrCast(@alignCast(arena + to))).* = @bitCast(h);
                fill(arena[to + 8 ..][0..100], sent);
                sent += 1;
                bytes += 112;
            }
            try expectEqual(status.OK, abi.fable_publish(pair.a, bytes, first.word0(), first.word1(), 3, 300));
            position += bytes;
            var in: [100]u8 = undefined;
            var expected: [100]u8 = undefined;
            for (sent - 3..sent) |tag| {
                try expectEqual(@as(i32, 100), abi.fable_receive(pair.b, &in, 100));
                fill(&expected, @intCast(tag));
                try expectEqual(expected, in);
            }
            _ = abi.fable_space(pair.a);
        }
        const h = record.Header.of(.message, 8, 16);
        try expectEqual(status.BAD_ARGUMENT, abi.fable_publish(pair.a, 12, h.word0(), h.word1(), 1, 8));
        try expectEqual(status.BAD_ARGUMENT, abi.fable_publish(pair.a, 8, h.word0(), h.word1(), 1, 8));
        try expectEqual(status.BAD_ARGUMENT, abi.fable_publish(pair.a, 16, 0, 0, 1, 8));
        try expectEqual(status.BAD_ARGUMENT, abi.fable_publish(pair.a, 8192, h.word0(), h.word1(), 1, 8));
    }
}

test "a full socket: writable means progress, also after the half-close" {
    const pair = try Pair.init(.{ .kind = unix, .ring_bytes = 1 << 20 });
    defer pair.deinit();
    const text: [4000]u8 = @splat(5);
    var sent: u32 = 0;
    while (send(pair.a, &text) == status.OK) sent += 1;
    try expectEqual(status.OK, abi.fable_close_write(pair.a));
    try expect(abi.fable_pump(pair.a) > 0);
    var entry = [_]Entry{.{ .handle = pair.a, .want = 2, .ready = 0, .reserved = 0 }};
    try expectEqual(@as(i32, 0), waits.fable_poll(&entry, 1, 0, 0));
    var in: [4000]u8 = undefined;
    var got: u32 = 0;
    var woken: u32 = 0;
    while (true) {
        const size = abi.fable_receive(pair.b, &in, 4000);
        if (size == status.ENDED) break;
        if (size == 4000) got += 1 else try expectEqual(status.EMPTY, size);
        if (waits.fable_poll(&entry, 1, 0, 0) == 1 and abi.fable_pump(pair.a) > 0) woken += 1;
    }
    try expectEqual(sent, got);
    try expect(woken < sent);
}

test "a receiver's buffer that is too small keeps the message" {
    for ([_]u32{ mempipe, unix }) |kind| {
        const pair = try Pair.init(.{ .kind = kind, .max_message = 3000 });
        defer pair.deinit();
        var text: [3001]u8 = undefined;
        fill(&text, 1);
        try expectEqual(status.TOO_LARGE, send(pair.a, &text));
        try expectEqual(status.OK, send(pair.a, text[0..500]));
        try expectEqual(status.OK, send(pair.a, text[0..2500]));
        var in: [3000]u8 = undefined;
        for ([_]u32{ 500, 2500 }) |size| {
            try expectEqual(status.TOO_LARGE, abi.fable_receive(pair.b, &in, 100));
            try expectEqual(size, block(pair.b, 5));
            try expectEqual(@as(i32, @intCast(size)), abi.fable_receive(pair.b, &in, 3000));
            try expect(std.mem.eql(u8, text[0..size], in[0..size]));
        }
        try expectEqual(status.OK, send(pair.a, ""));
        try expectEqual(@as(i32, 0), abi.fable_receive(pair.b, null, 0));
        try expectEqual(status.EMPTY, abi.fable_receive(pair.b, &in, 3000));
    }
}

test "a handle belongs to its thread, to its process, and to one channel" {
    const pair = try Pair.init(.{});
    var answer: i32 = 0;
    const other = try std.Thread.spawn(.{}, struct {
        fn run(handle: u32, out: *i32) void {
            out.* = abi.fable_refill(handle);
        }
    }.run, .{ pair.a, &answer });
    other.join();
    try expectEqual(status.WRONG_THREAD, answer);
    const pid: isize = @bitCast(linux.fork());
    if (pid == 0) linux.exit(if (abi.fable_refill(pair.a) == status.FORKED and call.fable_init() == status.FORKED) 7 else 1);
    var code: u32 = 0;
    _ = linux.waitpid(@intCast(pid), &code, 0);
    try expectEqual(@as(u32, 7), code >> 8);
    pair.deinit();
    try expectEqual(status.BAD_HANDLE, abi.fable_refill(pair.a));
    try expectEqual(status.BAD_HANDLE, abi.fable_channel_close(pair.a));
    try expectEqual(status.BAD_HANDLE, abi.fable_refill(0));
    try expectEqual(status.BAD_HANDLE, abi.fable_refill(0xffff_ffff));
    try expectEqual(status.BAD_ARGUMENT, abi.fable_channel_new(null));
}

test "opening and closing leaks no descriptor" {
    const before = countDescriptors();
    for (0..50) |i| {
        const pair = try Pair.init(every[i % every.len]);
        _ = send(pair.a, "x");
        pair.deinit();
    }
    try expectEqual(before, countDescriptors());
}

fn countDescriptors() u32 {
    var count: u32 = 0;
    var fd: i32 = 0;
    while (fd < 1024) : (fd += 1) {
        if (linux.errno(linux.fcntl(fd, linux.F.GETFD, 0)) == .SUCCESS) count += 1;
    }
    return count;
}

test "a short whole message is taken without a window, and nothing else is" {
    for (every) |setup| {
        const pair = try Pair.init(setup);
        defer pair.deinit();
        var in: [300]u8 = undefined;
        const simple = setup.kind != unix and setup.trust == trusted;
        if (setup.kind != unix) try expectEqual(status.EMPTY, abi.fable_take(pair.b, &in, in.len));
        for (0..500) |i| {
            var text: [40]u8 = undefined;
            fill(&text, @intCast(i));
            try expectEqual(status.OK, send(pair.a, &text));
            try expectEqual(@as(i32, if (simple) 40 else status.TOO_LARGE), abi.fable_take(pair.b, &in, in.len));
            if (!simple) try expectEqual(@as(i32, 40), abi.fable_receive(pair.b, &in, in.len));
            try expect(std.mem.eql(u8, &text, in[0..40]));
        }
        // no room for it, longer than short, in fragments: it stays, for the other forms
        var long: [3000]u8 = @splat(7);
        for ([_]u32{ 40, 257, 2000 }) |size| {
            try expectEqual(status.OK, send(pair.a, long[0..size]));
            try expectEqual(status.TOO_LARGE, abi.fable_take(pair.b, &in, 39));
            try expectEqual(@as(i32, @intCast(size)), abi.fable_receive(pair.b, &long, long.len));
        }
        // what a window handed out is not taken again
        try expectEqual(status.OK, send(pair.a, "first"));
        try expect(abi.fable_refill(pair.b) > 0);
        try expectEqual(status.OK, send(pair.a, "second"));
        try expectEqual(status.TOO_LARGE, abi.fable_take(pair.b, &in, in.len));
    }
}
