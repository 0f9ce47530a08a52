//! Bad peers, where a channel moves: lies on the link, in the paths it leads to, and in what comes back through them.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;
const status = @import("status.zig");
const abi = @import("channel.zig");
const epochs = @import("epochs.zig");
const system = @import("system.zig");
const waits = @import("wait.zig");
const heap = @import("../core/heap.zig");
const Entry = @import("../core/wait.zig").Entry;
const link = @import("../layout/link.zig");
const record = @import("../layout/record.zig");
const memory = @import("../sys/memory.zig");
const socket = @import("../sys/socket.zig");
const t = @import("channel_test.zig");
const movedTo = @import("epochs_test.zig").movedTo;
const Pair = t.Pair;
const send = t.send;
const block = t.block;
const channelOf = t.channelOf;
const unix = t.unix;
const trusted = 1;
const untrusted = 2;

// ---- heaps and what comes back, see core/heap_in.zig ----

fn store(pair: Pair, at: u32, header: record.Header) void {
    @as(*u64, @ptrCast(@alignCast(channelOf(pair.a).writer().base + at))).* = @bitCast(header);
}

/// The stretch in use ends where it is, and the next begins at `offset`.
fn leaveFor(pair: Pair, offset: u32) !void {
    const w = channelOf(pair.a).writer();
    store(pair, @as(u32, @truncate(w.position)) & w.mask, heap.left);
    try begin(pair, offset);
}

fn begin(pair: Pair, offset: u32) !void {
    const run: heap.Run = .{ .offset = offset, .bytes = 0 };
    try expectEqual(@as(usize, 8), linux.write(channelOf(pair.a).out.transport.heap.fd, @ptrCast(&run), 8));
}

test "a stretch that begins where a record is still lent is refused: what was handed out does not change" {
    for ([_]u32{ trusted, untrusted }) |trust| {
        const pair = try movedTo(9, .{ .ring_bytes = 4096, .trust = trust });
        defer pair.deinit();
        try expectEqual(status.OK, send(pair.a, "before"));
        const got = abi.fable_refill(pair.b);
        try expect(got > 0);
        const at = block(pair.b, 0);
        var size: u32 = 0;
        const arena: [*]const u8 = @ptrCast(abi.fable_channel_arena(pair.b, 1, &size).?);
        if (trust == untrusted) @memcpy(channelOf(pair.a).writer().base[at + 8 ..][0..6], "after!");
        try leaveFor(pair, at);
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(@as(u32, 3), block(pair.b, 5));
        try expectEqualStrings("before", arena[at + 8 ..][0..6]);
    }
}

test "records that add up to more than there is are no overflow" {
    const size: u32 = 64 << 20;
    const pair = try movedTo(9, .{ .ring_bytes = size, .trust = untrusted });
    defer pair.deinit();
    store(pair, 0, .of(.pad, 0, size - heap.tail_bytes));
    store(pair, size - heap.tail_bytes, heap.left);
    // each given back at once, but nobody takes them out of the pipe back, which is full then
    const back = channelOf(pair.b).in.transport.heap.back_fd;
    const junk: [4096]u8 = @splat(0);
    while (linux.write(back, &junk, junk.len) == junk.len) {}
    for (0..200) |_| {
        try begin(pair, 0);
        const got = abi.fable_refill(pair.b);
        if (got == status.PEER_FAULT) return;
        try expectEqual(@as(i32, @intCast(size - heap.tail_bytes)), got);
        try expectEqual(status.OK, abi.fable_consume(pair.b, size - heap.tail_bytes, 0, 0));
    }
}

test "stretches that hold nothing end the channel, and so does a record without room for the next header" {
    const lies = [_]struct { header: record.Header, at: u32 }{
        .{ .header = @bitCast(@as(u64, 0)), .at = 2048 },
        .{ .header = heap.left, .at = 2048 },
        .{ .header = .of(.message, 40, 2048), .at = 2048 },
        .{ .header = .of(.end, 0, 8), .at = 2048 },
        .{ .header = .of(.message, 0, 8), .at = 4088 },
    };
    for (lies) |lie| {
        for ([_]u32{ trusted, untrusted }) |trust| {
            const pair = try movedTo(9, .{ .ring_bytes = 4096, .trust = trust });
            defer pair.deinit();
            try expectEqual(status.OK, send(pair.a, "before"));
            try expect(abi.fable_refill(pair.b) > 0);
            store(pair, lie.at, lie.header);
            try leaveFor(pair, lie.at);
            try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        }
    }
}

var sigpipes: u32 = 0;

fn countSigpipe(_: linux.SIG) callconv(.c) void {
    sigpipes += 1;
}

test "what goes back through a pipe of the peer's neither blocks nor raises SIGPIPE" {
    const action: linux.Sigaction = .{ .handler = .{ .handler = countSigpipe }, .mask = std.mem.zeroes(linux.sigset_t), .flags = 0 };
    var before: linux.Sigaction = undefined;
    _ = linux.sigaction(.PIPE, &action, &before);
    defer _ = linux.sigaction(.PIPE, &before, null);
    for ([_]u32{ 8, 9 }) |kind| {
        for ([_]bool{ false, true }) |gone| {
            const pair = try movedTo(kind, .{ .ring_bytes = 256 << 10 });
            defer pair.deinit();
            const in = &channelOf(pair.b).in.transport;
            const out = &channelOf(pair.a).out.transport;
            const back = if (kind == 9) in.heap.back_fd else in.stream.acks_fd;
            if (gone) {
                // the end that reads it closes
                const theirs = if (kind == 9) &out.heap.back_fd else &out.stream.acks_fd;
                socket.close(theirs.*);
                theirs.* = -1;
            } else {
                const junk: [4096]u8 = @splat(0);
                while (linux.write(back, &junk, junk.len) == junk.len) {}
                _ = linux.fcntl(back, linux.F.SETFL, 0); // one description for both ends' descriptors: the peer can do this
            }
            var in_bytes: [64]u8 = undefined;
            for (0..20) |_| {
                _ = send(pair.a, "message");
                _ = abi.fable_receive(pair.b, &in_bytes, 64);
            }
            _ = abi.fable_receive(pair.b, &in_bytes, 64);
        }
    }
    try expectEqual(@as(u32, 0), sigpipes);
}

test "a list of lent runs that the program cut into many pieces keeps a place for the window that waits" {
    const pair = try movedTo(9, .{ .ring_bytes = 4 << 20 });
    defer pair.deinit();
    const in = &channelOf(pair.b).in.transport.heap.reader;
    const text: [56]u8 = @splat('x');
    var at: u32 = 0;
    // each in two halves around a piece that goes back: one entry more for each
    while (in.lent_count < 4095) {
        for (0..4) |_| try expectEqual(status.OK, send(pair.a, &text));
        try expectEqual(@as(i32, 4 * 64), abi.fable_refill(pair.b));
        at = block(pair.b, 0);
        try expectEqual(status.OK, abi.fable_give_back(pair.b, at + 64, 64, 1, 56));
    }
    // a run somewhere else is looked at, and not handed out before one more is cut
    const elsewhere: u32 = 3 << 20;
    store(pair, elsewhere, .of(.message, 56, 64));
    try leaveFor(pair, elsewhere);
    var entry = [_]Entry{.{ .handle = pair.b, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(@as(i32, 1), waits.fable_poll(&entry, 1, 0, 0));
    try expectEqual(status.BAD_ARGUMENT, abi.fable_give_back(pair.b, at - 64, 64, 1, 56));
    try expectEqual(@as(i32, 64), abi.fable_refill(pair.b));
    try expectEqual(@as(u32, 4096), in.lent_count);
    try expectEqual(status.OK, abi.fable_consume(pair.b, in.lent_bytes, 1, 1));
    try expectEqual(@as(u32, 0), in.lent_count);
}

// ---- the link ----

test "a link that the peer does not read is no death: the loss of a path is told later" {
    const pair = try Pair.init(.{ .kind = unix });
    defer pair.deinit();
    const mine = channelOf(pair.b);
    const frame: link.Frame = .{ .kind = .cancel };
    while (system.sendPacket(mine.link, std.mem.asBytes(&frame), &.{}) == @sizeOf(link.Frame)) {}
    _ = linux.shutdown(mine.in.transport.stream.fd, linux.SHUT.RD);
    for (0..3) |_| try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
    var taken: link.Frame = undefined;
    var fds: [3]i32 = @splat(-1);
    var count: u32 = 0;
    while (system.receivePacket(channelOf(pair.a).link, std.mem.asBytes(&taken), &fds, &count) > 0) {}
    try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
    try expectEqual(@as(isize, @sizeOf(link.Frame)), system.receivePacket(channelOf(pair.a).link, std.mem.asBytes(&taken), &fds, &count));
    try expect(taken.kind == .lost);
}

fn say(from: u32, frame: link.Frame, fds: []const i32) !void {
    try expectEqual(@as(isize, @sizeOf(link.Frame)), system.sendPacket(channelOf(from).link, std.mem.asBytes(&frame), fds));
    channelOf(from).bell.order();
}

test "frames that no honest end sends cost the channel" {
    const cases = [_]link.Frame{
        .{ .kind = @enumFromInt(0), .reason = 1 },
        .{ .kind = @enumFromInt(10), .reason = 1 },
        .{ .kind = .offer, .transport = 0, .ring_bytes = 4096, .reason = 1 },
        .{ .kind = .offer, .transport = 10, .ring_bytes = 4096, .reason = 1 },
        .{ .kind = .offer, .transport = 4, .ring_bytes = 4096, .reason = 0 },
        .{ .kind = .ask, .transport = 99, .reason = 1 },
        .{ .kind = .ask, .transport = 4, .reason = 5 },
        .{ .kind = .refuse, .reason = 0xffff_ffff },
    };
    for (cases) |frame| {
        const pair = try Pair.init(.{});
        defer pair.deinit();
        try say(pair.a, frame, &.{});
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(@as(u32, 6), block(pair.b, 5));
    }
    for ([_]usize{ 1, 31, 33, 4000 }) |size| {
        const pair = try Pair.init(.{});
        defer pair.deinit();
        const bytes: [4000]u8 = @splat(1);
        _ = system.sendPacket(channelOf(pair.a).link, bytes[0..size], &.{});
        channelOf(pair.a).bell.order();
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(@as(u32, 6), block(pair.b, 5));
    }
    const pair = try Pair.init(.{});
    defer pair.deinit();
    var answer: i32 = status.EMPTY;
    var said: u32 = 0;
    while (answer == status.EMPTY) : (said += 1) {
        try say(pair.a, .{ .kind = .cancel }, &.{});
        answer = abi.fable_refill(pair.b);
    }
    try expectEqual(status.PEER_FAULT, answer);
    try expect(said > 200 and said < 600);
}

test "answers to nothing, and orders without a frame, change nothing" {
    const cases = [_]link.Frame{
        .{ .kind = .accept, .attempt = 0 },
        .{ .kind = .accept, .attempt = 7 },
        .{ .kind = .crossed, .attempt = 0 },
        .{ .kind = .crossed, .attempt = 1 },
        .{ .kind = .cancel, .attempt = 0 },
        .{ .kind = .refuse, .attempt = 3, .status = 6 },
        .{ .kind = .rest, .attempt = 0, .ring_bytes = 8 },
        .{ .kind = .rest, .attempt = 9, .ring_bytes = 8 },
        .{ .kind = .marked, .attempt = 0 },
        .{ .kind = .lost, .attempt = 0 },
        .{ .kind = .lost, .attempt = 1 },
    };
    const pair = try Pair.init(.{});
    defer pair.deinit();
    for (cases) |frame| {
        try say(pair.a, frame, &.{});
        try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
        channelOf(pair.a).bell.order(); // of nothing
        try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
    }
    var code: u32 = 0;
    while (code < 30) : (code += 1) {
        try say(pair.a, .{ .kind = .refuse, .status = code, .reason = 1 }, &.{});
        try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
    }
    try expectEqual(status.OK, send(pair.a, "still here"));
    var in: [16]u8 = undefined;
    try expectEqual(@as(i32, 10), abi.fable_receive(pair.b, &in, 16));
    try expectEqual(@as(u32, 0), block(pair.b, 9));
}

test "an offer whose descriptors do not fit is refused, and none of them is kept" {
    var streams: [2]i32 = undefined;
    try expect(socket.pair(&streams) >= 0);
    var ends: [2]i32 = undefined;
    try expect(system.pipePair(&ends) >= 0);
    const ring: i32 = @intCast(memory.create("ring", 4096));
    _ = memory.seal(ring, memory.seals_read_only);
    const open_ring: i32 = @intCast(memory.create("ring", 4096));
    defer for ([_]i32{ streams[0], streams[1], ends[0], ends[1], ring, open_ring }) |fd| socket.close(fd);
    const cases = [_]struct { kind: u32, size: u32 = 4096, fds: []const i32 }{
        .{ .kind = 1, .fds = &.{} },
        .{ .kind = 1, .fds = &.{open_ring} },
        .{ .kind = 1, .fds = &.{ ring, ring } },
        .{ .kind = 1, .size = 8192, .fds = &.{ring} },
        .{ .kind = 1, .size = 4095, .fds = &.{ring} },
        .{ .kind = 1, .fds = &.{ends[0]} },
        .{ .kind = 4, .fds = &.{ends[0]} },
        .{ .kind = 4, .fds = &.{ring} },
        .{ .kind = 5, .fds = &.{streams[0]} },
        .{ .kind = 7, .fds = &.{streams[0]} },
        .{ .kind = 8, .fds = &.{ ends[0], ends[1] } }, // not from whom it does not trust
        .{ .kind = 9, .fds = &.{ ring, ends[0] } },
        .{ .kind = 9, .fds = &.{ ring, streams[0], ends[1] } },
        .{ .kind = 9, .fds = &.{ open_ring, ends[0], ends[1] } },
    };
    const pair = try Pair.init(.{ .trust = untrusted });
    defer pair.deinit();
    const before = linux.dup(ring);
    _ = linux.close(@intCast(before));
    for (cases, 1..) |case, attempt| {
        try say(pair.a, .{ .kind = .offer, .attempt = @intCast(attempt), .transport = case.kind, .ring_bytes = case.size, .reason = 1 }, case.fds);
        try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
        var answer: link.Frame = undefined;
        var fds: [3]i32 = @splat(-1);
        var count: u32 = 0;
        try expectEqual(@as(isize, @sizeOf(link.Frame)), system.receivePacket(channelOf(pair.a).link, std.mem.asBytes(&answer), &fds, &count));
        try expect(answer.kind == .refuse and answer.attempt == attempt and answer.status == if (case.kind == 8) @as(u32, 15) else 14);
    }
    const after = linux.dup(ring); // the lowest free number is what it was
    _ = linux.close(@intCast(after));
    try expectEqual(before, after);
}

test "a path is no larger than was agreed to, unless it was asked for" {
    const large: u32 = 1 << 20;
    for ([_]u32{ 1, 4, 9 }) |kind| {
        const pair = try Pair.init(.{ .trust = untrusted, .max_message = 64 << 10 });
        defer pair.deinit();
        try expectEqual(status.OK, epochs.fable_switch(pair.a, kind, large, 1));
        for (0..1000) |_| {
            _ = epochs.fable_attend(pair.a);
            _ = abi.fable_refill(pair.b);
        }
        try expectEqual(@as(u32, 0), channelOf(pair.a).out.epoch);
        try expect(channelOf(pair.a).epochs.phase == .idle);
        try expectEqual(status.OK, epochs.fable_ask(pair.b, kind, large, 1));
        for (0..1000) |_| {
            _ = epochs.fable_attend(pair.a);
            _ = abi.fable_refill(pair.b);
        }
        try expectEqual(@as(u32, 1), channelOf(pair.a).out.epoch);
    }
}

test "a marker that nobody offered a path for, and a rest from the future" {
    for ([_]u32{ 1, unix, 9 }) |kind| {
        const pair = if (kind == 9) try movedTo(9, .{}) else try Pair.init(.{ .kind = kind });
        defer pair.deinit();
        try expectEqual(status.OK, send(pair.a, "before"));
        switch (channelOf(pair.a).out.transport) {
            inline else => |*one| one.marker(),
        }
        var in: [16]u8 = undefined;
        try expectEqual(@as(i32, 6), abi.fable_receive(pair.b, &in, 16));
        try expectEqual(status.PEER_FAULT, abi.fable_receive(pair.b, &in, 16));
        try expectEqual(@as(u32, 6), block(pair.b, 5));
    }
    const Case = struct { first: u64, seals: u32, fault: u32 };
    for ([_]Case{
        .{ .first = 8, .seals = memory.seals_read_only, .fault = 3 },
        .{ .first = 1 << 60, .seals = memory.seals_read_only, .fault = 3 },
        .{ .first = 0, .seals = memory.seals_fixed_size, .fault = 6 },
    }) |case| {
        const pair = try Pair.init(.{ .kind = unix });
        defer pair.deinit();
        const rest: i32 = @intCast(memory.create("rest", 64));
        defer socket.close(rest);
        _ = memory.seal(rest, case.seals);
        try say(pair.a, .{ .kind = .rest, .attempt = 0, .ring_bytes = 64, .first = case.first }, &.{rest});
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(case.fault, block(pair.b, 5));
    }
}

test "pages are given back forwards, and only those that were lent" {
    for ([_]u64{ 1 << 40, 8 }) |lie| {
        const pair = try movedTo(8, .{ .ring_bytes = 256 << 10 });
        defer pair.deinit();
        var in: [64]u8 = undefined;
        for (0..4) |_| {
            try expectEqual(status.OK, send(pair.a, "page"));
            try expectEqual(@as(i32, 4), abi.fable_receive(pair.b, &in, 64));
        }
        _ = abi.fable_receive(pair.b, &in, 64);
        try expect(abi.fable_space(pair.a) > 0); // has now seen the true ones
        try expectEqual(@as(isize, 8), system.writePeersPipe(channelOf(pair.b).in.transport.stream.acks_fd, @ptrCast(&lie), 8));
        _ = abi.fable_space(pair.a);
        try expectEqual(status.PEER_FAULT, abi.fable_space(pair.a));
        try expectEqual(@as(u32, 3), block(pair.a, 5));
    }
}
