//! What the victim does about reconfiguration: orders and asks, crosses where it lays out its records itself, keeps old arenas for a while,
//! hears what happened.

const std = @import("std");
const fable = @import("fable");
const record = fable.layout.record;
const status = fable.status;
const calls = @import("fuzz_calls.zig");
const ledgers = @import("fuzz_ledger.zig");
const Victim = @import("fuzz_victim.zig").Victim;
const Failure = @import("fuzz.zig").Failure;
const Block = calls.Block;

const max_old = 8;

/// Write arenas that were left behind.
pub const Mover = struct {
    old: [max_old]u32 = undefined,
    count: usize = 0,
};

pub fn step(v: *Victim) Failure!void {
    switch (v.random.uintLessThan(u32, 10)) {
        0 => try order(v, .own),
        1 => try order(v, .peers),
        2, 3 => try v.check(calls.fable_attend(v.handle), "attend", 0),
        4, 5 => try cross(v),
        6 => try retireOne(v),
        7 => try events(v),
        8 => try layOut(v),
        else => try room(v),
    }
    try judgeBlock(v);
}

fn order(v: *Victim, direction: enum { own, peers }) Failure!void {
    const random = v.random;
    const transport = 1 + random.uintLessThan(u32, 9);
    const ring_bytes: u32 = if (random.boolean()) 0 else @as(u32, 4096) << random.uintLessThan(u5, 6);
    if (random.uintLessThan(u32, 16) == 0) return wrongOrder(v, transport, ring_bytes);
    const answer = if (direction == .own) calls.fable_switch(v.handle, transport, ring_bytes, 1) else calls.fable_ask(v.handle, transport, ring_bytes, 1);
    if (answer == status.UNSUPPORTED and transport == 8 and v.setup.trust == 2) return;
    if (answer == status.OK and transport == 8 and v.setup.trust == 2) return v.verdict("spliced to an untrusted peer", answer);
    try v.check(answer, if (direction == .own) "switch" else "ask", 0);
}

fn wrongOrder(v: *Victim, transport: u32, ring_bytes: u32) Failure!void {
    const answers = [_]i32{
        calls.fable_switch(v.handle, 10 + v.random.uintLessThan(u32, 1000), ring_bytes, 1),
        calls.fable_ask(v.handle, 0, ring_bytes, 1),
        calls.fable_switch(v.handle, transport, 4095, 1),
        calls.fable_switch(v.handle, transport, ring_bytes, 77),
        calls.fable_ask(v.handle, transport, ring_bytes, 0),
    };
    for (answers, 0..) |answer, which| {
        if (answer == status.OK or answer == status.EMPTY) return v.verdict("a wrong order was taken", @intCast(which));
        if (answer != status.BAD_ARGUMENT and answer != status.UNSUPPORTED) try v.check(answer, "wrong order", 0);
    }
}

pub fn cross(v: *Victim) Failure!void {
    if (v.mover.count == max_old) try retireOne(v);
    const epoch = v.block(Block.write_epoch);
    const answer = calls.fable_cross(v.handle);
    try v.check(answer, "cross", 0);
    if (answer != status.OK) return;
    if (v.made.flags == 0) return v.verdict("crossed by hand, and is not asked to", answer);
    v.tally.add(.crossed);
    if (v.block(Block.write_epoch) != epoch +% 1) return v.verdict("an epoch was left out", @intCast(epoch));
    v.mover.old[v.mover.count] = epoch;
    v.mover.count += 1;
}

pub fn retireOne(v: *Victim) Failure!void {
    const m = &v.mover;
    if (m.count == 0) {
        const answer = calls.fable_retire(v.handle, 0, v.block(Block.write_epoch) +% 1 +% v.random.uintLessThan(u32, 3), 0, 0);
        if (answer != status.BAD_ARGUMENT) return v.verdict("retired what was not there", answer);
        return;
    }
    const which = v.random.uintLessThan(usize, m.count);
    const answer = calls.fable_retire(v.handle, 0, m.old[which], 0, 0);
    if (answer != status.OK) return v.verdict("retire of a write arena", answer);
    m.count -= 1;
    m.old[which] = m.old[m.count];
}

pub fn events(v: *Victim) Failure!void {
    var event: calls.Event = undefined;
    for (0..17) |_| {
        const answer = calls.fable_event(v.handle, &event);
        if (answer == status.EMPTY) return;
        if (answer != status.OK) return v.verdict("event", answer);
        const wrong = event.direction < 1 or event.direction > 2 or event.what < 1 or event.what > 5 or event.from < 1 or event.from > 9 or
            event.to < 1 or event.to > 9 or event.reason < 1 or event.reason > 4 or event.status > 20 or event.at_ns > fable.system.nowNs();
        if (wrong) return v.verdict("an event of what cannot be", @intCast(event.what));
        switch (event.what) {
            1 => v.tally.add(.offered),
            4 => v.tally.add(.drained),
            5 => v.tally.add(.declined),
            else => {},
        }
    }
    return v.verdict("more events than are kept", 17);
}

fn judgeBlock(v: *Victim) Failure!void {
    const transports = [_]u32{ v.block(Block.write_transport), v.block(Block.read_transport) };
    for (transports) |one| if (one < 1 or one > 9) return v.verdict("a transport that does not exist", @intCast(one));
    if (v.block(Block.crossing) > 1 or v.block(Block.events) > 16) return v.verdict("a block that cannot be", @intCast(v.block(Block.events)));
}

fn room(v: *Victim) Failure!void {
    if (v.unsent != null) return;
    const answer = calls.fable_room(v.handle, v.random.uintLessThan(u32, 2000));
    try v.check(answer, "room", Victim.limit);
    try judgePlace(v, answer);
}

fn judgePlace(v: *Victim, answer: i32) Failure!void {
    if (answer < 0) return;
    var size: u32 = 0;
    _ = calls.fable_channel_arena(v.handle, 0, &size) orelse return v.verdict("no write arena", 0);
    const at = v.block(Block.write_offset);
    if (at % 8 != 0 or at >= size or v.block(Block.free) > size) return v.verdict("a place outside the write arena", @intCast(at));
}

/// Records laid out by the program itself, as the TypeScript side does.
fn layOut(v: *Victim) Failure!void {
    if (v.unsent != null or v.closed_write) return;
    const answer = calls.fable_room(v.handle, 800);
    try v.check(answer, "room", Victim.limit);
    try judgePlace(v, answer);
    if (answer < 8) return;
    var size: u32 = 0;
    const arena = calls.fable_channel_arena(v.handle, 0, &size) orelse return v.verdict("no write arena", 0);
    const free: u32 = @intCast(answer);
    var batch: Batch = .{ .arena = arena, .size = size, .start = v.block(Block.write_offset), .free = free };
    const first_tag = if (v.outgoing) |ledger| ledger.sent else 0;
    for (0..v.random.uintAtMost(u32, 2) + 1) |_| {
        const bytes = @min(v.random.uintAtMost(u32, 300), v.max_message);
        if (v.outgoing) |ledger| if (ledger.sent - ledger.delivered + 4 > ledgers.max_expected) return;
        if (!batch.add(bytes, first_tag +% batch.messages)) break;
    }
    if (batch.messages == 0) return;
    const published = calls.fable_publish(v.handle, batch.used, batch.first.word0(), batch.first.word1(), batch.messages, batch.payload);
    // what the peer took back that was not out may be laid out twice
    if (published == status.BAD_ARGUMENT and !v.incoming.honest) return;
    try v.check(published, "publish", 0);
    if (published == status.OK) if (v.outgoing) |ledger| for (batch.sizes[0..batch.messages]) |one| ledger.send(one);
}

const Batch = struct {
    arena: [*]u8,
    size: u32,
    start: u32,
    free: u32,
    used: u32 = 0,
    messages: u32 = 0,
    payload: u32 = 0,
    sizes: [4]u32 = undefined,
    first: record.Header = undefined,

    fn add(b: *Batch, bytes: u32, tag: u32) bool {
        var at = (b.start + b.used) & (b.size - 1);
        var length = record.length(at, bytes);
        const pad = if (at + length > b.size) b.size - at else 0;
        if (pad != 0) length = record.length(0, bytes);
        if (b.used + pad + length > b.free) return false;
        if (pad != 0) {
            b.put(at, record.Header.of(.pad, 0, pad));
            at = 0;
        }
        b.put(at, record.Header.of(.message, bytes, length));
        ledgers.fill(b.arena[at + 8 ..][0..bytes], tag);
        b.sizes[b.messages] = bytes;
        b.messages += 1;
        b.payload += bytes;
        return true;
    }

    /// The first header goes to fable_publish(); the others are written.
    fn put(b: *Batch, at: u32, header: record.Header) void {
        if (b.used == 0) b.first = header else @as(*u64, @ptrCast(@alignCast(b.arena + at))).* = @bitCast(header);
        b.used += header.bytes();
    }
};
