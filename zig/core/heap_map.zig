//! Which parts of a heap are in use: a bit per 8 bytes. Ranges are claimed next-fit and come back in any order, also in parts.

const std = @import("std");

pub const granule = 8;

pub const HeapMap = struct {
    words: [*]u64,
    /// In granules.
    size: u32,
    /// Where the next search begins.
    next: u32 = 0,

    pub fn bytesFor(heap_bytes: u32) usize {
        return heap_bytes / granule / 8;
    }

    pub const Range = struct { first: u32, count: u32 };

    /// A free range of at least `need` granules, no longer than `want`; from where the last search ended on, then from the start.
    pub fn find(m: *HeapMap, need: u32, want: u32) ?Range {
        if (need == 0 or need > m.size) return null;
        if (m.findFrom(m.next, m.size, need, want)) |range| return range;
        return m.findFrom(0, @min(m.size, m.next +| need), need, want);
    }

    fn findFrom(m: *HeapMap, from: u32, to: u32, need: u32, want: u32) ?Range {
        var at = from;
        while (at < to and to - at >= need) {
            const first = m.nextBit(at, to, false);
            if (to - first < need) return null;
            const end = m.nextBit(first, @min(to, first +| want), true);
            if (end - first >= need) return .{ .first = first, .count = end - first };
            at = end;
        }
        return null;
    }

    /// What is free right behind, from `first` on: at least `need` granules, no more than `want`.
    pub fn rangeBehind(m: *const HeapMap, first: u32, need: u32, want: u32) ?Range {
        const end = m.nextBit(first, @min(m.size, first +| want), true);
        return if (end - first < need) null else .{ .first = first, .count = end - first };
    }

    pub fn freeBehind(m: *const HeapMap, first: u32, need: u32) bool {
        return m.rangeBehind(first, need, need) != null;
    }

    /// The first granule in [from, to) that is used (or free); `to` if there is none.
    fn nextBit(m: *const HeapMap, from: u32, to: u32, used: bool) u32 {
        var at = from;
        while (at < to) {
            const word = if (used) m.words[at / 64] else ~m.words[at / 64];
            const rest = word >> @intCast(at % 64);
            if (rest != 0) return @min(to, at + @as(u32, @ctz(rest)));
            at = (at / 64 + 1) * 64;
        }
        return to;
    }

    pub fn claim(m: *HeapMap, range: Range) void {
        m.change(range, true);
        m.next = if (range.first + range.count == m.size) 0 else range.first + range.count;
    }

    /// Claims exactly this range. False: not all of it was free, and nothing changed.
    pub fn take(m: *HeapMap, range: Range) bool {
        if (range.count == 0 or range.first > m.size or range.count > m.size - range.first) return false;
        const end = range.first + range.count;
        if (m.nextBit(range.first, end, true) != end) return false;
        m.change(range, true);
        return true;
    }

    /// Gives a range back. False: not all of it was in use, and nothing changed.
    pub fn giveBack(m: *HeapMap, range: Range) bool {
        if (range.count == 0 or range.first > m.size or range.count > m.size - range.first) return false;
        if (m.nextBit(range.first, range.first + range.count, false) != range.first + range.count) return false;
        m.change(range, false);
        return true;
    }

    fn change(m: *HeapMap, range: Range, used: bool) void {
        var at = range.first;
        const end = range.first + range.count;
        while (at < end) {
            const low: u6 = @intCast(at % 64);
            const count = @min(64 - @as(u32, low), end - at);
            const ones = if (count == 64) ~@as(u64, 0) else ((@as(u64, 1) << @intCast(count)) - 1) << low;
            if (used) m.words[at / 64] |= ones else m.words[at / 64] &= ~ones;
            at += count;
        }
    }
};

test "ranges are claimed once, come back in any order and in parts, and only if they were out" {
    var words: [8]u64 = @splat(0);
    var map: HeapMap = .{ .words = &words, .size = 512 };
    var model: [512]bool = @splat(false);
    var prng = std.Random.DefaultPrng.init(1);
    const random = prng.random();
    for (0..20_000) |_| {
        if (random.boolean()) {
            const need = random.intRangeAtMost(u32, 1, 90);
            const want = need + random.uintLessThan(u32, 40);
            if (map.find(need, want)) |range| {
                try std.testing.expect(range.count >= need and range.count <= want);
                for (model[range.first..][0..range.count]) |*used| {
                    try std.testing.expect(!used.*);
                    used.* = true;
                }
                map.claim(range);
            } else {
                var run: u32 = 0;
                for (model) |used| {
                    run = if (used) 0 else run + 1;
                    try std.testing.expect(run < need);
                }
            }
        } else {
            const first = random.uintLessThan(u32, 512);
            const count = random.uintLessThan(u32, 100);
            const right = count > 0 and count <= 512 - first and std.mem.indexOfScalar(bool, model[first..][0..@min(count, 512 - first)], false) == null;
            try std.testing.expectEqual(right, map.giveBack(.{ .first = first, .count = count }));
            if (right) @memset(model[first..][0..count], false);
            const fits = count > 0 and count <= 512 - first and std.mem.indexOfScalar(bool, model[first..][0..@min(count, 512 - first)], true) == null;
            if (random.uintLessThan(u32, 4) != 0) continue;
            try std.testing.expectEqual(fits, map.take(.{ .first = first, .count = count }));
            if (fits) @memset(model[first..][0..count], true);
        }
    }
}
