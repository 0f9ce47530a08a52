//! Exports for sockets: pairs, listening, dialling, frames with descriptors, who the peer is, plain bytes in and out.

const std = @import("std");
const linux = std.os.linux;
const os = @import("../sys/os.zig");
const frames = @import("../sys/frames.zig");
const socket = @import("../sys/socket.zig");
const process = @import("../sys/process.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

pub export fn fable_socketpair(kind: u32, out: ?*anyopaque) callconv(.c) i32 {
    const pair = check.one([2]i32, out) orelse return status.BAD_ARGUMENT;
    if (kind != linux.SOCK.STREAM and kind != linux.SOCK.SEQPACKET) return status.BAD_ARGUMENT;
    var made: [2]i32 = undefined;
    const rc = frames.pair(kind, &made);
    if (rc >= 0) pair.* = made;
    return answer.plain(rc);
}

pub export fn fable_listen(path: ?[*]const u8, path_bytes: u32, mode: u32, backlog: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    if (mode > 0o777) return status.BAD_ARGUMENT;
    return socketAnswer(frames.listen(text, mode, backlog), text);
}

/// Connects to a listening socket; ENOSPACE while its backlog is full.
pub export fn fable_dial(path: ?[*]const u8, path_bytes: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    const rc = frames.dial(text);
    return if (rc == os.failure(.AGAIN)) status.ENOSPACE else socketAnswer(rc, text);
}

/// A path that no socket can have is the caller's mistake; too long is the common one.
fn socketAnswer(rc: isize, path: []const u8) i32 {
    if (path.len > frames.max_path_bytes) return status.TOO_LARGE;
    return answer.unless(rc, .INVAL, status.BAD_ARGUMENT);
}

pub export fn fable_accept(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    return answer.unless(frames.accept(fd), .AGAIN, status.EMPTY);
}

pub export fn fable_frame_send(fd: i32, bytes: ?[*]const u8, size_bytes: u32, fds: ?*const anyopaque, fd_count: u32) callconv(.c) i32 {
    const frame = check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT;
    const descriptors = check.manyConst(i32, fds, fd_count) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or frame.len == 0 or descriptors.len > frames.max_fds) return status.BAD_ARGUMENT;
    if (frame.len > frames.max_frame_bytes) return status.TOO_LARGE;
    const rc = frames.send(fd, frame, descriptors);
    if (rc == os.failure(.AGAIN)) return status.ENOSPACE;
    if (rc == os.failure(.MSGSIZE)) return status.TOO_LARGE;
    if (answer.isGone(rc)) return status.HUNG_UP;
    return if (rc < 0) answer.plain(rc) else status.OK;
}

pub export fn fable_frame_receive(fd: i32, out: ?[*]u8, capacity_bytes: u32, fds: ?*anyopaque, fd_capacity: u32, fd_count: ?*anyopaque) callconv(.c) i32 {
    const frame = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    const descriptors = check.many(i32, fds, fd_capacity) orelse return status.BAD_ARGUMENT;
    const count = check.one(u32, fd_count) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or frame.len == 0) return status.BAD_ARGUMENT;
    count.* = 0;
    const got = frames.receive(fd, frame, descriptors);
    if (got.truncated) return status.TRUNCATED;
    if (got.result == 0 or answer.isGone(got.result)) return status.HUNG_UP;
    count.* = got.fd_count;
    return answer.unless(got.result, .AGAIN, status.EMPTY);
}

/// 4-byte alignment is enough: JavaScript hands in a Uint32Array.
pub const Credentials = extern struct {
    pid: u32,
    uid: u32,
    gid: u32,
    pid_fd: i32,
    start_time: u64 align(4),

    comptime {
        std.debug.assert(@sizeOf(Credentials) == 24 and @offsetOf(Credentials, "start_time") == 16);
    }
};

/// For descriptors that somebody else passed: 1 when it is a Unix stream socket, 0 when it is anything else.
pub export fn fable_socket_check(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    if (socket.isStream(fd)) return 1;
    return if (socket.isPackets(fd)) 5 else 0;
}

/// start_time is 0 where /proc does not show the process (another pid namespace, hidepid).
pub export fn fable_peer_credentials(fd: i32, out: ?*anyopaque) callconv(.c) i32 {
    const credentials = check.one(Credentials, out) orelse return status.BAD_ARGUMENT;
    if (fd < 0) return status.BAD_ARGUMENT;
    var who: frames.Identity = undefined;
    const rc = frames.identity(fd, &who);
    if (rc < 0) return answer.plain(rc);
    const pid: u32 = @bitCast(who.pid);
    const pid_fd = peerPidfd(fd, pid);
    if (pid_fd < 0) return if (pid_fd == os.failure(.SRCH)) status.HUNG_UP else answer.plain(pid_fd);
    var start_time: u64 = 0;
    _ = process.startTime(pid, &start_time);
    // Only while it lives is the number surely its own, and so what /proc said about it.
    if (process.dead(@intCast(pid_fd)) != 0) {
        os.close(@intCast(pid_fd));
        return status.HUNG_UP;
    }
    credentials.* = .{ .pid = pid, .uid = who.uid, .gid = who.gid, .pid_fd = @intCast(pid_fd), .start_time = start_time };
    return status.OK;
}

/// SRCH when the peer is gone.
fn peerPidfd(fd: i32, pid: u32) isize {
    const direct = frames.peerPidfd(fd);
    if (direct >= 0 or direct == os.failure(.MFILE) or direct == os.failure(.NFILE)) return direct;
    if (direct != os.failure(.NOPROTOOPT)) return os.failure(.SRCH);
    // Before Linux 6.5: by number, which is its own as long as it still holds its side of the socket.
    const opened = process.open(pid);
    if (opened >= 0 and frames.hungUp(fd)) {
        os.close(@intCast(opened));
        return os.failure(.SRCH);
    }
    return opened;
}

pub export fn fable_close(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    const rc = os.result(linux.close(fd));
    return if (rc == os.failure(.INTR)) status.OK else answer.plain(rc);
}

/// Never lands on descriptors 0 to 2, which the host may have closed.
pub export fn fable_dup(fd: i32) callconv(.c) i32 {
    if (fd < 0) return status.BAD_ARGUMENT;
    return answer.plain(os.duplicate(fd, 3));
}

pub export fn fable_write(fd: i32, bytes: ?[*]const u8, size_bytes: u32) callconv(.c) i32 {
    const data = check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or data.len > std.math.maxInt(i32)) return status.BAD_ARGUMENT;
    if (data.len == 0) return 0;
    const rc = os.writeQuietly(fd, data);
    return if (answer.isGone(rc)) status.HUNG_UP else answer.unless(rc, .AGAIN, status.EMPTY);
}

pub export fn fable_read(fd: i32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    if (fd < 0 or buffer.len == 0 or buffer.len > std.math.maxInt(i32)) return status.BAD_ARGUMENT;
    const rc = os.read(fd, buffer);
    return if (answer.isGone(rc)) status.HUNG_UP else answer.unless(rc, .AGAIN, status.EMPTY);
}
