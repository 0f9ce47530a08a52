//! Exports for the outside world: sockets to and from programs that are no FABLE.

const std = @import("std");
const linux = std.os.linux;
const os = @import("../sys/os.zig");
const net = @import("../sys/net.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

/// ENOSPACE while a Unix listener's backlog is full; the descriptor may not be connected yet.
pub export fn fable_net_connect(kind: u32, address: ?[*]const u8, address_bytes: u32, local: ?[*]const u8, local_bytes: u32) callconv(.c) i32 {
    if (kind != net.stream and kind != net.datagram) return status.BAD_ARGUMENT;
    const there = check.manyConst(u8, address, address_bytes) orelse return status.BAD_ARGUMENT;
    const here = check.manyConst(u8, local, local_bytes) orelse return status.BAD_ARGUMENT;
    var to: net.Address = .{};
    var from: net.Address = .{};
    const target = to.set(there) orelse return status.BAD_ARGUMENT;
    const own = if (here.len == 0) null else from.set(here) orelse return status.BAD_ARGUMENT;
    return answer.unless(net.connect(kind, target, own), .AGAIN, status.ENOSPACE);
}

pub export fn fable_net_connected(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    const rc = net.connected(fd);
    return if (rc == failure(.ALREADY)) status.EMPTY else answer.plain(rc);
}

pub export fn fable_net_listen(kind: u32, address: ?[*]const u8, address_bytes: u32, backlog: u32, mode: u32) callconv(.c) i32 {
    if (kind != net.stream and kind != net.datagram or mode > 0o777) return status.BAD_ARGUMENT;
    const bytes = check.manyConst(u8, address, address_bytes) orelse return status.BAD_ARGUMENT;
    var own: net.Address = .{};
    return answer.plain(net.listen(kind, own.set(bytes) orelse return status.BAD_ARGUMENT, backlog, mode));
}

pub export fn fable_net_name(fd: i32, peer: u32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or peer > 1) return status.BAD_ARGUMENT;
    return answer.unless(net.nameOf(fd, peer == 1, buffer), .NOBUFS, status.TOO_LARGE);
}

pub export fn fable_net_send(fd: i32, bytes: ?[*]const u8, size_bytes: u32) callconv(.c) i32 {
    const data = check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or data.len > std.math.maxInt(i32)) return status.BAD_ARGUMENT;
    const rc = net.send(fd, data);
    // NOBUFS: the network's own queue is full, which passes like a full socket.
    if (rc == failure(.AGAIN) or rc == failure(.NOBUFS)) return status.ENOSPACE;
    return answer.unless(rc, .MSGSIZE, status.TOO_LARGE);
}

pub export fn fable_net_receive(fd: i32, kind: u32, out: ?[*]u8, capacity_bytes: u32, size: ?*anyopaque) callconv(.c) i32 {
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    const bytes = check.one(u32, size) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or buffer.len == 0 or buffer.len > std.math.maxInt(i32)) return status.BAD_ARGUMENT;
    if (kind != net.stream and kind != net.datagram) return status.BAD_ARGUMENT;
    const rc = net.receive(fd, kind, buffer, bytes);
    return if (rc == failure(.AGAIN)) status.EMPTY else answer.unless(rc, .MSGSIZE, status.TOO_LARGE);
}

pub export fn fable_net_finish(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    return answer.plain(net.finish(fd));
}

pub export fn fable_net_unsent(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    return answer.plain(net.unsent(fd));
}

pub export fn fable_net_abort(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    net.abort(fd);
    return status.OK;
}

pub export fn fable_net_option(fd: i32, which: u32, on: u32) callconv(.c) i32 {
    if (fd < 0 or on > 1) return status.BAD_ARGUMENT;
    return answer.plain(switch (which) {
        1 => net.setNoDelay(fd, on == 1),
        2 => net.setKeepAlive(fd, on == 1),
        else => return status.BAD_ARGUMENT,
    });
}

fn failure(e: os.E) isize {
    return os.failure(e);
}
