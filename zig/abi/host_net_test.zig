//! Sockets of the outside world through the C ABI, against the kernel's loopback.

const std = @import("std");
const linux = std.os.linux;
const host = @import("host.zig");
const net = @import("host_net.zig");
const status = @import("status.zig");
const testing = std.testing;

const loopback = [16]u8{ 2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0 };
const loopback6 = [_]u8{ 10, 0 } ++ [_]u8{0} ** 21 ++ [_]u8{1} ++ [_]u8{0} ** 4;

fn ready(fd: i32, events: i16) !void {
    var one = [1]linux.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    try testing.expectEqual(1, linux.poll(&one, 1, 5000));
}

fn refusedWith(e: linux.E, answered: i32) !void {
    try testing.expectEqual(status.SYSTEM, answered);
    try testing.expectEqual(@as(i32, @intFromEnum(e)), status.lastErrno());
}

/// A listener's address, as it really is.
fn nameOf(fd: i32, out: *[128]u8) ![]const u8 {
    const size = net.fable_net_name(fd, 0, out, out.len);
    try testing.expect(size > 0);
    return out[0..@intCast(size)];
}

/// Both ends of a connection over `address`.
fn connection(address: []const u8) ![2]i32 {
    const server = net.fable_net_listen(1, address.ptr, @intCast(address.len), 4, 0o600);
    try testing.expect(server >= 0);
    defer _ = host.fable_close(server);
    var name: [128]u8 = undefined;
    const at = try nameOf(server, &name);
    const client = net.fable_net_connect(1, at.ptr, @intCast(at.len), null, 0);
    try testing.expect(client >= 0);
    try ready(client, linux.POLL.OUT);
    try testing.expectEqual(status.OK, net.fable_net_connected(client));
    try ready(server, linux.POLL.IN);
    const served = host.fable_accept(server);
    try testing.expect(served >= 0);
    return .{ client, served };
}

fn exchange(address: []const u8) !void {
    const ends = try connection(address);
    var bytes: [8]u8 = undefined;
    var size: u32 = 0;
    try testing.expectEqual(status.EMPTY, net.fable_net_receive(ends[1], 1, &bytes, 8, &size));
    try testing.expectEqual(5, net.fable_net_send(ends[0], "hello", 5));
    try ready(ends[1], linux.POLL.IN);
    try testing.expectEqual(5, net.fable_net_receive(ends[1], 1, &bytes, 8, &size));
    try testing.expectEqualStrings("hello", bytes[0..5]);
    try testing.expectEqual(status.OK, net.fable_net_finish(ends[0]));
    try ready(ends[1], linux.POLL.IN);
    try testing.expectEqual(0, net.fable_net_receive(ends[1], 1, &bytes, 8, &size));
    try testing.expectEqual(2, net.fable_net_send(ends[1], "ok", 2));
    try ready(ends[0], linux.POLL.IN);
    try testing.expectEqual(2, net.fable_net_receive(ends[0], 1, &bytes, 8, &size));
    try testing.expectEqual(0, net.fable_net_unsent(ends[1]));
    for (ends) |fd| try testing.expectEqual(status.OK, host.fable_close(fd));
}

test "bytes over TCP on both families and over Unix, half-closed" {
    try exchange(&loopback);
    if (net.fable_net_listen(1, &loopback6, loopback6.len, 1, 0) >= 0) try exchange(&loopback6);
    try exchange("\x01\x00");
}

test "an aborted connection is reset, a socket nobody listens at refuses" {
    const ends = try connection(&loopback);
    var bytes: [8]u8 = undefined;
    var size: u32 = 0;
    try testing.expectEqual(status.OK, net.fable_net_abort(ends[0]));
    try ready(ends[1], linux.POLL.IN);
    try refusedWith(.CONNRESET, net.fable_net_receive(ends[1], 1, &bytes, 8, &size));
    try refusedWith(.PIPE, net.fable_net_send(ends[1], "x", 1));
    _ = host.fable_close(ends[1]);

    const server = net.fable_net_listen(1, &loopback, loopback.len, 1, 0);
    var name: [128]u8 = undefined;
    const at = try nameOf(server, &name);
    _ = host.fable_close(server);
    const client = net.fable_net_connect(1, at.ptr, @intCast(at.len), null, 0);
    if (client < 0) return refusedWith(.CONNREFUSED, client);
    try ready(client, linux.POLL.OUT);
    try refusedWith(.CONNREFUSED, net.fable_net_connected(client));
    _ = host.fable_close(client);
}

test "a datagram that does not fit stays, and says how long it is" {
    for ([_][]const u8{ &loopback, "\x01\x00" }) |address| {
        const server = net.fable_net_listen(2, address.ptr, @intCast(address.len), 0, 0o600);
        try testing.expect(server >= 0);
        defer _ = host.fable_close(server);
        var name: [128]u8 = undefined;
        const at = try nameOf(server, &name);
        const client = net.fable_net_connect(2, at.ptr, @intCast(at.len), address.ptr, @intCast(address.len));
        try testing.expect(client >= 0);
        defer _ = host.fable_close(client);
        try testing.expectEqual(10, net.fable_net_send(client, "0123456789", 10));
        try testing.expectEqual(0, net.fable_net_send(client, "", 0));
        try ready(server, linux.POLL.IN);
        var bytes: [10]u8 = undefined;
        var size: u32 = 0;
        try testing.expectEqual(status.TOO_LARGE, net.fable_net_receive(server, 2, &bytes, 9, &size));
        try testing.expectEqual(10, size);
        try testing.expectEqual(10, net.fable_net_receive(server, 2, &bytes, 10, &size));
        try testing.expectEqualStrings("0123456789", &bytes);
        try testing.expectEqual(0, net.fable_net_receive(server, 2, &bytes, 10, &size));
        try testing.expectEqual(status.EMPTY, net.fable_net_receive(server, 2, &bytes, 10, &size));
        const long: [70_000]u8 = @splat(0);
        if (address.len == loopback.len) try testing.expectEqual(status.TOO_LARGE, net.fable_net_send(client, &long, long.len));
    }
}

test "arguments are checked" {
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_connect(3, &loopback, loopback.len, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_connect(1, &loopback, 15, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_connect(1, null, 16, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_listen(1, "\x63\x00abcd", 6, 1, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_listen(1, &loopback, loopback.len, 1, 0o1000));
    const server = net.fable_net_listen(1, &loopback, loopback.len, 1, 0);
    defer _ = host.fable_close(server);
    var bytes: [4]u8 = undefined;
    var size: u32 = 0;
    try testing.expectEqual(status.TOO_LARGE, net.fable_net_name(server, 0, &bytes, bytes.len));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_name(server, 2, &bytes, bytes.len));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_receive(server, 1, &bytes, 0, &size));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_receive(server, 1, &bytes, 4, null));
    try testing.expectEqual(status.BAD_ARGUMENT, net.fable_net_option(server, 9, 1));
    for ([_]u32{ 1, 2 }) |option| try testing.expectEqual(status.OK, net.fable_net_option(server, option, 1));
    for ([_]i32{ net.fable_net_connected(-1), net.fable_net_finish(-1), net.fable_net_unsent(-1), net.fable_net_abort(-1) }) |answered|
        try testing.expectEqual(status.BAD_ARGUMENT, answered);
    const unconnected = net.fable_net_listen(2, &loopback, loopback.len, 0, 0);
    defer _ = host.fable_close(unconnected);
    try refusedWith(.NOTCONN, net.fable_net_finish(unconnected));
}
