//! Exports for channels (include/fable.h, "channels").

const std = @import("std");
const barrier = @import("barrier.zig");
const status = @import("status.zig");
const check = @import("check.zig");
const call = @import("call.zig");
const system = @import("system.zig");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const core = @import("../core/channel.zig");
const handles = @import("../core/handles.zig");
const threads = @import("../sys/threads.zig");

pub const ChannelOptions = extern struct {
    size_bytes: u32,
    role: u32,
    transport: u32,
    trust: u32,
    ring_bytes: u32,
    max_message_bytes: u32,
    handle: u32,
    control_fd: i32,
    ring_fd: i32,
    peer_doorbell_fd: i32,
    peer_data_fd: i32,
    peer_link_fd: i32,
    flags: u32,
    reserved: [3]u32,
};

pub const Peer = extern struct {
    size_bytes: u32,
    handle: u32,
    trust: u32,
    control_fd: i32,
    ring_fd: i32,
    doorbell_fd: i32,
    data_fd: i32,
    pid_fd: i32,
    peer_max_message_bytes: u32,
    peer_ring_bytes: u32,
    link_fd: i32,
    reserved: [1]u32,
};

pub const Stats = extern struct {
    messages_sent: u64,
    bytes_sent: u64,
    messages_delivered: u64,
    bytes_delivered: u64,
    rings: u64,
    sleeps: u64,
    blocked_ns: u64,
    waited_ns: u64,
    write_epoch: u64,
    write_transport: u64,
    switches: u64,
    switch_reason: u64,
};

const windows: u32 = 1;

fn enumOf(comptime E: type, value: u32) ?E {
    return std.enums.fromInt(E, value);
}

fn answer(outcome: core.Outcome) i32 {
    return @intFromEnum(outcome);
}

pub export fn fable_channel_new(pointer: ?*ChannelOptions) callconv(.c) i32 {
    const options = check.one(ChannelOptions, pointer) orelse return status.BAD_ARGUMENT;
    if (options.size_bytes != @sizeOf(ChannelOptions)) return status.BAD_ARGUMENT;
    const wanted: core.Options = .{
        .role = enumOf(core.Role, options.role) orelse return status.BAD_ARGUMENT,
        .kind = enumOf(core.Kind, options.transport) orelse return status.BAD_ARGUMENT,
        .trust = enumOf(core.Trust, options.trust) orelse return status.BAD_ARGUMENT,
        .ring_bytes = options.ring_bytes,
        .max_message = options.max_message_bytes,
        .no_membarrier = undefined,
        .windows = options.flags & windows != 0,
    };
    if (options.flags & ~windows != 0 or !wanted.kind.first()) return status.BAD_ARGUMENT;
    if (!record.validRingBytes(wanted.ring_bytes)) return status.BAD_ARGUMENT;
    if (wanted.max_message == 0 or wanted.max_message > record.max_message_bytes) return status.BAD_ARGUMENT;
    const started = call.start();
    if (started != status.OK) return started;
    var with = wanted;
    with.no_membarrier = barrier.unavailable();

    const slot = call.channels.reserve() orelse return status.TABLE_FULL;
    var offer: core.Offer = .{};
    const outcome = call.channels.items[slot].open(with, &call.blocks[slot], &offer);
    if (outcome != .ok) {
        const errno = call.blocks[slot][core.Block.errno];
        call.channels.release(slot);
        return if (outcome == .system) status.system(@enumFromInt(errno)) else answer(outcome);
    }
    options.handle = call.channels.publish(slot, status.threadPointer());
    threads.End(closeOwned).watch();
    options.control_fd = offer.control;
    options.ring_fd = offer.ring;
    options.peer_doorbell_fd = offer.doorbell;
    options.peer_data_fd = offer.data;
    options.peer_link_fd = offer.link;
    return status.OK;
}

pub export fn fable_channel_attach(pointer: ?*Peer) callconv(.c) i32 {
    const given = check.one(Peer, pointer) orelse return status.BAD_ARGUMENT;
    if (given.size_bytes != @sizeOf(Peer)) return status.BAD_ARGUMENT;
    var peer: core.Peer = .{
        .trust = .untrusted,
        .control = given.control_fd,
        .ring = given.ring_fd,
        .doorbell = given.doorbell_fd,
        .data = given.data_fd,
        .link = given.link_fd,
        .pid = given.pid_fd,
    };
    // consumed in every outcome; what the channel keeps it sets to -1
    defer inline for (.{ "control", "ring", "doorbell", "data", "link", "pid" }) |name| system.close(@field(peer, name));
    peer.trust = enumOf(core.Trust, given.trust) orelse return status.BAD_ARGUMENT;
    var refused: i32 = 0;
    const channel = call.enter(given.handle, &refused) orelse return refused;
    const outcome = channel.attach(&peer);
    if (outcome != .ok) return answer(outcome);
    given.peer_max_message_bytes = channel.options.max_message;
    given.peer_ring_bytes = channel.readArena().?.size;
    return status.OK;
}

pub export fn fable_channel_arena(handle: u32, which: u32, size_out: ?*u32) callconv(.c) ?*anyopaque {
    const size = check.one(u32, size_out) orelse return null;
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return null;
    const arena = switch (which) {
        0 => channel.out.arena,
        1 => channel.readArena() orelse return null,
        else => return null,
    };
    size.* = arena.size;
    return arena.address;
}

pub export fn fable_channel_doorbell(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return if (channel.doorbell >= 0) channel.doorbell else status.BAD_ARGUMENT;
}

pub export fn fable_refill(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return channel.refill();
}

pub export fn fable_consume(handle: u32, bytes: u32, messages: u32, payload_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return answer(channel.consume(bytes, messages, payload_bytes));
}

pub export fn fable_space(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return channel.space();
}

pub export fn fable_room(handle: u32, needed: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    if (needed > record.max_ring_bytes) return status.BAD_ARGUMENT;
    return channel.room(needed);
}

pub export fn fable_give_back(handle: u32, offset: u32, bytes: u32, messages: u32, payload_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return answer(channel.giveBack(offset, bytes, messages, payload_bytes));
}

pub export fn fable_publish(handle: u32, bytes: u32, word0: u32, word1: u32, messages: u32, payload_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return answer(channel.publish(bytes, word0, word1, messages, payload_bytes));
}

pub export fn fable_pump(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return channel.pump();
}

pub export fn fable_close_write(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return answer(channel.closeWrite());
}

pub export fn fable_channel_peer_died(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    channel.peerDied();
    return status.OK;
}

pub export fn fable_channel_fault(handle: u32, detail: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    if (detail == 0) return status.BAD_ARGUMENT;
    channel.fail(detail);
    return status.OK;
}

pub export fn fable_channel_close(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    const slot = handles.Table(call.Channel).slotOf(handle);
    call.channels.retire(slot);
    channel.close();
    call.channels.release(slot);
    return status.OK;
}

/// A thread that ends closes what it owns, because nobody else can: a worker that is terminated, or just forgot.
fn closeOwned() void {
    const thread = status.threadPointer();
    for (0..handles.slots) |slot| {
        const handle = call.channels.handleAt(@intCast(slot), thread) orelse continue;
        _ = fable_channel_close(handle);
    }
}

pub export fn fable_send(handle: u32, bytes: ?[*]const u8, size_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return answer(channel.send(check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT));
}

pub export fn fable_receive(handle: u32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return channel.receive(check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT);
}

pub export fn fable_take(handle: u32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return channel.take(check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT);
}

// ---- figures: from any thread ----

fn copyStats(from: *const volatile control.Control, out: *Stats) void {
    inline for (@typeInfo(Stats).@"struct".fields) |field| @field(out, field.name) = @field(from, field.name);
}

pub export fn fable_channel_stats(handle: u32, pointer: ?*Stats) callconv(.c) i32 {
    const out = check.one(Stats, pointer) orelse return status.BAD_ARGUMENT;
    const channel = call.channels.getLocked(handle) orelse return status.BAD_HANDLE;
    defer call.channels.unlock();
    copyStats(channel.bell.own, out);
    return status.OK;
}
