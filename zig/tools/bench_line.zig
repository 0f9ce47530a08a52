//! line_ns: one cache line bounced between two cores, p50, one way. The denominator of every latency ratio, taken before and after each cell.
//!
//! What a line costs depends on which line it is: on one machine, at one placement, from 44 to 75 ns, always the same for the same address,
//! because each line has its home in another slice of the shared cache. A ring passes through a thousand lines, so line_ns is the median
//! over lines too.
//!
//! The answer follows the look at once: anything in between (a time stamp takes 10 ns) gives the other end, which looks without pausing, the
//! time to take the line away before it is written, and a bounce of 47 ns becomes one of 70. So the clock is read once per 32 round trips.
//! With a pause between looks a line crosses sooner still, in steps of the pause: that is reported beside it.

const std = @import("std");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");

pub const Line = struct { ns: f64, p99_ns: f64, paused_ns: f64 };

const pages = 32;
/// Round trips per sample.
const batch = 32;
/// Unmeasured round trips on each line.
const warm_up = 2 * batch;

const Bounce = struct {
    memory: [*]align(4096) u8,
    meeting: *os.Meeting,
    /// Measured round trips per line.
    rounds: u32,
    samples: []u32,
    pause: bool,

    /// One line per page, each elsewhere in its page.
    fn word(bounce: Bounce, page: usize) *u64 {
        return @ptrCast(@alignCast(bounce.memory + page * 4096 + page * 7 % 64 * 64));
    }
};

pub fn measure(cores: [2]u32, rounds: u32) os.Error!Line {
    const eager = try bounced(cores, rounds, false);
    const paused = try bounced(cores, rounds, true);
    return .{ .ns = eager.p50, .p99_ns = eager.p99, .paused_ns = paused.p50 };
}

fn bounced(cores: [2]u32, rounds: u32, pause: bool) os.Error!stats.Percentiles {
    const memory = try os.shared(pages * 4096);
    defer os.unmap(memory);
    const batches = @max(rounds / pages / batch, 4);
    const sample_bytes = try os.shared(std.mem.alignForward(usize, batches * pages * @sizeOf(u32), 4096));
    defer os.unmap(sample_bytes);
    const bounce: Bounce = .{
        .memory = memory.ptr,
        .meeting = try os.Meeting.create(),
        .rounds = batches * batch,
        .samples = std.mem.bytesAsSlice(u32, sample_bytes)[0 .. batches * pages],
        .pause = pause,
    };
    // on one core each bounce costs a scheduler tick: the alarm is what says so
    try os.pair(cores, 20, bounce, run);
    return stats.percentiles(bounce.samples, os.calibrate() / (2 * batch));
}

fn run(bounce: Bounce, side: u1) void {
    bounce.meeting.arrive(side, 1);
    for (0..pages) |page| if (bounce.pause) play(bounce, page, side, true) else play(bounce, page, side, false);
}

fn play(bounce: Bounce, page: usize, side: u1, comptime pause: bool) void {
    const total: u64 = bounce.rounds + warm_up;
    const word = bounce.word(page);
    const batches = bounce.rounds / batch;
    const samples = bounce.samples[page * batches ..][0..batches];
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
        if ((round + 1) % batch != 0) continue;
        const now = os.ticks();
        if (round >= warm_up) samples[(round - warm_up) / batch] = @truncate(now - last);
        last = now;
    }
}

inline fn awaitWord(word: *const u64, value: u64, comptime pause: bool) void {
    while (@atomicLoad(u64, word, .acquire) != value) if (pause) os.relax();
}
