//! fable-bench: the native benchmark. One cell per process: two pinned processes over the real core, real sealed regions, every payload
//! written and verified. Prints one JSON object; `fable bench` and bench/figures.ts put cells together.
//!
//! What is measured how, and what is left out, is said in docs/benchmarks.md.

const std = @import("std");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");
const line = @import("bench_line.zig");
const limits = @import("bench_limit.zig");
const ipi = @import("bench_ipi.zig");
const lat = @import("bench_lat.zig");
const thr = @import("bench_thr.zig");
const gap = @import("bench_gap.zig");
const options_of = @import("bench_options.zig");
const Options = options_of.Options;

/// The longest lines bounce of a placement probe: short, because it stands before and after every cell.
const probe_rounds = 8_000;

pub fn main(init: std.process.Init.Minimal) void {
    const arguments = init.args.vector;
    if (arguments.len < 2) os.die(2, "{s}", .{options_of.usage});
    const command = std.mem.span(arguments[1]);
    var options = options_of.parse(arguments[2..]);
    fit(&options);
    run(command, options) catch |err| os.die(1, "{s} failed: {s}", .{ command, switch (err) {
        error.Pin => "a core cannot be used; `taskset -p $$` shows which ones can",
        error.Wrong => "a message arrived damaged, out of order or of another size",
        error.Size => "--size must be a multiple of 8 and go into --ring at least twice",
        else => @errorName(err),
    } });
}

/// One message in place takes a quarter of its ring at most.
fn fit(options: *Options) void {
    while (options.ring_bytes < 64 << 20 and options.size_bytes > options.ring_bytes / 4) options.ring_bytes *= 2;
}

const Command = enum { lat, thr, line, limit, ipi, gap };

fn run(command: []const u8, options: Options) !void {
    switch (std.meta.stringToEnum(Command, command) orelse os.die(2, "unknown command {s}\n{s}", .{ command, options_of.usage })) {
        .lat => try latency(options),
        .thr => try throughput(options),
        .line => try bounce(options),
        .limit => try limit(options),
        .ipi => try interrupt(options),
        .gap => try gaps(options),
    }
}

// ---- output ----

var buffer: [64 << 10]u8 = undefined;
var used: usize = 0;

fn put(comptime format: []const u8, arguments: anytype) void {
    const text = std.fmt.bufPrint(buffer[used..], format, arguments) catch os.die(1, "the report is too long", .{});
    used += text.len;
}

fn head(kind: []const u8, options: Options) void {
    put("{{\"kind\":\"{s}\",\"driver\":\"native\",\"transport\":\"{t}\",\"waiting\":\"{s}\",\"trust\":\"{s}\",\"size_bytes\":{d},\"ring_bytes\":{d},\"cores\":[{d},{d}],\"batch\":{d}", .{
        kind,               options.transport, waitingOf(options), if (options.transport.memory()) @tagName(options.trust) else "n/a", options.size_bytes,
        options.ring_bytes, options.cores[0],  options.cores[1],   options.batch,
    });
}

fn waitingOf(options: Options) []const u8 {
    return switch (options.transport) {
        .@"mempipe-spin" => "spin",
        .@"mempipe-futex" => "futex",
        .@"raw-unix", .@"raw-tcp", .@"raw-tcp-nodelay", .@"raw-pipe" => "kernel",
        else => "adaptive",
    };
}

fn list(name: []const u8, values: []const f64) void {
    put(",\"{s}\":[", .{name});
    for (values, 0..) |value, i| put("{s}{d:.2}", .{ if (i == 0) "" else ",", value });
    put("]", .{});
}

fn finish() void {
    put("}}\n", .{});
    os.say(buffer[0..used]);
}

/// line_ns of the two cores, null where they are one.
fn place(options: Options) !?f64 {
    if (!options.placement or options.cores[0] == options.cores[1]) return null;
    return (try line.measure(options.cores, probe_rounds)).ns;
}

fn placement(name: []const u8, value: ?f64) void {
    if (value) |ns| put(",\"{s}\":{d:.2}", .{ name, ns }) else put(",\"{s}\":null", .{name});
}

/// Of the last run.
fn distribution(quantiles: [stats.fractions.len]f64) void {
    put(",\"quantiles\":[", .{});
    for (stats.fractions, quantiles, 0..) |fraction, ns, i| put("{s}[{d},{d:.2}]", .{ if (i == 0) "" else ",", fraction, ns });
    put("]", .{});
}

// ---- commands ----

fn latency(options: Options) !void {
    if (options.size_bytes < 8) os.die(2, "the ping-pong needs messages of 8 bytes or more", .{});
    head("lat", options);
    placement("placement_before_ns", try place(options));
    var p50: [1000]f64 = undefined;
    var p99: [1000]f64 = undefined;
    var p999: [1000]f64 = undefined;
    var quantiles: [stats.fractions.len]f64 = undefined;
    var samples: usize = 0;
    for (0..options.runs) |i| {
        const got = try lat.measure(options);
        p50[i] = got.p50;
        p99[i] = got.p99;
        p999[i] = got.p999;
        samples += got.samples;
        quantiles = got.quantiles;
    }
    placement("placement_after_ns", try place(options));
    list("runs", p50[0..options.runs]);
    list("runs_p99", p99[0..options.runs]);
    put(",\"p50_ns\":{d:.2},\"p99_ns\":{d:.2},\"p999_ns\":{d:.2}", .{
        stats.median(p50[0..options.runs]), stats.median(p99[0..options.runs]), stats.median(p999[0..options.runs]),
    });
    distribution(quantiles);
    put(",\"round_trips\":{d},\"rest_ns\":{d},\"check\":\"{t}\",\"verified\":true", .{ samples, options.rest_ns, options.check });
    finish();
}

fn throughput(options: Options) !void {
    head("thr", options);
    const messages = try thr.messagesFor(options);
    placement("placement_before_ns", try place(options));
    var rates: [1000]f64 = undefined;
    for (rates[0..options.runs]) |*rate| rate.* = try thr.measure(options, messages);
    placement("placement_after_ns", try place(options));
    list("runs", rates[0..options.runs]);
    const median = stats.median(rates[0..options.runs]);
    put(",\"msgs_per_s\":{d:.0},\"bytes_per_s\":{d:.0},\"messages\":{d},\"check\":\"{t}\"", .{
        median, median * @as(f64, @floatFromInt(options.size_bytes)), messages, options.check,
    });
    if (options.check == .full) put(",\"check_bytes_per_s\":{d:.0}", .{try thr.checkRate(options.size_bytes)});
    put(",\"verified\":true", .{});
    finish();
}

fn interrupt(options: Options) !void {
    if (options.cores[0] == options.cores[1]) os.die(2, "an interrupt goes to another core: --cores A,B", .{});
    put("{{\"kind\":\"ipi\",\"cores\":[{d},{d}]", .{ options.cores[0], options.cores[1] });
    placement("placement_before_ns", try place(options));
    const got = try ipi.measure(options);
    placement("placement_after_ns", try place(options));
    list("runs", &.{got.running.p50});
    put(",\"p50_ns\":{d:.2},\"p99_ns\":{d:.2},\"p999_ns\":{d:.2}", .{ got.running.p50, got.running.p99, got.running.p999 });
    put(",\"idle_p50_ns\":{d:.2},\"idle_p99_ns\":{d:.2}", .{ got.idle.p50, got.idle.p99 });
    distribution(got.running.quantiles);
    put(",\"round_trips\":{d}", .{got.running.samples});
    finish();
}

fn bounce(options: Options) !void {
    if (options.cores[0] == options.cores[1]) os.die(2, "a line is bounced between two cores: --cores A,B", .{});
    var p50: [1000]f64 = undefined;
    var paused: [1000]f64 = undefined;
    var p99: [1000]f64 = undefined;
    for (0..options.runs) |i| {
        const got = try line.measure(options.cores, options.round_trips);
        p50[i] = got.ns;
        paused[i] = got.paused_ns;
        p99[i] = got.p99_ns;
    }
    put("{{\"kind\":\"line\",\"cores\":[{d},{d}]", .{ options.cores[0], options.cores[1] });
    list("runs", p50[0..options.runs]);
    put(",\"line_ns\":{d:.2},\"paused_ns\":{d:.2},\"p99_ns\":{d:.2}", .{
        stats.median(p50[0..options.runs]), stats.median(paused[0..options.runs]), stats.median(p99[0..options.runs]),
    });
    finish();
}

fn limit(options: Options) !void {
    var of: limits.Options = .{
        .cores = options.cores,
        .size_bytes = options.size_bytes,
        .ring_bytes = options.ring_bytes,
        .batch = options.batch,
        .full = options.check == .full,
        .messages = options.messages,
    };
    if (of.messages == 0) {
        of.messages = @max(64, (8 << 20) / options.size_bytes);
        of.messages = @intFromFloat(@max(64, try limits.measure(of) * options.seconds));
    }
    head("limit", options);
    placement("placement_before_ns", try place(options));
    var rates: [1000]f64 = undefined;
    for (rates[0..options.runs]) |*rate| rate.* = try limits.measure(of);
    placement("placement_after_ns", try place(options));
    list("runs", rates[0..options.runs]);
    const median = stats.median(rates[0..options.runs]);
    put(",\"msgs_per_s\":{d:.0},\"bytes_per_s\":{d:.0},\"messages\":{d},\"check\":\"{t}\",\"verified\":true", .{
        median, median * @as(f64, @floatFromInt(options.size_bytes)), of.messages, options.check,
    });
    finish();
}

fn gaps(options: Options) !void {
    if (options.transport.plain() or options.to.plain()) os.die(2, "moves are between transports of channels", .{});
    head("gap", options);
    put(",\"to\":\"{t}\"", .{options.to});
    placement("placement_before_ns", try place(options));
    const got = try gap.measure(options);
    placement("placement_after_ns", try place(options));
    inline for (.{ "moves", "windows", "base" }) |name| {
        const p = @field(got, name);
        put(",\"{s}_p50_ns\":{d:.0},\"{s}_p99_ns\":{d:.0},\"{s}_max_ns\":{d:.0}", .{ name, p.p50, name, p.p99, name, p.max });
    }
    put(",\"moves\":{d},\"verified\":true", .{options.round_trips});
    finish();
}

test {
    _ = stats;
    _ = @import("bench_payload.zig");
}
