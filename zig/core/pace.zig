//! How a spinning reader looks.
//!
//! With a pause between two looks, always: looks that follow each other at once keep taking the line away from the writer that is about to
//! fill it. One way across near cores took 73 ns without and 55 ns with a pause (26 ns long), 48 and 64 bytes alike; no other delay helped.
//!
//! And at longer intervals in a dense one-way stream. A reader that follows the writer at its heels takes the line being filled once per
//! message: both then run at the speed of a line going back and forth, 70 million messages a second instead of 250 (64 B, published one by
//! one, near). So a reader that keeps finding the next message at once, and writes nothing itself, lets the writer get a few messages
//! ahead. One look in vain ends that.

const std = @import("std");

/// How long to look away. Below 100 ns the gain halves, above 400 nothing is gained; it is the most a message of a dense stream waits.
const interval_ns = 250;
/// A wait is short if the message came within so many looks, about as many nanoseconds times 30.
const short_looks = 8;
/// Short waits in a row that make a stream.
const enough = 4;

pub const Pacer = struct {
    streak: u32 = 0,
    looks: u32 = 0,
    /// The position of this end's own writer at the last wait.
    written: u64 = 0,

    pub inline fn streaming(p: *const Pacer) bool {
        return p.streak == enough;
    }

    /// Nothing was there: waits before the next look.
    pub inline fn missed(p: *Pacer, comptime Sys: type) void {
        p.looks +|= 1;
        if (p.streak == enough) {
            @branchHint(.unlikely);
            p.lookAway(Sys);
        } else Sys.relax();
    }

    noinline fn lookAway(p: *Pacer, comptime Sys: type) void {
        // a second look in vain: no dense stream any more
        if (p.looks > 1) {
            p.streak = 0;
            return;
        }
        const until = Sys.nowNs() +% interval_ns;
        while (Sys.nowNs() < until) Sys.relax();
    }

    /// Something was there. `written`: the position of this end's own writer.
    pub inline fn found(p: *Pacer, written: u64) void {
        if (p.looks == 0) return;
        const short = p.looks <= short_looks and p.written == written;
        p.streak = if (short) @min(p.streak + 1, enough) else 0;
        p.written = written;
        p.looks = 0;
    }
};

test "a stream is paced, a conversation and a trickle are not" {
    const Sys = struct {
        var ns: u64 = 0;
        fn nowNs() u64 {
            ns += 10;
            return ns;
        }
        fn relax() void {}
    };
    var p: Pacer = .{};
    for (0..10) |_| { // messages come close on each other, this end is silent
        p.missed(Sys);
        p.found(0);
    }
    try std.testing.expect(p.streaming());
    const before = Sys.ns;
    p.missed(Sys);
    try std.testing.expect(Sys.ns - before >= interval_ns);
    p.missed(Sys); // still nothing
    try std.testing.expect(!p.streaming());

    var written: u64 = 0;
    for (0..10) |_| { // each is answered
        p.missed(Sys);
        written += 64;
        p.found(written);
        try std.testing.expect(!p.streaming());
    }
    for (0..10) |_| { // far apart
        for (0..1000) |_| p.missed(Sys);
        p.found(written);
        try std.testing.expect(!p.streaming());
    }
}
