//! How channels end, through the C ABI, both ends in this process: everything committed is delivered first, and nothing waits for ever.

const std = @import("std");
const linux = std.os.linux;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const status = @import("status.zig");
const abi = @import("channel.zig");
const waits = @import("wait.zig");
const socket = @import("../sys/socket.zig");
const Entry = @import("../core/wait.zig").Entry;
const t = @import("channel_test.zig");
const Pair = t.Pair;
const every = t.every;
const open = t.open;
const attach = t.attach;
const send = t.send;
const channelOf = t.channelOf;

test "everything committed is read before an end is reported" {
    const End = enum { half_close, close, died, doorbell };
    for (every) |setup| {
        for ([_]End{ .half_close, .close, .died, .doorbell }) |end| {
            const a = try open(1, setup);
            const b = try open(2, setup);
            const other_doorbell: i32 = @intCast(linux.dup(a.peer_doorbell_fd));
            defer socket.close(other_doorbell);
            try expectEqual(status.OK, attach(b, a, setup.trust, -1));
            try expectEqual(status.OK, attach(a, b, setup.trust, -1));
            defer _ = abi.fable_channel_close(b.handle);
            for (0..10) |_| try expectEqual(status.OK, send(a.handle, "last words"));
            switch (end) {
                .half_close => {
                    try expectEqual(status.OK, abi.fable_close_write(a.handle));
                    try expectEqual(status.CLOSED, send(a.handle, "more"));
                    try expectEqual(status.CLOSED, abi.fable_space(a.handle));
                },
                .close => try expectEqual(status.OK, abi.fable_channel_close(a.handle)),
                .died => try expectEqual(status.OK, abi.fable_channel_peer_died(b.handle)),
                .doorbell => channelOf(b.handle).doorbellHungUp(),
            }
            var entry = [_]Entry{.{ .handle = b.handle, .want = 3, .ready = 0, .reserved = 0 }};
            try expectEqual(@as(i32, 1), waits.fable_wait(&entry, 1, 1000, 0, -1));
            var in: [64]u8 = undefined;
            for (0..10) |_| try expectEqual(@as(i32, 10), abi.fable_receive(b.handle, &in, 64));
            const expected = switch (end) {
                .half_close, .close => status.ENDED,
                .died, .doorbell => status.PEER_DEAD,
            };
            for (0..2) |_| try expectEqual(expected, abi.fable_refill(b.handle));
            try expectEqual(expected, abi.fable_receive(b.handle, &in, 64));
            const answer = send(b.handle, "back");
            const room = abi.fable_space(b.handle);
            switch (end) {
                .half_close => try expect(answer == status.OK and room > 0),
                .close => try expectEqual(status.ENDED, room),
                .died, .doorbell => try expectEqual(status.PEER_DEAD, room),
            }
            if (end != .close) _ = abi.fable_channel_close(a.handle);
            try expectEqual(status.BAD_HANDLE, abi.fable_refill(a.handle));
        }
    }
}

test "a message in fragments that its writer did not finish is discarded, not a fault" {
    const long = try std.testing.allocator.alloc(u8, 20_000);
    defer std.testing.allocator.free(long);
    @memset(long, 7);
    for (every) |setup| {
        const pair = try Pair.init(setup);
        defer _ = abi.fable_channel_close(pair.b);
        try expectEqual(status.OK, send(pair.a, "whole"));
        // until nothing more of it goes anywhere
        while (send(pair.a, long) == status.OK) {}
        _ = abi.fable_channel_close(pair.a);
        var got: u32 = 0;
        while (true) : (got += 1) {
            const size = abi.fable_receive(pair.b, long.ptr, @intCast(long.len));
            if (size < 0) {
                try expectEqual(status.ENDED, size);
                break;
            }
        }
        try expect(got > 0);
    }
}

test "what a dead peer left in the socket comes out when there is memory for it again" {
    const pair = try Pair.init(.{ .kind = t.unix });
    defer pair.deinit();
    const text: [500]u8 = @splat('x');
    var sent: u32 = 0;
    while (send(pair.a, &text) == status.OK) sent += 1;
    // hold all that fits into the arena
    var lent: u32 = 0;
    while (true) {
        const bytes = abi.fable_refill(pair.b);
        if (bytes < 0) break;
        lent += @intCast(bytes);
    }
    // what was received is the writer's space again, so more comes than there is memory for
    _ = abi.fable_space(pair.a);
    while (send(pair.a, &text) == status.OK) sent += 1;
    while (true) {
        const bytes = abi.fable_refill(pair.b);
        if (bytes < 0) break;
        lent += @intCast(bytes);
    }
    try expectEqual(status.OK, abi.fable_channel_peer_died(pair.b));
    try expectEqual(status.EMPTY, abi.fable_refill(pair.b));
    try expectEqual(status.OK, abi.fable_consume(pair.b, lent, 0, 0));
    try expect(abi.fable_refill(pair.b) > 0);
}

test "what nobody will take is not queued" {
    const pair = try Pair.init(.{ .kind = t.unix, .ring_bytes = 1 << 20 });
    defer _ = abi.fable_channel_close(pair.a);
    while (send(pair.a, "0123456789") == status.OK) {}
    try expect(abi.fable_pump(pair.a) > 0);
    try expectEqual(status.OK, abi.fable_close_write(pair.a));
    _ = abi.fable_channel_close(pair.b);
    try expectEqual(status.ENDED, abi.fable_pump(pair.a));
}
