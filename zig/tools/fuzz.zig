//! A hostile peer in the same process as its victim: it owns the other end's memory and sockets, and does to them what no honest end would, a
//! million times. The victim is an ordinary channel behind the C ABI. It may refuse, fault or end the channel; it may never crash, hang, read or
//! report anything outside its arena, or deliver something an honest peer did not send.
//!
//!   fable-fuzz [--seed S] [--rounds N] [--sessions-from K]
//!
//! A session is one victim and one attacker with a seed of its own (seed + number), so a failure repeats with `--seed S --sessions-from K`.

const std = @import("std");
const attacker = @import("fuzz_attacker.zig");
const Traitor = @import("fuzz_traitor.zig").Traitor;
const Victim = @import("fuzz_victim.zig").Victim;
const Ledger = @import("fuzz_ledger.zig").Ledger;
const Tally = @import("fuzz_tally.zig").Tally;
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
    growStack();
    return run(seed, rounds, from);
}

fn usage(word: []const u8) u8 {
    std.debug.print("fable-fuzz: what is \"{s}\"? Usage: fable-fuzz [--seed S] [--rounds N] [--sessions-from K]\n", .{word});
    return 2;
}

fn run(seed: u64, rounds: u64, from: u64) u8 {
    var tally: Tally = .{};
    var session = from;
    var done: u64 = 0;
    var before: Held = undefined;
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
        const left = held();
        if (session == from) before = left else if (!std.meta.eql(left, before)) {
            std.debug.print("fable-fuzz: left behind in session {d}: {d} descriptors, {d} pages, before {d} and {d} (--seed {d} --sessions-from {d})\n", .{ session, left.descriptors, left.pages, before.descriptors, before.pages, seed, session });
            return 1;
        }
    }
    _ = linux.syscall1(.alarm, 0);
    tally.print(seed, session - from, done);
    return 0;
}

/// One victim and its attacker, until the channel is dead or long enough. Gives the rounds it lived through, at least one.
fn one(random: std.Random, limit: u64, tally: *Tally) Failure!u64 {
    return if (random.boolean()) forged(random, limit, tally) else betrayed(random, limit, tally);
}

/// The other end is memory and descriptors that the attacker made by hand.
fn forged(random: std.Random, limit: u64, tally: *Tally) Failure!u64 {
    var theirs = try attacker.Attacker.init(random);
    defer theirs.deinit();
    var ours = try Victim.init(random, .{ .transport = theirs.transport, .trust = theirs.trust, .attacker = @tagName(theirs.trick) }, &theirs.ledger, null, tally);
    defer ours.deinit();
    theirs.take(ours.made);
    const offered = theirs.offer();
    if (try ours.attach(offered.control, offered.ring) != 0) {
        return if (theirs.trick == .none) ours.verdict("an honest region was refused", 0) else 1;
    }
    if (theirs.mustRefuse()) return ours.verdict("a bad region was accepted", 0);
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

/// The other end is a real one, honest for a while or to the end.
fn betrayed(random: std.Random, limit: u64, tally: *Tally) Failure!u64 {
    var to_victim: Ledger = .{ .honest = true };
    var from_victim: Ledger = .{ .honest = true };
    const trust = 1 + random.uintLessThan(u32, 2);
    const transport = if (random.uintLessThan(u32, 4) == 0) 4 else 1 + random.uintLessThan(u32, 3);
    var ours = try Victim.init(random, .{ .transport = transport, .trust = trust, .attacker = "traitor" }, &to_victim, &from_victim, tally);
    defer ours.deinit();
    var theirs = try Traitor.init(random, ours.made, trust, &to_victim, &from_victim);
    defer theirs.deinit();
    if (try ours.attach(theirs.control_fd, theirs.ring_fd) != 0) return ours.verdict("an honest end was refused", 0);
    theirs.control_fd = -1;
    theirs.ring_fd = -1;
    const wanted = @min(limit, random.uintAtMost(u64, 300) + 1);
    var alive: u64 = 0;
    var round: u64 = 0;
    while (alive < wanted) : (round += 1) {
        round_now = round;
        if (!ours.dead or to_victim.honest) alive += 1;
        try theirs.act(&ours);
        try ours.step();
        if (ours.dead and !to_victim.honest and random.uintLessThan(u32, 4) == 0) break;
    }
    if (to_victim.honest) try theirs.finish(&ours);
    return @max(1, alive);
}

/// What grows later would look like memory that a session kept.
noinline fn growStack() void {
    var deep: [1 << 20]u8 = undefined;
    @memset(&deep, 0);
    std.mem.doNotOptimizeAway(&deep);
}

const Held = struct { descriptors: u32 = 0, pages: u64 = 0 };

/// What this process holds: after each session as much as before.
fn held() Held {
    var now: Held = .{};
    var bytes: [4096]u8 align(8) = undefined;
    const folder: i32 = @intCast(linux.open("/proc/self/fd", .{ .DIRECTORY = true, .CLOEXEC = true }, 0));
    defer _ = linux.close(folder);
    while (true) {
        const got = linux.getdents64(folder, &bytes, bytes.len);
        if (got == 0 or got > bytes.len) break;
        var at: usize = 0;
        while (at < got) : (at += std.mem.readInt(u16, bytes[at + 16 ..][0..2], .little)) now.descriptors += 1;
    }
    const file: i32 = @intCast(linux.open("/proc/self/statm", .{ .CLOEXEC = true }, 0));
    defer _ = linux.close(file);
    const count = linux.read(file, &bytes, bytes.len);
    var words = std.mem.tokenizeScalar(u8, bytes[0..@min(count, bytes.len)], ' ');
    now.pages = std.fmt.parseInt(u64, words.next() orelse "", 10) catch 0;
    return now;
}

fn installHandlers() void {
    const action: linux.Sigaction = .{ .handler = .{ .handler = crashed }, .mask = std.mem.zeroes(linux.sigset_t), .flags = linux.SA.RESETHAND };
    inline for (.{ linux.SIG.SEGV, linux.SIG.BUS, linux.SIG.ILL, linux.SIG.ABRT, linux.SIG.ALRM, linux.SIG.TRAP, linux.SIG.FPE, linux.SIG.PIPE }) |signal| {
        _ = linux.sigaction(signal, &action, null);
    }
}

fn crashed(signal: linux.SIG) callconv(.c) void {
    const name = if (signal == .ALRM) "hung" else @tagName(signal);
    std.debug.print("fable-fuzz: {s} in session {d}, round {d} (--seed {d} --sessions-from {d})\n", .{ name, session_now, round_now, seed_now, session_now });
    linux.exit_group(1);
}
