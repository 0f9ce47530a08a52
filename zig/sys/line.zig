//! How long one cache line takes from one CPU to another: two threads bounce a word. The unit all other latencies are compared with.
//! Each line has its own distance (44 to 75 ns at one placement, the same every time), because its home is in another slice of the shared
//! cache; so the word moves over many lines.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const clock = @import("clock.zig");
const memory = @import("memory.zig");
const topology = @import("topology.zig");
const Thread = @import("threads.zig").Thread;

const max_samples = 4096;
const least_batch = 32;
const deadline_ns = 10 * std.time.ns_per_s;
/// How often a spinning side looks up from the word.
const spins_per_look = 1 << 12;

const lines = 32;
const line_step = 4096 + 64;
/// Round trips on one line before the next one's turn.
const trips_per_line = 32;

/// What is contended has 128 bytes of its own: CPUs fetch pairs of lines.
const Run = struct {
    lines: [*]align(4096) u8,
    stop: std.atomic.Value(u32) align(128) = .init(0),
    arrived: std.atomic.Value(u32) = .init(0),
    failure: std.atomic.Value(i32) = .init(0),
    cpus: [2]u32 align(128),
    rounds: u32,
    batch: u32,
    give_up_ns: u64,
    count: u32 = 0,
    samples_ps: [max_samples]u32 = undefined,

    /// Where round trip `trip` takes place.
    inline fn word(run: *Run, trip: u32) *std.atomic.Value(u32) {
        return @ptrCast(@alignCast(run.lines + trip / trips_per_line % lines * line_step));
    }
};

/// One-way p50 in picoseconds over batches of round trips, into `p50_ps`. TIMEDOUT when not even one batch was done in ten seconds (a CPU
/// busy with something else), the pinning's errno when a CPU is not ours, AGAIN without threads.
pub fn measure(cpu_a: u32, cpu_b: u32, rounds: u32, p50_ps: *u32) isize {
    const bytes = lines * line_step;
    const address = memory.mapPrivate(bytes);
    if (address < 0) return address;
    defer memory.unmap(@ptrFromInt(@as(usize, @bitCast(address))), bytes);
    var run: Run = .{
        .lines = @ptrFromInt(@as(usize, @bitCast(address))),
        .cpus = .{ cpu_a, cpu_b },
        .rounds = rounds,
        .batch = @max(least_batch, rounds / max_samples + 1),
        .give_up_ns = clock.nowNs() + deadline_ns,
    };
    const echo = Thread.start(echoMain, &run) orelse return os.failure(.AGAIN);
    const ping = Thread.start(pingMain, &run) orelse {
        run.stop.store(1, .release);
        echo.join();
        return os.failure(.AGAIN);
    };
    ping.join();
    run.stop.store(1, .release);
    echo.join();
    const failed = run.failure.load(.acquire);
    if (failed != 0) return failed;
    if (run.count == 0) return os.failure(.TIMEDOUT);
    const samples = run.samples_ps[0..run.count];
    std.mem.sort(u32, samples, {}, std.sort.asc(u32));
    p50_ps.* = samples[samples.len / 2];
    return 0;
}

/// Both sides are on their CPUs, or one cannot be.
fn meet(run: *Run, side: usize) bool {
    const rc = topology.pin(@intCast(run.cpus[side]));
    if (rc < 0) {
        run.failure.store(@intCast(rc), .release);
        run.stop.store(1, .release);
    }
    _ = run.arrived.fetchAdd(1, .acq_rel);
    while (run.arrived.load(.acquire) < 2) {
        if (run.stop.load(.acquire) != 0) return false;
        _ = linux.sched_yield();
    }
    return run.stop.load(.acquire) == 0;
}

fn echoMain(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const run: *Run = @ptrCast(@alignCast(context));
    if (!meet(run, 1)) return null;
    var expected: u32 = 1;
    while (awaitWord(run, run.word(expected / 2), expected)) : (expected +%= 2) run.word(expected / 2).store(expected +% 1, .release);
    return null;
}

fn pingMain(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const run: *Run = @ptrCast(@alignCast(context));
    defer run.stop.store(1, .release);
    if (!meet(run, 0)) return null;
    var value: u32 = 0;
    // A tenth unmeasured: the first trips pay for page faults, frequency and the scheduler.
    if (!bounce(run, &value, @max(least_batch, run.rounds / 10))) return null;
    const batches = @min(max_samples, @max(1, run.rounds / run.batch));
    while (run.count < batches) {
        const before = clock.nowNs();
        if (!bounce(run, &value, run.batch)) return null;
        const took_ps = (clock.nowNs() - before) * 1000 / (2 * run.batch);
        run.samples_ps[run.count] = @intCast(@min(took_ps, std.math.maxInt(u32)));
        run.count += 1;
    }
    return null;
}

fn bounce(run: *Run, value: *u32, trips: u32) bool {
    for (0..trips) |_| {
        const word = run.word(value.* / 2);
        word.store(value.* +% 1, .release);
        value.* +%= 2;
        if (!awaitWord(run, word, value.*)) return false;
    }
    return true;
}

/// No pause instruction: its length would be in the result.
inline fn awaitWord(run: *Run, word: *const std.atomic.Value(u32), expected: u32) bool {
    while (true) {
        for (0..spins_per_look) |_| if (word.load(.acquire) == expected) return true;
        if (run.stop.load(.monotonic) != 0) return false;
        if (clock.nowNs() > run.give_up_ns) run.stop.store(1, .monotonic);
    }
}

test "a line between two CPUs takes a plausible time" {
    var mask: topology.Mask = undefined;
    _ = topology.allowed(&mask);
    if (mask[0] & 3 != 3) return error.SkipZigTest;
    var p50_ps: u32 = 0;
    try std.testing.expectEqual(@as(isize, 0), measure(0, 1, 10_000, &p50_ps));
    try std.testing.expect(p50_ps > 1_000); // a nanosecond
    try std.testing.expectEqual(os.failure(.INVAL), measure(0, 8000, 100, &p50_ps));
}
