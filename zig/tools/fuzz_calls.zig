//! What the fuzzer calls: the victim's side of the C ABI, as a program would link it.

const fable = @import("fable");

pub const Options = fable.abi.ChannelOptions;
pub const Peer = fable.abi.Peer;
pub const Stats = fable.abi.Stats;
pub const Event = fable.abi.SwitchEvent;
pub const WaitEntry = fable.abi.WaitEntry;
pub const Block = fable.core.channel.Block;
pub const Channel = fable.abi.call.Channel;

pub extern fn fable_channel_new(*Options) callconv(.c) i32;
pub extern fn fable_channel_attach(*Peer) callconv(.c) i32;
pub extern fn fable_channel_arena(u32, u32, *u32) callconv(.c) ?[*]u8;
pub extern fn fable_channel_close(u32) callconv(.c) i32;
pub extern fn fable_channel_stats(u32, *Stats) callconv(.c) i32;
pub extern fn fable_close_write(u32) callconv(.c) i32;
pub extern fn fable_refill(u32) callconv(.c) i32;
pub extern fn fable_consume(u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_give_back(u32, u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_space(u32) callconv(.c) i32;
pub extern fn fable_room(u32, u32) callconv(.c) i32;
pub extern fn fable_publish(u32, u32, u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_pump(u32) callconv(.c) i32;
pub extern fn fable_send(u32, [*]const u8, u32) callconv(.c) i32;
pub extern fn fable_receive(u32, [*]u8, u32) callconv(.c) i32;
pub extern fn fable_poll([*]WaitEntry, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_awake(u32) callconv(.c) i32;
pub extern fn fable_wait([*]WaitEntry, u32, i32, u32, i32) callconv(.c) i32;
pub extern fn fable_blocks() callconv(.c) [*]u32;
pub extern fn fable_switch(u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_ask(u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_attend(u32) callconv(.c) i32;
pub extern fn fable_cross(u32) callconv(.c) i32;
pub extern fn fable_retire(u32, u32, u32, u32, u32) callconv(.c) i32;
pub extern fn fable_event(u32, *Event) callconv(.c) i32;

pub fn block(handle: u32, word: u32) u32 {
    return fable_blocks()[(handle & 0xfff) * 16 + word];
}

/// What lies behind a handle: for the end that lies, which knows its own memory and descriptors.
pub fn channelOf(handle: u32) *Channel {
    return &fable.abi.call.channels.items[handle & 0xfff];
}

pub fn options(role: u32, transport: u32, trust: u32, ring_bytes: u32, max_message: u32, flags: u32) Options {
    return .{ .size_bytes = @sizeOf(Options), .role = role, .transport = transport, .trust = trust, .ring_bytes = ring_bytes, .max_message_bytes = max_message, .handle = 0, .control_fd = -1, .ring_fd = -1, .peer_doorbell_fd = -1, .peer_data_fd = -1, .peer_link_fd = -1, .flags = flags, .reserved = @splat(0) };
}

pub fn peer(handle: u32, trust: u32, control_fd: i32, ring_fd: i32) Peer {
    return .{ .size_bytes = @sizeOf(Peer), .handle = handle, .trust = trust, .control_fd = control_fd, .ring_fd = ring_fd, .doorbell_fd = -1, .data_fd = -1, .pid_fd = -1, .peer_max_message_bytes = 0, .peer_ring_bytes = 0, .link_fd = -1, .reserved = @splat(0) };
}
