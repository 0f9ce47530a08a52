//! The machine's own limit for messages through shared memory: fixed slots, one cursor each way, no header, no waiting but spinning, no fault
//! handling, nothing to lend. `limit` (large sizes) is memory bandwidth of fill and read; `ideal` (64 bytes) the rate of cursors.

const std = @import("std");
const os = @import("bench_os.zig");
const payload = @import("bench_payload.zig");

pub const Options = struct {
    cores: [2]u32,
    size_bytes: u32,
    ring_bytes: u32,
    /// messages per store of the writer's cursor
    batch: u32,
    /// false: the reader looks at the sequence number only
    full: bool,
    messages: u64,
    limit_s: u32 = 60,
};

const Cursors = struct { head: u64 align(128) = 0, tail: u64 align(128) = 0, past: u64 align(128) = 0 };

const Run = struct { options: Options, meeting: *os.Meeting, cursors: *Cursors, ring: [*]align(4096) u8 };

/// Messages per second of one run; error when a payload was wrong.
pub fn measure(options: Options) !f64 {
    if (options.ring_bytes / options.size_bytes < 2 or options.size_bytes % 8 != 0) return error.Size;
    const control = try os.shared(4096);
    const cursors: *Cursors = @ptrCast(control.ptr);
    cursors.* = .{};
    defer os.unmap(control);
    const ring = try os.shared(options.ring_bytes);
    defer os.unmap(ring);
    const context: Run = .{ .options = options, .meeting = try os.Meeting.create(), .cursors = cursors, .ring = ring.ptr };
    try os.pair(options.cores, options.limit_s, context, run);
    const writer = context.meeting.sides[0].result;
    const reader = context.meeting.sides[1].result;
    if (reader[1] != 0) return error.Wrong;
    return @as(f64, @floatFromInt(options.messages)) * 1e9 / @as(f64, @floatFromInt(reader[0] - writer[0]));
}

fn run(context: Run, side: u1) void {
    context.meeting.arrive(side, 1);
    if (side == 0) write(context) else if (context.options.full) read(context, true) else read(context, false);
}

fn write(context: Run) void {
    const options = context.options;
    const slots: u64 = options.ring_bytes / options.size_bytes;
    context.meeting.sides[0].result[0] = os.nowNs();
    var sequence: u64 = 0;
    var slot: u64 = 0;
    var tail: u64 = 0;
    while (sequence < options.messages) {
        const end = @min(sequence + options.batch, options.messages);
        while (end - tail > slots) tail = @atomicLoad(u64, &context.cursors.tail, .acquire);
        while (sequence < end) : (sequence += 1) {
            payload.fill(context.ring + slot * options.size_bytes, options.size_bytes, sequence);
            slot += 1;
            if (slot == slots) slot = 0;
        }
        @atomicStore(u64, &context.cursors.head, sequence, .release);
    }
}

fn read(context: Run, comptime full: bool) void {
    const options = context.options;
    const slots: u64 = options.ring_bytes / options.size_bytes;
    const often = @max(slots / 8, 1);
    var sequence: u64 = 0;
    var slot: u64 = 0;
    var released: u64 = 0;
    var wrong: u64 = 0;
    while (sequence < options.messages) {
        const head = @atomicLoad(u64, &context.cursors.head, .acquire);
        if (head == sequence) {
            if (released != sequence) {
                released = sequence;
                @atomicStore(u64, &context.cursors.tail, sequence, .release);
            }
            os.relax();
            continue;
        }
        while (sequence < head) {
            const from = context.ring + slot * options.size_bytes;
            wrong |= if (full) payload.check(from, options.size_bytes, sequence) else payload.checkSequence(from, options.size_bytes, sequence);
            slot += 1;
            if (slot == slots) slot = 0;
            sequence += 1;
            if (sequence - released >= often) {
                released = sequence;
                @atomicStore(u64, &context.cursors.tail, sequence, .release);
            }
        }
    }
    context.meeting.sides[1].result = .{ os.nowNs(), wrong, 0, 0, 0, 0, 0, 0 };
}
