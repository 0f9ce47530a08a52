//! Reconfiguration through the C ABI, both ends in this process: live channels walk through the transports, and nothing is lost, repeated,
//! reordered or torn; orders that cross, are refused, are taken back; paths that break.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const status = @import("status.zig");
const abi = @import("channel.zig");
const epochs = @import("epochs.zig");
const t = @import("channel_test.zig");
const Block = @import("../core/channel.zig").Block;
const Pair = t.Pair;

const every = [_]u32{ 1, 2, 3, 4, 5, 6, 7, 8, 9 };
const max_size = 9000;

/// Numbered messages of random sizes in both directions, each checked.
const Load = struct {
    pair: Pair,
    random: std.Random,
    sent: [2]u32 = .{ 0, 0 },
    got: [2]u32 = .{ 0, 0 },
    /// After ENOSPACE the same message is offered again.
    size: [2]?u32 = .{ null, null },

    fn end(load: *Load, which: usize) u32 {
        return if (which == 0) load.pair.a else load.pair.b;
    }

    fn fill(bytes: []u8, number: u32, way: usize) void {
        for (bytes, 0..) |*byte, i| byte.* = @truncate(number *% 31 +% i +% way);
    }

    fn write(load: *Load, way: usize, count: u32) !void {
        var out: [max_size]u8 = undefined;
        for (0..count) |_| {
            const size = load.size[way] orelse switch (load.random.uintLessThan(u32, 8)) {
                0 => load.random.uintLessThan(u32, max_size),
                1, 2 => load.random.uintLessThan(u32, 1500),
                else => load.random.uintLessThan(u32, 100),
            };
            load.size[way] = size;
            fill(out[0..size], load.sent[way], way);
            const answer = abi.fable_send(load.end(way), &out, size);
            if (answer == status.ENOSPACE) return;
            try expectEqual(status.OK, answer);
            load.size[way] = null;
            load.sent[way] += 1;
        }
    }

    fn read(load: *Load, way: usize, count: u32) !void {
        var in: [max_size]u8 = undefined;
        var right: [max_size]u8 = undefined;
        for (0..count) |_| {
            const size = abi.fable_receive(load.end(1 - way), &in, max_size);
            if (size == status.EMPTY) return;
            if (size < 0) {
                std.debug.print("way {d} message {d}: {d}, detail {d}\n", .{ way, load.got[way], size, t.block(load.end(1 - way), Block.detail) });
                return error.Ended;
            }
            const got: usize = @intCast(size);
            fill(right[0..got], load.got[way], way);
            try expect(std.mem.eql(u8, right[0..got], in[0..got]));
            load.got[way] += 1;
        }
    }

    fn step(load: *Load) !void {
        const way = load.random.uintLessThan(usize, 2);
        const count = load.random.uintLessThan(u32, 12);
        if (load.random.boolean()) try load.write(way, count) else try load.read(way, count);
    }

    /// Everything that is under way arrives.
    fn finish(load: *Load) !void {
        for (0..200_000) |_| {
            for (0..2) |way| {
                if (load.size[way] != null) try load.write(way, 1);
                _ = abi.fable_pump(load.end(way));
                _ = epochs.fable_attend(load.end(way));
                try load.read(way, 100);
            }
            if (load.got[0] == load.sent[0] and load.got[1] == load.sent[1] and load.size[0] == null and load.size[1] == null) return;
        }
        return error.Stuck;
    }
};

fn trustOf(setup: t.Setup) u32 {
    return setup.trust;
}

test "a channel in use moves between any two transports, and nothing is lost, repeated, reordered or torn" {
    for ([_]t.Setup{ .{}, .{ .trust = 2, .ring_bytes = 16384 }, .{ .kind = t.unix, .ring_bytes = 65536 } }, 1..) |setup, seed| {
        var prng = std.Random.DefaultPrng.init(seed);
        const pair = try Pair.init(setup);
        defer pair.deinit();
        var load: Load = .{ .pair = pair, .random = prng.random() };
        var ordered: u32 = 0;
        for (0..60_000) |_| {
            try load.step();
            if (prng.random().uintLessThan(u32, 40) != 0) continue;
            const kind = every[prng.random().uintLessThan(usize, every.len)];
            const end = load.end(prng.random().uintLessThan(usize, 2));
            const sizes = [_]u32{ 0, 4096, 65536, 8192 };
            const size = sizes[prng.random().uintLessThan(usize, sizes.len)];
            const answer = if (prng.random().boolean()) epochs.fable_switch(end, kind, size, 1) else epochs.fable_ask(end, kind, size, 2);
            if (kind == 8 and setup.trust == 2) {
                try expectEqual(status.UNSUPPORTED, answer);
            } else try expect(answer == status.OK or answer == status.EMPTY or answer == status.ENOSPACE);
            ordered += 1;
        }
        try load.finish();
        for (0..20) |_| try load.finish(); // and orders that were under way
        const moved = t.block(pair.a, Block.write_epoch) + t.block(pair.b, Block.write_epoch);
        try expect(ordered > 1000 and moved > ordered / 4);
        try expectEqual(t.block(pair.a, Block.write_epoch), t.block(pair.b, Block.read_epoch));
        try expectEqual(t.block(pair.b, Block.write_transport), t.block(pair.a, Block.read_transport));
    }
}

test "a path that breaks is replaced, and its undelivered rest is not lost" {
    for (4..9) |kind| {
        var prng = std.Random.DefaultPrng.init(kind);
        const pair = try Pair.init(.{ .ring_bytes = 65536 });
        defer pair.deinit();
        var load: Load = .{ .pair = pair, .random = prng.random() };
        var broken: u32 = 0;
        for (0..40) |_| {
            _ = epochs.fable_switch(pair.a, @intCast(kind), 0, 1);
            _ = epochs.fable_switch(pair.b, @intCast(kind), 0, 1);
            for (0..100) |_| try load.step();
            // a descriptor that somebody shuts down, at either side
            const channel = t.channelOf(load.end(prng.random().uintLessThan(usize, 2)));
            switch (channel.out.transport) {
                .ring, .heap => {},
                .stream => |*path| {
                    broken += 1;
                    if (kind <= 6) _ = linux.shutdown(path.fd, @intCast(prng.random().uintLessThan(u32, 3))) else {
                        _ = linux.close(path.fd);
                        path.fd = @intCast(linux.openat(linux.AT.FDCWD, "/dev/full", .{ .ACCMODE = .WRONLY, .CLOEXEC = true }, 0));
                    }
                },
            }
            for (0..100) |_| try load.step();
        }
        try expect(broken > 10);
        try load.finish();
    }
}

test "what the old path still has goes on while only the new one is written" {
    const pair = try Pair.init(.{ .kind = t.unix, .ring_bytes = 1 << 20 });
    defer pair.deinit();
    const text: [4000]u8 = @splat('x');
    while (t.send(pair.a, &text) == status.OK) {} // more than the socket takes
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 1, 4096, 1));
    _ = epochs.fable_attend(pair.b);
    _ = epochs.fable_attend(pair.a);
    try expectEqual(@as(u32, 1), t.block(pair.a, Block.write_epoch));
    var in: [4000]u8 = undefined;
    for (0..1000) |_| {
        while (abi.fable_receive(pair.b, &in, 4000) >= 0) {}
        if (t.block(pair.b, Block.read_epoch) == 1) return;
        _ = t.send(pair.a, "on"); // nothing else: no waiting, no pumping
    }
    return error.Stuck;
}

test "orders that cross, are replaced or taken back leave one path, and the newest waits" {
    const pair = try Pair.init(.{});
    defer pair.deinit();
    try expectEqual(status.EMPTY, epochs.fable_switch(pair.a, 1, 0, 1));
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 4, 0, 1));
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 5, 0, 1)); // instead
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 1, 0, 1)); // back: nothing is to be done
    _ = epochs.fable_attend(pair.b);
    _ = epochs.fable_attend(pair.a);
    try expectEqual(@as(u32, 0), t.block(pair.a, Block.write_epoch));
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 7, 0, 1));
    _ = epochs.fable_attend(pair.b);
    _ = epochs.fable_attend(pair.a);
    try expectEqual(@as(u32, 1), t.block(pair.a, Block.write_epoch)); // crossed; the reader has not looked
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 4, 0, 1)); // waits
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 6, 0, 1)); // instead of it
    try expectEqual(status.OK, t.send(pair.a, "after"));
    var in: [16]u8 = undefined;
    try expectEqual(@as(i32, 5), abi.fable_receive(pair.b, &in, 16));
    for (0..4) |_| for ([2]u32{ pair.a, pair.b }) |end| {
        try expectEqual(status.OK, epochs.fable_attend(end));
    };
    try expectEqual(status.EMPTY, abi.fable_receive(pair.b, &in, 16));
    try expectEqual(@as(u32, 6), t.block(pair.a, Block.write_transport));
    try expectEqual(@as(u32, 6), t.block(pair.b, Block.read_transport));
    var event: epochs.SwitchEvent = undefined;
    var moved: u32 = 0;
    while (epochs.fable_event(pair.a, &event) == status.OK) {
        if (event.what == 3) moved += 1;
    }
    try expectEqual(@as(u32, 2), moved);
    try expectEqual(status.EMPTY, epochs.fable_event(pair.a, &event));
}

test "a program that lays out records itself crosses when it wants, and keeps what it holds of the old arenas" {
    const a = options: {
        var options = std.mem.zeroes(abi.ChannelOptions);
        options = .{ .size_bytes = @sizeOf(abi.ChannelOptions), .role = 1, .transport = 1, .trust = 1, .ring_bytes = 4096, .max_message_bytes = 4096, .handle = 0, .control_fd = -1, .ring_fd = -1, .peer_doorbell_fd = -1, .peer_data_fd = -1, .peer_link_fd = -1, .flags = 1, .reserved = @splat(0) };
        try expectEqual(status.OK, abi.fable_channel_new(&options));
        break :options options;
    };
    const b = try t.open(2, .{});
    try expectEqual(status.OK, t.attach(b, a, 1, -1));
    try expectEqual(status.OK, t.attach(a, b, 1, -1));
    defer _ = abi.fable_channel_close(a.handle);
    defer _ = abi.fable_channel_close(b.handle);
    try expectEqual(status.OK, t.send(a.handle, "before"));
    try expectEqual(status.OK, epochs.fable_switch(a.handle, 4, 0, 1));
    try expect(abi.fable_refill(b.handle) > 0);
    try expectEqual(status.EMPTY, epochs.fable_cross(a.handle)); // not accepted yet, as far as this end knows
    try expectEqual(status.OK, epochs.fable_attend(b.handle));
    try expectEqual(status.OK, epochs.fable_attend(a.handle));
    try expectEqual(@as(u32, 1), t.block(a.handle, Block.crossing));
    try expectEqual(@as(u32, 0), t.block(a.handle, Block.write_epoch));
    try expectEqual(status.OK, t.send(a.handle, "still before"));
    var size: u32 = 0;
    const old = abi.fable_channel_arena(a.handle, 0, &size).?;
    try expectEqual(status.OK, epochs.fable_cross(a.handle));
    try expect(abi.fable_channel_arena(a.handle, 0, &size).? != old);
    try expectEqual(@as(u8, 'b'), @as([*]const u8, @ptrCast(old))[8]); // mapped until it is retired
    try expectEqual(status.OK, t.send(a.handle, "after"));
    try expect(abi.fable_refill(b.handle) > 0);
    const lent = abi.fable_channel_arena(b.handle, 1, &size).?;
    try expectEqual(status.MOVED, abi.fable_refill(b.handle));
    try expect(abi.fable_channel_arena(b.handle, 1, &size).? != lent);
    try expectEqual(@as(u8, 'b'), @as([*]const u8, @ptrCast(lent))[8]);
    try expect(abi.fable_refill(b.handle) > 0);
    try expectEqual(status.OK, abi.fable_consume(b.handle, 16, 1, 5));
    try expectEqual(status.OK, epochs.fable_retire(b.handle, 1, 0, 2, 18));
    try expectEqual(status.BAD_ARGUMENT, epochs.fable_retire(b.handle, 1, 0, 0, 0));
    var figures: abi.Stats = undefined;
    _ = abi.fable_channel_stats(b.handle, &figures);
    try expectEqual(@as(u64, 3), figures.messages_delivered);
    try expectEqual(@as(u64, 23), figures.bytes_delivered);
    _ = epochs.fable_attend(a.handle); // crossed
    try expectEqual(status.OK, epochs.fable_retire(a.handle, 0, 0, 0, 0));
}

/// A channel whose first direction goes through `kind`, as fresh as one that was just made.
pub fn movedTo(kind: u32, setup: t.Setup) !Pair {
    const pair = try Pair.init(setup);
    try expectEqual(status.OK, epochs.fable_switch(pair.a, kind, setup.ring_bytes, 1));
    var in: [16]u8 = undefined;
    // the memory of a large path is made little by little
    while (t.block(pair.b, Block.read_transport) != kind) {
        try expectEqual(status.OK, epochs.fable_attend(pair.a));
        try expectEqual(status.OK, epochs.fable_attend(pair.b));
        try expectEqual(status.EMPTY, abi.fable_receive(pair.b, &in, 16));
    }
    try expectEqual(status.OK, epochs.fable_attend(pair.a));
    return pair;
}

test "who asked for a move is told when a newer order takes its place; the same order again changes nothing" {
    const pair = try Pair.init(.{});
    defer pair.deinit();
    try expectEqual(status.OK, epochs.fable_ask(pair.b, 4, 0, 1));
    try expectEqual(status.OK, epochs.fable_attend(pair.a)); // offers it
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 4, 0, 1)); // is under way
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 5, 0, 1)); // instead
    try expectEqual(status.OK, epochs.fable_attend(pair.b));
    var event: epochs.SwitchEvent = undefined;
    try expectEqual(status.OK, epochs.fable_event(pair.b, &event));
    try expectEqual([4]u32{ 2, 5, 4, 0 }, .{ event.direction, event.what, event.to, event.status });
    try expectEqual(status.OK, epochs.fable_event(pair.a, &event)); // offered
    try expectEqual([3]u32{ 1, 1, 4 }, .{ event.direction, event.what, event.to });
    try expectEqual(status.OK, epochs.fable_event(pair.a, &event)); // replaced: the same order again said nothing
    try expectEqual([4]u32{ 1, 5, 4, 0 }, .{ event.direction, event.what, event.to, event.status });
}

test "who asked for a move takes it back before anything came of it" {
    const pair = try Pair.init(.{});
    defer pair.deinit();
    try expectEqual(status.OK, epochs.fable_ask(pair.b, 7, 0, 1));
    try expectEqual(status.OK, epochs.fable_ask(pair.b, 1, 0, 1));
    for (0..4) |_| for ([2]u32{ pair.a, pair.b }) |end| {
        try expectEqual(status.OK, epochs.fable_attend(end));
    };
    try expectEqual(@as(u32, 0), t.block(pair.a, Block.write_epoch));
}

test "a reader that wants nothing is told that the marker is on its way" {
    const pair = try Pair.init(.{});
    defer pair.deinit();
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 4, 0, 1));
    try expectEqual(status.OK, epochs.fable_attend(pair.b));
    try expectEqual(@as(u32, 0), t.block(pair.b, Block.coming));
    try expectEqual(status.OK, epochs.fable_attend(pair.a)); // crosses
    try expectEqual(status.OK, epochs.fable_attend(pair.b));
    try expectEqual(@as(u32, 1), t.block(pair.b, Block.coming));
    var in: [16]u8 = undefined;
    try expectEqual(status.EMPTY, abi.fable_receive(pair.b, &in, 16));
    try expectEqual(@as(u32, 0), t.block(pair.b, Block.coming));
    try expectEqual(@as(u32, 4), t.block(pair.b, Block.read_transport));
}

test "a wait ends, once, when the program has a part in a move" {
    const waits = @import("wait.zig");
    const pair = try Pair.init(.{ .flags = 1 });
    defer pair.deinit();
    var entry = [1]@import("../core/wait.zig").Entry{.{ .handle = pair.a, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(status.TIMEOUT, waits.fable_wait(&entry, 1, 1, 0, -1));
    try expectEqual(status.OK, epochs.fable_switch(pair.a, 4, 0, 1));
    try expectEqual(@as(i32, 0), waits.fable_wait(&entry, 1, 1000, 0, -1)); // it is offered
    try expectEqual(status.OK, epochs.fable_attend(pair.b));
    try expectEqual(@as(i32, 0), waits.fable_wait(&entry, 1, 1000, 0, -1));
    try expectEqual(@as(u32, 1), t.block(pair.a, Block.crossing));
    try expectEqual(status.TIMEOUT, waits.fable_wait(&entry, 1, 1, 0, -1));
}

test "of a heap any record comes back, and makes room where it lay" {
    const pair = try movedTo(9, .{ .ring_bytes = 4096 });
    defer pair.deinit();
    var text: [200]u8 = @splat('x');
    var windows: [64][2]u32 = undefined;
    var count: usize = 0;
    while (t.send(pair.a, &text) == status.OK) {
        const bytes = abi.fable_refill(pair.b);
        try expect(bytes > 0);
        windows[count] = .{ t.block(pair.b, Block.read_offset), @intCast(bytes) };
        count += 1;
    }
    try expect(count >= 12);
    try expectEqual(status.BAD_ARGUMENT, abi.fable_give_back(pair.b, windows[5][0] + 4, 8, 0, 0));
    // the middle first
    try expectEqual(status.OK, abi.fable_give_back(pair.b, windows[5][0], windows[5][1], 1, 200));
    try expectEqual(status.OK, abi.fable_give_back(pair.b, windows[6][0], windows[6][1], 1, 200));
    try expectEqual(status.BAD_ARGUMENT, abi.fable_give_back(pair.b, windows[6][0], windows[6][1], 1, 200));
    var entry = [_]@import("../core/wait.zig").Entry{.{ .handle = pair.b, .want = 1, .ready = 0, .reserved = 0 }};
    for (0..3) |_| _ = @import("wait.zig").fable_poll(&entry, 1, 0, 0); // what came back is told
    try expectEqual(status.OK, t.send(pair.a, &text));
    const again = abi.fable_refill(pair.b);
    try expect(again > 0);
    try expect(t.block(pair.b, Block.read_offset) >= windows[5][0] and t.block(pair.b, Block.read_offset) <= windows[6][0]);
    // the rest in the order in which it came
    var left: u32 = 0;
    for (windows[0..count], 0..) |window, i| {
        if (i != 5 and i != 6) left += window[1];
    }
    try expectEqual(status.OK, abi.fable_consume(pair.b, left, @intCast(count - 2), 0));
    try expectEqual(status.BAD_ARGUMENT, abi.fable_consume(pair.b, 8192, 0, 0));
}

test "who gives back what was not out, or names runs that cannot be, loses the channel" {
    const heap = @import("../core/heap.zig");
    for ([_]heap.Run{ .{ .offset = 0, .bytes = 4096 }, .{ .offset = 4, .bytes = 8 }, .{ .offset = 8000, .bytes = 8 }, .{ .offset = 8, .bytes = 0 } }) |lie| {
        const pair = try movedTo(9, .{ .ring_bytes = 4096 });
        defer pair.deinit();
        const back = t.channelOf(pair.b).in.transport.heap.back_fd;
        try expectEqual(@as(usize, 8), linux.write(back, @ptrCast(&lie), 8));
        t.channelOf(pair.b).in.transport.heap.returns_to.* +%= 1; // else nobody looks
        var text: [200]u8 = @splat('x');
        var answer: i32 = status.OK;
        for (0..64) |_| {
            answer = t.send(pair.a, &text);
            if (answer != status.OK) break;
        }
        try expectEqual(status.PEER_FAULT, answer);
    }
    for ([_]heap.Run{ .{ .offset = 4096, .bytes = 0 }, .{ .offset = 4088, .bytes = 0 }, .{ .offset = 0, .bytes = 64 }, .{ .offset = 4, .bytes = 0 }, .{ .offset = heap.special, .bytes = 99 }, .{ .offset = 2048, .bytes = 0 } }) |lie| {
        for ([_]u32{ 1, 2 }) |trust| {
            const pair = try movedTo(9, .{ .ring_bytes = 4096, .trust = trust });
            defer pair.deinit();
            const out = t.channelOf(pair.a).out.transport.heap.fd;
            try expectEqual(@as(usize, 8), linux.write(out, @ptrCast(&lie), 8));
            try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        }
    }
}
