//! The library itself: version, start, errno, the block table, the clock; and `enter`, through which every call with a handle goes.

const std = @import("std");
const status = @import("status.zig");
const system = @import("system.zig");
const memory = @import("../sys/memory.zig");
const barrier = @import("barrier.zig");
const clock = @import("../sys/clock.zig");
const handles = @import("../core/handles.zig");
const core = @import("../core/channel.zig");

pub const abi_version: u32 = 2;

pub const Channel = core.Channel(system);
pub var channels: handles.Table(Channel) = .{};
pub var blocks: [handles.slots][core.block_words]u32 align(4096) = @splat(@splat(0));

var starting: std.atomic.Value(bool) = .init(false);
const zero: u32 = 0;
const one: u32 = 1;
/// Points at 1 once the library has started, at a page that a fork wipes to 0.
var guard: std.atomic.Value(*const u32) = .init(&zero);

/// Starts the library if need be. FORKED in a child of the process that started it.
pub fn start() i32 {
    if (@as(*const volatile u32, guard.load(.acquire)).* == 1) return status.OK;
    return startSlow();
}

noinline fn startSlow() i32 {
    if (guard.load(.acquire) != &zero) return status.FORKED;
    while (starting.swap(true, .acquire)) std.atomic.spinLoopHint();
    defer starting.store(false, .release);
    if (guard.load(.acquire) != &zero) return status.OK;
    barrier.begin();
    guard.store(memory.forkGuard() orelse &one, .release);
    return status.OK;
}

/// The channel behind `handle`, if this thread may use it; else the status is in `refused`.
pub inline fn enter(handle: u32, refused: *i32) ?*Channel {
    if (@as(*const volatile u32, guard.load(.monotonic)).* != 1) {
        refused.* = if (guard.load(.monotonic) == &zero) status.BAD_HANDLE else status.FORKED;
        return null;
    }
    return channels.get(handle, status.threadPointer()) catch |err| {
        refused.* = switch (err) {
            error.BadHandle => status.BAD_HANDLE,
            error.WrongThread => status.WRONG_THREAD,
        };
        return null;
    };
}

pub export fn fable_abi_version() callconv(.c) u32 {
    return abi_version;
}

pub export fn fable_init() callconv(.c) i32 {
    return start();
}

pub export fn fable_errno() callconv(.c) i32 {
    return status.lastErrno();
}

pub export fn fable_blocks() callconv(.c) ?*anyopaque {
    return &blocks;
}

pub export fn fable_now_ns() callconv(.c) u64 {
    _ = start();
    return clock.nowNs();
}
