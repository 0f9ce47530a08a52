//! What a reader notices of a move: a paced stream of small messages, the longest silence between two of them around each move, and what
//! the same silences are while nothing moves.
//!
//! Paced, because behind a full ring the reader would live on what is queued while the writer stands still, and see nothing.

const std = @import("std");
const linux = std.os.linux;
const fable = @import("fable");
const os = @import("bench_os.zig");
const stats = @import("bench_stats.zig");
const payload = @import("bench_payload.zig");
const ends = @import("bench_end.zig");
const Options = @import("bench_options.zig").Options;

extern fn fable_switch(u32, u32, u32, u32) callconv(.c) i32;
extern fn fable_pump(u32) callconv(.c) i32;
extern fn fable_send(u32, [*]const u8, u32) callconv(.c) i32;
extern fn fable_receive(u32, [*]u8, u32) callconv(.c) i32;

/// A message every so often.
const pace_ns = 1_000;
/// Between two moves, and how long after one the reader still counts silences to it.
const between_ns = 3_000_000;
const after_ns = 500_000;
const max_base = 4 << 20;

/// The word that says a move is under way: its number, 0 while there is none. Written by the writer's process.
const moving = 2;

pub const Run = struct {
    options: Options,
    meeting: *os.Meeting,
    channel: ends.Meeting,
    /// Per move, and of all other pauses; nanoseconds. Then how many of the latter.
    moves: []u32,
    base: []u32,
};

pub const Found = struct { moves: stats.Percentiles, base: stats.Percentiles, windows: stats.Percentiles };

pub fn measure(options: Options) !Found {
    const moves = options.round_trips;
    const bytes = try os.shared(std.mem.alignForward(usize, (@as(usize, moves) * 2 + max_base) * 4, 4096));
    defer os.unmap(bytes);
    const words = std.mem.bytesAsSlice(u32, bytes);
    const run: Run = .{
        .options = options,
        .meeting = try os.Meeting.create(),
        .channel = try ends.Meeting.create(),
        .moves = words[0 .. moves * 2],
        .base = words[moves * 2 ..][0..max_base],
    };
    defer for (run.channel.sockets) |fd| os.close(fd);
    try os.pair(options.cores, 60 + moves / 50, run, side);
    const result = &run.meeting.sides[1].result;
    if (result[0] != 0) return error.Wrong;
    return .{
        .moves = stats.percentiles(run.moves[0..moves], 1),
        .windows = stats.percentiles(run.moves[moves..][0..moves], 1),
        .base = stats.percentiles(run.base[0..@intCast(result[1])], 1),
    };
}

fn side(run: Run, which: u1) void {
    var end: ends.End = .open(run.channel, which, run.options);
    defer end.close();
    run.meeting.arrive(which, 1);
    if (which == 0) write(run, &end) else read(run, &end);
    run.meeting.arrive(which, 2);
}

fn write(run: Run, end: *ends.End) void {
    const there = run.options.to.code() orelse os.die(2, "--to is a transport of channels", .{});
    const back = run.options.transport.code() orelse unreachable;
    const word = &run.meeting.sides[0].result[moving];
    var message: [64]u8 align(64) = undefined;
    var sequence: u64 = 0;
    var moved: u32 = 0;
    var next = os.nowNs();
    var quiet_until = next + between_ns;
    var drained: u64 = 0;
    while (true) : (sequence += 1) {
        payload.fill(&message, message.len, sequence);
        send(end, &message);
        const now = os.nowNs();
        if (now > next + 1_000_000) next = now; // the machine took a break: no burst to make up for it
        next += pace_ns;
        if (@atomicLoad(u64, word, .monotonic) != 0) {
            if (end.channel.epochs.phase == .idle and drained == 0) drained = now;
            if (drained != 0 and now > drained + after_ns) {
                @atomicStore(u64, word, 0, .monotonic);
                drained = 0;
                moved += 1;
                quiet_until = now + between_ns;
                if (moved == run.options.round_trips) break;
            }
        } else if (now > quiet_until) {
            @atomicStore(u64, word, moved + 1, .monotonic);
            const code = if (moved % 2 == 0) there else back;
            const status = fable_switch(end.handle, code, run.options.ring_bytes, 1);
            if (status != 0) os.die(1, "the order to move ended with status {d}", .{status});
        }
        while (os.nowNs() < next) os.relax();
    }
    payload.fill(&message, message.len, std.math.maxInt(u64));
    send(end, &message);
    end.drain();
}

fn send(end: *ends.End, message: []const u8) void {
    while (true) {
        const status = fable_send(end.handle, message.ptr, @intCast(message.len));
        if (status == 0) return;
        if (status != fable.status.ENOSPACE) os.die(1, "sending ended with status {d}", .{status});
        _ = fable_pump(end.handle);
        os.relax();
    }
}

fn read(run: Run, end: *ends.End) void {
    const word = &run.meeting.sides[0].result[moving];
    const result = &run.meeting.sides[1].result;
    const moves = run.options.round_trips;
    var message: [64]u8 align(64) = undefined;
    var expected: u64 = 0;
    var longest: u32 = 0;
    var count: usize = 0;
    var last = os.nowNs();
    var at: u64 = 0;
    var window_until = last + after_ns;
    var window_longest: u32 = 0;
    var window: usize = 0;
    while (true) {
        const got = fable_receive(end.handle, &message, message.len);
        if (got < 0) {
            if (got != fable.status.EMPTY) os.die(1, "receiving ended with status {d}", .{got});
            os.relax();
            continue;
        }
        const now = os.nowNs();
        const sequence = std.mem.readInt(u64, message[0..8], .little);
        if (sequence == std.math.maxInt(u64)) break;
        if (sequence != expected or got != message.len) result[0] = 1;
        expected += 1;
        const gap: u32 = @intCast(@min(now - last, std.math.maxInt(u32)));
        last = now;
        const active = @atomicLoad(u64, word, .monotonic);
        if (active != at) {
            if (at != 0 and at <= moves) run.moves[at - 1] = longest;
            longest = 0;
            at = active;
            window_until = now + after_ns;
            window_longest = 0;
        }
        if (active != 0) {
            longest = @max(longest, gap);
            continue;
        }
        if (count < max_base) {
            run.base[count] = gap;
            count += 1;
        }
        // the longest silence of as long a time without a move, for comparison
        window_longest = @max(window_longest, gap);
        if (now > window_until and window < moves) {
            run.moves[moves + window] = window_longest;
            window += 1;
            window_longest = 0;
            window_until = now + after_ns;
        }
    }
    if (at != 0 and at <= moves) run.moves[at - 1] = longest;
    result[1] = count;
}
