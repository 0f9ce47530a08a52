//! Registering this process for membarrier. Where several threads run, as in every JavaScript runtime, that takes the kernel 7 to 15 ms (a grace
//! period), so a thread of its own does it while the program starts. The first channel waits for it; a broker, which has none, never does.

const std = @import("std");
const futex = @import("../sys/futex.zig");
const membarrier = @import("../sys/membarrier.zig");
const threads = @import("../sys/threads.zig");

const under_way: u32 = 0;
const done: u32 = 1;
const refused: u32 = 2;

var state: std.atomic.Value(u32) = .init(under_way);
const look_again_ns = 100 * std.time.ns_per_ms;

pub fn begin() void {
    // A program of our own has one thread, and registers in 4 µs.
    if (threads.hosted) {
        threads.keepLoaded();
        if (threads.Thread.start(run, null)) |thread| return thread.detach();
    }
    _ = run(null);
}

/// Whether this process must fence by itself. Waits for the answer.
pub fn unavailable() bool {
    while (state.load(.acquire) == under_way) futex.wait(&state.raw, under_way, look_again_ns);
    return state.load(.acquire) == refused;
}

fn run(_: ?*anyopaque) callconv(.c) ?*anyopaque {
    state.store(if (membarrier.register()) done else refused, .release);
    futex.wake(&state.raw);
    return null;
}
