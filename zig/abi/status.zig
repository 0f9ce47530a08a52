//! Status codes and the other words of include/fable.h, by the same names without the prefix, and how a failed system call becomes one.

const std = @import("std");
const linux = std.os.linux;

pub const OK: i32 = 0;
pub const EMPTY: i32 = -1;
pub const ENOSPACE: i32 = -2;
pub const ENDED: i32 = -3;
pub const PEER_DEAD: i32 = -4;
pub const PEER_FAULT: i32 = -5;
pub const BAD_HANDLE: i32 = -6;
pub const BAD_ARGUMENT: i32 = -7;
pub const WRONG_THREAD: i32 = -8;
pub const FORKED: i32 = -9;
pub const TOO_LARGE: i32 = -10;
pub const TIMEOUT: i32 = -11;
pub const CLOSED: i32 = -12;
pub const SYSTEM: i32 = -13;
pub const BAD_REGION: i32 = -14;
pub const UNSUPPORTED: i32 = -15;
pub const TABLE_FULL: i32 = -16;
pub const TRUNCATED: i32 = -17;
pub const HUNG_UP: i32 = -18;
pub const ABI_MISMATCH: i32 = -19;
pub const MOVED: i32 = -20;

/// errno of the last SYSTEM each thread was answered. No thread-local storage (that would need the host's libc): a small table keyed by
/// the thread's own pointer. A thread that finds the table full of others takes over the first place of its search.
const Note = struct { thread: std.atomic.Value(usize), errno: std.atomic.Value(i32) };
var notes: [256]Note = @splat(.{ .thread = .init(0), .errno = .init(0) });

/// What identifies the calling thread without a system call: the thread pointer register.
pub inline fn threadPointer() usize {
    return switch (@import("builtin").cpu.arch) {
        .x86_64 => asm volatile ("movq %%fs:0, %[result]"
            : [result] "=r" (-> usize),
        ),
        .aarch64 => asm volatile ("mrs %[result], tpidr_el0"
            : [result] "=r" (-> usize),
        ),
        else => @compileError("x86-64 and arm64 only"),
    };
}

fn noteOf(thread: usize) *Note {
    const start = (thread >> 6) *% 0x9e3779b97f4a7c15 >> 56;
    var i: usize = 0;
    while (i < notes.len) : (i += 1) {
        const note = &notes[(start + i) % notes.len];
        const seen = note.thread.load(.monotonic);
        if (seen == thread) return note;
        if (seen == 0 and note.thread.cmpxchgStrong(0, thread, .monotonic, .monotonic) == null) return note;
    }
    const note = &notes[start % notes.len];
    note.thread.store(thread, .monotonic);
    return note;
}

/// Answers FABLE_SYSTEM and remembers `errno` for this thread's fable_errno().
pub fn system(errno: linux.E) i32 {
    noteOf(threadPointer()).errno.store(@intFromEnum(errno), .monotonic);
    return SYSTEM;
}

/// Of the last `system` on this thread.
pub fn lastErrno() i32 {
    return noteOf(threadPointer()).errno.load(.monotonic);
}

test "errno is remembered per thread" {
    try std.testing.expectEqual(SYSTEM, system(.NOENT));
    const other = try std.Thread.spawn(.{}, struct {
        fn run() void {
            _ = system(.PERM);
        }
    }.run, .{});
    other.join();
    try std.testing.expectEqual(@as(i32, @intFromEnum(linux.E.NOENT)), lastErrno());
}
