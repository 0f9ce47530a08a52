//! line_ns: one cache line bounced between two cores, p50, one way. The denominator of every latency ratio, taken before and after each cell.
//!
//! Both ends look without pausing, as fable_line_ns does and as anyone would who measures it. That is not the fastest way: looks that follow
//! each other at once hold the other side's store up, and with a pause between them the line often crosses sooner (40 instead of 65 ns, in
//! steps of the pause). So the paused bounce is reported too, and the ratios are to be read with it in mind.

const std = @import("std");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");

pub const Line = struct { ns: f64, p99_ns: f64, paused_ns: f64 };

const Bounce = struct {
    word: *u64,
    meeting: *os.Meeting,
    rounds: u32,
    warm_up: u32,
    samples: []u32,
    pause: bool,
};

pub fn measure(cores: [2]u32, rounds: u32) os.Error!Line {
    const eager = try bounced(cores, rounds, false);
    const paused = try bounced(cores, rounds, true);
    return .{ .ns = eager.p50, .p99_ns = eager.p99, .paused_ns = paused.p50 };
}

fn bounced(cores: [2]u32, rounds: u32, pause: bool) os.Error!stats.Percentiles {
    const memory = try os.shared(4096);
    defer os.unmap(memory);
    const sample_bytes = try os.shared(std.mem.alignForward(usize, rounds * @sizeOf(u32), 4096));
    defer os.unmap(sample_bytes);
    const bounce: Bounce = .{
        .word = @ptrCast(@alignCast(memory.ptr + 1024)),
        .meeting = try os.Meeting.create(),
        .rounds = rounds,
        .warm_up = rounds / 4 + 256,
        .samples = std.mem.bytesAsSlice(u32, sample_bytes)[0..rounds],
        .pause = pause,
    };
    // on one core each bounce costs a scheduler tick: the alarm is what says so
    try os.pair(cores, 20, bounce, run);
    return stats.percentiles(bounce.samples, os.calibrate() / 2);
}

fn run(bounce: Bounce, side: u1) void {
    bounce.meeting.arrive(side, 1);
    if (bounce.pause) play(bounce, side, true) else play(bounce, side, false);
}

fn play(bounce: Bounce, side: u1, comptime pause: bool) void {
    const total: u64 = bounce.rounds + bounce.warm_up;
    const word = bounce.word;
    var round: u64 = 0;
    if (side == 1) {
        while (round < total) : (round += 1) {
            awaitWord(word, 2 * round + 1, pause);
            @atomicStore(u64, word, 2 * round + 2, .release);
        }
        return;
    }
    var last = os.ticks();
    while (round < total) : (round += 1) {
        @atomicStore(u64, word, 2 * round + 1, .release);
        awaitWord(word, 2 * round + 2, pause);
        const now = os.ticks();
        if (round >= bounce.warm_up) bounce.samples[round - bounce.warm_up] = @truncate(now - last);
        last = now;
    }
}

inline fn awaitWord(word: *const u64, value: u64, comptime pause: bool) void {
    while (@atomicLoad(u64, word, .acquire) != value) if (pause) os.relax();
}
