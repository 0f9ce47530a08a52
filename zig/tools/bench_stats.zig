//! Order statistics of samples: sorted once, nearest-rank percentiles, no interpolation.

const std = @import("std");

/// What pictures of a distribution are drawn from.
pub const fractions = [_]f64{ 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999 };

pub const Percentiles = struct { p50: f64, p90: f64, p99: f64, p999: f64, min: f64, max: f64, samples: usize, quantiles: [fractions.len]f64 };

/// Sorts `samples` (ticks) in place and scales. The counter may advance in steps (26 ticks, 10 ns, on Zen 5), so a percentile is
/// interpolated inside its step, as for grouped data: with ten thousand samples of random phase that restores the resolution.
pub fn percentiles(samples: []u32, scale: f64) Percentiles {
    std.sort.pdq(u32, samples, {}, std.sort.asc(u32));
    const step = counterStep(samples);
    var quantiles: [fractions.len]f64 = undefined;
    for (&quantiles, fractions) |*quantile, fraction| quantile.* = at(samples, fraction, step) * scale;
    return .{
        .quantiles = quantiles,
        .p50 = at(samples, 0.5, step) * scale,
        .p90 = at(samples, 0.9, step) * scale,
        .p99 = at(samples, 0.99, step) * scale,
        .p999 = at(samples, 0.999, step) * scale,
        .min = at(samples, 0, 0) * scale,
        .max = at(samples, 1, 0) * scale,
        .samples = samples.len,
    };
}

/// The smallest difference between neighbouring distinct samples below the 99th percentile.
fn counterStep(sorted: []const u32) u32 {
    var step: u32 = std.math.maxInt(u32);
    if (sorted.len < 2) return 0;
    for (sorted[1 .. 1 + (sorted.len - 1) * 99 / 100], 0..) |value, before| {
        if (value != sorted[before]) step = @min(step, value - sorted[before]);
    }
    return if (step == std.math.maxInt(u32)) 0 else step;
}

fn at(sorted: []const u32, fraction: f64, step: u32) f64 {
    if (sorted.len == 0) return 0;
    const wanted = fraction * @as(f64, @floatFromInt(sorted.len));
    const rank: usize = @intFromFloat(@ceil(wanted));
    const index = @min(if (rank == 0) 0 else rank - 1, sorted.len - 1);
    const value: f64 = @floatFromInt(sorted[index]);
    if (step <= 1) return value;
    const first = std.sort.lowerBound(u32, sorted, sorted[index], order);
    const past = std.sort.upperBound(u32, sorted, sorted[index], order);
    const share = (wanted - @as(f64, @floatFromInt(first))) / @as(f64, @floatFromInt(past - first));
    return value + (share - 0.5) * @as(f64, @floatFromInt(step));
}

fn order(context: u32, item: u32) std.math.Order {
    return std.math.order(context, item);
}

pub fn median(values: []f64) f64 {
    if (values.len == 0) return 0;
    std.sort.pdq(f64, values, {}, std.sort.asc(f64));
    const middle = values.len / 2;
    return if (values.len % 2 == 1) values[middle] else (values[middle - 1] + values[middle]) / 2;
}

test "nearest rank" {
    var samples = [_]u32{ 5, 1, 4, 2, 3, 10, 9, 8, 7, 6 };
    const p = percentiles(&samples, 0.5);
    try std.testing.expectEqual(2.5, p.p50);
    try std.testing.expectEqual(5.0, p.p99);
    try std.testing.expectEqual(0.5, p.min);
    try std.testing.expectEqual(5.0, p.max);
    for (p.quantiles[1..], p.quantiles[0 .. fractions.len - 1]) |later, earlier| try std.testing.expect(later >= earlier);
    var values = [_]f64{ 3, 1, 2, 10 };
    try std.testing.expectEqual(2.5, median(&values));
}

test "a coarse counter is interpolated" {
    var samples: [1000]u32 = undefined;
    // a true duration of 124 seen through a counter with steps of 20: 120 in four of five cases, 140 in the fifth
    for (&samples, 0..) |*sample, i| sample.* = if (i % 5 == 0) 140 else 120;
    const p = percentiles(&samples, 1);
    try std.testing.expect(@abs(p.p50 - 122.5) < 0.01);
}
