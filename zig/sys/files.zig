//! Files and folders of the runtime directory: lock, socket file, private folder, small files. Paths come from configuration, but other
//! users may write beside them (/tmp), so nothing here follows a link it did not expect or trusts a name twice.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");

const result = os.result;
const failure = os.failure;
const S = linux.S;

/// An exclusively locked file, or AGAIN when another holds it. The lock goes with the last copy of the descriptor.
pub fn lock(text: []const u8) isize {
    var path: os.Path = undefined;
    const name = path.set(text) orelse return failure(.INVAL);
    var tries: u32 = 0;
    while (tries < 8) : (tries += 1) {
        const opened = result(linux.open(name, .{ .ACCMODE = .RDWR, .CREAT = true, .NOFOLLOW = true, .NONBLOCK = true, .CLOEXEC = true }, 0o600));
        if (opened < 0) return opened;
        const fd: i32 = @intCast(opened);
        const rc = locked(fd, name);
        if (rc > 0) return fd;
        os.close(fd);
        if (rc < 0) return rc;
    }
    return failure(.AGAIN);
}

/// 1 locked; 0 when the file was replaced meanwhile and the lock is worth nothing; else minus errno.
fn locked(fd: i32, name: [:0]const u8) isize {
    var ours: os.Facts = undefined;
    var named: os.Facts = undefined;
    var rc = os.factsOf(fd, &ours);
    if (rc < 0) return rc;
    if (!ours.is(S.IFREG)) return failure(.INVAL);
    if (ours.uid != linux.geteuid()) return failure(.PERM);
    rc = result(linux.flock(fd, 2 | 4)); // LOCK_EX | LOCK_NB
    if (rc < 0) return rc;
    rc = os.factsAt(name, &named);
    if (rc == failure(.NOENT)) return 0;
    if (rc < 0) return rc;
    return if (named.inode == ours.inode and named.device == ours.device) 1 else 0;
}

/// INVAL when it is anything but a socket of this user.
pub fn unlinkSocket(text: []const u8) isize {
    var path: os.Path = undefined;
    const name = path.set(text) orelse return failure(.INVAL);
    var facts: os.Facts = undefined;
    const rc = os.factsAt(name, &facts);
    if (rc < 0) return rc;
    if (!facts.is(S.IFSOCK) or facts.uid != linux.geteuid()) return failure(.INVAL);
    return result(linux.unlinkat(linux.AT.FDCWD, name, 0));
}

/// Makes the folder and what is missing above it. The last one must be a real directory of this user that nobody else may write: INVAL else.
pub fn folder(text: []const u8) isize {
    var path: os.Path = undefined;
    const name = path.set(std.mem.trimEnd(u8, text, "/")) orelse return failure(.INVAL);
    if (name[0] != '/') return failure(.INVAL);
    const opened = openFolder(name);
    const fd_result = if (opened == failure(.NOENT)) made: {
        const rc = makeFolders(name);
        if (rc < 0) return rc;
        break :made openFolder(name);
    } else opened;
    if (fd_result == failure(.LOOP) or fd_result == failure(.NOTDIR)) return failure(.INVAL);
    if (fd_result < 0) return fd_result;
    defer os.close(@intCast(fd_result));
    var facts: os.Facts = undefined;
    const rc = os.factsOf(@intCast(fd_result), &facts);
    if (rc < 0) return rc;
    const private = facts.uid == linux.geteuid() and facts.mode & (S.IWGRP | S.IWOTH) == 0;
    return if (private) 0 else failure(.INVAL);
}

/// Refuses a link as the last component; links above it (/var/run) are the system's business.
fn openFolder(name: [:0]const u8) isize {
    return result(linux.open(name, .{ .PATH = true, .DIRECTORY = true, .NOFOLLOW = true, .CLOEXEC = true }, 0));
}

/// All with mode 0700: a folder that exists only for ours needs no other reader.
fn makeFolders(name: [:0]u8) isize {
    var at: usize = 1;
    while (at < name.len) {
        const end = std.mem.indexOfScalarPos(u8, name, at, '/') orelse name.len;
        const kept = name[end];
        name[end] = 0;
        const rc = result(linux.mkdirat(linux.AT.FDCWD, name[0..end :0], 0o700));
        name[end] = kept;
        // What exists need not be writable for us (EROFS, EACCES): only the last answer counts, and openFolder gives it.
        if (rc < 0 and rc != failure(.EXIST) and end == name.len) return rc;
        at = end + 1;
    }
    return 0;
}

/// A whole small file, /proc included. FBIG when it does not fit, INVAL when it is no regular file.
pub fn readSmall(text: []const u8, out: []u8) isize {
    var path: os.Path = undefined;
    const name = path.set(text) orelse return failure(.INVAL);
    const opened = result(linux.open(name, .{ .NONBLOCK = true, .NOCTTY = true, .CLOEXEC = true }, 0));
    if (opened < 0) return opened;
    const fd: i32 = @intCast(opened);
    defer os.close(fd);
    var facts: os.Facts = undefined;
    const rc = os.factsOf(fd, &facts);
    if (rc < 0) return rc;
    if (facts.is(S.IFDIR)) return failure(.ISDIR);
    if (!facts.is(S.IFREG)) return failure(.INVAL);
    const size = os.readAll(fd, out);
    if (size < 0 or size < out.len) return size;
    var more: [1]u8 = undefined;
    const rest = os.read(fd, &more);
    if (rest < 0) return rest;
    return if (rest == 0) size else failure(.FBIG);
}

/// A new file that appears whole or not at all; EXIST when the name is taken. Written under another name beside it, then linked.
pub fn create(text: []const u8, bytes: []const u8, mode: u32) isize {
    var path: os.Path = undefined;
    const name = path.set(text) orelse return failure(.INVAL);
    var draft: Draft = undefined;
    var rc = draft.write(text, bytes, mode);
    if (rc < 0) return rc;
    defer draft.remove();
    rc = result(linux.linkat(linux.AT.FDCWD, draft.name, linux.AT.FDCWD, name, 0));
    // File systems without hard links, and containers that forbid them: plainly, in place.
    if (rc == failure(.PERM) or rc == failure(.OPNOTSUPP)) return writeNew(name, bytes, mode);
    return rc;
}

/// What stands under that name from now on, whole: who reads it finds what was there before, or this. No bytes: nothing does.
pub fn replace(text: []const u8, bytes: []const u8, mode: u32) isize {
    var path: os.Path = undefined;
    const name = path.set(text) orelse return failure(.INVAL);
    if (bytes.len == 0) {
        const rc = result(linux.unlinkat(linux.AT.FDCWD, name, 0));
        return if (rc == failure(.NOENT)) 0 else rc;
    }
    var draft: Draft = undefined;
    var rc = draft.write(text, bytes, mode);
    if (rc < 0) return rc;
    rc = result(linux.renameat(linux.AT.FDCWD, draft.name, linux.AT.FDCWD, name));
    if (rc < 0) draft.remove();
    return rc;
}

/// A file beside another one, under a name that nobody else takes.
const Draft = struct {
    path: os.Path,
    name: [:0]const u8,

    fn write(draft: *Draft, beside: []const u8, bytes: []const u8, mode: u32) isize {
        var salt: [8]u8 = undefined;
        const rc = random(&salt);
        if (rc < 0) return rc;
        var text: [os.Path.max]u8 = undefined;
        const joined = std.fmt.bufPrint(&text, "{s}.{x}", .{ beside, &salt }) catch return failure(.NAMETOOLONG);
        draft.name = draft.path.set(joined) orelse return failure(.INVAL);
        return writeNew(draft.name, bytes, mode);
    }

    fn remove(draft: *Draft) void {
        _ = linux.unlinkat(linux.AT.FDCWD, draft.name, 0);
    }
};

fn writeNew(name: [:0]const u8, bytes: []const u8, mode: u32) isize {
    const opened = result(linux.open(name, .{ .ACCMODE = .WRONLY, .CREAT = true, .EXCL = true, .NOFOLLOW = true, .CLOEXEC = true }, mode & 0o700));
    if (opened < 0) return opened;
    const fd: i32 = @intCast(opened);
    defer os.close(fd);
    var rc = os.writeAll(fd, bytes);
    if (rc >= 0) rc = result(linux.fchmod(fd, mode)); // exactly: the umask has no say
    if (rc < 0) _ = linux.unlinkat(linux.AT.FDCWD, name, 0);
    return rc;
}

pub fn random(out: []u8) isize {
    var filled: usize = 0;
    while (filled < out.len) {
        const rc = result(linux.getrandom(out[filled..].ptr, out.len - filled, 0));
        if (rc == failure(.INTR)) continue;
        if (rc < 0) return rc;
        filled += @intCast(rc);
    }
    return 0;
}

/// Seals of a memory file; INVAL for any other file.
pub fn seals(fd: i32) isize {
    const get_seals = 1034;
    return result(linux.fcntl(fd, get_seals, 0));
}

const testing = std.testing;

/// A fresh folder for one test; its name is good while `out` is.
fn scratch(out: *[64]u8) ![]const u8 {
    var salt: [6]u8 = undefined;
    _ = random(&salt);
    return std.fmt.bufPrint(out, "/tmp/fable-files-{x}", .{&salt});
}

fn in(base: []const u8, comptime name: []const u8, out: *[128]u8) []const u8 {
    return std.fmt.bufPrint(out, "{s}/" ++ name, .{base}) catch unreachable;
}

fn remove(text: []const u8, flags: u32) void {
    var path: os.Path = undefined;
    _ = linux.unlinkat(linux.AT.FDCWD, path.set(text).?, flags);
}

test "folders: made, checked, refused" {
    var base_name: [64]u8 = undefined;
    const base = try scratch(&base_name);
    var names: [4][128]u8 = undefined;
    const deep = in(base, "a/b", &names[0]);
    const middle = in(base, "a", &names[1]);
    const link = in(base, "link", &names[2]);
    const slashed = in(base, "a/b//", &names[3]);
    defer remove(base, linux.AT.REMOVEDIR);
    defer remove(middle, linux.AT.REMOVEDIR);
    defer remove(deep, linux.AT.REMOVEDIR);
    defer remove(link, 0);
    try testing.expectEqual(@as(isize, 0), folder(deep));
    try testing.expectEqual(@as(isize, 0), folder(deep));
    try testing.expectEqual(@as(isize, 0), folder(slashed));
    var path: os.Path = undefined;
    var target: os.Path = undefined;
    _ = linux.symlinkat(target.set(deep).?, linux.AT.FDCWD, path.set(link).?);
    try testing.expectEqual(failure(.INVAL), folder(link));
    _ = linux.fchmodat(linux.AT.FDCWD, path.set(deep).?, 0o770);
    try testing.expectEqual(failure(.INVAL), folder(deep));
    try testing.expectEqual(failure(.INVAL), folder("relative"));
    try testing.expectEqual(failure(.INVAL), folder("/"));
    try testing.expectEqual(failure(.INVAL), folder("/proc/self/status"));
    try testing.expect(folder("/proc/no/such") < 0);
}

test "one holder of a lock" {
    var base_name: [64]u8 = undefined;
    const base = try scratch(&base_name);
    defer remove(base, 0);
    const first = lock(base);
    try testing.expect(first >= 0);
    try testing.expectEqual(failure(.AGAIN), lock(base));
    os.close(@intCast(first));
    const second = lock(base);
    try testing.expect(second >= 0);
    os.close(@intCast(second));
    remove(base, 0);
    var path: os.Path = undefined;
    _ = linux.symlinkat("/etc/passwd", linux.AT.FDCWD, path.set(base).?);
    try testing.expectEqual(failure(.LOOP), lock(base));
    try testing.expectEqual(failure(.INVAL), unlinkSocket(base));
}

test "small files appear whole, once, with their mode" {
    var base_name: [64]u8 = undefined;
    const base = try scratch(&base_name);
    defer remove(base, 0);
    try testing.expectEqual(@as(isize, 0), create(base, "twelve bytes", 0o640));
    try testing.expectEqual(failure(.EXIST), create(base, "other", 0o600));
    var facts: os.Facts = undefined;
    var path: os.Path = undefined;
    _ = os.factsAt(path.set(base).?, &facts);
    try testing.expectEqual(@as(u32, 0o640), facts.mode & 0o777);
    var text: [12]u8 = undefined;
    try testing.expectEqual(@as(isize, 12), readSmall(base, &text));
    try testing.expectEqualStrings("twelve bytes", &text);
    try testing.expectEqual(failure(.FBIG), readSmall(base, text[0..11]));
    try testing.expectEqual(failure(.ISDIR), readSmall("/tmp", &text));
    try testing.expectEqual(failure(.INVAL), readSmall("/dev/null", &text));
    try testing.expectEqual(failure(.NOENT), readSmall("/nonexistent", &text));
    try testing.expectEqual(@as(isize, 0), replace(base, "six on", 0o600));
    try testing.expectEqual(@as(isize, 6), readSmall(base, &text));
    try testing.expectEqualStrings("six on", text[0..6]);
    _ = os.factsAt(path.set(base).?, &facts);
    try testing.expectEqual(@as(u32, 0o600), facts.mode & 0o777);
    for (0..2) |_| {
        try testing.expectEqual(@as(isize, 0), replace(base, "", 0o600));
        try testing.expectEqual(failure(.NOENT), readSmall(base, &text));
    }
    try testing.expectEqual(failure(.ISDIR), replace("/tmp", "", 0o600));
    try testing.expectEqual(failure(.NOENT), replace("/nonexistent/file", "text", 0o600));
    var large: [4096]u8 = undefined;
    try testing.expect(readSmall("/proc/self/status", &large) > 100);
}
