//! Sockets to programs that are no FABLE: TCP over IPv4 and IPv6, UDP, Unix streams and datagrams. Everything is non-blocking,
//! close-on-exec and never raises SIGPIPE. Addresses are the kernel's own `sockaddr_in`, `sockaddr_in6` and `sockaddr_un`.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const socket = @import("socket.zig");

const result = os.result;
const failure = os.failure;

pub const stream: u32 = linux.SOCK.STREAM;
pub const datagram: u32 = linux.SOCK.DGRAM;
/// The longest of the three: sockaddr_un.
pub const max_address_bytes = @sizeOf(linux.sockaddr.un);

const socket_flags = linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC;
/// No datagram of UDP is longer.
const longest_udp = 65536;

/// A socket address, aligned as the kernel's headers have it, whatever the caller's bytes are.
pub const Address = struct {
    raw: [max_address_bytes]u8 align(8) = @splat(0),
    len: linux.socklen_t = 0,

    /// Null for another family, or a length its family cannot have.
    pub fn set(address: *Address, bytes: []const u8) ?*const Address {
        if (bytes.len < 2 or bytes.len > max_address_bytes) return null;
        const right = switch (std.mem.readInt(u16, bytes[0..2], .little)) {
            linux.AF.INET => bytes.len == @sizeOf(linux.sockaddr.in),
            linux.AF.INET6 => bytes.len == @sizeOf(linux.sockaddr.in6),
            linux.AF.UNIX => true, // two bytes alone: the kernel gives a name
            else => false,
        };
        if (!right) return null;
        @memcpy(address.raw[0..bytes.len], bytes);
        address.len = @intCast(bytes.len);
        return address;
    }

    pub fn family(address: *const Address) u32 {
        return std.mem.readInt(u16, address.raw[0..2], .little);
    }

    fn pointer(address: *const Address) *const linux.sockaddr {
        return @ptrCast(&address.raw);
    }

    /// The file of a Unix socket, null for abstract and unnamed ones.
    pub fn file(address: *const Address, out: *os.Path) ?[:0]u8 {
        if (address.family() != linux.AF.UNIX or address.len <= 2 or address.raw[2] == 0) return null;
        const path = address.raw[2..address.len];
        return out.set(path[0 .. std.mem.indexOfScalar(u8, path, 0) orelse path.len]);
    }
};

/// A socket that is connected, or about to be: it becomes writable when it is decided. AGAIN when a Unix listener's backlog is full.
pub fn connect(kind: u32, address: *const Address, local: ?*const Address) isize {
    const opened = result(linux.socket(address.family(), kind | socket_flags, 0));
    if (opened < 0) return opened;
    const fd: i32 = @intCast(opened);
    var rc: isize = 0;
    if (local) |own| rc = result(linux.bind(fd, own.pointer(), own.len));
    if (rc >= 0) rc = result(linux.connect(fd, address.pointer(), address.len));
    // An interrupted connect goes on by itself.
    if (rc >= 0 or rc == failure(.INPROGRESS) or rc == failure(.INTR)) return fd;
    os.close(fd);
    return rc;
}

/// 0 once it is connected, ALREADY while that is not decided, else why it failed (told once).
pub fn connected(fd: i32) isize {
    const pending = pendingError(fd);
    if (pending != 0) return pending;
    var address: Address = .{ .len = max_address_bytes };
    const rc = result(linux.getpeername(fd, @ptrCast(&address.raw), &address.len));
    return if (rc == failure(.NOTCONN)) failure(.ALREADY) else @min(rc, 0);
}

/// Minus the errno that the socket has to tell, once.
fn pendingError(fd: i32) isize {
    const got = socket.option(fd, linux.SO.ERROR);
    return if (got < 0) got else -got;
}

/// A bound socket; one of streams listens. The file of a Unix socket has exactly `mode` before anyone can connect.
pub fn listen(kind: u32, address: *const Address, backlog: u32, mode: u32) isize {
    const opened = result(linux.socket(address.family(), kind | socket_flags, 0));
    if (opened < 0) return opened;
    const fd: i32 = @intCast(opened);
    // A server that restarts gets its port back although connections of its last life linger.
    if (kind == stream and address.family() != linux.AF.UNIX) _ = socket.setOption(fd, linux.SOL.SOCKET, linux.SO.REUSEADDR, 1);
    if (address.family() == linux.AF.UNIX) _ = linux.fchmod(fd, mode);
    var rc = result(linux.bind(fd, address.pointer(), address.len));
    if (rc < 0) {
        os.close(fd);
        return rc;
    }
    var path: os.Path = undefined;
    const name = address.file(&path);
    // The file is born with the socket's own mode less the umask.
    if (name) |file| rc = result(linux.fchmodat(linux.AT.FDCWD, file, mode));
    if (rc >= 0 and kind == stream) rc = result(linux.listen(fd, backlog));
    if (rc >= 0) return fd;
    if (name) |file| _ = linux.unlinkat(linux.AT.FDCWD, file, 0);
    os.close(fd);
    return rc;
}

/// The address of one side of a socket: how many bytes of `out` it takes.
pub fn nameOf(fd: i32, peer: bool, out: []u8) isize {
    var address: Address = .{ .len = max_address_bytes };
    const raw: *linux.sockaddr = @ptrCast(&address.raw);
    const rc = result(if (peer) linux.getpeername(fd, raw, &address.len) else linux.getsockname(fd, raw, &address.len));
    if (rc < 0) return rc;
    const len = @min(address.len, max_address_bytes);
    if (len > out.len) return failure(.NOBUFS);
    @memcpy(out[0..len], address.raw[0..len]);
    return @intCast(len);
}

pub fn send(fd: i32, bytes: []const u8) isize {
    while (true) {
        const rc = result(linux.sendto(fd, bytes.ptr, bytes.len, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0));
        if (rc != failure(.INTR)) return rc;
    }
}

/// What arrived, or the next datagram whole. MSGSIZE: it is longer than `out` and stays; `size` says how long.
pub fn receive(fd: i32, kind: u32, out: []u8, size: *u32) isize {
    // A look ahead costs a system call, and tells what truncation would have thrown away.
    if (kind == datagram and out.len < longest_udp or kind == datagram and !isInternet(fd)) {
        const ahead = receiveOnce(fd, out[0..0], linux.MSG.PEEK | linux.MSG.TRUNC);
        if (ahead < 0) return ahead;
        size.* = @intCast(@min(ahead, std.math.maxInt(u32)));
        if (ahead > out.len) return failure(.MSGSIZE);
    }
    const rc = receiveOnce(fd, out, 0);
    if (rc >= 0) size.* = @intCast(rc);
    return rc;
}

fn receiveOnce(fd: i32, out: []u8, flags: u32) isize {
    while (true) {
        const rc = result(linux.recvfrom(fd, out.ptr, out.len, linux.MSG.DONTWAIT | flags, null, null));
        if (rc != failure(.INTR)) return rc;
    }
}

fn isInternet(fd: i32) bool {
    const domain = socket.option(fd, linux.SO.DOMAIN);
    return domain == linux.AF.INET or domain == linux.AF.INET6;
}

/// Half-close: the other side gets everything sent, then the end.
pub fn finish(fd: i32) isize {
    return result(linux.shutdown(fd, linux.SHUT.WR));
}

/// Bytes sent that the other side's kernel (TCP) or program (Unix) has not taken yet.
pub fn unsent(fd: i32) isize {
    var count: i32 = 0;
    const rc = result(linux.ioctl(fd, linux.SIOCOUTQ, @intFromPtr(&count)));
    return if (rc < 0) rc else count;
}

/// Closes; over TCP the other side gets a reset instead of an end, so that it takes nothing cut short for whole.
pub fn abort(fd: i32) void {
    const at_once: linux.linger = .{ .onoff = 1, .linger = 0 };
    _ = linux.setsockopt(fd, linux.SOL.SOCKET, linux.SO.LINGER, @ptrCast(&at_once), @sizeOf(linux.linger));
    os.close(fd);
}

pub const setNoDelay = socket.setNoDelay;

/// Looks now and then whether a silent peer still exists.
pub fn setKeepAlive(fd: i32, on: bool) isize {
    return socket.setOption(fd, linux.SOL.SOCKET, linux.SO.KEEPALIVE, @intFromBool(on));
}

test "addresses of other families and impossible lengths are refused" {
    var address: Address = .{};
    try std.testing.expect(address.set(&.{ 2, 0, 0, 80, 127, 0, 0, 1 }) == null);
    try std.testing.expect(address.set(&([_]u8{ 99, 0 } ++ [_]u8{0} ** 14)) == null);
    try std.testing.expect(address.set(&.{2}) == null);
    try std.testing.expect(address.set(&([_]u8{ 1, 0 } ++ [_]u8{'x'} ** 109)) == null);
    try std.testing.expect(address.set(&([_]u8{ 2, 0, 0, 80, 127, 0, 0, 1 } ++ [_]u8{0} ** 8)) != null);
    var path: os.Path = undefined;
    try std.testing.expect(address.file(&path) == null);
    try std.testing.expectEqualStrings("/tmp/x", address.set("\x01\x00/tmp/x").?.file(&path).?);
    try std.testing.expect(address.set("\x01\x00\x00name").?.file(&path) == null);
}
