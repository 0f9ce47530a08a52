//! What every file of sys that talks to descriptors shares: results, paths, closing, facts about an open file.
//!
//! A result is `isize`: zero or positive as the kernel answered it, negative for minus errno. That is the raw convention of the kernel, so
//! nothing is lost on the way to the ABI, where it becomes a status.

const std = @import("std");
const linux = std.os.linux;

pub const E = linux.E;

/// The kernel's raw answer.
pub inline fn result(rc: usize) isize {
    return @bitCast(rc);
}

/// The result that means `e`.
pub inline fn failure(e: E) isize {
    return -@as(isize, @intFromEnum(e));
}

/// The errno behind a negative result.
pub inline fn errnoOf(value: isize) E {
    return linux.errno(@bitCast(value));
}

pub inline fn arg(fd: i32) usize {
    return @bitCast(@as(isize, fd));
}

/// EINTR after close(2) means closed on Linux: never repeated.
pub fn close(fd: i32) void {
    _ = linux.close(fd);
}

/// A close-on-exec duplicate that is at least `lowest`.
pub fn duplicate(fd: i32, lowest: i32) isize {
    return result(linux.fcntl(fd, linux.F.DUPFD_CLOEXEC, arg(lowest)));
}

/// Paths arrive as bytes without a terminator; the kernel wants one and no NUL before it.
pub const Path = struct {
    bytes: [max + 1]u8,
    len: usize,

    pub const max = 4095;

    /// Null when empty, too long or with a NUL inside.
    pub fn set(path: *Path, text: []const u8) ?[:0]u8 {
        if (text.len == 0 or text.len > max) return null;
        if (std.mem.indexOfScalar(u8, text, 0) != null) return null;
        @memcpy(path.bytes[0..text.len], text);
        path.bytes[text.len] = 0;
        path.len = text.len;
        return path.bytes[0..text.len :0];
    }
};

pub const Facts = struct {
    mode: u32,
    uid: u32,
    device: u64,
    inode: u64,
    size_bytes: u64,

    pub fn is(facts: Facts, format: u32) bool {
        return facts.mode & linux.S.IFMT == format;
    }
};

/// Facts of an open descriptor.
pub fn factsOf(fd: i32, out: *Facts) isize {
    return statx(fd, "", linux.AT.EMPTY_PATH, out);
}

/// Facts of what `path` names itself, a symbolic link included.
pub fn factsAt(path: [:0]const u8, out: *Facts) isize {
    return statx(linux.AT.FDCWD, path, linux.AT.SYMLINK_NOFOLLOW, out);
}

fn statx(dir: i32, path: [:0]const u8, flags: u32, out: *Facts) isize {
    var raw: linux.Statx = undefined;
    const rc = result(linux.statx(dir, path, flags, .{ .TYPE = true, .MODE = true, .UID = true, .INO = true, .SIZE = true }, &raw));
    if (rc < 0) return rc;
    out.* = .{
        .mode = raw.mode,
        .uid = raw.uid,
        .device = @as(u64, raw.dev_major) << 32 | raw.dev_minor,
        .inode = raw.ino,
        .size_bytes = raw.size,
    };
    return 0;
}

/// read(2), repeated when a signal interrupts it.
pub fn read(fd: i32, out: []u8) isize {
    while (true) {
        const rc = result(linux.read(fd, out.ptr, out.len));
        if (rc != failure(.INTR)) return rc;
    }
}

/// Reads until `out` is full or the file ends.
pub fn readAll(fd: i32, out: []u8) isize {
    var filled: usize = 0;
    while (filled < out.len) {
        const rc = read(fd, out[filled..]);
        if (rc < 0) return rc;
        if (rc == 0) break;
        filled += @intCast(rc);
    }
    return @intCast(filled);
}

pub fn writeAll(fd: i32, bytes: []const u8) isize {
    var written: usize = 0;
    while (written < bytes.len) {
        const rc = result(linux.write(fd, bytes[written..].ptr, bytes.len - written));
        if (rc == failure(.INTR)) continue;
        if (rc < 0) return rc;
        written += @intCast(rc);
    }
    return 0;
}

/// One write(2) that never raises SIGPIPE, whatever the host does with that signal.
pub fn writeQuietly(fd: i32, bytes: []const u8) isize {
    while (true) {
        const rc = result(linux.sendto(fd, bytes.ptr, bytes.len, linux.MSG.NOSIGNAL, null, 0));
        if (rc == failure(.INTR)) continue;
        if (rc != failure(.NOTSOCK)) return rc;
        break;
    }
    return writeSilently(fd, bytes);
}

/// Pipes and files know no such flag: the signal is blocked, and taken back if it is ours.
pub fn writeSilently(fd: i32, bytes: []const u8) isize {
    const sigpipe: linux.sigset_t = .{1 << (@intFromEnum(linux.SIG.PIPE) - 1)};
    var before: linux.sigset_t = undefined;
    var pending: linux.sigset_t = undefined;
    _ = linux.sigprocmask(linux.SIG.BLOCK, &sigpipe, &before);
    defer _ = linux.sigprocmask(linux.SIG.SETMASK, &before, null);
    const set_bytes = @sizeOf(linux.sigset_t);
    _ = linux.syscall2(.rt_sigpending, @intFromPtr(&pending), set_bytes);
    while (true) {
        const rc = result(linux.write(fd, bytes.ptr, bytes.len));
        if (rc == failure(.INTR)) continue;
        if (rc == failure(.PIPE) and pending[0] & sigpipe[0] == 0) {
            const at_once: linux.timespec = .{ .sec = 0, .nsec = 0 };
            _ = linux.syscall4(.rt_sigtimedwait, @intFromPtr(&sigpipe), 0, @intFromPtr(&at_once), set_bytes);
        }
        return rc;
    }
}

/// Private zeroed memory straight from the kernel: there is no allocator here.
pub fn map(size_bytes: usize) ?[]align(std.heap.page_size_min) u8 {
    const rc = result(linux.mmap(null, size_bytes, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0));
    if (rc < 0) return null;
    return @as([*]align(std.heap.page_size_min) u8, @ptrFromInt(@as(usize, @bitCast(rc))))[0..size_bytes];
}

pub fn unmap(memory: []align(std.heap.page_size_min) u8) void {
    _ = linux.munmap(memory.ptr, memory.len);
}

test "paths refuse what the kernel would misread" {
    var path: Path = undefined;
    try std.testing.expect(path.set("") == null);
    try std.testing.expect(path.set("a\x00b") == null);
    try std.testing.expect(path.set("x" ** 4096) == null);
    try std.testing.expectEqualStrings("/tmp", path.set("/tmp").?);
}

test "results carry errno" {
    var facts: Facts = undefined;
    try std.testing.expectEqual(E.NOENT, errnoOf(factsAt("/nonexistent/file", &facts)));
    try std.testing.expectEqual(@as(isize, 0), factsAt("/proc", &facts));
    try std.testing.expect(facts.is(linux.S.IFDIR));
    try std.testing.expectEqual(failure(.BADF), factsOf(-1, &facts));
}

test "a broken pipe is a result, not a signal" {
    var pipe: [2]i32 = undefined;
    _ = linux.pipe2(&pipe, .{ .CLOEXEC = true });
    defer close(pipe[1]);
    try std.testing.expectEqual(@as(isize, 2), writeQuietly(pipe[1], "ab"));
    close(pipe[0]);
    try std.testing.expectEqual(failure(.PIPE), writeQuietly(pipe[1], "ab"));
}
