//! A hostile peer in the same process as its victim: it owns the other end's memory and sockets, and does to them what no honest end would, a
//! million times. The victim is an ordinary channel behind the C ABI. It may refuse, fault or end the channel; it may never crash, hang, read or
//! report anything outside its arena, or deliver something an honest peer did not send.
//!
//!   fable-fuzz [--seed S] [--rounds N] [--sessions-from K]
//!
//! A session is one victim and one attacker with a seed of its own (seed + number), so a failure repeats with `--seed S --sessions-from K`.

const std = @import("std");
const attacker = @import("fuzz_attacker.zig");
const victim = @import("fuzz_victim.zig");
const linux = std.os.linux;

pub const Failure = error{ Machine, Verdict };

/// What a crash handler can say.
var session_now: u64 = 0;
var round_now: u64 = 0;
var seed_now: u64 = 0;

pub fn main(init: std.process.Init.Minimal) u8 {
    var arguments = init.args.iterate();
    _ = arguments.skip();
    var seed: u64 = 1;
    var rounds: u64 = 1_000_000;
    var from: u64 = 0;
    while (arguments.next()) |word| {
        const target = if (std.mem.eql(u8, word, "--seed")) &seed else if (std.mem.eql(u8, word, "--rounds")) &rounds else if (std.mem.eql(u8, word, "--sessions-from")) &from else {
            return usage(word);
        };
        const text = arguments.next() orelse return usage(word);
        target.* = std.fmt.parseInt(u64, text, 10) catch return usage(text);
    }
    installHandlers();
    return run(seed, rounds, from);
}

fn usage(word: []const u8) u8 {
    std.debug.print("fable-fuzz: what is \"{s}\"? Usage: fable-fuzz [--seed S] [--rounds N] [--sessions-from K]\n", .{word});
    return 2;
}

fn run(seed: u64, rounds: u64, from: u64) u8 {
    var tally: victim.Tally = .{};
    var session = from;
    var done: u64 = 0;
    seed_now = seed;
    while (done < rounds) : (session += 1) {
        session_now = session;
        _ = linux.syscall1(.alarm, 20);
        var random: std.Random.DefaultPrng = .init(seed +% session *% 0x9e3779b97f4a7c15);
        const many = one(random.random(), rounds - done, &tally) catch |err| {
            std.debug.print("fable-fuzz: {s} in session {d}, round {d} (--seed {d} --sessions-from {d})\n", .{ @errorName(err), session, round_now, seed, session });
            return 1;
        };
        done += many;
    }
    _ = linux.syscall1(.alarm, 0);
    tally.print(seed, session - from, done);
    return 0;
}

/// One victim and its attacker, until the channel is dead or long enough. Gives the rounds it lived through, at least one.
fn one(random: std.Random, limit: u64, tally: *victim.Tally) Failure!u64 {
    var theirs = try attacker.Attacker.init(random);
    defer theirs.deinit();
    var ours = try victim.Victim.init(random, &theirs, tally);
    defer ours.deinit();
    if (!ours.attached) return 1;
    try theirs.startFlipping();
    const wanted = @min(limit, random.uintAtMost(u64, 400) + 1);
    var alive: u64 = 0;
    var round: u64 = 0;
    while (alive < wanted) : (round += 1) {
        round_now = round;
        if (!ours.dead) alive += 1;
        theirs.act();
        try ours.step();
        // What is dead is used on for a while: it must stay dead.
        if (ours.dead and random.uintLessThan(u32, 4) == 0) break;
    }
    return @max(1, alive);
}

fn installHandlers() void {
    const action: linux.Sigaction = .{ .handler = .{ .handler = crashed }, .mask = std.mem.zeroes(linux.sigset_t), .flags = linux.SA.RESETHAND };
    inline for (.{ linux.SIG.SEGV, linux.SIG.BUS, linux.SIG.ILL, linux.SIG.ABRT, linux.SIG.ALRM, linux.SIG.TRAP, linux.SIG.FPE }) |signal| {
        _ = linux.sigaction(signal, &action, null);
    }
}

fn crashed(signal: linux.SIG) callconv(.c) void {
    const name = if (signal == .ALRM) "hung" else @tagName(signal);
    std.debug.print("fable-fuzz: {s} in session {d}, round {d} (--seed {d} --sessions-from {d})\n", .{ name, session_now, round_now, seed_now, session_now });
    linux.exit_group(1);
}
