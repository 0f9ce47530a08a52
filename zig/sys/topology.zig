//! Where threads run: the CPU of this one, pinning, the CPUs it may use.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");

const result = os.result;

/// One bit per CPU, as the kernel takes it; enough for 8192 CPUs, the most Linux is configured for.
pub const Mask = [1024]u8;

var at_load: Mask = @splat(0);
var captured = std.atomic.Value(u32).init(0);

/// The CPUs the first calling thread was allowed, kept from then on: what `pin(-1)` and new processes return to.
pub fn atLoad() *const Mask {
    if (captured.load(.acquire) == 2) return &at_load;
    if (captured.cmpxchgStrong(0, 1, .acquire, .monotonic) == null) {
        _ = allowed(&at_load);
        captured.store(2, .release);
    } else while (captured.load(.acquire) != 2) _ = linux.sched_yield();
    return &at_load;
}

pub fn cpu() isize {
    var number: u32 = 0;
    const rc = result(linux.syscall3(.getcpu, @intFromPtr(&number), 0, 0));
    return if (rc < 0) rc else number;
}

/// The CPUs this thread may run on.
pub fn allowed(mask: *Mask) isize {
    return allowedOf(0, mask);
}

/// Of any thread; 0: this one.
pub fn allowedOf(tid: u32, mask: *Mask) isize {
    const rc = result(linux.syscall3(.sched_getaffinity, tid, mask.len, @intFromPtr(mask)));
    if (rc < 0) return rc;
    @memset(mask[@intCast(rc)..], 0);
    return 0;
}

/// Pins this thread to one CPU; -1 gives back those of load time.
pub fn pin(number: i32) isize {
    const load = atLoad();
    if (number < 0) return set(load);
    const bit: u32 = @intCast(number);
    if (bit >= @sizeOf(Mask) * 8) return os.failure(.INVAL);
    var mask: Mask = @splat(0);
    mask[bit / 8] = @as(u8, 1) << @intCast(bit % 8);
    return set(&mask);
}

/// The CPUs another thread may run on, from now on.
pub fn confine(tid: u32, mask: *const Mask) isize {
    return result(linux.syscall3(.sched_setaffinity, tid, mask.len, @intFromPtr(mask)));
}

fn set(mask: *const Mask) isize {
    return result(linux.syscall3(.sched_setaffinity, 0, mask.len, @intFromPtr(mask)));
}

test "pin to the current CPU and back" {
    var before: Mask = undefined;
    try std.testing.expectEqual(@as(isize, 0), allowed(&before));
    const here = cpu();
    try std.testing.expect(here >= 0);
    try std.testing.expectEqual(@as(isize, 0), pin(@intCast(here)));
    try std.testing.expectEqual(here, cpu());
    var pinned: Mask = undefined;
    _ = allowed(&pinned);
    var count: u32 = 0;
    for (pinned) |byte| count += @popCount(byte);
    try std.testing.expectEqual(@as(u32, 1), count);
    try std.testing.expectEqual(@as(isize, 0), pin(-1));
    var after: Mask = undefined;
    _ = allowed(&after);
    try std.testing.expectEqualSlices(u8, &before, &after);
    try std.testing.expectEqual(os.failure(.INVAL), pin(9000));
}

test "another thread's CPUs are read and set like one's own" {
    const self: u32 = @intCast(linux.gettid());
    var before: Mask = undefined;
    try std.testing.expectEqual(@as(isize, 0), allowedOf(self, &before));
    var one: Mask = @splat(0);
    const here: u32 = @intCast(cpu());
    one[here / 8] = @as(u8, 1) << @intCast(here % 8);
    try std.testing.expectEqual(@as(isize, 0), confine(self, &one));
    var now: Mask = undefined;
    _ = allowed(&now);
    try std.testing.expectEqualSlices(u8, &one, &now);
    try std.testing.expectEqual(@as(isize, 0), confine(self, &before));
    try std.testing.expectEqual(os.failure(.SRCH), allowedOf(0x3fff_ffff, &now));
}
