//! Ends as fibers: each runs the real code on a stack of its own and gives way inside system calls, so that another end runs in the middle
//! of whatever it is doing. An end that is killed is simply never resumed: its stores stop exactly there.

const std = @import("std");
const builtin = @import("builtin");
const switching = std.Io.fiber;

pub const count = 2;
const stack_bytes = 256 << 10;

var stacks: [count][stack_bytes]u8 align(64) = undefined;
var contexts: [count]switching.Context = undefined;
var scheduler: switching.Context = undefined;
/// Whose code runs; null: the scheduler's.
pub var current: ?u8 = null;
var body: *const fn (which: u8) void = undefined;

/// `run` is called on the fiber's own stack when it is first resumed, and must not return.
pub fn start(which: u8, run: *const fn (which: u8) void) void {
    body = run;
    const top = @intFromPtr(&stacks[which]) + stack_bytes;
    contexts[which] = switch (builtin.cpu.arch) {
        // as behind a call: the return address would lie here
        .x86_64 => .{ .rsp = top - 8, .rbp = 0, .rip = @intFromPtr(&enter) },
        .aarch64 => .{ .sp = top, .fp = 0, .pc = @intFromPtr(&enter) },
        else => @compileError("x86-64 and arm64 only"),
    };
}

fn enter() callconv(.c) noreturn {
    body(current.?);
    @panic("a fiber returned");
}

/// From the scheduler: runs `which` until it gives way.
pub fn resumeFiber(which: u8) void {
    current = which;
    const message: switching.Switch = .{ .old = &scheduler, .new = &contexts[which] };
    _ = switching.contextSwitch(&message);
    current = null;
}

/// From a fiber: back to the scheduler.
pub fn giveWay() void {
    const message: switching.Switch = .{ .old = &contexts[current.?], .new = &scheduler };
    _ = switching.contextSwitch(&message);
}
