//! What interrupting the other core costs, seen from user space: membarrier(PRIVATE_EXPEDITED) returns when every core that runs a thread of
//! this process has answered an interrupt. That round trip, halved, is the floor of every wake-up that has to reach a running core.
//!
//! A core that runs nothing of the process gets no interrupt: the same call is then the system call by itself, and reported beside it.

const std = @import("std");
const linux = std.os.linux;
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");
const Options = @import("bench_options.zig").Options;

const cmd_private_expedited = 1 << 3;
const cmd_register_private_expedited = 1 << 4;
const warm_up = 500;
/// Until a thread that was told to has gone to sleep.
const settle_ns = 2_000_000;

pub const Interrupt = struct { running: stats.Percentiles, idle: stats.Percentiles };

/// The thread on the other core: it spins, then sleeps, then ends.
const Stage = enum(u32) { starting, spinning, sleeping, ended };

const Shared = struct {
    stage: u32 align(128) = @intFromEnum(Stage.starting),
    core: u32 = 0,
    /// Moves as long as the thread runs.
    beat: u64 align(128) = 0,
};

const Run = struct { options: Options, meeting: *os.Meeting, running: []u32, idle: []u32 };

pub fn measure(options: Options) !Interrupt {
    const bytes = std.mem.alignForward(usize, @as(usize, options.round_trips) * 4, 4096);
    const running = try os.shared(bytes);
    defer os.unmap(running);
    const idle = try os.shared(bytes);
    defer os.unmap(idle);
    const run: Run = .{
        .options = options,
        .meeting = try os.Meeting.create(),
        .running = std.mem.bytesAsSlice(u32, running)[0..options.round_trips],
        .idle = std.mem.bytesAsSlice(u32, idle)[0..options.round_trips],
    };
    try os.pair(options.cores, 60, run, side);
    const half = os.calibrate() / 2;
    const taken = run.meeting.sides[0].result;
    return .{ .running = stats.percentiles(run.running[0..taken[0]], half), .idle = stats.percentiles(run.idle[0..taken[1]], half) };
}

/// One process with two threads: the second process of the pair has nothing to do, and leaves its core to the thread.
fn side(run: Run, which: u1) void {
    if (which == 1) return;
    if (call(cmd_register_private_expedited) != .SUCCESS) os.die(3, "this kernel has no membarrier(PRIVATE_EXPEDITED)", .{});
    var shared: Shared = .{ .core = run.options.cores[1] };
    const thread = std.Thread.spawn(.{ .stack_size = 64 << 10 }, other, .{&shared}) catch os.die(1, "cannot start a thread", .{});
    while (@atomicLoad(u32, &shared.stage, .acquire) != @intFromEnum(Stage.spinning)) _ = linux.sched_yield();
    const results = &run.meeting.sides[0].result;
    results[0] = sample(run.running, &shared, run.options.seconds);
    enter(&shared, .sleeping);
    const time: linux.timespec = .{ .sec = 0, .nsec = settle_ns };
    _ = linux.nanosleep(&time, null);
    results[1] = sample(run.idle, null, run.options.seconds);
    enter(&shared, .ended);
    thread.join();
}

fn enter(shared: *Shared, stage: Stage) void {
    @atomicStore(u32, &shared.stage, @intFromEnum(stage), .release);
    _ = linux.futex_3arg(&shared.stage, .{ .cmd = .WAKE, .private = true }, 1);
}

fn other(shared: *Shared) void {
    os.pin(shared.core) catch os.die(1, "cannot pin to core {d}", .{shared.core});
    @atomicStore(u32, &shared.stage, @intFromEnum(Stage.spinning), .release);
    while (@atomicLoad(u32, &shared.stage, .acquire) == @intFromEnum(Stage.spinning)) {
        @atomicStore(u64, &shared.beat, shared.beat + 1, .monotonic);
        os.relax();
    }
    while (@atomicLoad(u32, &shared.stage, .acquire) == @intFromEnum(Stage.sleeping)) {
        _ = linux.futex_4arg(&shared.stage, .{ .cmd = .WAIT, .private = true }, @intFromEnum(Stage.sleeping), null);
    }
}

/// How many samples were taken within ten times `seconds`. Those during which the thread was not running do not count: nobody was interrupted.
fn sample(samples: []u32, watched: ?*Shared, seconds: f64) u64 {
    for (0..warm_up) |_| barrier();
    const until = os.nowNs() + @as(u64, @intFromFloat(seconds * 1e10));
    var taken: u64 = 0;
    var beat: u64 = 0;
    while (taken < samples.len and (taken % 64 != 63 or os.nowNs() < until)) {
        const began = os.ticks();
        barrier();
        samples[taken] = std.math.cast(u32, os.ticks() - began) orelse std.math.maxInt(u32);
        if (watched) |thread| {
            const now = @atomicLoad(u64, &thread.beat, .monotonic);
            defer beat = now;
            if (now == beat) {
                if (os.nowNs() < until) continue else break;
            }
        }
        taken += 1;
    }
    return taken;
}

fn barrier() void {
    if (call(cmd_private_expedited) != .SUCCESS) os.die(1, "membarrier failed", .{});
}

fn call(command: usize) linux.E {
    return linux.errno(linux.syscall3(.membarrier, command, 0, 0));
}
