//! Pipes and loopback connections as paths of a channel. Results are the kernel's: negative errno on failure.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const socket = @import("socket.zig");

/// What a pipe holds at most: a quarter of the smallest arena, or as much as the user may have.
const pipe_bytes = 256 << 10;
const RWF_NOWAIT = 8;
const RWF_NOSIGNAL = 0x100;

/// Reading end first. Non-blocking, close-on-exec.
pub fn pair(out: *[2]i32) isize {
    const rc = os.result(linux.pipe2(out, .{ .CLOEXEC = true, .NONBLOCK = true }));
    if (rc >= 0) _ = linux.fcntl(out[0], linux.F.SETPIPE_SZ, pipe_bytes); // refused to users with many pipes: then it stays small
    return rc;
}

/// Never blocks, whatever the other side did to the descriptor. 0: no writer is left.
pub fn read(fd: i32, bytes: [*]u8, count: usize) isize {
    const iov = [1]std.posix.iovec{.{ .base = bytes, .len = count }};
    while (true) {
        var got: isize = @bitCast(linux.syscall6(.preadv2, os.arg(fd), @intFromPtr(&iov), 1, std.math.maxInt(usize), std.math.maxInt(usize), RWF_NOWAIT));
        if (got == os.failure(.OPNOTSUPP)) got = @bitCast(linux.read(fd, bytes, count)); // before Linux 6.4
        if (got != socket.interrupted) return got;
    }
}

/// Opens the reading end that the other side made, and has too, anew: what that side sets on its description then concerns this one no
/// more. The old descriptor is closed. False: as it was, because there is no /proc or the pipe is another user's.
pub fn makeOwn(fd: *i32) bool {
    var path: [32]u8 = undefined;
    const name = std.fmt.bufPrintZ(&path, "/proc/self/fd/{d}", .{fd.*}) catch return false;
    const rc = os.result(linux.openat(linux.AT.FDCWD, name, .{ .ACCMODE = .RDONLY, .NONBLOCK = true, .CLOEXEC = true }, 0));
    if (rc < 0) return false;
    os.close(fd.*);
    fd.* = @intCast(rc);
    return true;
}

/// read() of a description that nobody else has: the plain call, a fifth cheaper for one page.
pub fn readOwn(fd: i32, bytes: [*]u8, count: usize) isize {
    while (true) {
        const got: isize = @bitCast(linux.read(fd, bytes, count));
        if (got != socket.interrupted) return got;
    }
}

/// The caller keeps a reading end, so there is never a SIGPIPE.
pub fn write(fd: i32, bytes: [*]const u8, count: usize) isize {
    while (true) {
        const sent: isize = @bitCast(linux.write(fd, bytes, count));
        if (sent != socket.interrupted) return sent;
    }
}

/// Into a pipe that the peer made: it may have closed the other end, or made the description that both share a blocking one. At most
/// 4096 bytes, all or none of them.
pub fn writePeers(fd: i32, bytes: [*]const u8, count: usize) isize {
    const iov = [1]std.posix.iovec_const{.{ .base = bytes, .len = count }};
    while (true) {
        const sent: isize = @bitCast(linux.syscall6(.pwritev2, os.arg(fd), @intFromPtr(&iov), 1, std.math.maxInt(usize), std.math.maxInt(usize), RWF_NOWAIT | RWF_NOSIGNAL));
        if (sent == os.failure(.OPNOTSUPP)) return writePeersByHand(fd, bytes[0..count]);
        if (sent != socket.interrupted) return sent;
    }
}

/// Before Linux 6.18.
noinline fn writePeersByHand(fd: i32, bytes: []const u8) isize {
    socket.setNonBlocking(fd);
    return os.writeSilently(fd, bytes);
}

/// Puts the pages that hold `bytes` into the pipe, not copies of them: they must not change before the reader has read them.
pub fn splicePages(fd: i32, bytes: [*]const u8, count: usize) isize {
    const SPLICE_F_NONBLOCK = 2;
    const iov = [1]std.posix.iovec_const{.{ .base = bytes, .len = count }};
    while (true) {
        const sent: isize = @bitCast(linux.syscall4(.vmsplice, os.arg(fd), @intFromPtr(&iov), 1, SPLICE_F_NONBLOCK));
        if (sent != socket.interrupted) return sent;
    }
}

pub fn isPipe(fd: i32) bool {
    var facts: os.Facts = undefined;
    return os.factsOf(fd, &facts) == 0 and facts.is(linux.S.IFIFO);
}

/// Two ends of one TCP connection over the loopback, both ours.
pub fn tcpPair(out: *[2]i32, no_delay: bool) isize {
    const flags = linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK;
    const listener = os.result(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
    if (listener < 0) return listener;
    const door: i32 = @intCast(listener);
    defer os.close(door);
    var address: linux.sockaddr.in = .{ .port = 0, .addr = std.mem.nativeToBig(u32, 0x7f000001) };
    var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
    var rc = os.result(linux.bind(door, @ptrCast(&address), size));
    if (rc >= 0) rc = os.result(linux.listen(door, 1));
    if (rc >= 0) rc = os.result(linux.getsockname(door, @ptrCast(&address), &size));
    if (rc < 0) return rc;
    const made = os.result(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
    if (made < 0) return made;
    const mine: i32 = @intCast(made);
    rc = connectAndAccept(door, mine, &address, flags, no_delay);
    if (rc < 0) {
        os.close(mine);
        return rc;
    }
    out.* = .{ mine, @intCast(rc) };
    return 0;
}

/// The accepted end. Whoever else found the port first is turned away.
fn connectAndAccept(door: i32, mine: i32, address: *const linux.sockaddr.in, flags: u32, no_delay: bool) isize {
    var rc = os.result(linux.connect(mine, @ptrCast(address), @sizeOf(linux.sockaddr.in)));
    if (rc < 0) return rc;
    var own: linux.sockaddr.in = undefined;
    var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
    rc = os.result(linux.getsockname(mine, @ptrCast(&own), &size));
    if (rc < 0) return rc;
    for (0..16) |_| {
        var peer: linux.sockaddr.in = undefined;
        size = @sizeOf(linux.sockaddr.in);
        const got = os.result(linux.accept4(door, @ptrCast(&peer), &size, flags & ~@as(u32, linux.SOCK.STREAM)));
        if (got < 0) return got;
        if (peer.port == own.port and peer.addr == own.addr) {
            setUp(mine, no_delay);
            setUp(@intCast(got), no_delay);
            return got;
        }
        os.close(@intCast(got));
    }
    return os.failure(.CONNREFUSED);
}

fn setUp(fd: i32, no_delay: bool) void {
    socket.setNonBlocking(fd);
    if (no_delay) _ = socket.setNoDelay(fd, true);
}

pub fn isTcp(fd: i32) bool {
    return socket.isOf(fd, linux.AF.INET, linux.SOCK.STREAM);
}

test "both ends of a loopback connection are ours, and pages come out of a pipe as they went in" {
    var ends: [2]i32 = undefined;
    try std.testing.expectEqual(@as(isize, 0), tcpPair(&ends, true));
    defer for (ends) |fd| os.close(fd);
    try std.testing.expect(isTcp(ends[0]) and isTcp(ends[1]) and !isPipe(ends[0]));
    try std.testing.expectEqual(@as(isize, 5), socket.send(ends[0], "hello", 5));
    var waiting = [1]socket.PollFd{.{ .fd = ends[1], .events = socket.POLLIN, .revents = 0 }};
    try std.testing.expectEqual(@as(usize, 1), socket.poll(&waiting, std.time.ns_per_s));
    var in: [8]u8 = undefined;
    try std.testing.expectEqual(@as(isize, 5), socket.receive(ends[1], &in, 8));

    var both: [2]i32 = undefined;
    try std.testing.expect(pair(&both) >= 0);
    defer for (both) |fd| os.close(fd);
    try std.testing.expect(isPipe(both[0]) and !isTcp(both[0]));
    try std.testing.expectEqual(socket.again, read(both[0], &in, 8));
    const page = os.map(4096).?;
    defer os.unmap(page);
    @memcpy(page[0..5], "pages");
    try std.testing.expectEqual(@as(isize, 5), splicePages(both[1], page.ptr, 5));
    try std.testing.expectEqual(@as(isize, 2), write(both[1], "!!", 2));
    try std.testing.expectEqual(@as(isize, 7), read(both[0], &in, 8));
    try std.testing.expectEqualStrings("pages!!", in[0..7]);
    // both ways to write where the peer may not read
    for ([_]*const fn (i32, []const u8) isize{ atOnce, writePeersByHand }) |one| {
        try std.testing.expectEqual(@as(isize, 4), one(both[1], "back"));
        try std.testing.expectEqual(@as(isize, 4), read(both[0], &in, 8));
        var gone: [2]i32 = undefined;
        try std.testing.expect(pair(&gone) >= 0);
        os.close(gone[0]);
        try std.testing.expectEqual(os.failure(.PIPE), one(gone[1], "back"));
        os.close(gone[1]);
    }
    const junk: [4096]u8 = @splat(0);
    while (writePeers(both[1], &junk, junk.len) == junk.len) {}
    _ = linux.fcntl(both[1], linux.F.SETFL, 0);
    try std.testing.expectEqual(socket.again, writePeersByHand(both[1], "back"));
    _ = linux.fcntl(both[1], linux.F.SETFL, 0);
    try std.testing.expectEqual(socket.again, atOnce(both[1], "back"));
}

test "a reading end of its own does not block when the other side makes the one it gave away a blocking one" {
    var both: [2]i32 = undefined;
    try std.testing.expect(pair(&both) >= 0);
    defer os.close(both[1]);
    const theirs: i32 = @intCast(os.duplicate(both[0], 0));
    defer os.close(theirs);
    try std.testing.expect(makeOwn(&both[0]));
    defer os.close(both[0]);
    _ = linux.fcntl(theirs, linux.F.SETFL, 0);
    var in: [8]u8 = undefined;
    try std.testing.expectEqual(socket.again, readOwn(both[0], &in, 8));
    try std.testing.expectEqual(@as(isize, 3), write(both[1], "now", 3));
    try std.testing.expectEqual(@as(isize, 3), readOwn(both[0], &in, 8));
    var none: i32 = -1;
    try std.testing.expect(!makeOwn(&none) and none == -1);
}

test "what TCP keeps back goes, and later small writes are kept back as before" {
    var ends: [2]i32 = undefined;
    try std.testing.expectEqual(@as(isize, 0), tcpPair(&ends, false));
    defer for (ends) |fd| os.close(fd);
    // the cork keeps back what else an acknowledgement would have to be missing for; it lets go by itself after 200 ms
    try std.testing.expectEqual(@as(isize, 0), socket.setOption(ends[0], linux.IPPROTO.TCP, linux.TCP.CORK, 1));
    try std.testing.expectEqual(@as(isize, 4), socket.send(ends[0], "kept", 4));
    var in: [8]u8 = undefined;
    try std.testing.expectEqual(socket.again, socket.receive(ends[1], &in, 8));
    socket.sendKept(ends[0]);
    var waiting = [1]socket.PollFd{.{ .fd = ends[1], .events = socket.POLLIN, .revents = 0 }};
    try std.testing.expectEqual(@as(usize, 1), socket.poll(&waiting, 150 * std.time.ns_per_ms));
    try std.testing.expectEqual(@as(isize, 4), socket.receive(ends[1], &in, 8));
    var value: i32 = 1;
    var size: linux.socklen_t = @sizeOf(i32);
    _ = linux.getsockopt(ends[0], linux.IPPROTO.TCP, linux.TCP.NODELAY, @ptrCast(&value), &size);
    try std.testing.expectEqual(0, value);
}

fn atOnce(fd: i32, bytes: []const u8) isize {
    return writePeers(fd, bytes.ptr, bytes.len);
}
