//! The native channel, as it is, on a simulated kernel: seeded histories of two ends that write, read, wait, move and die, with everything
//! checked that the library promises (docs/internals/simulation.md).
//!
//!   fable-sim [--histories N] [--seconds S] [--seed N] [--trace] [--keep-going]
//!   fable-sim --exhaustive [--histories N]    every interleaving of small programs, at most N of each
//!   fable-sim-canaries --canary NAME …        the same on a core with a bug in it (canaries.zig)
//!
//! History number n has the seed `seed + n`, so the seed that a failure prints repeats it alone.

const std = @import("std");
const linux = std.os.linux;
const canaries = @import("canaries");
const explore = @import("explore.zig");
const history = @import("history.zig");
const oracle = @import("oracle.zig");
const report = @import("report.zig");

var seed_now: u64 = 0;

pub const panic = std.debug.FullPanic(stopped);

fn stopped(message: []const u8, address: ?usize) noreturn {
    std.debug.print("fable-sim: --seed {d}, step {d}\n", .{ seed_now, report.step });
    std.debug.defaultPanic(message, address);
}

const Options = struct { histories: u64 = 10_000, seconds: u64 = 0, seed: u64 = 1, trace: bool = false, keep_going: bool = false, exhaustive: bool = false };

pub fn main(init: std.process.Init.Minimal) u8 {
    var options: Options = .{};
    var given = false;
    var arguments = init.args.iterate();
    _ = arguments.skip();
    while (arguments.next()) |word| {
        if (std.mem.eql(u8, word, "--trace")) {
            options.trace = true;
            continue;
        }
        if (std.mem.eql(u8, word, "--keep-going")) {
            options.keep_going = true;
            continue;
        }
        if (std.mem.eql(u8, word, "--exhaustive")) {
            options.exhaustive = true;
            continue;
        }
        if (std.mem.eql(u8, word, "--canary")) {
            const name = arguments.next() orelse return usage(word);
            canaries.active = std.meta.stringToEnum(canaries.Name, name) orelse return usage(name);
            continue;
        }
        const target = if (std.mem.eql(u8, word, "--seed")) &options.seed else if (std.mem.eql(u8, word, "--histories")) &options.histories else if (std.mem.eql(u8, word, "--seconds")) &options.seconds else return usage(word);
        const text = arguments.next() orelse return usage(word);
        target.* = std.fmt.parseInt(u64, text, 10) catch return usage(text);
        if (target == &options.histories or target == &options.seconds) given = true;
    }
    if (options.trace and !given) options.histories = 1;
    report.tracing = options.trace;
    installHandlers();
    oracle.prepare();
    return if (options.exhaustive) exhaust(if (given) options.histories else 1_000_000) else run(options);
}

fn usage(word: []const u8) u8 {
    std.debug.print("fable-sim: what is \"{s}\"? Usage: fable-sim [--histories N] [--seconds S] [--seed N] [--trace]\n", .{word});
    return 2;
}

fn seconds() u64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return @intCast(time.sec);
}

fn exhaust(most: u64) u8 {
    explore.says = true;
    const failure = explore.run(most) orelse return 0;
    std.debug.print("fable-sim: --exhaustive, step {d}: {s}\n", .{ report.step, failure });
    return 1;
}

fn run(options: Options) u8 {
    const until = seconds() + options.seconds;
    var done: u64 = 0;
    var failed: u64 = 0;
    while (if (options.seconds > 0) seconds() < until else done < options.histories) : (done += 1) {
        seed_now = options.seed + done;
        limit();
        const failure = history.run(seed_now) orelse continue;
        std.debug.print("fable-sim: --seed {d}, step {d}: {s}\n", .{ seed_now, report.step, failure });
        failed += 1;
        if (!options.keep_going) return 1;
    }
    const t = &history.totals;
    std.debug.print("{d} histories: {d} messages, {d} moves, {d} broken paths, {d} kills, {d} turns\n", .{ t.histories, t.messages, t.moves, t.breaks, t.kills, t.steps });
    return if (failed == 0) 0 else 1;
}

/// A history that loops ends here, with its seed. Processor time: the machine may be busy, or this process stopped.
fn limit() void {
    const once = [4]isize{ 0, 0, 20, 0 }; // struct itimerval: no interval, 20 seconds
    _ = linux.syscall3(.setitimer, @intFromEnum(linux.ITIMER.PROF), @intFromPtr(&once), 0);
}

fn installHandlers() void {
    const action: linux.Sigaction = .{ .handler = .{ .handler = crashed }, .mask = std.mem.zeroes(linux.sigset_t), .flags = linux.SA.RESETHAND };
    inline for (.{ linux.SIG.SEGV, linux.SIG.BUS, linux.SIG.ILL, linux.SIG.TRAP, linux.SIG.FPE, linux.SIG.PROF }) |signal| _ = linux.sigaction(signal, &action, null);
}

fn crashed(signal: linux.SIG) callconv(.c) void {
    std.debug.print("fable-sim: --seed {d}, step {d}: {s}\n", .{ seed_now, report.step, @tagName(signal) });
    linux.exit_group(1);
}
