//! A lock between threads of this process. Uncontended it is one atomic exchange; else the kernel queues.

const std = @import("std");
const linux = std.os.linux;

pub const Mutex = struct {
    /// 0 free, 1 held, 2 held and perhaps waited for.
    word: std.atomic.Value(u32) = .init(0),

    pub fn lock(mutex: *Mutex) void {
        if (mutex.word.cmpxchgStrong(0, 1, .acquire, .monotonic) == null) return;
        while (mutex.word.swap(2, .acquire) != 0) {
            _ = linux.futex_4arg(&mutex.word.raw, .{ .cmd = .WAIT, .private = true }, 2, null);
        }
    }

    pub fn unlock(mutex: *Mutex) void {
        if (mutex.word.swap(0, .release) == 2) {
            _ = linux.futex_3arg(&mutex.word.raw, .{ .cmd = .WAKE, .private = true }, 1);
        }
    }
};

test "two threads never hold it together" {
    const Shared = struct {
        mutex: Mutex = .{},
        count: u64 = 0,

        fn run(shared: *@This()) void {
            for (0..50_000) |_| {
                shared.mutex.lock();
                defer shared.mutex.unlock();
                const seen: *volatile u64 = &shared.count;
                seen.* = seen.* + 1;
            }
        }
    };
    var shared: Shared = .{};
    const other = try std.Thread.spawn(.{}, Shared.run, .{&shared});
    shared.run();
    other.join();
    try std.testing.expectEqual(@as(u64, 100_000), shared.count);
}
