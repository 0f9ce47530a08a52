//! How an end reads: whole messages by receive(), or windows by refill(), whose buffers it keeps for a while.

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

const max_held = 64;
const max_old = 8;

/// Records that were handed out and not given back.
const Held = struct { epoch: u32, address: [*]const u8, bytes: u32, messages: u32, payload: u32, hash: u64 };

pub const State = struct {
    held: [max_held]Held = undefined,
    count: u32 = 0,
    epoch: u32 = 0,
    /// Epochs whose arenas are still looked at.
    old: [max_old]u32 = undefined,
    old_count: u32 = 0,
};

var buffers: [2][oracle.max_size]u8 = undefined;

/// True: something came.
pub fn some(e: *End, count: u32) bool {
    if (e.read_end != null) return stays(e);
    return if (e.style.refills) windows(e, count) else messages(e, count);
}

/// What has ended stays so.
fn stays(e: *End) bool {
    const again = if (e.style.refills) e.channel.refill() else e.channel.receive(&buffers[e.which]);
    if (again >= 0) report.fail("{d} bytes after the end", .{again});
    const outcome: Outcome = @enumFromInt(again);
    if (outcome != e.read_end.? and !(outcome == .ended or outcome == .peer_dead)) report.fail("{s} after {s}", .{ @tagName(outcome), @tagName(e.read_end.?) });
    return false;
}

fn messages(e: *End, count: u32) bool {
    const from = 1 - e.which;
    for (0..count) |i| {
        const small = choice.once(16);
        const size = e.channel.receive(buffers[e.which][0..if (small) 16 else oracle.max_size]);
        ends.checkFault(e);
        if (size >= 0) {
            report.trace("received {d} ({d} bytes)", .{ oracle.ways[from].got, size });
            oracle.arrived(from, @intCast(size), buffers[e.which][0..@intCast(size)], true);
            continue;
        }
        const outcome: Outcome = @enumFromInt(size);
        if (outcome == .too_large and small) continue;
        if (outcome != .empty) {
            report.trace("receive: {s}", .{@tagName(outcome)});
            ended(e, outcome);
        }
        return i > 0;
    }
    return true;
}

fn ended(e: *End, outcome: Outcome) void {
    const peer = e.other();
    const way = &oracle.ways[peer.which];
    switch (outcome) {
        .ended => if (!peer.half_closed and !peer.closed) report.fail("ENDED, but the peer goes on", .{}),
        .peer_dead => if (!peer.dead()) report.fail("PEER_DEAD, but the peer lives", .{}),
        .system => {
            if (!kernel.failed) report.fail("reading failed with errno {d}", .{e.block[Block.errno]});
            return;
        },
        else => report.fail("reading was answered {s}", .{@tagName(outcome)}),
    }
    e.read_end = outcome;
    const wanted = way.promised orelse way.sent;
    if (way.got < wanted) report.fail("{s} after {d} of {d} messages", .{ @tagName(outcome), way.got, wanted });
}

// ---- windows ----

fn windows(e: *End, count: u32) bool {
    var came = false;
    for (0..count) |_| {
        if (choice.once(3)) _ = give(e, 1 + choice.below(3));
        if (e.r.count + 4 > max_held) _ = give(e, max_held);
        if (e.r.count + 4 > max_held) retire(e, true);
        if (e.r.count == 0 and choice.once(3)) {
            if (takeShort(e)) came = true;
        }
        const bytes = e.channel.refill();
        ends.checkFault(e);
        if (bytes > 0) {
            report.trace("refill: {d} bytes", .{bytes});
            parse(e);
            came = true;
            continue;
        }
        const outcome: Outcome = @enumFromInt(bytes);
        switch (outcome) {
            .moved => {
                came = true;
                moved(e);
            },
            .empty => {
                // what is lent may be in the way
                if (e.phase == .active or !give(e, max_held)) return came;
            },
            else => {
                report.trace("refill: {s}", .{@tagName(outcome)});
                ended(e, outcome);
                return came;
            },
        }
    }
    return true;
}

fn takeShort(e: *End) bool {
    const from = 1 - e.which;
    if (oracle.ways[from].part != 0) return false;
    const size = e.channel.take(&buffers[e.which]);
    ends.checkFault(e);
    if (size < 0) return false;
    report.trace("took {d} ({d} bytes)", .{ oracle.ways[from].got, size });
    oracle.arrived(from, @intCast(size), buffers[e.which][0..@intCast(size)], true);
    return true;
}

/// Looks at every record of the window, and keeps it in up to four pieces.
fn parse(e: *End) void {
    const arena = e.channel.readArena().?;
    const base: [*]const u8 = arena.address.?;
    var at = e.block[Block.read_offset];
    const limit = e.block[Block.read_limit];
    if (limit > arena.size or at >= limit) report.fail("a window from {d} to {d} of {d}", .{ at, limit, arena.size });
    const piece = (limit - at) / (1 + choice.below(4));
    var held: Held = .{ .epoch = e.r.epoch, .address = base + at, .bytes = 0, .messages = 0, .payload = 0, .hash = 0 };
    while (at < limit) {
        const h: Header = @bitCast(@as(*align(8) const u64, @ptrCast(@alignCast(base + at))).*);
        if (h.bytes() == 0 or h.bytes() > limit - at) report.fail("a record of {d} bytes in a window of {d}", .{ h.bytes(), limit - at });
        one(e, h, base[at + record.header_bytes ..][0..h.size], &held);
        held.bytes += h.bytes();
        at += h.bytes();
        if (held.bytes < piece and at < limit) continue;
        held.hash = std.hash.Wyhash.hash(0, held.address[0..held.bytes]);
        e.r.held[e.r.count] = held;
        e.r.count += 1;
        held = .{ .epoch = e.r.epoch, .address = base + at, .bytes = 0, .messages = 0, .payload = 0, .hash = 0 };
    }
}

fn one(e: *End, h: Header, payload: []const u8, held: *Held) void {
    const from = 1 - e.which;
    const way = &oracle.ways[from];
    const before = way.got;
    switch (h.kind) {
        .pad => {},
        .message => oracle.arrived(from, @intCast(payload.len), payload, true),
        .first => {
            const total = std.mem.readInt(u32, payload[0..4], .little);
            oracle.arrived(from, total, payload[record.fragment_prefix_bytes..], false);
        },
        .more => oracle.arrived(from, null, payload, false),
        .last => oracle.arrived(from, null, payload, true),
        else => report.fail("a record of kind {d} in a window", .{@intFromEnum(h.kind)}),
    }
    if (way.got == before) return;
    held.messages += 1;
    held.payload += way.sizes[before];
}

fn intact(held: *const Held) void {
    if (std.hash.Wyhash.hash(0, held.address[0..held.bytes]) != held.hash) report.fail("lent memory of epoch {d} changed", .{held.epoch});
}

/// Gives the oldest records of the present arena back. False: there are none.
fn give(e: *End, count: u32) bool {
    for (0..count) |done| {
        var i: u32 = 0;
        while (i < e.r.count and e.r.held[i].epoch != e.r.epoch) i += 1;
        if (i == e.r.count) return done > 0;
        const held = e.r.held[i];
        intact(&held);
        const outcome = e.channel.consume(held.bytes, held.messages, held.payload);
        if (outcome != .ok) report.fail("consuming {d} bytes was answered {s}", .{ held.bytes, @tagName(outcome) });
        remove(e, i);
    }
    return true;
}

pub fn release(e: *End) void {
    if (e.style.refills) _ = give(e, max_held);
}

fn remove(e: *End, i: u32) void {
    e.r.count -= 1;
    std.mem.copyForwards(Held, e.r.held[i..e.r.count], e.r.held[i + 1 .. e.r.count + 1]);
}

fn moved(e: *End) void {
    if (e.r.old_count == max_old) retire(e, false);
    e.r.old[e.r.old_count] = e.r.epoch;
    e.r.old_count += 1;
    e.r.epoch += 1;
    report.trace("moved to read epoch {d}", .{e.r.epoch});
    if (e.block[Block.read_epoch] != e.r.epoch) report.fail("read epoch {d} instead of {d}", .{ e.block[Block.read_epoch], e.r.epoch });
}

/// Gives old read arenas back: one of them, or all.
pub fn retire(e: *End, all: bool) void {
    while (e.r.old_count > 0) {
        const which = choice.below(e.r.old_count);
        const epoch = e.r.old[which];
        var count: u32 = 0;
        var bytes: u32 = 0;
        var i: u32 = 0;
        while (i < e.r.count) {
            const held = e.r.held[i];
            if (held.epoch != epoch) {
                i += 1;
                continue;
            }
            intact(&held);
            count += held.messages;
            bytes += held.payload;
            remove(e, i);
        }
        const outcome = e.channel.retire(false, epoch, count, bytes);
        report.trace("retire read {d}: {s}", .{ epoch, @tagName(outcome) });
        if (outcome != .ok) report.fail("retiring the read arena of epoch {d} was answered {s}", .{ epoch, @tagName(outcome) });
        e.r.old_count -= 1;
        e.r.old[which] = e.r.old[e.r.old_count];
        if (!all) return;
    }
}
