//! What channels need of Unix sockets: pairs, non-blocking bytes in and out, waiting for several.
//! Results are the kernel's: negative errno on failure.

const std = @import("std");
const linux = std.os.linux;

pub const PollFd = linux.pollfd;
pub const POLLIN: i16 = linux.POLL.IN;
pub const POLLOUT: i16 = linux.POLL.OUT;
pub const POLLHUP: i16 = linux.POLL.HUP;
pub const POLLERR: i16 = linux.POLL.ERR | linux.POLL.NVAL;

pub const again: isize = -@as(isize, @intFromEnum(linux.E.AGAIN));
pub const interrupted: isize = -@as(isize, @intFromEnum(linux.E.INTR));

/// A connected pair of stream sockets, non-blocking, close-on-exec.
pub fn pair(out: *[2]i32) isize {
    return @bitCast(linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK, 0, out));
}

pub fn close(fd: i32) void {
    if (fd >= 0) _ = linux.close(fd);
}

/// Never blocks, never signals.
pub fn send(fd: i32, bytes: [*]const u8, count: usize) isize {
    while (true) {
        const sent: isize = @bitCast(linux.sendto(fd, bytes, count, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0));
        if (sent != interrupted) return sent;
    }
}

/// Never blocks. 0: the other side is gone.
pub fn receive(fd: i32, bytes: [*]u8, count: usize) isize {
    while (true) {
        const got: isize = @bitCast(linux.recvfrom(fd, bytes, count, linux.MSG.DONTWAIT, null, null));
        if (got != interrupted) return got;
    }
}

/// A full doorbell counts as rung.
pub fn ring(doorbell: i32) void {
    _ = send(doorbell, "!", 1);
}

/// A Unix stream socket that is connected, or was: what a doorbell or a data path may be. Everything else could block or confuse whoever
/// watches it.
pub fn isStream(fd: i32) bool {
    return isOf(fd, linux.AF.UNIX, linux.SOCK.STREAM);
}

/// A connected Unix packet socket.
pub fn isPackets(fd: i32) bool {
    return isOf(fd, linux.AF.UNIX, linux.SOCK.SEQPACKET);
}

/// One that does not listen.
pub fn isOf(fd: i32, domain: u32, kind: u32) bool {
    return option(fd, linux.SO.DOMAIN) == domain and option(fd, linux.SO.TYPE) == kind and option(fd, linux.SO.ACCEPTCONN) == 0;
}

/// A number of the socket layer, or minus errno.
pub fn option(fd: i32, name: u32) isize {
    var value: i32 = 0;
    var size: linux.socklen_t = @sizeOf(i32);
    const rc: isize = @bitCast(linux.getsockopt(fd, linux.SOL.SOCKET, name, @ptrCast(&value), &size));
    return if (rc < 0) rc else value;
}

pub fn setOption(fd: i32, level: i32, name: u32, value: i32) isize {
    return @bitCast(linux.setsockopt(fd, level, name, @ptrCast(&value), @sizeOf(i32)));
}

/// Small writes are sent at once instead of waiting for the acknowledgement of those before.
pub fn setNoDelay(fd: i32, on: bool) isize {
    return setOption(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, @intFromBool(on));
}

/// Sends what TCP keeps back for want of an acknowledgement; later small writes are kept back as before.
pub fn sendKept(fd: i32) void {
    _ = setNoDelay(fd, true);
    _ = setNoDelay(fd, false);
}

/// The receiver's event loop expects it; the sender may have handed over a blocking one.
pub fn setNonBlocking(fd: i32) void {
    const flags: isize = @bitCast(linux.fcntl(fd, linux.F.GETFL, 0));
    if (flags >= 0) _ = linux.fcntl(fd, linux.F.SETFL, @as(usize, @intCast(flags)) | @as(u32, @bitCast(linux.O{ .NONBLOCK = true })));
}

/// Waits for any of `fds`; negative timeout: for ever. How many are ready, 0 after the time or a signal.
pub fn poll(fds: []PollFd, timeout_ns: i64) usize {
    var time: linux.timespec = .{ .sec = @divTrunc(timeout_ns, std.time.ns_per_s), .nsec = @rem(timeout_ns, std.time.ns_per_s) };
    const ready: isize = @bitCast(linux.ppoll(fds.ptr, fds.len, if (timeout_ns < 0) null else &time, null));
    return if (ready < 0) 0 else @intCast(ready);
}

test "a pair carries bytes and never blocks" {
    var ends: [2]i32 = undefined;
    try std.testing.expect(pair(&ends) >= 0);
    defer close(ends[1]);
    try std.testing.expect(isStream(ends[0]) and !isStream(2));
    var byte: [8]u8 = undefined;
    try std.testing.expectEqual(again, receive(ends[0], &byte, 8));
    ring(ends[0]);
    ring(ends[0]);
    try std.testing.expectEqual(@as(isize, 2), receive(ends[1], &byte, 8));
    close(ends[0]);
    try std.testing.expectEqual(@as(isize, 0), receive(ends[1], &byte, 8));
}
