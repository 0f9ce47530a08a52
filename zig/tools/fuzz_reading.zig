//! How the victim reads: whole messages, or windows that it keeps for a while, across moves of the direction too. What it keeps may not change
//! (where the peer cannot write it), and stays mapped until it is given back.

const std = @import("std");
const fable = @import("fable");
const record = fable.layout.record;
const status = fable.status;
const calls = @import("fuzz_calls.zig");
const ledgers = @import("fuzz_ledger.zig");
const Victim = @import("fuzz_victim.zig").Victim;
const Failure = @import("fuzz.zig").Failure;
const Block = calls.Block;

const guard: u8 = 0xa7;
const max_lent = 24;
const max_old = 16;
const heap = 9;

/// A window that was handed out. `sum` is of its bytes then; null where the peer may change them.
const Lent = struct { arena: [*]const u8, offset: u32, bytes: u32, messages: u32, payload: u32, sum: ?u64 };

/// What was lent of an arena when the direction moved on.
const Old = struct { epoch: u32, lent: [max_lent]Lent, count: usize };

pub const Reader = struct {
    /// By windows or by receive(): the contract forbids both on one channel.
    windows: bool,
    arena: [*]const u8 = undefined,
    arena_bytes: u32 = 0,
    epoch: u32 = 0,
    lent: [max_lent]Lent = undefined,
    count: usize = 0,
    old: [max_old]Old = undefined,
    old_count: usize = 0,
    /// Fragments of a message so far.
    joined: [ledgers.max_size]u8 = undefined,
    joined_bytes: usize = 0,
};

pub fn step(v: *Victim) Failure!void {
    if (!v.reader.windows) return receive(v);
    if (v.reader.count < max_lent) try window(v);
    if (v.random.uintLessThan(u32, 6) == 0) try giveOneBack(v);
    if (v.random.uintLessThan(u32, 6) == 0) try retireOne(v);
    if (v.reader.count == max_lent or v.random.uintLessThan(u32, 4) != 0) try consumeAll(v);
}

fn receive(v: *Victim) Failure!void {
    var buffer: [ledgers.max_size + 64]u8 = undefined;
    const capacity = if (v.random.boolean()) ledgers.max_size else v.random.uintAtMost(u32, ledgers.max_size);
    @memset(buffer[capacity..][0..64], guard);
    const answer = calls.fable_receive(v.handle, &buffer, capacity);
    for (buffer[capacity..][0..64]) |byte| if (byte != guard) return v.verdict("receive wrote past its buffer", answer);
    try checkEnd(v, answer, "receive", @intCast(capacity));
    if (answer < 0) return;
    v.tally.add(.delivered);
    if (v.incoming.deliver(buffer[0..@intCast(answer)])) |wrong| return v.verdict(wrong, answer);
}

/// An honest end is reported when everything arrived, not before.
fn checkEnd(v: *Victim, answer: i32, name: []const u8, most: i32) Failure!void {
    if (answer == status.ENDED and v.incoming.honest and !v.incoming.empty()) return v.verdict("ended before everything came", answer);
    try v.check(answer, name, most);
}

fn window(v: *Victim) Failure!void {
    const r = &v.reader;
    const answer = calls.fable_refill(v.handle);
    if (answer == status.MOVED) return moved(v);
    try checkEnd(v, answer, "refill", @intCast(r.arena_bytes));
    if (answer <= 0) return;
    v.tally.add(.window);
    const from = v.block(Block.read_offset);
    const to = v.block(Block.read_limit);
    if (from % 8 != 0 or to > r.arena_bytes or from > to or to - from != @as(u32, @intCast(answer))) return v.verdict("window outside the arena", answer);
    // In place the words may have changed since they were validated: trust means that, and the walk must look again.
    const memory = v.block(Block.read_transport) <= 3 or v.block(Block.read_transport) == heap;
    const stable = v.setup.trust == 2 or !memory or v.incoming.honest;
    var lent: Lent = .{ .arena = r.arena, .offset = from, .bytes = to - from, .messages = 0, .payload = 0, .sum = if (stable) sum(r.arena[from..to]) else null };
    var at = from;
    while (at < to) {
        const header: record.Header = @bitCast(@as(*align(8) const u64, @ptrCast(@alignCast(r.arena + at))).*);
        if (stable) try judge(v, header, at, to) else if (header.stride == 0 or at + header.bytes() > to or @as(u64, header.size) + 8 > header.bytes()) break;
        if (try take(v, header, r.arena[at + 8 ..][0..header.size])) {
            lent.messages += 1;
            lent.payload +%= header.size;
        }
        at += header.bytes();
    }
    r.lent[r.count] = lent;
    r.count += 1;
    if (v.random.uintLessThan(u32, 8) == 0) {
        const too_much = calls.fable_consume(v.handle, owed(r.lent[0..r.count]).bytes + 8, 1, 1);
        if (too_much >= 0) return v.verdict("consumed more than was handed out", too_much);
    }
}

fn judge(v: *Victim, header: record.Header, at: u32, to: u32) Failure!void {
    const length = header.bytes();
    if (length < 8 or length > to - at) return v.verdict("a record leaves the window", @intCast(at));
    if (header.size > length - 8) return v.verdict("a payload leaves its record", @intCast(header.size));
    switch (header.kind) {
        .message, .pad, .first, .more, .last => {},
        else => return v.verdict("a kind that is in no window", @intFromEnum(header.kind)),
    }
}

/// True: a message ends with this record.
fn take(v: *Victim, header: record.Header, payload: []const u8) Failure!bool {
    const r = &v.reader;
    switch (header.kind) {
        .message => if (v.incoming.deliver(payload)) |wrong| return v.verdict(wrong, @intCast(payload.len)),
        .first => {
            r.joined_bytes = 0;
            join(r, payload[@min(payload.len, 8)..]);
            return false;
        },
        .more => {
            join(r, payload);
            return false;
        },
        .last => {
            join(r, payload);
            if (v.incoming.deliver(r.joined[0..r.joined_bytes])) |wrong| return v.verdict(wrong, @intCast(r.joined_bytes));
        },
        else => return false,
    }
    v.tally.add(.delivered);
    return true;
}

fn join(r: *Reader, part: []const u8) void {
    const count = @min(part.len, r.joined.len - r.joined_bytes);
    @memcpy(r.joined[r.joined_bytes..][0..count], part[0..count]);
    r.joined_bytes += count;
}

/// The arena is another one; what is lent of the old one stays until it is retired.
fn moved(v: *Victim) Failure!void {
    const r = &v.reader;
    v.tally.add(.moved);
    if (r.old_count == max_old) return v.verdict("moved on with too many arenas kept", max_old);
    const old = &r.old[r.old_count];
    old.epoch = r.epoch;
    old.count = r.count;
    @memcpy(old.lent[0..r.count], r.lent[0..r.count]);
    r.old_count += 1;
    r.count = 0;
    r.arena = calls.fable_channel_arena(v.handle, 1, &r.arena_bytes) orelse return v.verdict("no read arena after a move", 0);
    if (v.block(Block.read_epoch) != r.epoch +% 1) return v.verdict("an epoch was left out", @intCast(r.epoch));
    r.epoch +%= 1;
}

fn sum(bytes: []const u8) u64 {
    return std.hash.Wyhash.hash(0, bytes);
}

const Owed = struct { bytes: u32 = 0, messages: u32 = 0, payload: u32 = 0 };

fn owed(lent: []const Lent) Owed {
    var all: Owed = .{};
    for (lent) |one| {
        all.bytes += one.bytes;
        all.messages += one.messages;
        all.payload +%= one.payload;
    }
    return all;
}

fn unchanged(v: *Victim, lent: []const Lent) Failure!void {
    for (lent) |one| if (one.sum) |was| {
        // a peer that was honest then may lie by now
        const still = v.setup.trust == 2 or v.incoming.honest;
        if (sum(one.arena[one.offset..][0..one.bytes]) != was and still) return v.verdict("what was handed out changed", @intCast(one.offset));
    } else std.mem.doNotOptimizeAway(sum(one.arena[one.offset..][0..one.bytes]));
}

pub fn consumeAll(v: *Victim) Failure!void {
    const r = &v.reader;
    if (r.count == 0) return;
    try unchanged(v, r.lent[0..r.count]);
    const all = owed(r.lent[0..r.count]);
    r.count = 0;
    try v.check(calls.fable_consume(v.handle, all.bytes, all.messages, all.payload), "consume", 0);
}

/// Of a heap, whichever; of anything else not at all.
fn giveOneBack(v: *Victim) Failure!void {
    const r = &v.reader;
    const is_heap = v.block(Block.read_transport) == heap;
    if (r.count == 0 or !is_heap) {
        const answer = calls.fable_give_back(v.handle, 8 * v.random.uintLessThan(u32, 64), 8, 1, 1);
        if (answer != if (is_heap) status.BAD_ARGUMENT else status.UNSUPPORTED) return v.verdict("gave back what it had not", answer);
        return;
    }
    const which = v.random.uintLessThan(usize, r.count);
    const one = r.lent[which];
    try unchanged(v, r.lent[which..][0..1]);
    if (v.random.uintLessThan(u32, 4) == 0) {
        const answer = calls.fable_give_back(v.handle, one.offset + 4, one.bytes, 0, 0);
        if (answer != status.BAD_ARGUMENT) return v.verdict("gave back half a word", answer);
    }
    // first its beginning, sometimes, then the rest
    const cut: u32 = if (one.bytes > 8 and v.random.boolean()) 8 * v.random.uintLessThan(u32, one.bytes / 8) else 0;
    if (cut != 0) try v.check(calls.fable_give_back(v.handle, one.offset, cut, 0, 0), "give_back of a part", 0);
    try v.check(calls.fable_give_back(v.handle, one.offset + cut, one.bytes - cut, one.messages, one.payload), "give_back", 0);
    std.mem.copyForwards(Lent, r.lent[which .. r.count - 1], r.lent[which + 1 .. r.count]);
    r.count -= 1;
}

pub fn retireOne(v: *Victim) Failure!void {
    const r = &v.reader;
    if (r.old_count == 0) {
        const answer = calls.fable_retire(v.handle, 1, r.epoch +% 1 +% v.random.uintLessThan(u32, 3), 0, 0);
        if (answer != status.BAD_ARGUMENT) return v.verdict("retired what was not there", answer);
        return;
    }
    const which = v.random.uintLessThan(usize, r.old_count);
    const old = &r.old[which];
    try unchanged(v, old.lent[0..old.count]);
    const all = owed(old.lent[0..old.count]);
    const answer = calls.fable_retire(v.handle, 1, old.epoch, all.messages, all.payload);
    if (answer != status.OK) return v.verdict("retire", answer);
    r.old_count -= 1;
    r.old[which] = r.old[r.old_count];
}

/// Everything that was kept goes back.
pub fn settle(v: *Victim) Failure!void {
    try consumeAll(v);
    while (v.reader.old_count > 0) try retireOne(v);
}
