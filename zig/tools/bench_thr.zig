//! Throughput: a stream of messages in one direction, published in batches. Every message carries its 64-bit sequence number; the reader
//! checks it, and with --check full every byte of the payload too. The first tenth warms up: the clock runs from the reader's check of its last
//! message to that of the last one of all.

const std = @import("std");
const os = @import("bench_os.zig");
const payload = @import("bench_payload.zig");
const ends = @import("bench_end.zig");
const raw = @import("bench_raw.zig");
const Options = @import("bench_options.zig").Options;
const fable = @import("fable");
const Header = fable.layout.record.Header;
const header_bytes = fable.layout.record.header_bytes;
const Check = payload.Check;
const End = ends.End;

pub const Run = struct {
    options: Options,
    meeting: *os.Meeting,
    channel: ends.Meeting,
    streams: raw.Streams,
    messages: u64,
    ns_per_tick: f64,
};

/// Messages per second of one run of `messages`.
pub fn measure(options: Options, messages: u64) !f64 {
    const run: Run = .{
        .options = options,
        .meeting = try os.Meeting.create(),
        .channel = try ends.Meeting.create(),
        .streams = try raw.connect(options.transport),
        .messages = messages,
        .ns_per_tick = os.calibrate(),
    };
    defer for (run.channel.sockets) |fd| os.close(fd);
    defer run.streams.close();
    try os.pair(options.cores, @intFromFloat(@ceil(options.seconds * 20 + 60)), run, side);
    const reader = run.meeting.sides[1].result;
    if (reader[1] != 0) return error.Wrong;
    return @as(f64, @floatFromInt(messages - reader[3])) * 1e9 / @as(f64, @floatFromInt(@max(reader[0] - reader[2], 1)));
}

/// How many messages warm up.
pub fn warmUp(messages: u64) u64 {
    return messages / 10;
}

/// The reader's: runs from the first message after the warm-up.
pub const Clock = struct {
    run: Run,
    running: bool = false,

    pub fn of(run: Run) Clock {
        return .{ .run = run };
    }
    pub inline fn reached(c: *Clock, sequence: u64) void {
        if (c.running or sequence < warmUp(c.run.messages)) return;
        c.running = true;
        const result = &c.run.meeting.sides[1].result;
        result[2] = os.nowNs();
        result[3] = sequence;
    }
    pub inline fn stop(c: *const Clock, wrong: u64) void {
        const result = &c.run.meeting.sides[1].result;
        result[0] = os.nowNs();
        result[1] = wrong;
    }
};

/// How many messages take about `seconds`, found by runs of growing length. Fast ones count: a trial may have been interrupted.
pub fn messagesFor(options: Options) !u64 {
    if (options.messages != 0) return options.messages;
    var messages: u64 = @max(64, (1 << 20) / (@as(u64, options.size_bytes) + 64));
    while (true) {
        var rate: f64 = 0;
        for (0..3) |_| rate = @max(rate, try measure(options, messages));
        const wanted: u64 = @intFromFloat(@max(64, rate * options.seconds));
        if (messages * 16 >= wanted) return wanted;
        messages = @min(wanted, messages * 32);
    }
}

fn side(run: Run, which: u1) void {
    if (run.options.transport.plain()) return raw.stream(run, which);
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

fn ring(run: Run, which: u1, end: *End, comptime spin: bool) void {
    // many loops are inlined here, one for each thing that a compiler should know about them
    @setEvalBranchQuota(20_000);
    const size = run.options.size_bytes;
    if (run.options.burn_ns != 0) return ringOf(run, which, end, spin, .full, true, size);
    // a program with one kind of message has a loop for it; the sizes of the targets get theirs
    switch (run.options.check) {
        inline else => |how| switch (size) {
            inline 64, 4096, 65536 => |known| ringOf(run, which, end, spin, how, false, known),
            else => ringOf(run, which, end, spin, how, false, size),
        },
    }
}

inline fn ringOf(run: Run, which: u1, end: *End, comptime spin: bool, comptime how: Check, comptime burning: bool, size: u32) void {
    if (which == 0) writeThrough(run, RingPath(spin){ .end = end }, burning, size) else readRing(run, end, spin, how, burning, size);
}

/// One message's share, by each end: the slower one decides the rate.
inline fn burn(run: Run) void {
    os.burn(@intFromFloat(@as(f64, @floatFromInt(run.options.burn_ns)) / run.ns_per_tick));
}

/// Through a cursor, which stays in registers: `path` makes it, finds room where there is none, and publishes.
inline fn writeThrough(run: Run, path: anytype, comptime burning: bool, size: u32) void {
    const batch = run.options.batch;
    var c: ends.WriteCursor = path.cursor();
    var sequence: u64 = 0;
    while (sequence < run.messages) {
        const stop = @min(sequence + batch, run.messages);
        while (sequence < stop) : (sequence += 1) {
            const room = c.reserve(size) orelse wait: {
                @branchHint(.unlikely);
                break :wait path.waitForRoom(&c, size);
            };
            payload.fill(room.ptr, size, sequence);
            c.commit(size);
            if (burning) burn(run);
        }
        path.flush(&c);
    }
    c.settle();
}

fn RingPath(comptime spin: bool) type {
    return struct {
        end: *End,

        inline fn cursor(p: @This()) ends.WriteCursor {
            return p.end.writeCursor();
        }
        inline fn flush(_: @This(), c: *ends.WriteCursor) void {
            c.flush();
        }
        /// By value and back, so that the caller's cursor stays in registers.
        inline fn waitForRoom(p: @This(), c: *ends.WriteCursor, size: u32) []u8 {
            while (true) {
                c.press();
                if (c.reserve(size)) |room| return room;
                if (spin) {
                    os.relax();
                } else {
                    c.settle();
                    p.end.wait(2);
                    c.* = p.end.writeCursor();
                }
            }
        }
    };
}

fn StreamPath(comptime Out: type) type {
    return struct {
        end: *End,
        out: *Out,

        inline fn cursor(p: @This()) ends.WriteCursor {
            return .of(&p.out.writer);
        }
        inline fn flush(p: @This(), c: *ends.WriteCursor) void {
            c.settle();
            p.out.flush();
            c.* = p.cursor();
        }
        inline fn waitForRoom(p: @This(), c: *ends.WriteCursor, size: u32) []u8 {
            c.settle();
            const room = p.end.waitForRoom(p.out, size);
            c.* = p.cursor();
            return room;
        }
    };
}

inline fn readRing(run: Run, end: *End, comptime spin: bool, comptime how: Check, comptime burning: bool, size: u32) void {
    var c = end.readCursor();
    const result = &run.meeting.sides[1].result;
    var sequence: u64 = 0;
    for ([_]u64{ warmUp(run.messages), run.messages }) |stop| {
        result[2] = os.nowNs();
        result[3] = sequence;
        var wrong: u64 = 0;
        while (sequence < stop) {
            const message = c.next() orelse wait: {
                if (spin) break :wait end.spinFor(&c, 0);
                c.settle();
                end.wait(1);
                c = end.readCursor();
                continue;
            };
            wrong |= message.len ^ size;
            wrong |= payload.verify(how, message.ptr, size, sequence);
            c.release();
            if (burning) burn(run);
            sequence += 1;
        }
        result[1] |= wrong;
    }
    result[0] = os.nowNs();
    c.settle();
}

/// Written and checked where the transport keeps it: the arena of a kernel path, the heap of shmem-pipe.
fn inPlace(run: Run, which: u1, end: *End) void {
    if (which == 0) {
        switch (end.channel.out.transport) {
            .stream => |*t| writeStream(run, end, t),
            inline else => |*t| writeInPlace(run, end, t),
        }
        end.drain();
    } else switch (end.channel.in.transport) {
        .stream => |*t| readStream(run, end, t),
        inline else => |*t| {
            const result = &run.meeting.sides[1].result;
            for ([_]u64{ 0, warmUp(run.messages) }, [_]u64{ warmUp(run.messages), run.messages }) |first, stop| {
                result[2] = os.nowNs();
                result[3] = first;
                result[1] |= switch (run.options.check) {
                    inline else => |how| readInPlace(run, end, how, t, first, stop),
                };
            }
            result[0] = os.nowNs();
        },
    }
}

fn writeStream(run: Run, end: *End, t: anytype) void {
    @setEvalBranchQuota(20_000);
    const path: StreamPath(@TypeOf(t.*)) = .{ .end = end, .out = t };
    const size = run.options.size_bytes;
    if (run.options.burn_ns != 0) return writeThrough(run, path, true, size);
    switch (size) {
        inline 64, 4096, 65536 => |known| writeThrough(run, path, false, known),
        else => writeThrough(run, path, false, size),
    }
}

fn readStream(run: Run, end: *End, t: anytype) void {
    @setEvalBranchQuota(20_000);
    switch (run.options.check) {
        inline else => |how| switch (run.options.size_bytes) {
            inline 64, 4096, 65536 => |known| readStreamOf(run, end, how, t, known),
            else => |size| readStreamOf(run, end, how, t, size),
        },
    }
}

/// A window of records at a time, as programs that use the C header or JavaScript do.
inline fn readStreamOf(run: Run, end: *End, comptime how: Check, t: anytype, size: u32) void {
    var wrong: u64 = 0;
    var clock: Clock = .of(run);
    var sequence: u64 = 0;
    while (sequence < run.messages) {
        clock.reached(sequence);
        if (!t.look()) {
            end.wait(1);
            continue;
        }
        const window = t.offer_();
        var at = t.reader.arena + window.offset;
        const stop = t.reader.arena + window.limit;
        const before = sequence;
        while (at != stop) {
            const header = @as(*align(8) const Header, @ptrCast(@alignCast(at))).*;
            if (header.kind == .message) {
                wrong |= header.size ^ size;
                wrong |= payload.verify(how, at + header_bytes, size, sequence);
                if (run.options.burn_ns != 0) burn(run);
                sequence += 1;
            }
            at += header.bytes();
        }
        const count: u32 = @intCast(sequence - before);
        if (!t.consume(window.limit - window.offset, count, count *% size)) wrong = 1;
    }
    t.idle();
    clock.stop(wrong);
}

fn writeInPlace(run: Run, end: *End, t: anytype) void {
    const size = run.options.size_bytes;
    var sequence: u64 = 0;
    while (sequence < run.messages) {
        const stop = @min(sequence + run.options.batch, run.messages);
        while (sequence < stop) : (sequence += 1) {
            const room = t.writer.reserve(size) orelse end.waitForRoom(t, size);
            payload.fill(room.ptr, size, sequence);
            t.writer.commit(size);
            if (run.options.burn_ns != 0) burn(run);
        }
        t.flush();
    }
}

fn readInPlace(run: Run, end: *End, comptime how: Check, t: anytype, first: u64, stop: u64) u64 {
    const size = run.options.size_bytes;
    var wrong: u64 = 0;
    var sequence = first;
    while (sequence < stop) {
        const header = t.peek() orelse {
            end.wait(1);
            continue;
        };
        if (header.kind == .message) {
            const message = t.payload(header);
            wrong |= message.len ^ size;
            wrong |= payload.verify(how, message.ptr, size, sequence);
            if (run.options.burn_ns != 0) burn(run);
            sequence += 1;
        }
        t.drop(header);
    }
    t.idle();
    return wrong;
}

/// What the check itself reaches on a payload that lies in the first cache: bytes per second. Figures near it measure the check.
pub fn checkRate(size: u32) !f64 {
    const resident = @min(size, 16 << 10);
    const memory = try os.private(std.mem.alignForward(usize, resident, 4096));
    payload.fill(memory.ptr, resident, 7);
    var wrong: u64 = 0;
    const rounds: u64 = @min((256 << 20) / @as(u64, resident), 4 << 20);
    const began = os.nowNs();
    for (0..rounds) |_| {
        wrong |= payload.check(memory.ptr, resident, 7);
        // the memory may have changed, as far as the compiler knows: nothing is hoisted
        asm volatile ("" ::: .{ .memory = true });
    }
    const took = os.nowNs() - began;
    if (wrong != 0) return error.Wrong;
    return @as(f64, @floatFromInt(rounds * resident)) * 1e9 / @as(f64, @floatFromInt(took));
}
