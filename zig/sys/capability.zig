//! What this kernel lets this process do, found out by doing it. Version numbers lie: seccomp, containers and backports decide.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const frames = @import("frames.zig");
const process = @import("process.zig");

const result = os.result;

pub const Capability = enum(u32) {
    membarrier = 1,
    seals = 2,
    future_write_seal = 3,
    pidfd = 4,
    peer_pidfd = 5,
    futex_waitv = 6,
    noexec_seal = 7,
    populate = 8,
};

pub const count = @typeInfo(Capability).@"enum".fields.len;

/// 0 not tried, 1 no, 2 yes. Two threads may both try; they find the same.
var known: [count]std.atomic.Value(u8) = @splat(.init(0));

pub fn has(which: Capability) bool {
    const entry = &known[@intFromEnum(which) - 1];
    const before = entry.load(.monotonic);
    if (before != 0) return before == 2;
    const works = switch (which) {
        .membarrier => tryMembarrier(),
        .seals => trySeals(seal_shrink | seal_grow | seal_seal),
        .future_write_seal => tryFutureWrite(),
        .pidfd => tryPidfd(),
        .peer_pidfd => tryPeerPidfd(),
        .futex_waitv => tryFutexWaitv(),
        .noexec_seal => tryNoexec(),
        .populate => tryPopulate(),
    };
    entry.store(if (works) 2 else 1, .monotonic);
    return works;
}

const add_seals = 1033;
const seal_seal = 1;
const seal_shrink = 2;
const seal_grow = 4;
const seal_future_write = 16;
const mfd_cloexec = 1;
const mfd_allow_sealing = 2;
const mfd_noexec_seal = 8;
const page_bytes = 4096;

fn memory(flags: u32) ?i32 {
    const fd = result(linux.memfd_create("fable-probe", mfd_cloexec | flags));
    if (fd < 0) return null;
    if (result(linux.ftruncate(@intCast(fd), page_bytes)) >= 0) return @intCast(fd);
    os.close(@intCast(fd));
    return null;
}

fn tryMembarrier() bool {
    const register_global_expedited = 4;
    const global_expedited = 2;
    if (result(linux.syscall3(.membarrier, register_global_expedited, 0, 0)) < 0) return false;
    return result(linux.syscall3(.membarrier, global_expedited, 0, 0)) >= 0;
}

fn trySeals(wanted: usize) bool {
    const fd = memory(mfd_allow_sealing) orelse return false;
    defer os.close(fd);
    if (result(linux.fcntl(fd, add_seals, wanted)) < 0) return false;
    return result(linux.ftruncate(fd, 2 * page_bytes)) < 0;
}

/// The seal must leave the mapping that exists writable and refuse the next one.
fn tryFutureWrite() bool {
    const fd = memory(mfd_allow_sealing) orelse return false;
    defer os.close(fd);
    const first = mapShared(fd);
    if (first < 0) return false;
    defer _ = linux.munmap(@ptrFromInt(@as(usize, @bitCast(first))), page_bytes);
    if (result(linux.fcntl(fd, add_seals, seal_future_write | seal_shrink | seal_grow)) < 0) return false;
    const second = mapShared(fd);
    if (second < 0) return true;
    _ = linux.munmap(@ptrFromInt(@as(usize, @bitCast(second))), page_bytes);
    return false;
}

fn mapShared(fd: i32) isize {
    return result(linux.mmap(null, page_bytes, .{ .READ = true, .WRITE = true }, .{ .TYPE = .SHARED }, fd, 0));
}

fn tryPidfd() bool {
    const fd = process.open(@intCast(linux.getpid()));
    if (fd < 0) return false;
    defer os.close(@intCast(fd));
    return process.dead(@intCast(fd)) == 0;
}

fn tryPeerPidfd() bool {
    var pair: [2]i32 = undefined;
    if (frames.pair(linux.SOCK.SEQPACKET, &pair) < 0) return false;
    defer for (pair) |fd| os.close(fd);
    const fd = frames.peerPidfd(pair[0]);
    if (fd < 0) return false;
    os.close(@intCast(fd));
    return true;
}

/// Waiting for a value that is not there answers AGAIN at once; a kernel without the call answers something else.
fn tryFutexWaitv() bool {
    const Waiter = extern struct { value: u64, address: u64, flags: u32, reserved: u32 };
    const size_u32 = 2;
    var word: u32 = 0;
    const waiter: Waiter = .{ .value = 1, .address = @intFromPtr(&word), .flags = size_u32, .reserved = 0 };
    return result(linux.syscall5(.futex_waitv, @intFromPtr(&waiter), 1, 0, 0, 0)) == os.failure(.AGAIN);
}

fn tryNoexec() bool {
    const fd = memory(mfd_allow_sealing | mfd_noexec_seal) orelse return false;
    os.close(fd);
    return true;
}

fn tryPopulate() bool {
    const madv_populate_write = 23;
    const probe = os.map(page_bytes) orelse return false;
    defer os.unmap(probe);
    return result(linux.madvise(probe.ptr, page_bytes, madv_populate_write)) >= 0;
}

test "answers do not change, and this kernel can at least seal and watch processes" {
    inline for (@typeInfo(Capability).@"enum".fields) |field| {
        const which: Capability = @enumFromInt(field.value);
        try std.testing.expectEqual(has(which), has(which));
    }
    try std.testing.expect(has(.seals));
    try std.testing.expect(has(.pidfd));
}
