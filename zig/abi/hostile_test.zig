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

test "memory that an untrusted peer chose the size of is no larger than was agreed to" {
    const large = 1 << 20;
    const cases = [_]struct { trust: u32 = untrusted, ring_bytes: u32 = 4096, max_message: u32 = 64 << 10, expected: i32 }{
        .{ .expected = status.TOO_LARGE },
        .{ .trust = trusted, .expected = status.OK },
        .{ .ring_bytes = large, .expected = status.OK },
        .{ .max_message = large, .expected = status.OK },
        .{ .max_message = large / 2, .expected = status.TOO_LARGE },
    };
    for ([_]u32{ 1, t.unix }) |kind| for (cases) |case| {
        const a = try open(1, .{ .kind = kind, .trust = case.trust, .ring_bytes = case.ring_bytes, .max_message = case.max_message });
        const b = try open(2, .{ .kind = kind, .trust = case.trust, .ring_bytes = large });
        defer _ = abi.fable_channel_close(a.handle);
        defer _ = abi.fable_channel_close(b.handle);
        try expectEqual(case.expected, attach(a, b, case.trust, -1));
        inline for (.{ a.control_fd, a.ring_fd, a.peer_doorbell_fd, a.peer_link_fd, a.peer_data_fd }) |fd| socket.close(fd);
    };
}
