//! Payloads of the benchmark: filled and checked in full with wide loads and stores, cheaply enough not to be the bottleneck.
//! A message of sequence s holds, word by word, s. The reader adds up the difference of all words (16 lanes at a time) so that every byte is
//! loaded and a single wrong bit makes the message wrong; nothing of it can be dropped by the compiler because the result decides the run.

const std = @import("std");

const lanes = 8;
const Vec = @Vector(lanes, u64);

/// Fills `size` bytes at `to` (8-byte aligned) with `sequence`; a tail shorter than a word gets its low bytes.
pub inline fn fill(to: [*]u8, size: usize, sequence: u64) void {
    const words: [*]u64 = @ptrCast(@alignCast(to));
    const count = size / 8;
    var i: usize = 0;
    // A program fills a small record field by field. (Wide stores that straddle two lines would need both lines at once.)
    if (size <= 64) {
        const fields: [*]volatile u64 = words;
        while (i < count) : (i += 1) fields[i] = sequence;
    }
    const wide: Vec = @splat(sequence);
    while (i + lanes <= count) : (i += lanes) {
        const target: *align(8) Vec = @ptrCast(words + i);
        target.* = wide;
    }
    while (i < count) : (i += 1) words[i] = sequence;
    const tail = size & 7;
    if (tail != 0) {
        const bytes = std.mem.toBytes(sequence);
        for (0..tail) |k| to[count * 8 + k] = bytes[k];
    }
}

/// Zero if every byte is what `fill` wrote.
pub inline fn check(from: [*]const u8, size: usize, sequence: u64) u64 {
    const words: [*]const u64 = @ptrCast(@alignCast(from));
    const count = size / 8;
    var wrong: Vec = @splat(0);
    const wide: Vec = @splat(sequence);
    var i: usize = 0;
    while (i + 2 * lanes <= count) : (i += 2 * lanes) {
        const one: *align(8) const Vec = @ptrCast(words + i);
        const two: *align(8) const Vec = @ptrCast(words + i + lanes);
        wrong |= (one.* ^ wide) | (two.* ^ wide);
    }
    while (i + lanes <= count) : (i += lanes) {
        const one: *align(8) const Vec = @ptrCast(words + i);
        wrong |= one.* ^ wide;
    }
    var rest: u64 = 0;
    while (i < count) : (i += 1) rest |= words[i] ^ sequence;
    const tail = size & 7;
    if (tail != 0) {
        const bytes = std.mem.toBytes(sequence);
        for (0..tail) |k| rest |= from[count * 8 + k] ^ bytes[k];
    }
    return rest | @reduce(.Or, wrong);
}

pub const Check = enum {
    /// every byte is compared
    full,
    /// the sequence number is compared, and every byte is loaded
    plain,
    /// the sequence number is compared, and nothing else looked at
    sequence,
};

pub inline fn verify(comptime how: Check, from: [*]const u8, size: usize, sequence: u64) u64 {
    return switch (how) {
        .full => check(from, size, sequence),
        .plain => readThrough(from, size, sequence),
        .sequence => checkSequence(from, size, sequence),
    };
}

/// Loads every byte as a program does that uses the payload, and compares the sequence number. The loads are folded, two registers wide as in
/// `check`, into a value that the compiler has to produce.
inline fn readThrough(from: [*]const u8, size: usize, sequence: u64) u64 {
    if (size < 8) return check(from, size, sequence);
    const words: [*]const u64 = @ptrCast(@alignCast(from));
    const count = size / 8;
    var seen: Vec = @splat(0);
    var i: usize = 0;
    while (i + 2 * lanes <= count) : (i += 2 * lanes) {
        const one: *align(8) const Vec = @ptrCast(words + i);
        const two: *align(8) const Vec = @ptrCast(words + i + lanes);
        seen |= one.* | two.*;
    }
    while (i + lanes <= count) : (i += lanes) {
        const one: *align(8) const Vec = @ptrCast(words + i);
        seen |= one.*;
    }
    var rest: u64 = 0;
    while (i < count) : (i += 1) rest |= words[i];
    for (count * 8..size) |k| rest |= from[k];
    std.mem.doNotOptimizeAway(rest | @reduce(.Or, seen));
    return words[0] ^ sequence;
}

/// Only the first word: the sequence number (messages shorter than that are checked in full).
pub inline fn checkSequence(from: [*]const u8, size: usize, sequence: u64) u64 {
    if (size < 8) return check(from, size, sequence);
    const word: *const u64 = @ptrCast(@alignCast(from));
    return word.* ^ sequence;
}

test "the sequence number counts whatever else is looked at" {
    var buffer: [257]u8 align(8) = undefined;
    for ([_]usize{ 8, 9, 63, 64, 129, 257 }) |size| {
        fill(&buffer, size, 41);
        inline for (.{ .full, .plain, .sequence }) |how| {
            try std.testing.expectEqual(0, verify(how, &buffer, size, 41));
            try std.testing.expect(verify(how, &buffer, size, 42) != 0);
        }
    }
}

test "every byte counts" {
    var buffer: [257]u8 align(8) = undefined;
    for ([_]usize{ 1, 7, 8, 9, 48, 63, 64, 65, 128, 200, 257 }) |size| {
        fill(&buffer, size, 0x0123456789abcdef);
        try std.testing.expectEqual(0, check(&buffer, size, 0x0123456789abcdef));
        for (0..size) |i| {
            buffer[i] ^= 0x10;
            try std.testing.expect(check(&buffer, size, 0x0123456789abcdef) != 0);
            buffer[i] ^= 0x10;
        }
    }
}
