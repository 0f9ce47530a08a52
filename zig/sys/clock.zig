//! Time and the current CPU.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;

var auxv: [64]std.elf.Auxv = undefined;

/// A shared library without libc is not told where the kernel's vdso is; without it each look at the clock is a system call.
/// Called once, before any other thread can be in here.
pub fn findVdso() void {
    if (linux.elf_aux_maybe != null) return;
    const fd: isize = @bitCast(linux.open("/proc/self/auxv", .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0));
    if (fd < 0) return;
    defer _ = linux.close(@intCast(fd));
    const bytes = std.mem.sliceAsBytes(auxv[0 .. auxv.len - 1]);
    const count: isize = @bitCast(linux.read(@intCast(fd), bytes.ptr, bytes.len));
    if (count <= 0 or @rem(count, @sizeOf(std.elf.Auxv)) != 0) return;
    auxv[@as(usize, @intCast(count)) / @sizeOf(std.elf.Auxv)] = .{ .a_type = std.elf.AT_NULL, .a_un = .{ .a_val = 0 } };
    linux.elf_aux_maybe = &auxv;
}

pub fn nowNs() u64 {
    var time: linux.timespec = undefined;
    if (linux.clock_gettime(.MONOTONIC, &time) != 0) return 0;
    return @as(u64, @bitCast(@as(i64, time.sec))) *% std.time.ns_per_s +% @as(u64, @bitCast(@as(i64, time.nsec)));
}

/// The CPU this thread runs on. On x86-64 the kernel keeps it as the limit of a descriptor that any program may ask for.
pub inline fn cpu() u32 {
    if (builtin.cpu.arch == .x86_64) {
        const limit = asm volatile ("lsl %[selector], %[limit]"
            : [limit] "=r" (-> u32),
            : [selector] "r" (@as(u32, 0x7b)),
            : .{ .cc = true });
        return limit & 0xfff;
    }
    var which: usize = 0;
    return if (linux.getcpu(&which, null) == 0) @truncate(which) else 0;
}

pub inline fn relax() void {
    std.atomic.spinLoopHint();
}

test "the clock goes on and the CPU exists" {
    const before = nowNs();
    try std.testing.expect(before > 0);
    try std.testing.expect(nowNs() >= before);
    var which: usize = 0;
    for (0..100) |_| {
        _ = linux.getcpu(&which, null);
        const fast = cpu();
        var again: usize = 0;
        _ = linux.getcpu(&again, null);
        if (which == again) return try std.testing.expectEqual(which, fast);
    }
}
