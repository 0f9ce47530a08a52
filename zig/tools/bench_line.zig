//! line_ns: one cache line bounced between two cores, p50, one way. The denominator of every latency ratio, taken before and after each cell.

const std = @import("std");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");

pub const Line = stats.Percentiles;

const Bounce = struct {
    word: *u64,
    meeting: *os.Meeting,
    rounds: u32,
    warm_up: u32,
    samples: []u32,
};

/// One-way figures in nanoseconds. Both ends look at the line without pausing: nothing that carries a message over it can be faster.
pub fn measure(cores: [2]u32, rounds: u32) os.Error!Line {
    const warm_up = rounds / 4 + 256;
    const memory = try os.shared(4096);
    const sample_bytes = try os.shared(std.mem.alignForward(usize, rounds * @sizeOf(u32), 4096));
    defer os.unmap(sample_bytes);
    defer os.unmap(memory);
    const samples = std.mem.bytesAsSlice(u32, sample_bytes)[0..rounds];
    const bounce: Bounce = .{
        .word = @ptrCast(@alignCast(memory.ptr + 1024)),
        .meeting = try os.Meeting.create(),
        .rounds = rounds,
        .warm_up = warm_up,
        .samples = samples,
    };
    // on one core each bounce costs a scheduler tick: the alarm is what says so
    try os.pair(cores, 20, bounce, run);
    return stats.percentiles(samples, os.calibrate() / 2);
}

fn run(bounce: Bounce, side: u1) void {
    bounce.meeting.arrive(side, 1);
    const total: u64 = bounce.rounds + bounce.warm_up;
    const word = bounce.word;
    var round: u64 = 0;
    if (side == 1) {
        while (round < total) : (round += 1) {
            while (@atomicLoad(u64, word, .acquire) != 2 * round + 1) {}
            @atomicStore(u64, word, 2 * round + 2, .release);
        }
        return;
    }
    var last = os.ticks();
    while (round < total) : (round += 1) {
        @atomicStore(u64, word, 2 * round + 1, .release);
        while (@atomicLoad(u64, word, .acquire) != 2 * round + 2) {}
        const now = os.ticks();
        if (round >= bounce.warm_up) bounce.samples[round - bounce.warm_up] = @truncate(now - last);
        last = now;
    }
}
