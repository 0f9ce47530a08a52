//! Latency: ping-pong of messages written and read in full. p50, p99, p99.9 of one way (half a round trip).

const std = @import("std");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");
const payload = @import("bench_payload.zig");
const ends = @import("bench_end.zig");
const raw = @import("bench_raw.zig");
const Options = @import("bench_options.zig").Options;
const Check = payload.Check;
const End = ends.End;

/// The last round trip says so, because a slow transport (spinning on one core) is cut short.
pub const last_bit: u64 = 1 << 63;

pub const Run = struct {
    options: Options,
    meeting: *os.Meeting,
    channel: ends.Meeting,
    streams: raw.Streams,
    samples: []u32,
    /// The clock looks at ticks only: anything else would cost as much as a message.
    ns_per_tick: f64,
};

/// Samples of a run that goes on for a time.
const most_samples = 1 << 19;

/// Percentiles in nanoseconds, one way.
pub fn measure(options: Options) !stats.Percentiles {
    const most: u32 = if (options.least_seconds == 0) options.round_trips else @max(options.round_trips, most_samples);
    const sample_bytes = try os.shared(std.mem.alignForward(usize, @as(usize, most) * 4, 4096));
    defer os.unmap(sample_bytes);
    const run: Run = .{
        .options = options,
        .meeting = try os.Meeting.create(),
        .channel = try ends.Meeting.create(),
        .streams = try raw.connect(options.transport),
        .samples = std.mem.bytesAsSlice(u32, sample_bytes)[0..most],
        .ns_per_tick = os.calibrate(),
    };
    defer for (run.channel.sockets) |fd| os.close(fd);
    defer run.streams.close();
    const limit_s: u32 = @intFromFloat(@ceil(options.seconds * 4 + 30));
    try os.pair(options.cores, limit_s, run, side);
    if (run.meeting.sides[0].result[0] | run.meeting.sides[1].result[0] != 0) return error.Wrong;
    return stats.percentiles(run.samples[0..@intCast(run.meeting.sides[0].result[1])], os.calibrate() / 2);
}

fn side(run: Run, which: u1) void {
    if (run.options.transport.plain()) return raw.pingPong(run, which);
    var end: End = .open(run.channel, which, run.options);
    defer end.close();
    run.meeting.arrive(which, 1);
    switch (run.options.transport) {
        .@"mempipe-spin" => ring(run, which, &end, true),
        .mempipe, .@"mempipe-futex" => ring(run, which, &end, false),
        else => inPlace(run, which, &end),
    }
    run.meeting.arrive(which, 2);
}

/// Counts round trips, takes the samples, and says when it is enough.
pub const Clock = struct {
    run: Run,
    warm_up: u64,
    /// In ticks: no more than the first, no less than the second; the warm-up takes a tenth of the first at most.
    limit: u64,
    least: u64,
    began: u64,
    last: u64,
    round: u64 = 0,
    rest: bool,

    pub fn start(run: Run) Clock {
        const now = os.ticks();
        return .{
            .run = run,
            .warm_up = @min(run.options.round_trips / 4 + 64, 20_000),
            .limit = toTicks(run, @max(run.options.seconds, 0.5) * 10),
            .least = toTicks(run, run.options.least_seconds),
            .began = now,
            .last = now,
            .rest = run.options.rest_ns != 0,
        };
    }

    fn toTicks(run: Run, seconds: f64) u64 {
        return @intFromFloat(seconds * 1e9 / run.ns_per_tick);
    }

    /// The sequence of the next round trip.
    pub inline fn next(c: *Clock) u64 {
        if (c.rest) c.pause();
        const took = c.last -% c.began;
        if (c.round < c.warm_up) {
            if (took > c.limit / 10) c.warm_up = c.round;
            return c.round;
        }
        const samples = c.round - c.warm_up + 1;
        const enough = samples >= c.run.options.round_trips and took >= c.least;
        return if (enough or samples == c.run.samples.len or took > c.limit) c.round | last_bit else c.round;
    }

    noinline fn pause(c: *Clock) void {
        const time: std.os.linux.timespec = .{ .sec = 0, .nsec = @intCast(c.run.options.rest_ns) };
        _ = std.os.linux.nanosleep(&time, null);
        c.last = os.ticks();
    }

    pub inline fn done(c: *Clock) void {
        const now = os.ticks();
        if (c.round >= c.warm_up) {
            const index = c.round - c.warm_up;
            c.run.samples[index] = std.math.cast(u32, now - c.last) orelse std.math.maxInt(u32);
            c.run.meeting.sides[0].result[1] = index + 1;
        }
        c.last = now;
        c.round += 1;
    }
};

fn ring(run: Run, which: u1, end: *End, comptime spin: bool) void {
    const size = run.options.size_bytes;
    if (run.options.check != .full) return ringOf(run, which, end, spin, .plain, size);
    // the two sizes that the targets are about get loops of their own, as a program with one kind of message has
    switch (size) {
        48 => ringOf(run, which, end, spin, .full, 48),
        64 => ringOf(run, which, end, spin, .full, 64),
        else => ringOf(run, which, end, spin, .full, size),
    }
}

inline fn ringOf(run: Run, which: u1, end: *End, comptime spin: bool, comptime how: Check, size: u32) void {
    const burn = burnOf(run);
    var wrong: u64 = 0;
    var writer = end.writeCursor();
    var reader = end.readCursor();
    if (which == 0) {
        var clock: Clock = .start(run);
        while (true) {
            const sequence = clock.next();
            put(&writer, end, spin, size, sequence);
            const message = take(&reader, &writer, end, spin);
            wrong |= check(how, message, size, sequence);
            reader.release();
            clock.done();
            if (sequence & last_bit != 0) break;
        }
    } else {
        var round: u64 = 0;
        while (true) : (round += 1) {
            const message = take(&reader, &writer, end, spin);
            const sequence = sequenceOf(message);
            wrong |= check(how, message, size, sequence) | (sequence & ~last_bit ^ round);
            reader.release();
            if (burn != 0) os.burn(burn);
            put(&writer, end, spin, size, sequence);
            if (sequence & last_bit != 0) break;
        }
    }
    writer.settle();
    reader.settle();
    run.meeting.sides[which].result[0] = wrong;
}

inline fn sequenceOf(message: []const u8) u64 {
    if (message.len < 8) os.die(1, "a message of {d} bytes came", .{message.len});
    return std.mem.readInt(u64, message[0..8], .little);
}

inline fn check(comptime how: Check, message: []const u8, size: u32, sequence: u64) u64 {
    return payload.verify(how, message.ptr, size, sequence) | (message.len ^ size);
}

/// For both ends at once, in ticks: the one that answers burns it.
fn burnOf(run: Run) u64 {
    return @intFromFloat(@as(f64, @floatFromInt(run.options.burn_ns * 2)) / run.ns_per_tick);
}

inline fn put(writer: *ends.WriteCursor, end: *End, comptime spin: bool, size: u32, sequence: u64) void {
    const room = writer.reserve(size) orelse waitForRoom(writer, end, spin, size);
    payload.fill(room.ptr, size, sequence);
    writer.commit(size);
    writer.flush();
}

fn waitForRoom(writer: *ends.WriteCursor, end: *End, comptime spin: bool, size: u32) []u8 {
    while (true) {
        writer.press();
        if (writer.reserve(size)) |room| return room;
        if (spin) {
            os.relax();
        } else {
            writer.settle();
            end.wait(2);
        }
    }
}

inline fn take(reader: *ends.ReadCursor, writer: *ends.WriteCursor, end: *End, comptime spin: bool) []const u8 {
    while (true) {
        if (reader.next()) |message| return message;
        if (spin) return end.spinFor(reader, writer.published);
        reader.settle();
        writer.settle();
        end.wait(1);
        reader.* = end.readCursor();
    }
}

/// Written and checked where the transport keeps it.
fn inPlace(run: Run, which: u1, end: *End) void {
    switch (end.channel.out.transport) {
        inline else => |*out| switch (end.channel.in.transport) {
            inline else => |*in| switch (run.options.check) {
                inline else => |how| pingPong(run, which, end, how, out, in),
            },
        },
    }
}

fn pingPong(run: Run, which: u1, end: *End, comptime how: Check, out: anytype, in: anytype) void {
    const size = run.options.size_bytes;
    const burn = burnOf(run);
    var wrong: u64 = 0;
    if (which == 0) {
        var clock: Clock = .start(run);
        while (true) {
            const sequence = clock.next();
            putInto(out, end, size, sequence);
            wrong |= check(how, next(in, end), size, sequence);
            drop(in);
            clock.done();
            if (sequence & last_bit != 0) break;
        }
    } else while (true) {
        const message = next(in, end);
        const sequence = sequenceOf(message);
        wrong |= check(how, message, size, sequence);
        drop(in);
        if (burn != 0) os.burn(burn);
        putInto(out, end, size, sequence);
        if (sequence & last_bit != 0) break;
    }
    run.meeting.sides[which].result[0] = wrong;
}

fn putInto(out: anytype, end: *End, size: u32, sequence: u64) void {
    const room = out.writer.reserve(size) orelse end.waitForRoom(out, size);
    payload.fill(room.ptr, size, sequence);
    out.writer.commit(size);
    out.flush();
}

fn next(in: anytype, end: *End) []const u8 {
    while (true) {
        const header = in.peek() orelse {
            end.wait(1);
            continue;
        };
        if (header.kind == .message) return in.payload(header);
        in.drop(header);
    }
}

fn drop(in: anytype) void {
    if (in.peek()) |header| in.drop(header);
}
