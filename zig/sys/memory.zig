//! Memory regions: sealed memfds shared with a peer, private arenas, and the page by which a forked child is recognised.
//! Results are the kernel's: negative errno on failure.

const std = @import("std");
const linux = std.os.linux;
const F = linux.F;

const MFD_NOEXEC_SEAL = 8;
const MADV_POPULATE_WRITE = 23;
pub const page_bytes = 4096;

pub const seals_fixed_size: u32 = F.SEAL_SHRINK | F.SEAL_GROW | F.SEAL_SEAL;
pub const seals_read_only: u32 = seals_fixed_size | F.SEAL_FUTURE_WRITE;

const invalid: isize = -@as(isize, @intFromEnum(linux.E.INVAL));
const busy: isize = -@as(isize, @intFromEnum(linux.E.BUSY));

/// A memfd of `size` bytes, mode 0600, not yet sealed.
pub fn create(name: [*:0]const u8, size: u32) isize {
    const flags = linux.MFD.CLOEXEC | linux.MFD.ALLOW_SEALING;
    var fd: isize = @bitCast(linux.memfd_create(name, flags | MFD_NOEXEC_SEAL));
    if (fd == invalid) fd = @bitCast(linux.memfd_create(name, flags)); // before Linux 6.3
    if (fd < 0) return fd;
    var rc: isize = @bitCast(linux.ftruncate(@intCast(fd), size));
    if (rc >= 0) rc = @bitCast(linux.fchmod(@intCast(fd), 0o600));
    if (rc < 0) {
        _ = linux.close(@intCast(fd));
        return rc;
    }
    return fd;
}

/// Address of a shared mapping, or negative errno.
pub fn mapShared(fd: i32, size: u32, writable: bool) isize {
    return @bitCast(linux.mmap(null, size, .{ .READ = true, .WRITE = writable }, .{ .TYPE = .SHARED }, fd, 0));
}

/// Address of zeroed private memory, or negative errno.
pub fn mapPrivate(size: usize) isize {
    return @bitCast(linux.mmap(null, size, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0));
}

pub fn unmap(address: ?*const anyopaque, size: usize) void {
    if (address) |at| _ = linux.munmap(@ptrCast(at), size);
}

/// Gives every page its memory now, charged to us: afterwards no touch of it can fail. Negative errno if there is not enough.
pub fn populate(address: [*]u8, size: u32) isize {
    const rc: isize = @bitCast(linux.madvise(address, size, MADV_POPULATE_WRITE));
    if (rc != invalid) return rc;
    var at: u32 = 0; // before Linux 5.14
    while (at < size) : (at += page_bytes) @as(*volatile u8, @ptrCast(address + at)).* = 0;
    return 0;
}

pub fn seal(fd: i32, seals: u32) isize {
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        const rc: isize = @bitCast(linux.fcntl(fd, F.ADD_SEALS, seals));
        if (rc != busy or tries == 100) return rc; // someone else looks at the pages for a moment
        _ = linux.sched_yield();
    }
}

/// Of a region, without mapping it.
pub fn readAt(fd: i32, bytes: [*]u8, count: usize, offset: u32) isize {
    return @bitCast(linux.pread(fd, bytes, count, offset));
}

pub const Facts = struct { size: u64, seals: u32 };

/// Null: not a regular file that can carry seals, so not a memfd.
pub fn facts(fd: i32) ?Facts {
    const seals: isize = @bitCast(linux.fcntl(fd, F.GET_SEALS, 0));
    if (seals < 0) return null;
    var stat: linux.Statx = undefined;
    if (linux.errno(linux.statx(fd, "", linux.AT.EMPTY_PATH, .{ .TYPE = true, .SIZE = true }, &stat)) != .SUCCESS) return null;
    if (stat.mode & linux.S.IFMT != linux.S.IFREG) return null;
    return .{ .size = stat.size, .seals = @truncate(@as(usize, @intCast(seals))) };
}

/// A page whose first word is 1, and 0 in a forked child. Null before Linux 4.14.
pub fn forkGuard() ?*const u32 {
    const address = mapPrivate(page_bytes);
    if (address < 0) return null;
    const page: [*]align(page_bytes) u8 = @ptrFromInt(@as(usize, @bitCast(address)));
    if (linux.errno(linux.madvise(page, page_bytes, linux.MADV.WIPEONFORK)) != .SUCCESS) {
        unmap(page, page_bytes);
        return null;
    }
    const word: *u32 = @ptrCast(page);
    word.* = 1;
    return word;
}

pub fn processId() u32 {
    return @bitCast(linux.getpid());
}

test "a sealed region can be mapped for reading only" {
    const fd: i32 = @intCast(create("test", 4096));
    defer _ = linux.close(fd);
    const mine = mapShared(fd, 4096, true);
    try std.testing.expect(mine > 0);
    defer unmap(@ptrFromInt(@as(usize, @bitCast(mine))), 4096);
    try std.testing.expect(populate(@ptrFromInt(@as(usize, @bitCast(mine))), 4096) >= 0);
    try std.testing.expectEqual(@as(isize, 0), seal(fd, seals_read_only));
    const seen = facts(fd).?;
    try std.testing.expect(seen.size == 4096 and seen.seals & seals_read_only == seals_read_only);
    try std.testing.expect(mapShared(fd, 4096, true) < 0);
    const theirs = mapShared(fd, 4096, false);
    try std.testing.expect(theirs > 0);
    unmap(@ptrFromInt(@as(usize, @bitCast(theirs))), 4096);
    try std.testing.expect(facts(2) == null or facts(2).?.seals == 0);
}

test "a forked child sees its guard wiped" {
    const word = forkGuard() orelse return error.SkipZigTest;
    try std.testing.expectEqual(@as(u32, 1), word.*);
    const pid: isize = @bitCast(linux.fork());
    if (pid == 0) linux.exit(@intCast(@as(*const volatile u32, word).*));
    var code: u32 = 99;
    _ = linux.waitpid(@intCast(pid), &code, 0);
    try std.testing.expectEqual(@as(u32, 0), code >> 8);
}
