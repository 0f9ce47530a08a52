//! Where every decision of a history comes from: a seeded generator, or, while all interleavings of a small program are explored, a script.
//!
//! A script fixes the decisions that `branch` asks for, one after the other; what lies behind its end is decided as 0. Counting it up like an
//! odometer (`next`) visits every leaf of the tree of decisions exactly once.

const std = @import("std");

const max_depth = 4096;

var generator: std.Random.DefaultPrng = .init(0);
var exploring = false;
var script: [max_depth]u16 = undefined;
var widths: [max_depth]u16 = undefined;
var length: usize = 0;
var at: usize = 0;

pub fn seed(value: u64) void {
    generator = .init(value);
}

pub fn random() std.Random {
    return generator.random();
}

/// 0 … n - 1.
pub fn below(n: u32) u32 {
    return generator.random().uintLessThan(u32, n);
}

/// True once in `n`.
pub fn once(n: u32) bool {
    return below(n) == 0;
}

pub fn among(comptime T: type, list: []const T) T {
    return list[below(@intCast(list.len))];
}

// ---- exploration ----

pub fn explore() void {
    exploring = true;
    length = 0;
    at = 0;
}

pub fn stopExploring() void {
    exploring = false;
}

/// A decision that exploration varies.
pub fn branch(n: u32) u32 {
    if (!exploring) return below(n);
    if (n <= 1) return 0;
    if (at == max_depth) @panic("a history with too many decisions");
    if (at == length) {
        script[at] = 0;
        widths[at] = @intCast(n);
        length += 1;
    }
    defer at += 1;
    return script[at];
}

/// The next leaf; false when all were visited.
pub fn next() bool {
    while (length > 0) {
        length -= 1;
        if (script[length] + 1 == widths[length]) continue;
        script[length] += 1;
        length += 1;
        at = 0;
        return true;
    }
    return false;
}

/// The decisions of this leaf, to be printed.
pub fn path() []const u16 {
    return script[0..length];
}

pub fn replay(decisions: []const u16) void {
    exploring = true;
    length = decisions.len;
    at = 0;
    @memcpy(script[0..decisions.len], decisions);
    @memset(widths[0..decisions.len], std.math.maxInt(u16));
}

test "every leaf of a tree is visited once" {
    explore();
    defer stopExploring();
    var leaves: u32 = 0;
    var sum: u32 = 0;
    while (true) {
        const first = branch(3);
        sum += first * 10 + if (first == 1) branch(4) else 0;
        leaves += 1;
        if (!next()) break;
    }
    try std.testing.expectEqual(@as(u32, 6), leaves);
    try std.testing.expectEqual(@as(u32, 0 + 10 + 11 + 12 + 13 + 20), sum);
}
