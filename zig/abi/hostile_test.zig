//! Bad peers: each lie costs the liar its channel, with a code, and nothing else.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;
const status = @import("status.zig");
const abi = @import("channel.zig");
const record = @import("../layout/record.zig");
const memory = @import("../sys/memory.zig");
const socket = @import("../sys/socket.zig");
const t = @import("channel_test.zig");
const movedTo = @import("epochs_test.zig").movedTo;
const heap = @import("../core/heap.zig");
const Pair = t.Pair;
const Setup = t.Setup;
const send = t.send;
const block = t.block;
const channelOf = t.channelOf;
const open = t.open;
const attach = t.attach;
const unix = t.unix;
const trusted = 1;
const untrusted = 2;

test "a lying cursor ends the channel, and only that one" {
    const other = try Pair.init(.{});
    defer other.deinit();
    for ([_]u64{ 1 << 40, 4096, 0 }) |lie| {
        const pair = try Pair.init(.{});
        defer pair.deinit();
        var in: [64]u8 = undefined;
        for (0..60) |_| {
            try expectEqual(status.OK, send(pair.a, "0123456789"));
            _ = abi.fable_receive(pair.b, &in, 64);
        }
        _ = abi.fable_receive(pair.b, &in, 64);
        try expect(abi.fable_space(pair.a) > 0); // has now seen that much released
        @atomicStore(u64, &channelOf(pair.b).bell.own.released_even, lie, .release);
        try expectEqual(status.PEER_FAULT, abi.fable_space(pair.a));
        try expectEqual(@as(u32, 3), block(pair.a, 5));
        try expectEqual(status.PEER_FAULT, send(pair.a, "x"));
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.a));
        // the accused learns it
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(@as(u32, 3), block(pair.b, 3));
    }
    try expectEqual(status.OK, send(other.a, "fine"));
}

test "bad headers are faults, never more" {
    const Header = record.Header;
    const cases = [_]struct { h: Header, fault: u32 }{
        .{ .h = .{ .size = 8, .stride = 2, .kind = @enumFromInt(9) }, .fault = 1 },
        .{ .h = Header.of(.message, 100, 16), .fault = 2 },
        .{ .h = Header.of(.message, 0xffff_ffff, 16), .fault = 2 },
        .{ .h = Header.of(.message, 8, 8192), .fault = 2 },
        .{ .h = .{ .size = 0, .stride = 0, .kind = .message }, .fault = 2 },
        .{ .h = Header.of(.message, 2000, 2008), .fault = 2 }, // over the limit agreed
        .{ .h = Header.of(.pad, 0, 8192), .fault = 2 },
        .{ .h = Header.of(.more, 8, 16), .fault = 4 },
        .{ .h = Header.of(.last, 8, 16), .fault = 4 },
        .{ .h = Header.of(.first, 4, 16), .fault = 4 },
        .{ .h = Header.of(.end, 8, 16), .fault = 4 },
    };
    for ([_]u32{ trusted, untrusted }) |trust| {
        for (cases) |case| {
            const pair = try Pair.init(.{ .trust = trust, .max_message = 1000 });
            defer pair.deinit();
            const writer = channelOf(pair.a).writer();
            writer.held = @bitCast(case.h);
            writer.position += 16;
            writer.flush();
            try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
            try expectEqual(case.fault, block(pair.b, 5));
            try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        }
    }
    // through a socket, where every byte is the peer's
    for (cases) |case| {
        const pair = try Pair.init(.{ .kind = unix, .max_message = 1000 });
        defer pair.deinit();
        var bytes: [4096]u8 = @splat(0);
        @as(*align(1) u64, @ptrCast(&bytes)).* = @bitCast(case.h);
        _ = socket.send(channelOf(pair.a).out.transport.stream.fd, &bytes, bytes.len);
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(case.fault, block(pair.b, 5));
    }
}

test "fragments that do not add up" {
    const Header = record.Header;
    const Part = struct { h: Header, total: u32 };
    const cases = [_][3]Part{
        .{ .{ .h = Header.of(.first, 16, 24), .total = 100 }, .{ .h = Header.of(.message, 8, 16), .total = 0 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
        .{ .{ .h = Header.of(.first, 16, 24), .total = 100 }, .{ .h = Header.of(.last, 8, 16), .total = 0 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
        .{ .{ .h = Header.of(.first, 16, 24), .total = 12 }, .{ .h = Header.of(.more, 8, 16), .total = 0 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
        .{ .{ .h = Header.of(.first, 16, 24), .total = 100 }, .{ .h = Header.of(.first, 16, 24), .total = 100 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
        .{ .{ .h = Header.of(.first, 16, 24), .total = 100 }, .{ .h = Header.of(.marker, 8, 16), .total = 0 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
        .{ .{ .h = Header.of(.first, 16, 24), .total = 4 }, .{ .h = Header.of(.last, 8, 16), .total = 0 }, .{ .h = Header.of(.last, 8, 16), .total = 0 } },
    };
    for (cases) |case| {
        const pair = try Pair.init(.{});
        defer pair.deinit();
        const writer = channelOf(pair.a).writer();
        for (case) |part| {
            @as(*u32, @ptrCast(@alignCast(writer.base + writer.position + 8))).* = part.total;
            writer.held = @bitCast(part.h);
            writer.position += part.h.bytes();
            writer.flush();
        }
        var in: [256]u8 = undefined;
        try expectEqual(status.PEER_FAULT, abi.fable_receive(pair.b, &in, 256));
        try expectEqual(@as(u32, 4), block(pair.b, 5));
    }
}

test "an untrusted ring is read once: what was checked is what is seen" {
    const pair = try Pair.init(.{ .trust = untrusted });
    defer pair.deinit();
    try expectEqual(status.OK, send(pair.a, "before"));
    const got = abi.fable_refill(pair.b);
    try expect(got > 0);
    var size: u32 = 0;
    const ring: [*]u8 = @ptrCast(abi.fable_channel_arena(pair.a, 0, &size).?);
    @memset(ring[0..64], 0xff);
    const arena: [*]align(4096) const u8 = @ptrCast(@alignCast(abi.fable_channel_arena(pair.b, 1, &size).?));
    try expect(arena != ring);
    const h: record.Header = @bitCast(@as(*const u64, @ptrCast(arena)).*);
    try expect(h.size == 6 and h.kind == .message);
    try expectEqualStrings("before", arena[8..14]);
    try expectEqual(status.OK, abi.fable_consume(pair.b, @intCast(got), 1, 6));
}

test "regions that are not what they should be are refused" {
    const Bad = enum { unsealed_control, small_control, magic, version, unsealed_ring, wrong_ring, swapped, no_file, socket };
    for ([_]u32{ trusted, untrusted }) |trust| {
        for (std.enums.values(Bad)) |bad| {
            const setup: Setup = .{ .trust = trust };
            const a = try open(1, setup);
            const b = try open(2, setup);
            defer _ = abi.fable_channel_close(a.handle);
            defer _ = abi.fable_channel_close(b.handle);
            var theirs = b;
            const theirs_control = channelOf(b.handle).bell.own;
            switch (bad) {
                .unsealed_control => theirs.control_fd = @intCast(memory.create("bad", 4096)),
                .small_control => {
                    theirs.control_fd = @intCast(memory.create("bad", 8192));
                    _ = memory.seal(theirs.control_fd, memory.seals_read_only);
                },
                .magic => theirs_control.magic += 1,
                .version => theirs_control.layout_version += 1,
                .unsealed_ring => theirs.ring_fd = @intCast(memory.create("bad", 4096)),
                .wrong_ring => {
                    theirs.ring_fd = @intCast(memory.create("bad", 8192));
                    _ = memory.seal(theirs.ring_fd, memory.seals_read_only);
                },
                .swapped => {
                    theirs.control_fd = b.ring_fd;
                    theirs.ring_fd = b.control_fd;
                },
                .no_file => theirs.control_fd = 1_000_000,
                .socket => theirs.control_fd = @intCast(linux.dup(a.peer_doorbell_fd)),
            }
            const expected = if (bad == .version) status.ABI_MISMATCH else status.BAD_REGION;
            try expectEqual(expected, attach(a, theirs, trust, -1));
            try expectEqual(status.BAD_ARGUMENT, abi.fable_refill(a.handle));
            if (theirs.control_fd != b.control_fd and bad != .swapped) socket.close(b.control_fd);
            if (theirs.ring_fd != b.ring_fd and bad != .swapped) socket.close(b.ring_fd);
            inline for (.{ a.control_fd, a.ring_fd, a.peer_doorbell_fd }) |fd| socket.close(fd);
        }
    }
}

// ---- heaps and what comes back, see core/heap_in.zig ----

fn wholeHeapOfPad(pair: Pair) void {
    const w = channelOf(pair.a).writer();
    @as(*u64, @ptrCast(@alignCast(w.base))).* = @bitCast(record.Header.of(.pad, 0, w.ring_bytes));
}

fn sendRun(pair: Pair, run: heap.Run) !void {
    try expectEqual(@as(usize, 8), linux.write(channelOf(pair.a).out.transport.heap.fd, @ptrCast(&run), 8));
}

test "a run that lies where another is still lent is refused: what was handed out does not change" {
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
        try sendRun(pair, .{ .offset = at, .bytes = @intCast(got) });
        try expectEqual(status.PEER_FAULT, abi.fable_refill(pair.b));
        try expectEqual(@as(u32, 3), block(pair.b, 5));
        try expectEqualStrings("before", arena[at + 8 ..][0..6]);
    }
}

test "runs that add up to more than there is are no overflow" {
    const size: u32 = 64 << 20;
    const pair = try movedTo(9, .{ .ring_bytes = size, .trust = untrusted });
    defer pair.deinit();
    wholeHeapOfPad(pair);
    // each given back at once, but nobody takes them out of the pipe back, which is full then
    const back = channelOf(pair.b).in.transport.heap.back_fd;
    const junk: [4096]u8 = @splat(0);
    while (linux.write(back, &junk, junk.len) == junk.len) {}
    for (0..200) |_| {
        try sendRun(pair, .{ .offset = 0, .bytes = size });
        const got = abi.fable_refill(pair.b);
        if (got == status.PEER_FAULT) return;
        try expectEqual(@as(i32, @intCast(size)), got);
        try expectEqual(status.OK, abi.fable_consume(pair.b, size, 0, 0));
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
    @as(*u64, @ptrCast(@alignCast(channelOf(pair.a).writer().base + elsewhere))).* = @bitCast(record.Header.of(.message, 56, 64));
    try sendRun(pair, .{ .offset = elsewhere, .bytes = 64 });
    var entry = [_]@import("../core/wait.zig").Entry{.{ .handle = pair.b, .want = 1, .ready = 0, .reserved = 0 }};
    try expectEqual(@as(i32, 1), @import("wait.zig").fable_poll(&entry, 1, 0, 0));
    try expectEqual(status.BAD_ARGUMENT, abi.fable_give_back(pair.b, at - 64, 64, 1, 56));
    try expectEqual(@as(i32, 64), abi.fable_refill(pair.b));
    try expectEqual(@as(u32, 4096), in.lent_count);
    try expectEqual(status.OK, abi.fable_consume(pair.b, in.lent_bytes, 1, 1));
    try expectEqual(@as(u32, 0), in.lent_count);
}

// ---- the link ----

const system = @import("system.zig");
const link = @import("../layout/link.zig");

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
