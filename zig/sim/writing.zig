//! How an end writes: whole messages by send(), or records that it lays out itself and publishes.

const std = @import("std");
const fable = @import("fable");
const choice = @import("choice.zig");
const kernel = @import("kernel.zig");
const oracle = @import("oracle.zig");
const report = @import("report.zig");
const ends = @import("end.zig");
const End = ends.End;
const Outcome = ends.Outcome;
const Block = ends.Block;
const record = fable.layout.record;
const Header = record.Header;

const max_old = 16;

pub const State = struct {
    /// Where the next record goes that this end lays out itself.
    at: u32 = 0,
    /// Of the message that was begun: how much is laid out, or 0.
    done: u32 = 0,
    /// It was begun by send(), which has to end it.
    by_send: bool = false,
    old: [max_old]Old = undefined,
    old_count: u32 = 0,

    /// In the middle of a message.
    pub fn busy(_: *const State, e: *const End) bool {
        return e.out().begun != e.out().sent;
    }
};
/// An arena that the program still looks at.
const Old = struct { epoch: u32, address: [*]const u8, first: u8 };

/// Sizes: mostly short, some of a few hundred bytes, some that need fragments in small rings, empty ones.
fn newSize(e: *const End) u32 {
    const most = e.channel.options.max_message;
    return @min(most, switch (choice.below(10)) {
        0 => 0,
        1 => choice.below(oracle.max_size),
        2, 3 => choice.below(1500),
        else => choice.below(120),
    });
}

pub fn some(e: *End, count: u32) void {
    if (e.half_closed or e.write_end != null) return;
    if (e.out().begun + count >= oracle.max_messages) return;
    for (0..count) |_| {
        const own = e.style.windows and !(e.w.busy(e) and e.w.by_send) and (e.w.done > 0 or choice.below(4) != 0);
        if (!(if (own) layOut(e, 1 + choice.below(4)) else send(e))) return;
    }
}

/// Ends a message that was begun. Nothing else is written.
pub fn complete(e: *End) void {
    while (e.w.busy(e) and e.write_end == null) {
        if (!(if (e.w.by_send) send(e) else layOut(e, 1))) return;
    }
}

pub fn ended(e: *End, outcome: Outcome) void {
    const peer = e.other();
    switch (outcome) {
        .ended => if (!peer.closed and !peer.dead()) report.fail("writing ENDED, but the peer is open", .{}),
        .peer_dead => if (!peer.dead()) report.fail("writing PEER_DEAD, but the peer lives", .{}),
        .closed => if (!e.half_closed) report.fail("writing CLOSED, but nobody closed", .{}),
        .system => {
            if (!kernel.failed) report.fail("writing failed with errno {d}", .{e.block[Block.errno]});
            return;
        },
        else => {
            ends.checkFault(e);
            report.fail("writing was answered {s}", .{@tagName(outcome)});
        },
    }
    if (outcome != .closed) e.write_end = outcome;
}

fn send(e: *End) bool {
    const way = e.out();
    if (!e.w.busy(e)) oracle.begin(e.which, newSize(e));
    e.w.by_send = true;
    const size = way.sizes[way.sent];
    const outcome = e.channel.send(oracle.content(e.which, way.sent, size));
    report.trace("send {d} ({d} bytes): {s}", .{ way.sent, size, @tagName(outcome) });
    if (e.style.windows) e.w.at = e.block[Block.write_offset];
    ends.checkFault(e);
    switch (outcome) {
        .ok => oracle.sent(e.which),
        .no_space => return false,
        else => {
            ended(e, outcome);
            return false;
        },
    }
    return true;
}

/// Lays out a batch of at most `count` records and publishes it.
fn layOut(e: *End, count: u32) bool {
    // another stretch of a heap may begin somewhere else
    const heap = e.channel.out.transport == .heap;
    const free = if (heap) e.channel.room(64 + choice.below(e.channel.out.arena.size / 4)) else e.channel.space();
    if (heap) e.w.at = e.block[Block.write_offset];
    if (free < 0) {
        ended(e, @enumFromInt(free));
        return false;
    }
    var batch: Batch = .{ .e = e, .heap = heap, .base = e.channel.out.arena.address.?, .ring_bytes = e.channel.out.arena.size, .free = @intCast(free), .at = e.w.at };
    for (0..count) |_| if (!batch.add()) break;
    if (batch.bytes == 0) return false;
    const first: u64 = batch.first;
    const outcome = e.channel.publish(batch.bytes, @truncate(first), @truncate(first >> 32), batch.messages, batch.payload);
    report.trace("publish {d} bytes at {d}, {d} messages: {s}", .{ batch.bytes, e.w.at, batch.messages, @tagName(outcome) });
    ends.checkFault(e);
    if (outcome != .ok) {
        ended(e, outcome);
        return false;
    }
    e.w.at = batch.at;
    for (0..batch.messages) |_| oracle.sent(e.which);
    return true;
}

const Batch = struct {
    e: *End,
    heap: bool,
    base: [*]u8,
    ring_bytes: u32,
    free: u32,
    at: u32,
    first: u64 = 0,
    bytes: u32 = 0,
    messages: u32 = 0,
    payload: u32 = 0,

    /// One record: a message, or the next fragment of one. False: no room.
    fn add(b: *Batch) bool {
        const e = b.e;
        const way = e.out();
        const number = way.sent + b.messages;
        if (number == way.begun) {
            if (e.phase != .active or way.begun + 1 >= oracle.max_messages) return false;
            oracle.begin(e.which, newSize(e));
        }
        e.w.by_send = false;
        const size = way.sizes[number];
        const content = oracle.content(e.which, number, size);
        const most = record.maxPayload(b.ring_bytes);
        if (e.w.done == 0 and size <= most) {
            if (!b.put(.message, &.{}, content)) return false;
        } else {
            const prefix: u32 = if (e.w.done == 0) record.fragment_prefix_bytes else 0;
            const part = @min(size - e.w.done, most - prefix);
            const kind: record.Kind = if (prefix != 0) .first else if (e.w.done + part == size) .last else .more;
            const head = [2]u32{ size, 0 };
            if (!b.put(kind, std.mem.sliceAsBytes(&head)[0..prefix], content[e.w.done..][0..part])) return false;
            e.w.done += part;
            if (kind != .last) return true;
            e.w.done = 0;
        }
        b.messages += 1;
        b.payload += size;
        return true;
    }

    fn put(b: *Batch, kind: record.Kind, head: []const u8, body: []const u8) bool {
        const size: u32 = @intCast(head.len + body.len);
        const rest = b.ring_bytes - b.at;
        const wraps = record.length(b.at, size) > rest;
        const length = if (wraps) record.length(0, size) else record.length(b.at, size);
        const need = if (wraps) rest + length else length;
        if (b.bytes + need > b.free or (wraps and b.heap)) return false;
        if (wraps) b.header(Header.of(.pad, 0, rest));
        const to = b.base + b.at + record.header_bytes;
        @memcpy(to[0..head.len], head);
        @memcpy(to[head.len..][0..body.len], body);
        b.header(Header.of(kind, size, length));
        return true;
    }

    /// The first of a batch is stored by publish().
    fn header(b: *Batch, h: Header) void {
        if (b.bytes == 0) b.first = @bitCast(h) else @as(*u64, @ptrCast(@alignCast(b.base + b.at))).* = @bitCast(h);
        b.bytes += h.bytes();
        b.at = (b.at + h.bytes()) & (b.ring_bytes - 1);
    }
};

// ---- moving ----

pub fn cross(e: *End) void {
    const c = &e.channel;
    const old = c.out;
    const epoch = old.epoch;
    const address = old.arena.address.?;
    if (e.w.old_count == max_old) retire(e, true);
    const outcome = c.cross();
    report.trace("cross: {s}", .{@tagName(outcome)});
    ends.checkFault(e);
    switch (outcome) {
        .ok => {
            e.w.old[e.w.old_count] = .{ .epoch = epoch, .address = address, .first = address[0] };
            e.w.old_count += 1;
            e.w.at = e.block[Block.write_offset];
        },
        .empty => {},
        .closed => if (!e.half_closed) report.fail("cross: closed", .{}),
        else => report.fail("cross was answered {s}", .{@tagName(outcome)}),
    }
}

/// Gives old write arenas back: the oldest, or all.
pub fn retire(e: *End, all: bool) void {
    while (e.w.old_count > 0) {
        const one = e.w.old[0];
        // still mapped, whatever became of its path
        std.mem.doNotOptimizeAway(@as(*const volatile u8, @ptrCast(one.address)).*);
        const outcome = e.channel.retire(true, one.epoch, 0, 0);
        report.trace("retire written {d}: {s}", .{ one.epoch, @tagName(outcome) });
        if (outcome != .ok) report.fail("retiring the write arena of epoch {d} was answered {s}", .{ one.epoch, @tagName(outcome) });
        e.w.old_count -= 1;
        std.mem.copyForwards(Old, e.w.old[0..e.w.old_count], e.w.old[1 .. e.w.old_count + 1]);
        if (!all) return;
    }
}
