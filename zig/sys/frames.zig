//! Unix sockets that keep message boundaries and carry descriptors: pairs, listening, dialling, frames, who is on the other side.
//! Everything is non-blocking and close-on-exec. Received descriptors either all reach the caller or are all closed.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const socket = @import("socket.zig");

const E = os.E;
const result = os.result;
const failure = os.failure;

/// One frame of the broker's protocol.
pub const max_frame_bytes = 65536;
pub const max_fds = 16;
/// What sun_path holds with its terminator.
pub const max_path_bytes = 107;

const socket_flags = linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC;

pub fn pair(kind: u32, out: *[2]i32) isize {
    return result(linux.socketpair(linux.AF.UNIX, kind | socket_flags, 0, out));
}

const Address = struct {
    raw: linux.sockaddr.un,
    len: linux.socklen_t,

    fn set(address: *Address, path: []const u8) bool {
        if (path.len == 0 or path.len > max_path_bytes or std.mem.indexOfScalar(u8, path, 0) != null) return false;
        address.raw = .{ .family = linux.AF.UNIX, .path = @splat(0) };
        @memcpy(address.raw.path[0..path.len], path);
        address.len = @intCast(@offsetOf(linux.sockaddr.un, "path") + path.len + 1);
        return true;
    }
};

/// A listening socket whose file has exactly `mode` before anyone can connect.
pub fn listen(path: []const u8, mode: u32, backlog: u32) isize {
    var address: Address = undefined;
    if (!address.set(path)) return failure(.INVAL);
    const fd_result = result(linux.socket(linux.AF.UNIX, linux.SOCK.SEQPACKET | socket_flags, 0));
    if (fd_result < 0) return fd_result;
    const fd: i32 = @intCast(fd_result);
    // The file is born with the socket's own mode less the umask; chmod afterwards undoes the umask. Nobody connects before listen().
    _ = linux.fchmod(fd, mode);
    var rc = result(linux.bind(fd, @ptrCast(&address.raw), address.len));
    if (rc < 0) {
        os.close(fd);
        return rc;
    }
    var file: os.Path = undefined;
    const name = file.set(path).?;
    rc = result(linux.fchmodat(linux.AT.FDCWD, name, mode));
    if (rc >= 0) rc = result(linux.listen(fd, backlog));
    if (rc < 0) {
        _ = linux.unlinkat(linux.AT.FDCWD, name, 0);
        os.close(fd);
        return rc;
    }
    return fd;
}

/// A connected socket, or AGAIN when nobody waits.
pub fn accept(fd: i32) isize {
    while (true) {
        const rc = result(linux.accept4(fd, null, null, socket_flags));
        if (rc != failure(.INTR) and rc != failure(.CONNABORTED)) return rc;
    }
}

/// Connects; AGAIN when the backlog of the listener is full.
pub fn dial(path: []const u8) isize {
    var address: Address = undefined;
    if (!address.set(path)) return failure(.INVAL);
    const fd_result = result(linux.socket(linux.AF.UNIX, linux.SOCK.SEQPACKET | socket_flags, 0));
    if (fd_result < 0) return fd_result;
    const fd: i32 = @intCast(fd_result);
    while (true) {
        const rc = result(linux.connect(fd, &address.raw, address.len));
        if (rc == failure(.INTR)) continue;
        if (rc >= 0) return fd;
        os.close(fd);
        return rc;
    }
}

/// One control message with room for `max_fds` descriptors.
const Rights = extern struct {
    header: linux.cmsghdr,
    fds: [max_fds]i32,

    const header_bytes = @sizeOf(linux.cmsghdr);
    comptime {
        std.debug.assert(@offsetOf(Rights, "fds") == header_bytes);
        std.debug.assert(@sizeOf(Rights) == header_bytes + max_fds * 4);
    }
};

/// Sends one frame whole or not at all.
pub fn send(fd: i32, bytes: []const u8, fds: []const i32) isize {
    var rights: Rights = undefined;
    rights.header = .{ .len = Rights.header_bytes + fds.len * 4, .level = linux.SOL.SOCKET, .type = linux.SCM.RIGHTS };
    @memcpy(rights.fds[0..fds.len], fds);
    const iov = [1]std.posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
    const message: linux.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = &iov,
        .iovlen = 1,
        .control = if (fds.len > 0) &rights else null,
        .controllen = if (fds.len > 0) std.mem.alignForward(usize, rights.header.len, @alignOf(linux.cmsghdr)) else 0,
        .flags = 0,
    };
    while (true) {
        const rc = result(linux.sendmsg(fd, &message, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL));
        if (rc != failure(.INTR)) return rc;
    }
}

pub const Received = struct {
    /// Bytes, 0 when the other side is gone, or minus errno.
    result: isize,
    fd_count: u32 = 0,
    /// The frame or its descriptors did not fit: it is lost, its descriptors are closed.
    truncated: bool = false,
};

/// Receives one frame. `fds` needs no more room than the caller allows; a frame with more is truncated.
pub fn receive(fd: i32, out: []u8, fds: []i32) Received {
    var control: [256]u8 align(@alignOf(linux.cmsghdr)) = undefined;
    var iov = [1]std.posix.iovec{.{ .base = out.ptr, .len = out.len }};
    var message: linux.msghdr = .{
        .name = null,
        .namelen = 0,
        .iov = &iov,
        .iovlen = 1,
        .control = &control,
        .controllen = control.len,
        .flags = 0,
    };
    const rc = receiveOnce(fd, &message);
    if (rc < 0) return .{ .result = rc };

    var got: [control.len / 4]i32 = undefined;
    const count = collect(control[0..@min(message.controllen, control.len)], &got);
    const lost = message.flags & (linux.MSG.TRUNC | linux.MSG.CTRUNC) != 0;
    // An empty packet cannot be told from the end of the connection, so it is one.
    if (lost or count > fds.len or count > max_fds or rc == 0) {
        for (got[0..count]) |one| os.close(one);
        return .{ .result = rc, .truncated = rc != 0 };
    }
    @memcpy(fds[0..count], got[0..count]);
    return .{ .result = rc, .fd_count = @intCast(count) };
}

fn receiveOnce(fd: i32, message: *linux.msghdr) isize {
    // A peer that closed with frames of ours unread leaves ECONNRESET in front of its last frames: it is reported once, then they come.
    var resets: u32 = 0;
    while (true) {
        const rc = result(linux.recvmsg(fd, message, linux.MSG.DONTWAIT | linux.MSG.CMSG_CLOEXEC));
        if (rc == failure(.INTR)) continue;
        if (rc == failure(.CONNRESET) and resets == 0) {
            resets += 1;
            continue;
        }
        return rc;
    }
}

/// Every descriptor of a control buffer, also of kinds nobody asked for (SCM_PIDFD), so that none leaks.
fn collect(control: []align(@alignOf(linux.cmsghdr)) const u8, out: []i32) usize {
    const header_bytes = @sizeOf(linux.cmsghdr);
    var count: usize = 0;
    var at: usize = 0;
    while (control.len - at >= header_bytes) {
        const header: *const linux.cmsghdr = @ptrCast(@alignCast(control[at..].ptr));
        if (header.len < header_bytes or header.len > control.len - at) break;
        if (header.level == linux.SOL.SOCKET and (header.type == linux.SCM.RIGHTS or header.type == linux.SCM.PIDFD)) {
            const words = std.mem.bytesAsSlice(i32, control[at + header_bytes .. at + header.len][0 .. (header.len - header_bytes) / 4 * 4]);
            for (words) |one| {
                out[count] = one;
                count += 1;
            }
        }
        const step = std.mem.alignForward(usize, header.len, @alignOf(linux.cmsghdr));
        if (step > control.len - at) break;
        at += step;
    }
    return count;
}

pub const Identity = extern struct { pid: i32, uid: u32, gid: u32 };

/// SO_PEERCRED: who connected, as of then.
pub fn identity(fd: i32, out: *Identity) isize {
    var len: linux.socklen_t = @sizeOf(Identity);
    return result(linux.getsockopt(fd, linux.SOL.SOCKET, linux.SO.PEERCRED, @ptrCast(out), &len));
}

/// SO_PEERPIDFD: a descriptor of exactly the process that connected (Linux 6.5).
pub fn peerPidfd(fd: i32) isize {
    const so_peerpidfd = 77;
    return socket.option(fd, so_peerpidfd);
}

/// True when the other side is gone.
pub fn hungUp(fd: i32) bool {
    var one = [1]linux.pollfd{.{ .fd = fd, .events = 0, .revents = 0 }};
    var now: linux.timespec = .{ .sec = 0, .nsec = 0 };
    const rc = result(linux.ppoll(&one, 1, &now, null));
    return rc > 0 and one[0].revents & (linux.POLL.HUP | linux.POLL.ERR | linux.POLL.NVAL) != 0;
}
