//! Exports for reconfiguration (include/fable.h, "reconfiguration").

const std = @import("std");
const status = @import("status.zig");
const check = @import("check.zig");
const call = @import("call.zig");
const core = @import("../core/channel.zig");
const epochs = @import("../core/epochs.zig");

pub const SwitchEvent = epochs.Event;

pub export fn fable_switch(handle: u32, transport: u32, ring_bytes: u32, reason: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    const kind = std.enums.fromInt(core.Kind, transport) orelse return status.BAD_ARGUMENT;
    if (!epochs.validReason(reason)) return status.BAD_ARGUMENT;
    return @intFromEnum(channel.switchTo(kind, ring_bytes, reason));
}

pub export fn fable_ask(handle: u32, transport: u32, ring_bytes: u32, reason: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    const kind = std.enums.fromInt(core.Kind, transport) orelse return status.BAD_ARGUMENT;
    if (!epochs.validReason(reason)) return status.BAD_ARGUMENT;
    return @intFromEnum(channel.ask(kind, ring_bytes, reason));
}

pub export fn fable_attend(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    channel.attend();
    channel.repair();
    return status.OK;
}

pub export fn fable_cross(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return @intFromEnum(channel.cross());
}

pub export fn fable_retire(handle: u32, which: u32, epoch: u32, messages: u32, payload_bytes: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    if (which > 1) return status.BAD_ARGUMENT;
    return @intFromEnum(channel.retire(which == 0, epoch, messages, payload_bytes));
}

pub export fn fable_event(handle: u32, pointer: ?*SwitchEvent) callconv(.c) i32 {
    const out = check.one(SwitchEvent, pointer) orelse return status.BAD_ARGUMENT;
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    return @intFromEnum(channel.takeEvent(out));
}
